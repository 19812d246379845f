/*
 * Measures of features (FID, KID, precision and recall are these on Inception's) against numbers of public programs,
 * closed forms and brute force.
 *
 * To add a case, choose sets whose measure is known, and list the test in main.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/safetensors.h"
#include "measures_test.h"

const char *const measure_names[MEASURES] = {"Frechet", "kernel", "precision", "recall"};

static uint64_t random_state = 7;

double uniform(void)
{
    uint64_t z = (random_state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

void normals(float *x, int count, double mean, double std)
{
    for (int i = 0; i < count; i++) {
        double sum = -6;
        for (int k = 0; k < 12; k++)
            sum += uniform();
        x[i] = (float)(mean + std * sum);
    }
}

ts_feature_set set_of(const float *rows, int64_t n, int d)
{
    ts_feature_set set;
    float *copy = malloc(sizeof *copy * (size_t)(n * d));
    assert_non_null(copy);
    memcpy(copy, rows, sizeof *copy * (size_t)(n * d));
    must(ts_feature_set_take(copy, n, d, &set));
    return set;
}

static double frechet_of(const ts_feature_set *a, const ts_feature_set *b, int threads, ts_estimate *e)
{
    ts_feature_moments *first, *second;
    double mean_term;
    must(ts_feature_moments_create(a, threads, &first));
    must(ts_feature_moments_create(b, threads, &second));
    must(ts_frechet_distance(first, second, threads, NULL, e, &mean_term));
    ts_feature_moments_free(second);
    ts_feature_moments_free(first);
    return mean_term;
}

void measure_all(const float *a, int n, const float *b, int m, int d, int threads, ts_estimate e[MEASURES])
{
    ts_feature_set first = set_of(a, n, d), second = set_of(b, m, d);
    frechet_of(&first, &second, threads, &e[FRECHET]);
    must(ts_kernel_distance(&first, &second, threads, NULL, &e[KERNEL]));
    must(ts_precision_recall(&first, &second, threads, NULL, &e[PRECISION], &e[RECALL]));
    ts_feature_set_release(&second);
    ts_feature_set_release(&first);
}

/* ---- golden numbers ---- */

static double number(ts_safetensors *file, const char *name)
{
    double *values, value;
    must(ts_safetensors_read_doubles(file, name, &values, NULL));
    value = *values;
    free(values);
    return value;
}

static ts_feature_set set_from(ts_safetensors *file, const char *name)
{
    const ts_safetensors_info *info;
    double *values;
    must(ts_safetensors_read_doubles(file, name, &values, &info));
    float *rows = malloc(sizeof *rows * (size_t)info->count);
    assert_non_null(rows);
    for (int64_t i = 0; i < info->count; i++)
        rows[i] = (float)values[i];
    free(values);
    ts_feature_set set;
    must(ts_feature_set_take(rows, info->shape[0], (int)info->shape[1], &set));
    return set;
}

static void check_golden(const char *path, const char *first, const char *second)
{
    ts_safetensors *file;
    ts_estimate frechet, kernel, precision, recall;
    must(ts_safetensors_open(path, &file));
    ts_feature_set a = set_from(file, first), b = set_from(file, second);
    const double fid = number(file, "fid"), mean_term = number(file, "fid.mean_term");
    NEAR(frechet_of(&a, &b, 2, &frechet), mean_term, 1e-5 * mean_term);
    NEAR(frechet.value, fid,
         5e-7 * fid); /* pytorch-fid's root is off by 7e-6, where the product is singular */
    must(ts_kernel_distance(&a, &b, 2, NULL, &kernel));
    NEAR(kernel.value, number(file, "kid"), 1e-6);
    must(ts_precision_recall(&a, &b, 2, NULL, &precision, &recall));
    NEAR(precision.value, number(file, "precision"), 1e-12);
    NEAR(recall.value, number(file, "recall"), 1e-12);
    print_message("  %s: Frechet %.7g, kernel %.7g, precision %.4f, recall %.4f\n", path, frechet.value,
                  kernel.value, precision.value, recall.value);
    ts_feature_set_release(&b);
    ts_feature_set_release(&a);
    ts_safetensors_close(file);
}

static void golden_small(void **state)
{
    (void)state;
    check_golden(SOURCE_DIR "/tests/golden/small_inception_fid.safetensors", "setA", "setB");
}

static void golden_large(void **state)
{
    (void)state;
    const char *path = TSTAR_GOLDEN "/quality/inception_fid.safetensors";
    if (access(path, R_OK)) {
        print_message("skipped: no %s\n", path);
        skip();
    }
    check_golden(path, "setA.features.2048", "setB.features.2048");
    ts_safetensors *file;
    double *mean[2], *covariance[2], distance;
    must(ts_safetensors_open(path, &file));
    must(ts_safetensors_read_doubles(file, "frechet24.mu1", &mean[0], NULL));
    must(ts_safetensors_read_doubles(file, "frechet24.mu2", &mean[1], NULL));
    must(ts_safetensors_read_doubles(file, "frechet24.sigma1", &covariance[0], NULL));
    must(ts_safetensors_read_doubles(file, "frechet24.sigma2", &covariance[1], NULL));
    must(ts_frechet_gaussians(24, mean[0], covariance[0], mean[1], covariance[1], &distance));
    NEAR(distance, number(file, "frechet24"), 1e-9);
    for (int s = 0; s < 2; s++) {
        free(mean[s]);
        free(covariance[s]);
    }
    ts_safetensors_close(file);
}

/* ---- brute force ---- */

static double kernel_by_hand(const float *a, int n, const float *b, int m, int d)
{
    const float *sets[2] = {a, b};
    const int counts[2] = {n, m};
    double total = 0;
    for (int s = 0; s < 2; s++)
        for (int t = 0; t < 2; t++)
            for (int i = 0; i < counts[s]; i++)
                for (int j = 0; j < counts[t]; j++) {
                    double product = 0;
                    for (int k = 0; k < d; k++)
                        product += (double)sets[s][i * d + k] * sets[t][j * d + k];
                    if (s != t || i != j)
                        total += (s == t ? 1 : -1) * pow(product / d + 1, 3) /
                                 (counts[s] * (counts[t] - (s == t)));
                }
    return total;
}

static double squared_distance(const float *x, const float *y, int d)
{
    double sum = 0;
    for (int k = 0; k < d; k++)
        sum += ((double)x[k] - y[k]) * ((double)x[k] - y[k]);
    return sum;
}

/* The share of points [m] within a ball of any of the others [n]. */
static double share_by_hand(const float *others, int n, const float *points, int m, int d)
{
    int held = 0;
    double radius[400];
    for (int i = 0; i < n; i++) {
        double near[3] = {INFINITY, INFINITY, INFINITY};
        for (int j = 0; j < n; j++) {
            double value = j == i ? INFINITY : squared_distance(others + i * d, others + j * d, d);
            for (int k = 0; k < 3; k++)
                if (value < near[k]) {
                    const double moved = near[k];
                    near[k] = value;
                    value = moved;
                }
        }
        radius[i] = near[2];
    }
    for (int j = 0; j < m; j++) {
        bool within = false;
        for (int i = 0; i < n; i++)
            within = within || squared_distance(others + i * d, points + j * d, d) <= radius[i];
        held += within;
    }
    return held / (double)m;
}

static double measure_by_hand(int measure, const float *a, int n, const float *b, int m, int d)
{
    if (measure == KERNEL)
        return kernel_by_hand(a, n, b, m, d);
    if (measure == PRECISION)
        return share_by_hand(a, n, b, m, d);
    if (measure == RECALL)
        return share_by_hand(b, m, a, n, d);
    ts_feature_set first = set_of(a, n, d), second = set_of(b, m, d);
    ts_estimate e;
    frechet_of(&first, &second, 1, &e);
    ts_feature_set_release(&second);
    ts_feature_set_release(&first);
    return e.value;
}

/* Value, variances and extrapolation with every set without a group written out and measured by itself. */
static void check_by_hand(int n, int m, int d)
{
    enum { MOST = 400 * 40 };
    static float a[MOST], b[MOST], part[MOST];
    normals(a, n * d, 0, 1);
    normals(b, m * d, 0.3, 1.2);
    ts_estimate made[MEASURES];
    measure_all(a, n, b, m, d, 2, made);
    const float *sets[2] = {a, b};
    const int counts[2] = {n, m};
    for (int k = 0; k < MEASURES; k++) {
        ts_estimate e = {.value = measure_by_hand(k, a, n, b, m, d)};
        e.unbiased = e.value;
        NEAR(made[k].value, e.value, 1e-5 * fabs(e.value));
        for (int s = 0; s < 2; s++) {
            uint8_t group[400];
            double without[TS_JACKKNIFE_GROUPS];
            must(ts_jackknife_assign(counts[s], group));
            for (int g = 0; g < ts_jackknife_groups(counts[s]); g++) {
                int count = 0;
                for (int i = 0; i < counts[s]; i++)
                    if (group[i] != g)
                        memcpy(part + d * count++, sets[s] + d * i, sizeof *part * (size_t)d);
                without[g] =
                    s ? measure_by_hand(k, a, n, part, count, d) : measure_by_hand(k, part, count, b, m, d);
            }
            ts_jackknife_side(&e, s, counts[s], without);
            NEAR(made[k].variance[s], e.variance[s], 1e-4 * e.variance[s] + 1e-12);
        }
        NEAR(made[k].unbiased, e.unbiased, 1e-4 * (fabs(e.unbiased) + fabs(e.value)));
    }
}

static void left_out(void **state)
{
    (void)state;
    check_by_hand(90, 133, 5);  /* more data than features */
    check_by_hand(25, 31, 40);  /* fewer */
    check_by_hand(30, 150, 40); /* one of each */
    check_by_hand(150, 30, 40);
}

/* Few data of many features: the root of a singular product, by the covariances written out. */
static void singular(void **state)
{
    (void)state;
    enum { n = 12, m = 17, d = 30 };
    float a[n * d], b[m * d];
    normals(a, n * d, 0, 1);
    normals(b, m * d, 0.5, 2);
    const float *sets[2] = {a, b};
    const int counts[2] = {n, m};
    double mean[2][d] = {{0}}, covariance[2][d * d] = {{0}}, distance;
    for (int s = 0; s < 2; s++) {
        for (int i = 0; i < counts[s] * d; i++)
            mean[s][i % d] += sets[s][i] / (double)counts[s];
        for (int i = 0; i < counts[s]; i++)
            for (int j = 0; j < d * d; j++)
                covariance[s][j] += (sets[s][i * d + j / d] - mean[s][j / d]) *
                                    (sets[s][i * d + j % d] - mean[s][j % d]) / (counts[s] - 1.0);
    }
    must(ts_frechet_gaussians(d, mean[0], covariance[0], mean[1], covariance[1], &distance));
    NEAR(measure_by_hand(FRECHET, a, n, b, m, d), distance, 1e-6 * distance);
    /* moments beside a set: what is left of its noise */
    ts_feature_moments *alone, *of_set;
    ts_feature_set set = set_of(b, m, d);
    ts_estimate e;
    double written_mean[d], written[d * d];
    must(ts_feature_moments_of(d, mean[0], covariance[0], &alone));
    must(ts_feature_moments_create(&set, 1, &of_set));
    must(ts_frechet_distance(alone, of_set, 1, NULL, &e, NULL));
    NEAR(e.value, distance, 1e-6 * distance);
    assert_true(e.variance[0] == 0 && e.variance[1] > 0 && ts_jackknife_interval_of_square(&e).half > 0);
    must(ts_frechet_distance(of_set, alone, 1, NULL, &e, NULL));
    NEAR(e.value, distance, 1e-6 * distance);
    assert_true(e.variance[1] == 0 && e.variance[0] > 0);
    ts_feature_moments_write(of_set, written_mean, written);
    for (int j = 0; j < d * d; j++) {
        NEAR(written_mean[j / d], mean[1][j / d], 1e-12);
        NEAR(written[j], covariance[1][j], 1e-10);
    }
    ts_feature_moments_free(of_set);
    ts_feature_moments_free(alone);
    ts_feature_set_release(&set);
}

/* Copies of what was trained on lie within, whatever float32 makes of a distance of zero. */
static void copies(void **state)
{
    (void)state;
    enum { n = 60, d = 20 };
    float a[n * d], b[n * d];
    normals(a, n * d, 100, 1);
    for (int i = 0; i < n; i++) /* of each datum four, so that balls have no extent */
        memcpy(a + i * d, a + i / 4 * 4 * d, sizeof *a * d);
    memcpy(b, a, sizeof b);
    ts_estimate e[MEASURES];
    measure_all(a, n, b, n, d, 2, e);
    NEAR(e[PRECISION].value, 1, 0);
    NEAR(e[RECALL].value, 1, 0);
    int64_t nearest[n];
    double squared[n];
    must(ts_nearest(b, n, a, n, d, 2, nearest, squared));
    for (int i = 0; i < n; i++) {
        assert_true(nearest[i] / 4 == i / 4);
        NEAR(squared[i], 0, 0);
    }
    normals(b, n * d, 90, 1);
    must(ts_nearest(b, n, a, n, d, 2, nearest, squared));
    for (int i = 0; i < n; i++) {
        double least = INFINITY;
        for (int j = 0; j < n; j++)
            least = fmin(least, squared_distance(b + i * d, a + j * d, d));
        NEAR(squared[i], least, 1e-4 * least);
        NEAR(squared_distance(b + i * d, a + nearest[i] * d, d), least, 1e-4 * least);
    }
}

static void threads(void **state)
{
    (void)state;
    enum { n = 700, m = 1100, d = 30 };
    static float a[n * d], b[m * d];
    ts_estimate first[MEASURES], again[MEASURES];
    normals(a, n * d, 0, 1);
    normals(b, m * d, 0.1, 1);
    measure_all(a, n, b, m, d, 1, first);
    for (int t = 2; t <= 3; t++) {
        measure_all(a, n, b, m, d, t, again);
        assert_memory_equal(first, again, sizeof first);
    }
}

static void refusals(void **state)
{
    (void)state;
    const float x[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    ts_feature_set few = set_of(x, 3, 2), wide = set_of(x, 2, 4), one = set_of(x, 1, 2),
                   enough = set_of(x, 4, 2);
    ts_estimate e, f;
    ts_feature_moments *moments, *others;
    must_fail(ts_feature_moments_create(&one, 1, &moments), TS_INVALID, "at least two");
    must_fail(ts_kernel_distance(&few, &one, 1, NULL, &e), TS_INVALID, "at least two");
    must_fail(ts_kernel_distance(&few, &wide, 1, NULL, &e), TS_INVALID, "2 and 4 features");
    must_fail(ts_precision_recall(&few, &enough, 1, NULL, &e, &f), TS_INVALID, "at least 4");
    must_fail(ts_precision_recall(&enough, &wide, 1, NULL, &e, &f), TS_INVALID, "2 and 4 features");
    must(ts_feature_moments_create(&few, 1, &moments));
    must(ts_feature_moments_create(&wide, 1, &others));
    must_fail(ts_frechet_distance(moments, others, 1, NULL, &e, NULL), TS_INVALID, "2 and 4 features");
    const volatile sig_atomic_t stop = 1;
    ts_progress stopped = {.stop = &stop};
    must_fail(ts_frechet_distance(moments, moments, 1, &stopped, &e, NULL), TS_INTERRUPTED, "interrupted");
    must_fail(ts_kernel_distance(&few, &few, 1, &stopped, &e), TS_INTERRUPTED, "interrupted");
    must_fail(ts_precision_recall(&enough, &enough, 1, &stopped, &e, &f), TS_INTERRUPTED, "interrupted");
    float *bad = malloc(sizeof *bad * 4);
    assert_non_null(bad);
    memcpy(bad, (float[]){1, 2, NAN, 4}, sizeof *bad * 4);
    ts_feature_set none;
    must_fail(ts_feature_set_take(bad, 2, 2, &none), TS_NOT_FINITE, "feature 0 of datum 1");
    ts_feature_moments_free(others);
    ts_feature_moments_free(moments);
    ts_feature_set_release(&enough);
    ts_feature_set_release(&one);
    ts_feature_set_release(&wide);
    ts_feature_set_release(&few);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_small), cmocka_unit_test(golden_large),  cmocka_unit_test(left_out),
        cmocka_unit_test(singular),     cmocka_unit_test(copies),        cmocka_unit_test(threads),
        cmocka_unit_test(refusals),     cmocka_unit_test(extrapolation), cmocka_unit_test(coverage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
