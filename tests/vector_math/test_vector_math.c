/*
 * The CPU's vectorised elementary functions against the C library's in double precision.
 *
 * To add a case, add the function, the C library's, and its range to the list.
 */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "kernels/cpu/vector_math.h"

enum { COUNT = 4096 };

typedef void map(const float *x, float *y);

#define VECTORISED(name)                                                                                     \
    static void name##_all(const float *restrict x, float *restrict y)                                       \
    {                                                                                                        \
        _Pragma("omp simd") for (int i = 0; i < COUNT; i++) y[i] = name(x[i]);                               \
    }
VECTORISED(ts_exp)
VECTORISED(ts_sigmoid)
VECTORISED(ts_silu_of)
VECTORISED(ts_silu_slope)

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double silu(double x)
{
    return x * sigmoid(x);
}

static double silu_slope(double x)
{
    return sigmoid(x) + x * sigmoid(x) * sigmoid(-x);
}

/* Largest relative error over [low, high]; results below `floor` in size are judged against it. */
static double worst(map *fast, double (*exact)(double), double low, double high, double floor)
{
    static float x[COUNT], y[COUNT];
    double error = 0;
    for (int block = 0; block < 64; block++) {
        for (int i = 0; i < COUNT; i++)
            x[i] = (float)(low + (high - low) * (block * COUNT + i) / (64.0 * COUNT - 1));
        fast(x, y);
        for (int i = 0; i < COUNT; i++) {
            const double want = exact((double)x[i]);
            error = fmax(error, fabs((double)y[i] - want) / fmax(fabs(want), floor));
        }
    }
    return error;
}

static void test_accuracy(void **state)
{
    (void)state;
    assert_true(worst(ts_exp_all, exp, -87, 88.7, 0) < 2e-7);
    assert_true(worst(ts_exp_all, exp, -103, -87, 0x1p-126) < 2e-7);
    assert_true(worst(ts_exp_all, exp, -1e-3, 1e-3, 0) < 2e-7);
    assert_true(worst(ts_sigmoid_all, sigmoid, -87, 100, 0) < 2e-7);
    assert_true(worst(ts_silu_of_all, silu, -80, 1000, 0) < 3e-7);
    assert_true(worst(ts_silu_slope_all, silu_slope, -80, 1000, 0.1) < 5e-7);
}

static void test_limits(void **state)
{
    (void)state;
    static const float huge = 3e38f, not_a_number = NAN;
    assert_true(isinf(ts_exp(89.0f)) && isinf(ts_exp(huge)) && isinf(ts_exp(INFINITY)));
    assert_true(ts_exp(-huge) == 0 && ts_exp(-INFINITY) == 0 && ts_exp(0) == 1);
    assert_true(isnan(ts_exp(not_a_number)) && isnan(ts_sigmoid(not_a_number)));
    assert_true(isnan(ts_silu_of(not_a_number)));
    assert_true(ts_sigmoid(huge) == 1 && ts_sigmoid(-huge) == 0);
    assert_true(ts_silu_of(huge) == huge && ts_silu_of(-huge) == 0);
    assert_true(ts_silu_slope(huge) == 1 && ts_silu_slope(-huge) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_accuracy), cmocka_unit_test(test_limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
