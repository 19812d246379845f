/* Features and their files, the jackknife against brute force, the reference and the floor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "diffusion/interval.h"
#include "metrics.h"
#include "quality/distances.h"
#include "quality/frechet.h"
#include "quality/reference.h"

static uint64_t random_state = 1;

double uniform(void)
{
    uint64_t z = (random_state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

double roughly_normal(void)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += uniform();
    return sum;
}

static void draw(float *x, int count, double mean, double std)
{
    for (int i = 0; i < count; i++)
        x[i] = (float)(mean + std * roughly_normal());
}

/* ---- features ---- */

void metrics_features(void **state)
{
    (void)state;
    assert_int_equal(ts_features_chosen(1, 1, 2), TS_FEATURES_COORDINATES);
    assert_int_equal(ts_features_chosen(1, 1, 256), TS_FEATURES_COORDINATES);
    assert_int_equal(ts_features_chosen(8, 8, 1), TS_FEATURES_PIXELS);
    assert_int_equal(ts_features_chosen(16, 16, 1), TS_FEATURES_PIXELS);
    assert_int_equal(ts_features_chosen(1, 256, 1), TS_FEATURES_PIXELS);
    assert_int_equal(ts_features_chosen(257, 1, 1), TS_FEATURES_PCA64);
    assert_int_equal(ts_features_chosen(1, 1, 257), TS_FEATURES_PCA64);
    assert_int_equal(ts_features_rows[TS_FEATURES_PCA64].least, 65);
    assert_int_equal(ts_features_rows[TS_FEATURES_PIXELS].least, 2);
    const float a[] = {0, 1, 2, 3};
    ts_features *features;
    must(ts_features_create(a, 2, 1, 1, 2, 1, &features));
    assert_int_equal(ts_features_kind_of(features), TS_FEATURES_COORDINATES);
    assert_int_equal(ts_features_count(features), 2);
    ts_features_free(features);
}

#define FILE_NAME "test_metrics_features.safetensors"

static void expect_damaged(const char *what)
{
    ts_features *features;
    ts_status status = ts_features_load(FILE_NAME, 77, 1, 300, 1, &features);
    assert_int_equal(ts_status_code(status), TS_FORMAT);
    assert_non_null(strstr(ts_status_message(status), FILE_NAME));
    assert_non_null(strstr(ts_status_message(status), what));
    assert_null(features);
    ts_status_free(status);
}

static void overwrite(long from_end, const void *bytes, size_t count)
{
    FILE *file = fopen(FILE_NAME, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, -from_end, SEEK_END), 0);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

void metrics_features_files(void **state)
{
    (void)state;
    enum { n = 90, d = 300 };
    static float x[n * d], y[n * d];
    ts_features *made, *loaded;
    ts_distance before, after;
    draw(x, n * d, 0, 1);
    draw(y, n * d, 0.1, 1.2);
    unlink(FILE_NAME);
    must(ts_features_load(FILE_NAME, 77, 1, d, 1, &loaded));
    assert_null(loaded); /* not there */
    must(ts_features_create(x, n, 1, d, 1, 1, &made));
    must(ts_features_save(made, 77, FILE_NAME));
    must(ts_features_load(FILE_NAME, 78, 1, d, 1, &loaded));
    assert_null(loaded); /* of other data */
    must(ts_features_load(FILE_NAME, 77, 1, d, 1, &loaded));
    assert_non_null(loaded);
    assert_int_equal(ts_features_kind_of(loaded), TS_FEATURES_PCA64);
    must(ts_frechet_sets(made, x, n, y, n, 1, &before));
    must(ts_frechet_sets(loaded, x, n, y, n, 1, &after));
    assert_memory_equal(&before, &after, sizeof before);
    ts_features_free(loaded);

    const double nan = NAN;
    overwrite(sizeof nan, &nan, sizeof nan);
    expect_damaged("not finite");
    must(ts_features_save(made, 77, FILE_NAME));
    assert_int_equal(truncate(FILE_NAME, 1000), 0);
    expect_damaged("");
    ts_features_free(made);

    must(ts_features_create(x, n, 1, 1, 3, 1, &made)); /* of these there is nothing but the name */
    must(ts_features_save(made, 5, FILE_NAME));
    must(ts_features_load(FILE_NAME, 5, 1, 3, 1, &loaded));
    assert_null(loaded); /* pixels are not coordinates */
    must(ts_features_load(FILE_NAME, 5, 1, 1, 3, &loaded));
    assert_int_equal(ts_features_kind_of(loaded), TS_FEATURES_COORDINATES);
    ts_features_free(loaded);
    ts_features_free(made);
    unlink(FILE_NAME);
}

/* ---- the jackknife ---- */

void metrics_jackknife(void **state)
{
    (void)state;
    /* Student's t, from tables */
    const struct {
        int freedom;
        double t;
    } table[] = {{1, 12.706205}, {2, 4.302653},  {3, 3.182446},  {4, 2.776445},   {5, 2.570582},
                 {9, 2.262157},  {19, 2.093024}, {38, 2.024394}, {1000, 1.962339}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        NEAR(ts_student(table[i].freedom), table[i].t, 2e-4 * table[i].t);
    NEAR(ts_student_at(0.001, 19), 3.883406, 1e-3);
    NEAR(ts_student_at(0.01, 2), 9.924843, 1e-4);
    NEAR(ts_student_at(0.0001, 38), 4.345581, 1e-3);
    NEAR(ts_jackknife_simultaneous(1), 1, 1e-12);
    NEAR(ts_jackknife_simultaneous(50), 3.883406 / 2.093024, 1e-3);

    /* of a mean, it is the variance of a mean, whatever the groups' sizes: exactly in expectation */
    for (int n = 2; n <= 20; n++) {
        double x[20], mean = 0, variance = 0, without[20];
        for (int i = 0; i < n; i++) {
            x[i] = roughly_normal();
            mean += x[i] / n;
        }
        for (int i = 0; i < n; i++) {
            variance += (x[i] - mean) * (x[i] - mean) / (n - 1) / n;
            without[i] = (n * mean - x[i]) / (n - 1);
        }
        NEAR(ts_jackknife_variance(n, mean, without), variance, 1e-12);
    }
    enum { N = 70, ROUNDS = 4000 }; /* ten groups of 4, ten of 3 */
    double total = 0;
    uint8_t group[N];
    must(ts_jackknife_assign(N, group));
    for (int round = 0; round < ROUNDS; round++) {
        double sum = 0, sums[20] = {0}, without[20];
        for (int i = 0; i < N; i++) {
            const double x = roughly_normal();
            sum += x;
            sums[group[i]] += x;
        }
        for (int g = 0; g < 20; g++)
            without[g] = (sum - sums[g]) / (double)(N - ts_jackknife_size(N, g));
        total += ts_jackknife_variance(N, sum / N, without) / ROUNDS;
    }
    NEAR(total * N, 1, 4 * sqrt(2 / 19.0 / ROUNDS)); /* four standard errors of a chi-square */

    for (int n = 1; n < 100; n++) {
        uint8_t of[100];
        int64_t sizes[20] = {0};
        must(ts_jackknife_assign(n, of));
        for (int i = 0; i < n; i++)
            sizes[of[i]]++;
        for (int g = 0; g < ts_jackknife_groups(n); g++)
            assert_int_equal(sizes[g], ts_jackknife_size(n, g));
    }
    assert_true(isnan(ts_jackknife_variance(1, 3, (double[]){3})));
    const ts_estimate one_side = {.value = 2, .variance = {0.04, 0}, .groups = {20, 20}};
    NEAR(ts_jackknife_interval(&one_side).half, 2.093024 * 0.2, 1e-4);
    const ts_estimate both = {.value = 2, .variance = {0.02, 0.02}, .groups = {20, 20}};
    NEAR(ts_jackknife_interval(&both).half, 2.024394 * 0.2, 1e-4);
    const ts_estimate none = {.value = 2, .variance = {0, 0}, .groups = {20, 20}};
    NEAR(ts_jackknife_interval(&none).half, 0, 0);
}

/* One number of two sets. */
typedef double distance_fn(const ts_features *features, const float *a, int n, const float *b, int m, int d);

static double sliced_value(const ts_features *features, const float *a, int n, const float *b, int m, int d)
{
    ts_distance distance;
    (void)features;
    must(ts_sliced_wasserstein(a, n, b, m, d, 5, 9, 1, &distance));
    return distance.value;
}

static double frechet_value(const ts_features *features, const float *a, int n, const float *b, int m, int d)
{
    ts_distance distance;
    (void)d;
    must(ts_frechet_sets(features, a, n, b, m, 1, &distance));
    return distance.value;
}

/* The half width with every set without a group written out and measured by itself. */
static double brute_force_half(const ts_features *features, distance_fn *measure, bool square, const float *a,
                               int n, const float *b, int m, int d)
{
    const float *sets[2] = {a, b};
    const int counts[2] = {n, m};
    ts_estimate e = {.value = measure(features, a, n, b, m, d)};
    for (int s = 0; s < 2; s++) {
        uint8_t group[200];
        double without[20];
        float *part = malloc(sizeof *part * (size_t)(counts[s] * d));
        assert_non_null(part);
        must(ts_jackknife_assign(counts[s], group));
        e.groups[s] = ts_jackknife_groups(counts[s]);
        for (int g = 0; g < e.groups[s]; g++) {
            int count = 0;
            for (int i = 0; i < counts[s]; i++)
                if (group[i] != g)
                    memcpy(part + d * count++, sets[s] + d * i, sizeof *part * (size_t)d);
            without[g] =
                s ? measure(features, a, n, part, count, d) : measure(features, part, count, b, m, d);
        }
        e.variance[s] = ts_jackknife_variance(counts[s], e.value, without);
        free(part);
    }
    const double half = ts_jackknife_interval(&e).half;
    return square ? half + half * half / (4 * e.value) : half;
}

void metrics_left_out(void **state)
{
    (void)state;
    enum { d = 3, n = 53, m = 171 };
    float a[n * d], b[m * d];
    draw(a, n * d, 0, 1);
    draw(b, m * d, 0.3, 1.5);
    ts_features *features;
    ts_distance distance;
    must(ts_features_create(b, m, 1, 1, d, 1, &features));
    const int counts[] = {n, 20, 9, 3};
    for (int i = 0; i < 4; i++) {
        must(ts_sliced_wasserstein(a, counts[i], b, m, d, 5, 9, 2, &distance));
        NEAR(distance.half, brute_force_half(features, sliced_value, false, a, counts[i], b, m, d), 1e-12);
        must(ts_frechet_sets(features, a, counts[i], b, m, 2, &distance));
        NEAR(distance.half, brute_force_half(features, frechet_value, true, a, counts[i], b, m, d), 1e-6);
        assert_true(distance.half > 0);
    }
    ts_features_free(features);
}

/* The same bits from any number of threads. */
void metrics_threads(void **state)
{
    (void)state;
    enum { d = 300, n = 80, m = 700 };
    static float a[n * d], b[m * d];
    ts_distance first[2], again[2];
    draw(a, n * d, 0, 1);
    draw(b, m * d, 0.1, 1.1);
    for (int threads = 1; threads <= 5; threads++) {
        ts_features *features;
        ts_distance *out = threads == 1 ? first : again;
        must(ts_features_create(b, m, 1, d, 1, threads, &features));
        must(ts_sliced_wasserstein(a, n, b, m, d, 11, 1, threads, &out[0]));
        must(ts_frechet_sets(features, a, n, b, m, threads, &out[1]));
        if (threads > 1)
            assert_memory_equal(first, again, sizeof first);
        ts_features_free(features);
    }
}

/* ---- the reference and the floor ---- */

void metrics_reference(void **state)
{
    (void)state;
    enum { d = 4, n = 60, m = 150 };
    float a[n * d], b[m * d];
    draw(a, n * d, 0, 1);
    draw(b, m * d, 0.3, 1.5);
    ts_features *features;
    ts_reference *reference;
    ts_distance sliced[2], frechet[2];
    must(ts_features_create(b, m, 1, 1, d, 1, &features));
    must(ts_reference_create(features, b, m, 13, 5, 1, &reference));
    must(ts_reference_distances(reference, a, n, 1, &sliced[0], &frechet[0]));
    must(ts_sliced_wasserstein(a, n, b, m, d, 13, 5, 1, &sliced[1]));
    must(ts_frechet_sets(features, a, n, b, m, 1, &frechet[1]));
    assert_memory_equal(&sliced[0], &sliced[1], sizeof *sliced);
    assert_memory_equal(&frechet[0], &frechet[1], sizeof *frechet);
    a[17] = INFINITY;
    must(ts_reference_distances(reference, a, n, 1, &sliced[0], &frechet[0]));
    assert_true(isnan(sliced[0].value) && isnan(sliced[0].half));
    assert_true(isnan(frechet[0].value) && isnan(frechet[0].half));
    ts_reference_free(reference);
    ts_features_free(features);
}

void metrics_floor(void **state)
{
    (void)state;
    /* two sources that alternate: one of them alone would be 1 away from the held-out data */
    enum { COUNT = 400, HELD_OUT = 300, n = 50 };
    float train[COUNT], held_out[HELD_OUT];
    for (int i = 0; i < COUNT; i++)
        train[i] = (float)((i % 2 ? 1 : -1) + 0.1 * roughly_normal());
    for (int i = 0; i < HELD_OUT; i++)
        held_out[i] = (float)((i < HELD_OUT / 2 ? 1 : -1) + 0.1 * roughly_normal());
    ts_features *features;
    ts_reference *reference;
    ts_real_distance sliced, frechet;
    ts_distance one, other;
    must(ts_features_create(train, COUNT, 1, 1, 1, 1, &features));
    must(ts_reference_create(features, held_out, HELD_OUT, 1, 5, 1, &reference));
    must(ts_reference_floor(reference, train, COUNT, n, 5, 1, &sliced, &frechet));
    assert_int_equal(sliced.subsets, 5);
    assert_int_equal(sliced.n, n);
    assert_true(sliced.low > 0 && sliced.low < sliced.value && sliced.value < sliced.high);
    assert_true(sliced.high < 0.8 && sliced.half > 0 && sliced.half < 0.5);
    assert_true(frechet.low >= 0 && frechet.low < frechet.value && frechet.value < frechet.high);
    /* subsets share nothing: three of ten, the whole of four, and none of a set of one */
    must(ts_reference_floor(reference, train, 10, 3, 5, 1, &sliced, &frechet));
    assert_int_equal(sliced.subsets, 3);
    must(ts_reference_floor(reference, train, 4, 30, 5, 1, &sliced, &frechet));
    must(ts_reference_distances(reference, train, 4, 1, &one, &other));
    assert_int_equal(sliced.subsets, 1);
    assert_int_equal(sliced.n, 4);
    NEAR(sliced.value, one.value, 1e-12);
    NEAR(frechet.value, other.value, 1e-9);
    ts_status status = ts_reference_floor(reference, train, 1, 30, 5, 1, &sliced, &frechet);
    assert_int_equal(ts_status_code(status), TS_INVALID);
    ts_status_free(status);
    ts_reference_free(reference);
    ts_features_free(features);
}
