/*
 * Too little memory: the message names the key and a batch that then really fits, and not much less than
 * could have; on a device that has as many bytes as the test says.
 *
 * To add a case, add a test that sets the device's bytes and reads the message, and list it in main.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "bench/bench.h"
#include "run/evaluate.h"
#include "run/starts/glow.h"
#include "run/training/trainer.h"
#include "must.h"

static size_t room; /* bytes that the device has in all */

static size_t left_of(const ts_device *device)
{
    return device->bytes < room ? room - device->bytes : 0;
}

static ts_kernels kernels;

static ts_status allocate(ts_device *device, size_t bytes, void **memory)
{
    *memory = NULL;
    if (bytes > left_of(device))
        return ts_error(TS_NO_MEMORY, "%zu bytes are needed, %zu are free", bytes, left_of(device));
    return ts_cpu_kernels.allocate(device, bytes, memory);
}

static ts_status free_memory(ts_device *device, size_t *bytes)
{
    *bytes = left_of(device);
    return NULL;
}

static ts_run *open_run(const char *batch, const char *dir)
{
    const char *const overrides[] = {batch, "train.steps=1", "glow.steps=1", "glow.steps_per_level=2",
                                     "glow.hidden=16"};
    ts_config *config;
    ts_device *device;
    ts_run *run;
    must(ts_config_load(SOURCE_DIR "/configs/digits.yaml", overrides, 5, &config));
    room = SIZE_MAX / 2;
    must(ts_device_open("cpu", &(ts_device_options){.threads = 1}, &device));
    kernels = ts_cpu_kernels;
    kernels.allocate = allocate;
    kernels.free_memory = free_memory;
    device->k = &kernels;
    must(ts_run_create(dir, config, false, &(ts_run_options){.borrowed_device = device}, &run));
    return run;
}

static void close_run(ts_run *run)
{
    ts_device *device = run->device;
    ts_run_close(run);
    ts_device_close(device);
}

/* The batch that the message advises; 0: that none would do. */
static int advised(ts_status status, const char *key, int batch)
{
    char begin[96];
    int fits = -1;
    assert_int_equal(ts_status_code(status), TS_NO_MEMORY);
    const char *message = ts_status_message(status);
    snprintf(begin, sizeof begin, "%s = %d does not fit in memory, ", key, batch);
    const char *at = strstr(message, begin);
    if (!at)
        fail_msg("%s", message);
    if (sscanf(at + strlen(begin), "about %d would: ", &fits) != 1)
        fits = strstr(message, " smaller one would: ") ? 0 : -1;
    assert_non_null(strstr(message, "bytes are needed, "));
    ts_status_free(status);
    return fits;
}

static ts_status train(int batch, size_t bytes)
{
    char text[32];
    snprintf(text, sizeof text, "train.batch=%d", batch);
    ts_run *run = open_run(text, NULL);
    room = bytes;
    ts_status status = ts_trainer_run(run, &(ts_trainer_options){0}, NULL);
    close_run(run);
    return status;
}

static void training(void **state)
{
    (void)state;
    const size_t bytes = (size_t)160 << 20;
    const int fits = advised(train(4000, bytes), "train.batch", 4000);
    assert_true(fits > 4 && fits < 4000);
    must(train(fits, bytes));
    ts_status status = train(fits + fits / 3, bytes);
    assert_int_equal(ts_status_code(status), TS_NO_MEMORY);
    ts_status_free(status);
    /* a model that leaves no room for its gradients */
    assert_int_equal(advised(train(8, (size_t)1 << 20), "train.batch", 8), 0);
}

static ts_status fit(int batch, size_t bytes)
{
    char text[32], dir[] = "memory.XXXXXX", command[64];
    snprintf(text, sizeof text, "glow.batch=%d", batch);
    assert_non_null(mkdtemp(dir));
    ts_run *run = open_run(text, dir);
    room = bytes;
    ts_status status = ts_fit_glow(run, 0.4, NULL, NULL);
    close_run(run);
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
    return status;
}

static void flows(void **state)
{
    (void)state;
    const size_t bytes = (size_t)64 << 20;
    const int fits = advised(fit(50000, bytes), "glow.batch", 50000);
    assert_true(fits > 4 && fits < 50000);
    must(fit(fits, bytes));
}

/* Where a few would fit: the number that is named does, and the batch asked for is not named. */
static void small_batches(void **state)
{
    (void)state;
    enum { BATCH = 8 };
    int named = 0;
    for (size_t bytes = (size_t)4 << 20; bytes < (size_t)16 << 20; bytes += bytes / 24) {
        ts_status status = train(BATCH, bytes);
        if (!status)
            break;
        const int fits = advised(status, "train.batch", BATCH);
        assert_in_range(fits, 0, BATCH - 1);
        named += fits > 0;
        if (fits > 0)
            must(train(fits, bytes));
    }
    assert_true(named > 1);
    named = 0;
    for (size_t bytes = (size_t)1 << 20; bytes < (size_t)16 << 20; bytes += bytes / 24) {
        ts_status status = fit(BATCH, bytes);
        if (!status)
            break;
        const int fits = advised(status, "glow.batch", BATCH);
        assert_in_range(fits, 0, BATCH - 1);
        named += fits > 0;
        if (fits > 1) /* a Glow needs two */
            must(fit(fits, bytes));
    }
    assert_true(named > 1);
}

static void sampling(void **state)
{
    (void)state;
    const size_t bytes = (size_t)64 << 20;
    ts_bench_sample result;
    ts_run *run = open_run("sample.batch=50000", NULL);
    ts_bench bench = {
        .config = run->config, .device = run->device, .dataset = run->dataset, .model = run->model};
    kernels.ceiling = NULL;
    room = bytes;
    const int fits = advised(ts_bench_sample_run(&bench, 1, NULL, &result), "sample.batch", 50000);
    assert_true(fits > 4 && fits < 50000);
    close_run(run);
    run = open_run("sample.batch=50000", NULL);
    ts_sampler_config sampler;
    ts_samples samples;
    must(ts_evaluate_sampler(run->config, TS_SAMPLER_RK45, 0.4, &sampler));
    sampler.rtol = sampler.atol = 10;
    room = bytes;
    run->config->sample.batch = advised(
        ts_evaluate_samples(run, &sampler, TS_START_NORMAL, 50000, NULL, &samples), "sample.batch", 50000);
    must(ts_evaluate_samples(run, &sampler, TS_START_NORMAL, run->config->sample.batch, NULL, &samples));
    ts_samples_release(&samples);
    close_run(run);
}

/* What is short is not the plan: no batch is blamed. */
static int left; /* allocations until one fails */

static ts_status fail_once(ts_device *device, size_t bytes, void **memory)
{
    *memory = NULL;
    return left-- == 0 ? ts_error(TS_NO_MEMORY, "something else")
                       : ts_cpu_kernels.allocate(device, bytes, memory);
}

static void something_else(void **state)
{
    (void)state;
    ts_run *run = open_run("train.batch=8", NULL);
    kernels.allocate = fail_once;
    left = 3;
    ts_status status = ts_trainer_run(run, &(ts_trainer_options){0}, NULL);
    assert_int_equal(ts_status_code(status), TS_NO_MEMORY);
    assert_null(strstr(ts_status_message(status), "batch"));
    assert_non_null(strstr(ts_status_message(status), ": something else"));
    ts_status_free(status);
    close_run(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training),      cmocka_unit_test(something_else), cmocka_unit_test(flows),
        cmocka_unit_test(small_batches), cmocka_unit_test(sampling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
