/*
 * Opening devices, their memory and its accounting, packed weights, and running short of memory.
 *
 * To add a case, write a test on a device of its own, and list it in main.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <oneapi/dnnl/dnnl_version.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "kernels/kernels.h"

static ts_device *open_cpu(int threads)
{
    ts_device *device = NULL;
    const ts_device_options options = {.threads = threads};
    assert_null(ts_device_open("cpu", &options, &device));
    return device;
}

static void expect_error(const char *name, ts_code code, const char *part)
{
    ts_device *device = NULL;
    const ts_device_options options = {.threads = 1};
    ts_status status = ts_device_open(name, &options, &device);
    assert_non_null(status);
    assert_null(device);
    assert_int_equal(ts_status_code(status), code);
    assert_non_null(strstr(ts_status_message(status), part));
    assert_null(strchr(ts_status_message(status), '\n'));
    ts_status_free(status);
}

static void test_names(void **state)
{
    (void)state;
    expect_error("gpu", TS_INVALID, "--device gpu");
    expect_error("", TS_INVALID, "cpu, cuda");
    expect_error("cuda:", TS_INVALID, "--device cuda:");
    expect_error("cuda:-1", TS_INVALID, "cuda:INDEX");
    expect_error("cuda:1x", TS_INVALID, "cuda:INDEX");
    expect_error("cuda:99999999999999999999", TS_INVALID, "cuda:INDEX");
    ts_device *device = NULL;
    const ts_device_options options = {.threads = 3};
    assert_null(ts_device_open("auto", &options, &device));
    if (strcmp(device->k->name, "cpu") == 0) {
        assert_int_equal(device->threads, 3);
        expect_error("cuda", TS_UNSUPPORTED, "--device cuda: ");
        expect_error("cuda:1", TS_UNSUPPORTED, "--device cuda:1: ");
    }
    ts_device_close(device);
    ts_device_close(NULL);
}

static void test_libraries(void **state)
{
    (void)state;
    char text[256], onednn[64];
    ts_status status = ts_device_libraries("cpu", text, sizeof text);
    assert_null(status);
    snprintf(onednn, sizeof onednn, "oneDNN %d.%d.", DNNL_VERSION_MAJOR, DNNL_VERSION_MINOR);
    assert_non_null(strstr(text, onednn));
    assert_non_null(strstr(text, "OpenBLAS 0."));
    assert_null(strchr(text, '\n'));
    status = ts_device_libraries("cuda", text, sizeof text);
    if (status)
        assert_int_equal(ts_status_code(status), TS_UNSUPPORTED);
    else
        assert_non_null(strstr(text, "cuDNN "));
    ts_status_free(status);
}

static void test_memory(void **state)
{
    (void)state;
    ts_device *device = open_cpu(1);
    void *small = NULL, *large = NULL;
    assert_null(device->k->allocate(device, 100, &small));
    assert_null(device->k->allocate(device, 10000000, &large));
    assert_int_equal((uintptr_t)small % 64, 0);
    assert_int_equal((uintptr_t)large % 64, 0);
    for (size_t i = 0; i < 10000000; i++)
        assert_int_equal(((const char *)large)[i], 0);
    assert_int_equal(device->bytes, 10000100);
    assert_int_equal(device->allocations, 2);
    device->k->release(device, large);
    device->k->release(device, NULL);
    assert_int_equal(device->bytes, 100);
    assert_int_equal(device->peak_bytes, 10000100);
    device->k->release(device, small);
    assert_int_equal(device->bytes, 0);

    static const size_t impossible[] = {(size_t)1 << 60, SIZE_MAX};
    for (int i = 0; i < 2; i++) {
        ts_status status = device->k->allocate(device, impossible[i], &large);
        char asked[32];
        snprintf(asked, sizeof asked, "%.2f GiB", (double)impossible[i] / 0x1p30);
        assert_null(large);
        assert_int_equal(ts_status_code(status), TS_NO_MEMORY);
        assert_non_null(strstr(ts_status_message(status), asked));
        ts_status_free(status);
    }
    assert_int_equal(device->bytes, 0);
    ts_device_close(device);
}

enum { SIDE = 4, CHANNELS = 16, PIXELS = SIDE * SIDE, WEIGHTS = CHANNELS * 9 * CHANNELS };

static float *floats(ts_device *device, size_t count, float value)
{
    void *memory = NULL;
    assert_null(device->k->allocate(device, count * sizeof(float), &memory));
    for (size_t i = 0; i < count; i++)
        ((float *)memory)[i] = value;
    return memory;
}

/* A convolution of ones: the middle of the image sums 9 CHANNELS weights. */
static ts_status convolve(ts_device *device, const float *weight, float *middle)
{
    float *x = floats(device, PIXELS * CHANNELS, 1), *y = floats(device, PIXELS * CHANNELS, 0);
    const ts_conv_forward a = {.n = 1,
                               .h = SIDE,
                               .w = SIDE,
                               .ci = CHANNELS,
                               .co = CHANNELS,
                               .x = x,
                               .weight = weight,
                               .scale = 1,
                               .y = y};
    ts_status status = device->k->conv_forward(device, &a);
    *middle = y[(SIDE + 1) * CHANNELS];
    device->k->release(device, x);
    device->k->release(device, y);
    return status;
}

static void test_packed_weights(void **state)
{
    (void)state;
    ts_device *device = open_cpu(1);
    float *weight = floats(device, WEIGHTS, 1), middle;
    assert_null(convolve(device, weight, &middle));
    assert_true(middle == 9 * CHANNELS);
    for (int i = 0; i < WEIGHTS; i++)
        weight[i] = 2;
    device->k->weights_changed(device);
    assert_null(convolve(device, weight, &middle));
    assert_true(middle == 2 * 9 * CHANNELS);

    /* Memory that comes back at the same address holds other weights, and nothing of the old ones stays. */
    const size_t bytes = device->bytes;
    device->k->release(device, weight);
    assert_true(device->bytes <= bytes - 2 * WEIGHTS * sizeof(float));
    weight = floats(device, WEIGHTS, 3);
    assert_null(convolve(device, weight, &middle));
    assert_true(middle == 3 * 9 * CHANNELS);
    assert_int_equal(device->bytes, bytes);
    device->k->release(device, weight);
    ts_device_close(device);
}

/* In a child of little address space: every outcome but an error that says so is a failure. */
static int run_short_of_memory(size_t room)
{
    ts_device *device = open_cpu(1);
    float *weight = floats(device, WEIGHTS, 1), middle;
    char line[256];
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || !fgets(line, sizeof line, file) || sscanf(line, "%lu", &pages) != 1)
        return 2;
    fclose(file);
    const rlim_t limit = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + room;
    if (setrlimit(RLIMIT_AS, &(struct rlimit){limit, limit}))
        return 3;
    ts_status status = convolve(device, weight, &middle);
    if (!status)
        return 0;
    return ts_status_code(status) == TS_NO_MEMORY ? 1 : 4;
}

static void test_short_of_memory(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* its shadow memory needs the address space */
#endif
    int refused = 0;
    for (size_t room = 1 << 20; room < (size_t)256 << 20; room *= 4) {
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(run_short_of_memory(room));
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_true(WEXITSTATUS(status) <= 1);
        refused += WEXITSTATUS(status);
    }
    assert_true(refused > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names), cmocka_unit_test(test_libraries),
                                       cmocka_unit_test(test_memory), cmocka_unit_test(test_short_of_memory),
                                       cmocka_unit_test(test_packed_weights)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
