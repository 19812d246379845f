/*
 * Distances against closed forms and brute force.
 *
 * To add a case, choose sets whose distance has a closed form, and list the test in main.
 */
#include <stdlib.h>

#include "metrics.h"
#include "quality/distances.h"
#include "quality/frechet.h"
#include "quality/sliced.h"

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* W2 by repeating every point until both samples have n m points, which are then matched in order. */
static double wasserstein_by_repetition(const double *a, int n, const double *b, int m)
{
    double total = 0;
    for (int i = 0; i < n * m; i++)
        total += (a[i / m] - b[i / n]) * (a[i / m] - b[i / n]) / (n * m);
    return total;
}

static void wasserstein_on_the_line(void **state)
{
    (void)state;
    const double a[] = {0, 1}, b[] = {3, 5};
    NEAR(ts_wasserstein2_sorted(a, 2, b, 2), (9 + 16) / 2.0, 1e-15);
    const double one[] = {2};
    NEAR(ts_wasserstein2_sorted(a, 2, one, 1), (4 + 1) / 2.0, 1e-15);
    for (int round = 0; round < 50; round++) {
        double x[17], y[23];
        const int n = 1 + (int)(uniform() * 17), m = 1 + (int)(uniform() * 23);
        for (int i = 0; i < n; i++)
            x[i] = roughly_normal();
        for (int i = 0; i < m; i++)
            y[i] = 1 + 2 * roughly_normal();
        qsort(x, (size_t)n, sizeof *x, ascending);
        qsort(y, (size_t)m, sizeof *y, ascending);
        NEAR(ts_wasserstein2_sorted(x, n, y, m), wasserstein_by_repetition(x, n, y, m), 1e-12);
        NEAR(ts_wasserstein2_sorted(y, m, x, n), ts_wasserstein2_sorted(x, n, y, m), 1e-12);
        NEAR(ts_wasserstein2_sorted(x, n, x, n), 0, 0);
    }
}

/* In one dimension every direction is +-1: the sliced distance is the distance itself. */
static void sliced_in_one_dimension(void **state)
{
    (void)state;
    float a[40], b[25];
    double x[40], y[25];
    for (int i = 0; i < 40; i++)
        x[i] = a[i] = (float)roughly_normal();
    for (int i = 0; i < 25; i++)
        y[i] = b[i] = (float)(3 * roughly_normal());
    qsort(x, 40, sizeof *x, ascending);
    qsort(y, 25, sizeof *y, ascending);
    ts_distance distance;
    must(ts_sliced_wasserstein(a, 40, b, 25, 1, 8, 3, 1, &distance));
    NEAR(distance.value, sqrt(wasserstein_by_repetition(x, 40, y, 25)), 1e-12);
    assert_true(distance.half > 0 && distance.half < distance.value);
    must(ts_sliced_wasserstein(a, 40, b, 1, 1, 8, 3, 1, &distance));
    assert_true(distance.value > 0 && isnan(distance.half)); /* one point has no spread */
}

/* A shift by v: every direction u gives (u.v)^2, whose mean is |v|^2 / d and whose variance is
 * 2 |v|^4 (d - 1) / (d^2 (d + 2)). */
static void sliced_of_a_shift(void **state)
{
    (void)state;
    enum { n = 30, d = 7, projections = 4000 };
    float a[n * d], b[n * d];
    double square = 0;
    for (int j = 0; j < d; j++)
        square += (0.5 + j) * (0.5 + j);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < d; j++) {
            a[i * d + j] = (float)roughly_normal();
            b[i * d + j] = a[i * d + j] + 0.5f + (float)j;
        }
    ts_distance distance, again;
    const double error = square / d * sqrt(2 * (d - 1.0) / (d + 2) / projections);
    must(ts_sliced_wasserstein(a, n, b, n, d, projections, 11, 2, &distance));
    NEAR(distance.value * distance.value, square / d, 4 * error);
    must(ts_sliced_wasserstein(a, n, b, n, d, projections, 11, 2, &again));
    assert_memory_equal(&distance, &again, sizeof distance);
    must(ts_sliced_wasserstein(a, n, b, n, d, projections, 12, 2, &again));
    assert_true(again.value != distance.value);
    must(ts_sliced_wasserstein(a, n, a, n, d, projections, 11, 2, &again));
    NEAR(again.value, 0, 0);
}

/* A set twice over is the same distribution.  The lists of the larger one are more than are held, so some are
 * made anew. */
static void sliced_of_large_sets(void **state)
{
    (void)state;
    enum { n = 100, m = 25000, d = 2, projections = 90 };
    float *a = malloc(sizeof *a * n * d), *b = malloc(sizeof *b * 2 * m * d);
    assert_true(a && b);
    for (int i = 0; i < n * d; i++)
        a[i] = (float)roughly_normal();
    for (int i = 0; i < m * d; i++)
        b[i] = b[m * d + i] = (float)(1 + 2 * uniform());
    ts_distance once, twice;
    must(ts_sliced_wasserstein(a, n, b, m, d, projections, 11, 2, &once));
    must(ts_sliced_wasserstein(a, n, b, 2 * m, d, projections, 11, 2, &twice));
    NEAR(twice.value, once.value, 1e-12);
    free(b);
    free(a);
}

static void sliced_refuses_nothing(void **state)
{
    (void)state;
    const float a[1] = {0};
    ts_distance distance;
    ts_status status = ts_sliced_wasserstein(a, 1, a, 0, 1, 1, 0, 1, &distance);
    assert_int_equal(ts_status_code(status), TS_INVALID);
    ts_status_free(status);
}

/* A random symmetric positive definite matrix. */
static void random_covariance(int d, double *m)
{
    double *g = malloc(sizeof *g * (size_t)(d * d));
    assert_non_null(g);
    for (int i = 0; i < d * d; i++)
        g[i] = roughly_normal();
    for (int i = 0; i < d; i++)
        for (int j = 0; j < d; j++) {
            double sum = i == j ? 0.1 : 0;
            for (int k = 0; k < d; k++)
                sum += g[i * d + k] * g[j * d + k];
            m[i * d + j] = sum;
        }
    free(g);
}

static void frechet_closed_forms(void **state)
{
    (void)state;
    enum { d = 12 };
    double zero[d] = {0}, shift[d], a[d * d], diagonal1[d * d] = {0}, diagonal2[d * d] = {0}, distance;
    double square = 0, expected = 0;
    random_covariance(d, a);
    for (int i = 0; i < d; i++) {
        shift[i] = roughly_normal();
        square += shift[i] * shift[i];
        const double s1 = 0.1 + uniform(), s2 = i ? 0.1 + uniform() : 0; /* one direction collapsed */
        diagonal1[i * d + i] = s1 * s1;
        diagonal2[i * d + i] = s2 * s2;
        expected += (s1 - s2) * (s1 - s2);
    }
    must(ts_frechet_gaussians(d, zero, a, zero, a, &distance));
    NEAR(distance, 0, 1e-10);
    must(ts_frechet_gaussians(d, zero, a, shift, a, &distance));
    NEAR(distance, square, 1e-10);
    must(ts_frechet_gaussians(d, zero, diagonal1, zero, diagonal2, &distance));
    NEAR(distance, expected, 1e-10);
    must(ts_frechet_gaussians(d, zero, diagonal2, shift, diagonal1, &distance));
    NEAR(distance, expected + square, 1e-10);

    /* by hand: in two dimensions tr M^1/2 = sqrt(tr M + 2 sqrt(det M)), with M similar to cov1 cov2 */
    const double c1[] = {2, 1, 1, 3}, c2[] = {5, -1, -1, 1};
    const double trace = 2 * 5 + 1 * -1 + 1 * -1 + 3 * 1, determinant = (2 * 3 - 1) * (5 * 1 - 1);
    must(ts_frechet_gaussians(2, zero, c1, zero, c2, &distance));
    NEAR(distance, 5 + 6 - 2 * sqrt(trace + 2 * sqrt(determinant)), 1e-12);

    a[3] = NAN;
    ts_status status = ts_frechet_gaussians(d, zero, a, zero, a, &distance);
    assert_int_equal(ts_status_code(status), TS_NOT_FINITE);
    ts_status_free(status);
}

/* Small images are their own features: a scaled and shifted copy of a set has a known distance. */
static void frechet_of_sets(void **state)
{
    (void)state;
    enum { n = 500, h = 4, w = 3, d = h * w };
    static float a[n * d], b[n * d];
    double variance[d] = {0}, mean[d] = {0}, expected = 0;
    ts_distance distance;
    for (int i = 0; i < n * d; i++) {
        a[i] = (float)(0.3 * roughly_normal());
        b[i] = 1.5f * a[i] + 0.25f;
        mean[i % d] += a[i] / (double)n;
    }
    for (int i = 0; i < n * d; i++)
        variance[i % d] += (a[i] - mean[i % d]) * (a[i] - mean[i % d]) / (n - 1.0);
    /* cov2 = 1.5^2 cov1 commutes with cov1: the trace part is (1.5 - 1)^2 tr cov1 */
    for (int j = 0; j < d; j++)
        expected += 0.25 * variance[j] + (0.5 * mean[j] + 0.25) * (0.5 * mean[j] + 0.25);
    ts_features *features;
    must(ts_features_create(a, n, h, w, 1, 1, &features));
    assert_int_equal(ts_features_kind_of(features), TS_FEATURES_PIXELS);
    must(ts_frechet_sets(features, a, n, b, n, 2, &distance));
    NEAR(distance.value, expected, 1e-5);
    must(ts_frechet_sets(features, a, 2, b, n, 2, &distance));
    assert_true(distance.value > 0 && isnan(distance.half)); /* without one there is no covariance */
    ts_status status = ts_frechet_sets(features, a, 1, b, n, 2, &distance);
    assert_int_equal(ts_status_code(status), TS_INVALID);
    ts_status_free(status);
    ts_features_free(features);
}

/* Large images that vary in two directions only: the projection keeps both, so a shift along them is seen in
 * full and a shift across all of them is not. */
static void check_large_images(int n)
{
    enum { h = 16, w = 8, c = 3, d = h * w * c };
    const size_t bytes = sizeof(float) * (size_t)n * d;
    float *a = malloc(bytes), *b = malloc(bytes), *across = malloc(bytes);
    assert_true(a && b && across);
    for (int i = 0; i < n; i++) {
        const double u = roughly_normal(), v = roughly_normal();
        for (int j = 0; j < d; j++) {
            /* unit vectors on the first, second and last thirds */
            const double e = 1 / sqrt(d / 3.0);
            a[i * d + j] = (float)(j < d / 3 ? u * e : j < 2 * d / 3 ? v * e : 0);
            b[i * d + j] = (float)(a[i * d + j] + (j < d / 3 ? 2 * e : 0));
            across[i * d + j] = (float)(a[i * d + j] + (j >= 2 * d / 3 ? 2 * e : 0));
        }
    }
    ts_features *features;
    ts_distance distance;
    must(ts_features_create(a, n, h, w, c, 2, &features));
    assert_int_equal(ts_features_kind_of(features), TS_FEATURES_PCA64);
    assert_int_equal(ts_features_count(features), 64);
    must(ts_frechet_sets(features, a, n, b, n, 2, &distance));
    NEAR(distance.value, 4, 1e-4);
    must(ts_frechet_sets(features, a, n, across, n, 2, &distance));
    NEAR(distance.value, 0, 1e-4);
    ts_features_free(features);
    ts_status status = ts_features_create(a, 64, h, w, c, 1, &features);
    assert_int_equal(ts_status_code(status), TS_INVALID);
    ts_status_free(status);
    free(across);
    free(b);
    free(a);
}

static void frechet_of_large_images(void **state)
{
    (void)state;
    check_large_images(100); /* by the Gram matrix */
    check_large_images(500); /* by the covariance */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wasserstein_on_the_line), cmocka_unit_test(sliced_in_one_dimension),
        cmocka_unit_test(sliced_of_a_shift),       cmocka_unit_test(sliced_of_large_sets),
        cmocka_unit_test(sliced_refuses_nothing),  cmocka_unit_test(frechet_closed_forms),
        cmocka_unit_test(frechet_of_sets),         cmocka_unit_test(frechet_of_large_images),
        cmocka_unit_test(metrics_features),        cmocka_unit_test(metrics_features_files),
        cmocka_unit_test(metrics_jackknife),       cmocka_unit_test(metrics_left_out),
        cmocka_unit_test(metrics_threads),         cmocka_unit_test(metrics_reference),
        cmocka_unit_test(metrics_floor),           cmocka_unit_test(metrics_bias),
        cmocka_unit_test(metrics_coverage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
