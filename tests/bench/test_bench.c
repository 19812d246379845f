/*
 * The benchmarks: that they count the work that another program counts, allocate nothing once warm, and stand
 * in for missing files.  Speed is not tested.
 *
 * To add a case, write a test of one figure against a count made here, and list it in main.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "bench/bench.h"
#include "must.h"

typedef struct fixture {
    ts_config *config;
    ts_device *device;
    ts_bench bench;
} fixture;

static void open_fixture(fixture *f, const char *file, const char *const *overrides, int count)
{
    char path[512];
    snprintf(path, sizeof path, SOURCE_DIR "/configs/bench/%s.yaml", file);
    must(ts_config_load(path, overrides, count, &f->config));
    must(ts_device_open("cpu", &(ts_device_options){.threads = 2}, &f->device));
    must(ts_bench_open(f->config, f->device, &f->bench));
}

static void close_fixture(fixture *f)
{
    ts_bench_close(&f->bench);
    ts_device_close(f->device);
    ts_config_free(f->config);
}

/* Work and parameters as PyTorch counts them, by hooks on its modules (bench/peer_torch.py). */
static void train_counts_the_work(void **state)
{
    (void)state;
    fixture f;
    ts_bench_train r;
    open_fixture(&f, "digits8", (const char *const[]){"train.batch=4"}, 1);
    assert_false(f.bench.synthetic);
    must(ts_bench_train_run(&f.bench, 3, NULL, &r));
    assert_int_equal(r.parameters, 1032353);
    assert_int_equal(r.steps, 3);
    assert_int_equal(r.batch, 4);
    assert_true(fabs(r.step_flops - 4.0 * (19321585664.0 / 128)) < 1);
    assert_int_equal(r.figures.late_allocations, 0);
    assert_true(r.least <= r.step_seconds && r.step_seconds <= r.most);
    assert_true(r.plan_bytes < r.no_reuse_bytes);
    assert_true(r.figures.device_peak_bytes > r.plan_bytes);
    assert_true(r.figures.process_peak_bytes > r.figures.device_peak_bytes);
    assert_true(r.figures.ceiling > 0 && r.figures.copy_ceiling > 0);
    assert_true(r.stream_seconds > 0 && r.stream_seconds < 10 * r.step_seconds);
    assert_true(fabs(r.figures.images_per_second * r.step_seconds - 4) < 1e-9);
    close_fixture(&f);
}

static void operations_add_up(void **state)
{
    (void)state;
    fixture f;
    ts_bench_ops r;
    open_fixture(&f, "digits8", (const char *const[]){"train.batch=2"}, 1);
    must(ts_bench_ops_run(&f.bench, 3, NULL, &r));
    double flops = 0, seconds = 0;
    int optimizers = 0, convolutions = 0;
    for (int i = 0; i < r.count; i++) {
        const ts_bench_operation *p = &r.operations[i];
        flops += p->flops;
        seconds += p->seconds;
        optimizers += strcmp(p->name, "optimizer_step") ? 0 : p->calls;
        convolutions += strcmp(p->name, "conv_forward") ? 0 : p->calls;
        assert_true(p->seconds > 0 && p->bytes > 0);
        assert_true(i == 0 || p->seconds <= r.operations[i - 1].seconds);
    }
    assert_true(fabs(flops - 2.0 * (19321585664.0 / 128)) < 1);
    assert_true(fabs(seconds - r.seconds) < 1e-9);
    assert_int_equal(optimizers, 1);
    /* 2 at the ends; 2 in each block: 2 and 3 blocks on either way of 2 levels, 2 resampling, 2 in the
     * middle */
    assert_int_equal(convolutions, 2 + 2 * (2 * (2 + 3) + 2 + 2));
    free(r.operations);
    close_fixture(&f);
}

static void sampling_counts_evaluations(void **state)
{
    (void)state;
    static const struct {
        const char *sampler;
        double nfe;
    } cases[] = {{"sample.sampler=em", 401}, {"sample.sampler=heun", 801}};
    int64_t launches[2] = {0};
    bool counted = false;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture f;
        ts_bench_sample r;
        open_fixture(&f, "digits8", (const char *const[]){"sample.batch=3", "train.T=0.4", cases[i].sampler},
                     3);
        must(ts_bench_sample_run(&f.bench, 4, NULL, &r));
        assert_true(fabs(r.nfe - cases[i].nfe) < 1e-9);
        assert_int_equal(r.figures.late_allocations, 0);
        assert_true(fabs(r.figures.images_per_second * r.nfe / r.evaluations_per_second - 1) < 1e-9);
        counted = f.device->launches > 0;
        launches[i] = r.launches;
        close_fixture(&f);
    }
    /* Heun evaluates the network twice a step; beside that a step is a few operations. */
    assert_true(!counted || launches[0] > 50);
    assert_in_range(launches[1] + 8, 2 * launches[0], 2 * launches[0] + 16);
}

static void missing_files_are_stood_in_for(void **state)
{
    (void)state;
    fixture f;
    ts_bench_train r;
    open_fixture(&f, "cifar10",
                 (const char *const[]){"data.path=/nowhere", "model.nf=8", "model.num_res_blocks=1",
                                       "model.ch_mult=[1,2]", "train.batch=2"},
                 5);
    assert_true(f.bench.synthetic);
    assert_int_equal(ts_data_dim(&f.bench.dataset->train), 32 * 32 * 3);
    must(ts_bench_train_run(&f.bench, 1, NULL, &r));
    assert_true(r.figures.images_per_second > 0);
    close_fixture(&f);
}

static void mixtures_are_refused(void **state)
{
    (void)state;
    ts_config *config;
    ts_device *device;
    ts_bench bench;
    must(ts_config_load(SOURCE_DIR "/configs/mixture1d.yaml", NULL, 0, &config));
    must(ts_device_open("cpu", &(ts_device_options){.threads = 1}, &device));
    ts_status status = ts_bench_open(config, device, &bench);
    assert_int_equal(ts_status_code(status), TS_INVALID);
    ts_status_free(status);
    ts_device_close(device);
    ts_config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(train_counts_the_work),       cmocka_unit_test(operations_add_up),
        cmocka_unit_test(sampling_counts_evaluations), cmocka_unit_test(missing_files_are_stood_in_for),
        cmocka_unit_test(mixtures_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
