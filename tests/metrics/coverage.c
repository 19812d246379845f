/*
 * How often the distances' intervals hold what they are about, the mean of the estimate over pairs of sets of
 * these sizes: on Gaussians whose distance is known, on mixtures, on digits, and where both sets come from
 * one law, for which the interval is conservative.  And how the estimate's mean goes with the sizes.
 */
#include <stdlib.h>
#include <string.h>

#include "data/digits.h"
#include "metrics.h"
#include "quality/distances.h"

enum { SEEDS = 400, DIRECTIONS = 16, DIGITS = 1797, DIGIT = 64 };

/* 183 and 196 of 200: 95 % less and more than two standard errors. */
enum { LEAST = SEEDS * 183 / 200, CONSERVATIVE = SEEDS * 196 / 200 };

/* Two laws, drawn into a [n,d] and b [m,d]. */
typedef struct law {
    const char *name;
    int n, m, d;
    void (*draw)(const struct law *law, float *a, float *b);
    double shift, scale;    /* of b's normals */
    double sliced, frechet; /* known distances, or NaN */
} law;

static void normals(const law *l, float *a, float *b)
{
    for (int i = 0; i < l->n * l->d; i++)
        a[i] = (float)roughly_normal();
    for (int i = 0; i < l->m * l->d; i++)
        b[i] = (float)(l->shift + l->scale * roughly_normal());
}

/* Components at -1 and 1, of weights 0.7 and 0.3 in a, 0.5 and 0.5 in b. */
static void mixtures(const law *l, float *a, float *b)
{
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < (s ? l->m : l->n); i++) {
            const double centre = uniform() < (s ? 0.5 : 0.7) ? -1 : 1;
            for (int j = 0; j < l->d; j++)
                (s ? b : a)[i * l->d + j] = (float)(centre + 0.2 * roughly_normal());
        }
}

/* All built-in digits: [1797][64]. */
static float *all_digits(void)
{
    static float x[DIGITS * DIGIT];
    int count = 0;
    for (int part = 0; part < 2; part++) {
        size_t bytes;
        const unsigned char *file =
            ts_digits_bytes(part ? TS_DIGITS_TEST_IMAGES : TS_DIGITS_TRAIN_IMAGES, &bytes);
        for (size_t i = 16; i < bytes; i++)
            x[count++] = (float)(file[i] / 127.5 - 1);
    }
    assert_int_equal(count, DIGITS * DIGIT);
    return x;
}

/* Subsets that share no digit. */
static void digits(const law *l, float *a, float *b)
{
    const float *x = all_digits();
    static int order[DIGITS];
    for (int i = 0; i < DIGITS; i++)
        order[i] = i;
    for (int i = 0; i < l->n + l->m; i++) {
        const int other = i + (int)(uniform() * (DIGITS - i)), moved = order[i];
        order[i] = order[other];
        order[other] = moved;
        memcpy(i < l->n ? a + i * DIGIT : b + (i - l->n) * DIGIT, x + order[i] * DIGIT, sizeof *x * DIGIT);
    }
}

static double mean_of(const ts_distance *d)
{
    double mean = 0;
    for (int i = 0; i < SEEDS; i++)
        mean += d[i].value / SEEDS;
    return mean;
}

static void check(const law *l, const char *what, const ts_distance *d, double known)
{
    const double mean = mean_of(d);
    double variance = 0, width = 0;
    int hits = 0;
    for (int i = 0; i < SEEDS; i++) {
        variance += (d[i].value - mean) * (d[i].value - mean) / (SEEDS - 1);
        width += d[i].half / SEEDS;
        hits += fabs(d[i].value - mean) <= d[i].half;
    }
    print_message("  %-22s %-8s n %3d m %3d: mean %.4f (distance of the laws %.4f), deviation %.4f, mean "
                  "half width %.4f, held %d of %d%s\n",
                  l->name, what, l->n, l->m, mean, known, sqrt(variance), width, hits, SEEDS,
                  hits > CONSERVATIVE ? ", conservative" : "");
    assert_true(hits >= LEAST);
    assert_true(width < 4 * sqrt(variance)); /* and not by being wide: 2 deviations are exact */
    assert_true(isnan(known) || mean > known - 4 * sqrt(variance / SEEDS)); /* the bias is upward */
}

static void cover(const law *l)
{
    float *a = malloc(sizeof *a * (size_t)(l->n * l->d)), *b = malloc(sizeof *b * (size_t)(l->m * l->d));
    ts_distance sliced[SEEDS], frechet[SEEDS];
    ts_features *features;
    assert_true(a && b);
    l->draw(l, a, b);
    must(ts_features_create(a, l->n, 1, 1, l->d, 1, &features));
    for (int i = 0; i < SEEDS; i++) {
        l->draw(l, a, b);
        must(ts_sliced_wasserstein(a, l->n, b, l->m, l->d, DIRECTIONS, 1, 1, &sliced[i]));
        must(ts_frechet_sets(features, a, l->n, b, l->m, 1, &frechet[i]));
    }
    check(l, "sliced", sliced, l->sliced);
    check(l, "Frechet", frechet, l->frechet);
    ts_features_free(features);
    free(b);
    free(a);
}

void metrics_coverage(void **state)
{
    (void)state;
    /* N(0,I) and N(s,c^2 I): along every direction of the line 1, and where s = 0, the sliced distance is
     * known without the directions */
    const law laws[] = {
        {"Gaussians, scaled", 100, 150, 5, normals, 0, 1.5, 0.5, 5 * 0.25},
        {"Gaussians, shifted", 100, 150, 4, normals, 0.7, 1, NAN, 4 * 0.49},
        {"Gaussians on the line", 60, 200, 1, normals, 0.5, 1.2, sqrt(0.25 + 0.04), 0.25 + 0.04},
        {"one Gaussian twice", 100, 150, 4, normals, 0, 1, 0, 0},
        {"mixtures", 100, 150, 2, mixtures, 0, 0, NAN, NAN},
        {"mixtures on the line", 100, 150, 1, mixtures, 0, 0, NAN, NAN},
        {"digits", 64, 200, DIGIT, digits, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof laws / sizeof *laws; i++)
        cover(&laws[i]);
}

/* ---- bias ---- */

/* The mean of both squared distances between sets of n and m from N(0, I_q). */
static void mean_squares(int n, int m, int q, double *sliced, double *frechet)
{
    enum { ROUNDS = 300 };
    const law l = {"", n, m, q, normals, 0, 1, 0, 0};
    float *a = malloc(sizeof *a * (size_t)(n * q)), *b = malloc(sizeof *b * (size_t)(m * q));
    ts_features *features;
    ts_distance distance;
    assert_true(a && b);
    *sliced = *frechet = 0;
    must(ts_features_create(a, n, 1, 1, q, 1, &features));
    for (int i = 0; i < ROUNDS; i++) {
        normals(&l, a, b);
        must(ts_sliced_wasserstein(a, n, b, m, q, 8, 1, 1, &distance));
        *sliced += distance.value * distance.value / ROUNDS;
        must(ts_frechet_sets(features, a, n, b, m, 1, &distance));
        *frechet += distance.value / ROUNDS;
    }
    ts_features_free(features);
    free(b);
    free(a);
}

/* As distances.h has it: proportional to 1/n + 1/m, the Frechet distance's with the factor q + q (q + 1) / 4
 * (means, and covariances to second order: 1/4 ||C1 - C2||^2). */
void metrics_bias(void **state)
{
    (void)state;
    enum { q = 6 };
    double sliced[2], frechet[2];
    mean_squares(80, 120, q, &sliced[0], &frechet[0]);
    mean_squares(320, 480, q, &sliced[1], &frechet[1]);
    print_message("  sliced: %.2f and %.2f times 1/n + 1/m; Frechet: %.2f and %.2f, to first order %.2f\n",
                  sliced[0] / (1. / 80 + 1. / 120), sliced[1] / (1. / 320 + 1. / 480),
                  frechet[0] / (1. / 80 + 1. / 120), frechet[1] / (1. / 320 + 1. / 480),
                  q + q * (q + 1) / 4.);
    NEAR(sliced[0] / sliced[1], 4, 0.5);
    NEAR(frechet[0] / frechet[1], 4, 0.4);
    NEAR(frechet[1] / (1. / 320 + 1. / 480), q + q * (q + 1) / 4., 0.8);
}
