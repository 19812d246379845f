/*
 * Parameters: layouts, adjacency, initial values, moving averages.
 *
 * To add a case, declare parameters, commit them, compare what comes back, and list the test in main.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "graph/params.h"

static ts_device *device;

static void must(ts_status status)
{
    if (status)
        fail_msg("%s", ts_status_message(status));
}

static void must_fail(ts_status status, const char *part)
{
    assert_non_null(status);
    if (!strstr(ts_status_message(status), part))
        fail_msg("message: %s; it should contain: %s", ts_status_message(status), part);
    ts_status_free(status);
}

static int open_device(void **state)
{
    (void)state;
    const ts_device_options options = {.threads = 1};
    return ts_device_open("cpu", &options, &device) ? -1 : 0;
}

static int close_device(void **state)
{
    (void)state;
    ts_device_close(device);
    return 0;
}

static ts_param_info info_of(const char *name, int rank, int64_t a, int64_t b, int64_t c, int64_t d)
{
    ts_param_info info = {.rank = rank, .shape = {a, b, c, d}, .trained = true};
    strcpy(info.name, name);
    return info;
}

/* ---- */

static void layouts(void **state)
{
    (void)state;
    ts_params *params;
    ts_param_info conv = info_of("conv", 4, 2, 3, 2, 2), dense = info_of("dense", 2, 2, 3, 0, 0);
    conv.layout = TS_LAYOUT_CONV;
    dense.layout = TS_LAYOUT_TRANSPOSED;
    must(ts_params_create(device, &params));
    const ts_param c = ts_params_add(params, &conv), d = ts_params_add(params, &dense);
    must(ts_params_commit(params, 1));
    float values[24], back[24], internal[24];
    for (int i = 0; i < 24; i++)
        values[i] = (float)i;
    must(ts_params_set(params, c, TS_BUFFER_VALUE, values));
    must(device->k->download(device, internal, ts_params_data(params, c, TS_BUFFER_VALUE), sizeof internal));
    for (int o = 0; o < 2; o++)
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 4; k++)
                assert_true(internal[(o * 4 + k) * 3 + i] == values[(o * 3 + i) * 4 + k]);
    must(ts_params_get(params, c, TS_BUFFER_VALUE, back));
    assert_memory_equal(values, back, sizeof back);
    must(ts_params_set(params, d, TS_BUFFER_VALUE, values));
    must(device->k->download(device, internal, ts_params_data(params, d, TS_BUFFER_VALUE),
                             6 * sizeof *internal));
    for (int in = 0; in < 2; in++)
        for (int out = 0; out < 3; out++)
            assert_true(internal[out * 2 + in] == values[in * 3 + out]);
    must(ts_params_get(params, d, TS_BUFFER_VALUE, back));
    assert_memory_equal(values, back, 6 * sizeof *back);
    must_fail(ts_params_get(params, d, TS_BUFFER_EMA, back), "parameter dense has no such buffer");
    must_fail(ts_params_get(params, 7, TS_BUFFER_VALUE, back), "no parameter has the number 7");
    ts_params_destroy(params);
}

static void memory(void **state)
{
    (void)state;
    ts_params *params;
    const float given[5] = {1, 2, 3, 4, 5};
    ts_param_info a = info_of("a", 1, 3, 0, 0, 0), constant = info_of("constant", 1, 5, 0, 0, 0);
    ts_param_info b = info_of("b", 2, 7, 3, 0, 0);
    constant.trained = false;
    constant.init = TS_INIT_GIVEN;
    constant.given = given;
    must(ts_params_create(device, &params));
    ts_params_add(params, &a);
    ts_params_add(params, &constant);
    ts_params_add(params, &b);
    must(ts_params_commit(params, 1));
    assert_int_equal(ts_params_count(params), 24);
    assert_int_equal(ts_params_table_size(params), 3);
    assert_int_equal(ts_params_find(params, "b"), 2);
    assert_int_equal(ts_params_find(params, "c"), -1);
    float *values = ts_params_buffer(params, TS_BUFFER_VALUE);
    assert_int_equal((uintptr_t)values % 64, 0);
    assert_ptr_equal(ts_params_data(params, 0, TS_BUFFER_VALUE), values);
    assert_ptr_equal(ts_params_data(params, 2, TS_BUFFER_VALUE), values + 3);
    float *outside = ts_params_data(params, 1, TS_BUFFER_VALUE);
    assert_true(outside < values || outside >= values + 24);
    float back[5];
    must(ts_params_get(params, 1, TS_BUFFER_VALUE, back));
    assert_memory_equal(given, back, sizeof back);
    assert_null(ts_params_data(params, 2, TS_BUFFER_GRADIENT));
    must(ts_params_enable_training(params));
    assert_null(ts_params_data(params, 1, TS_BUFFER_GRADIENT));
    assert_ptr_equal(ts_params_data(params, 2, TS_BUFFER_EMA), ts_params_buffer(params, TS_BUFFER_EMA) + 3);
    ts_params_destroy(params);
}

static void averages(void **state)
{
    (void)state;
    enum { COUNT = (1 << 20) + 12345 }; /* more than one exchange */
    ts_params *params;
    ts_param_info info = info_of("w", 1, COUNT, 0, 0, 0);
    info.init = TS_INIT_UNIFORM;
    info.scale = 1;
    must(ts_params_create(device, &params));
    ts_params_add(params, &info);
    must(ts_params_commit(params, 5));
    must(ts_params_enable_training(params));
    float *first = malloc(COUNT * sizeof *first), *other = malloc(COUNT * sizeof *other);
    float *got = malloc(COUNT * sizeof *got);
    assert_true(first && other && got);
    must(ts_params_get(params, 0, TS_BUFFER_VALUE, first));
    must(ts_params_get(params, 0, TS_BUFFER_EMA, got));
    assert_memory_equal(first, got, COUNT * sizeof *got);
    for (int i = 0; i < COUNT; i++)
        other[i] = (float)i;
    must(ts_params_set(params, 0, TS_BUFFER_EMA, other));
    must(ts_params_swap_ema(params));
    must(ts_params_get(params, 0, TS_BUFFER_VALUE, got));
    assert_memory_equal(other, got, COUNT * sizeof *got);
    must(ts_params_get(params, 0, TS_BUFFER_EMA, got));
    assert_memory_equal(first, got, COUNT * sizeof *got);
    must(ts_params_swap_ema(params));
    must(ts_params_get(params, 0, TS_BUFFER_VALUE, got));
    assert_memory_equal(first, got, COUNT * sizeof *got);
    free(first);
    free(other);
    free(got);
    ts_params_destroy(params);
}

/* ---- initial values ---- */

enum { DRAWS = 100003 };

static void initial(uint64_t seed, float *uniform, float *normal)
{
    ts_params *params;
    ts_param_info u = info_of("u", 1, DRAWS, 0, 0, 0), n = info_of("n", 1, DRAWS, 0, 0, 0);
    u.init = TS_INIT_UNIFORM;
    n.init = TS_INIT_NORMAL;
    u.scale = n.scale = 0.5f;
    must(ts_params_create(device, &params));
    ts_params_add(params, &u);
    ts_params_add(params, &n);
    must(ts_params_commit(params, seed));
    must(ts_params_get(params, 0, TS_BUFFER_VALUE, uniform));
    must(ts_params_get(params, 1, TS_BUFFER_VALUE, normal));
    ts_params_destroy(params);
}

/* The mean within 5 of its standard deviations, the variance within 2 %. */
static void check_moments(const float *values, double variance)
{
    double sum = 0, square = 0;
    for (int i = 0; i < DRAWS; i++) {
        sum += values[i];
        square += (double)values[i] * values[i];
    }
    assert_true(fabs(sum / DRAWS) < 5 * sqrt(variance / DRAWS));
    assert_true(fabs(square / DRAWS / variance - 1) < 0.02);
}

static void initial_values(void **state)
{
    (void)state;
    static float u[DRAWS], n[DRAWS], u2[DRAWS], n2[DRAWS];
    initial(7, u, n);
    initial(7, u2, n2);
    assert_memory_equal(u, u2, sizeof u);
    assert_memory_equal(n, n2, sizeof n);
    initial(8, u2, n2);
    int equal = 0;
    for (int i = 0; i < DRAWS; i++) {
        assert_true(fabsf(u[i]) <= 0.5f);
        equal += u[i] == u2[i];
    }
    assert_true(equal < 10);
    check_moments(u, 0.25 / 3);
    check_moments(n, 0.25);
}

/* ---- wrong declarations ---- */

static void refuse(const ts_param_info *info, const char *part)
{
    ts_params *params;
    const ts_param_info good = info_of("good", 1, 2, 0, 0, 0);
    must(ts_params_create(device, &params));
    ts_params_add(params, &good);
    assert_int_equal(ts_params_add(params, info), -1);
    assert_int_equal(ts_params_add(params, &good), -1); /* the first error stays */
    must_fail(ts_params_commit(params, 1), part);
    ts_params_destroy(params);
}

static void wrong_declarations(void **state)
{
    (void)state;
    ts_param_info info = info_of("good", 1, 2, 0, 0, 0);
    refuse(&info, "parameter good is declared twice");
    info = info_of("x", 2, 2, 0, 0, 0);
    refuse(&info, "parameter x: axis 1");
    info = info_of("x", 4, INT64_MAX, 2, 2, 2);
    refuse(&info, "parameter x: axis");
    info = info_of("x", 2, 2, 2, 0, 0);
    info.layout = TS_LAYOUT_CONV;
    refuse(&info, "parameter x: rank 2");
    info = info_of("x", 1, 2, 0, 0, 0);
    info.init = TS_INIT_GIVEN;
    refuse(&info, "no initial values");
    info = info_of("", 1, 2, 0, 0, 0);
    refuse(&info, "name must have");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts),
        cmocka_unit_test(memory),
        cmocka_unit_test(averages),
        cmocka_unit_test(initial_values),
        cmocka_unit_test(wrong_declarations),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
