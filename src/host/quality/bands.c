#include "quality/bands.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/order.h"
#include "diffusion/interval.h"
#include "kernels/philox.h"
#include "quality/threads.h"

/* CHUNK: repetitions that one product makes.  RESAMPLED: rows at most that are drawn anew, with standard errors of their
 * own in each repetition. */
enum { CHUNK = 32, RESAMPLED = 128 };

/* Of the differences' variances, what is rounding. */
static const double rounding = 1e-20;

/* What the bootstrap needs: blocks less their means over data, and the standard error of every pair's difference. */
typedef struct sample {
    const ts_bands_config *config;
    int64_t data, n; /* rows, and blocks of them */
    int points;
    double *mean;    /* [points] */
    double *centred; /* [data][points], then [n][points] */
    double *error;   /* [points][points] */
    int seeds;
    double *seed; /* [seeds][points]: the mean of each less that of all */
    bool to_last; /* of pairs, only those with the last point */
} sample;

/* ---- means and standard errors ---- */

/* What the points of a row share cancels in every difference: it is taken away before sums could round it. */
static ts_status level(const double *rows, int k, sample *s)
{
    const int p = s->points;
    double *seed = s->seed + (size_t)k * (size_t)p;
    rows += s->data * p * k;
    for (int64_t i = 0; i < s->data; i++) {
        double level = 0;
        for (int j = 0; j < p; j++)
            level += rows[i * p + j] / p;
        if (!isfinite(level))
            return ts_error(TS_NOT_FINITE, "bands: the values of datum %lld are not finite", (long long)i);
        for (int j = 0; j < p; j++) {
            s->centred[i * p + j] += (rows[i * p + j] - level) / s->seeds;
            seed[j] += (rows[i * p + j] - level) / (double)s->data;
        }
    }
    return NULL;
}

static void average_seeds(const sample *s)
{
    const int p = s->points;
    for (int k = 0; k < s->seeds; k++)
        for (int j = 0; j < p; j++)
            s->mean[j] += s->seed[k * p + j] / s->seeds;
    for (int k = 0; k < s->seeds; k++)
        for (int j = 0; j < p; j++)
            s->seed[k * p + j] -= s->mean[j];
}

/* centred [n][points] <- the blocks' means of its rows. */
static void average_blocks(const sample *s, int64_t block)
{
    for (int64_t b = 0; b < s->n; b++)
        for (int j = 0; j < s->points; j++) {
            double sum = 0;
            for (int64_t i = b * block; i < (b + 1) * block; i++)
                sum += s->centred[i * s->points + j];
            s->centred[b * s->points + j] = sum / (double)block;
        }
}

static void centre(const sample *s)
{
    for (int j = 0; j < s->points; j++) {
        double mean = 0;
        for (int64_t i = 0; i < s->n; i++)
            mean += s->centred[i * s->points + j] / (double)s->n;
        for (int64_t i = 0; i < s->n; i++)
            s->centred[i * s->points + j] -= mean;
    }
}

/* The same of the pairs with the last point alone, which are few. */
static void errors_to_last(const double *centred, int64_t n, int p, double *error)
{
    double *to = error + (p - 1) * p;
    memset(to, 0, sizeof *to * (size_t)p);
    for (int64_t i = 0; i < n; i++)
        for (int j = 0; j < p - 1; j++) {
            const double difference = centred[i * p + j] - centred[i * p + p - 1];
            to[j] += difference * difference;
        }
    for (int j = 0; j < p - 1; j++)
        to[j] = sqrt(to[j] / ((double)n * (double)(n - 1)));
}

/* error [points][points] <- the standard error of the difference of every two means, of n rows less their means. */
static void standard_errors(const sample *s, const double *centred, double *error)
{
    const int64_t n = s->n;
    const int p = s->points;
    double *v = error; /* first the covariance of the means */
    if (s->to_last) {
        errors_to_last(centred, n, p, error);
        return;
    }
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, p, p, (int)n, 1 / ((double)n * (double)(n - 1)),
                centred, p, centred, p, 0, v, p);
    for (int j = 0; j < p; j++)
        for (int k = 0; k < j; k++) {
            const double of_both = v[j * p + j] + v[k * p + k], of_difference = of_both - 2 * v[j * p + k];
            v[j * p + k] = v[k * p + j] = of_difference > rounding * of_both ? sqrt(of_difference) : 0;
        }
    for (int j = 0; j < p; j++)
        v[j * p + j] = 0;
}

/* ---- the bootstrap ---- */

/* What random numbers are for. */
enum { MULTIPLIERS, CHOICES, TRAININGS };

static double normal(uint64_t seed, uint32_t repetition, uint32_t use, uint32_t i)
{
    const ts_philox_words w = ts_philox(seed, i / 2, repetition, TS_STREAM_BOOTSTRAP, use);
    const double r = sqrt(-2 * log((w.v[0] + 0.5) * 0x1p-32)), angle = 2 * M_PI * w.v[1] * 0x1p-32;
    return i & 1 ? r * cos(angle) : r * sin(angle);
}

/* (chi^2_f / f)^1/2 from a normal number (Wilson and Hilferty 1931). */
static double spread(double freedom, double z)
{
    const double v = 2 / (9 * freedom), root = 1 - v + z * sqrt(v);
    return sqrt(fmax(root * root * root, 1e-3));
}

/* shifts [count][points]: means of rows under the multipliers of repetitions first, first + 1, ... */
static void shift(const sample *s, int first, int count, double *multipliers, double *shifts)
{
    for (int b = 0; b < count; b++)
        for (int64_t i = 0; i < s->n; i++)
            multipliers[b * s->n + i] =
                normal(s->config->seed, (uint32_t)(first + b), MULTIPLIERS, (uint32_t)i);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, count, s->points, (int)s->n, 1 / (double)s->n,
                multipliers, (int)s->n, s->centred, s->points, 0, shifts, s->points);
    for (int b = 0; b < count; b++) {
        const double z = normal(s->config->seed, (uint32_t)(first + b), MULTIPLIERS, (uint32_t)(s->n + 2));
        for (int j = 0; j < s->points; j++)
            shifts[b * s->points + j] /= spread((double)(s->n - 1), z);
    }
}

/* shift [points], error [points][points] of rows drawn anew with replacement; rows [n][points] is scratch. */
static void resample(const sample *s, int repetition, double *rows, double *shifted, double *error)
{
    const int p = s->points;
    memset(shifted, 0, sizeof *shifted * (size_t)p);
    for (int64_t i = 0; i < s->n; i++) {
        const ts_philox_words w =
            ts_philox(s->config->seed, (uint32_t)i, (uint32_t)repetition, TS_STREAM_BOOTSTRAP, CHOICES);
        const double *row = s->centred + (int64_t)((uint64_t)w.v[0] * (uint64_t)s->n >> 32) * p;
        for (int j = 0; j < p; j++) {
            rows[i * p + j] = row[j];
            shifted[j] += row[j] / (double)s->n;
        }
    }
    for (int64_t i = 0; i < s->n; i++)
        for (int j = 0; j < p; j++)
            rows[i * p + j] -= shifted[j];
    standard_errors(s, rows, error);
}

/* shifted [points] += how far the mean of so many trainings is from that of all, in this repetition. */
static void retrain(const sample *s, int repetition, double *shifted)
{
    const int k = s->seeds, p = s->points;
    double chi2 = 0;
    for (int l = 0; l < k - 1; l++) {
        const double z = normal(s->config->seed, (uint32_t)repetition, TRAININGS, (uint32_t)(k + l));
        chi2 += z * z;
    }
    for (int l = 0; l < k && k > 1; l++) {
        const double g = normal(s->config->seed, (uint32_t)repetition, TRAININGS, (uint32_t)l);
        for (int j = 0; j < p; j++)
            shifted[j] += g * s->seed[l * p + j] / sqrt(k * chi2);
    }
}

/* error: those of this repetition; where it has none, as of a few rows drawn again and again, the sample's. */
static double largest_t(const sample *s, const double *moved, const double *error)
{
    const int p = s->points;
    double t = 0;
    for (int j = s->to_last ? p - 1 : 0; j < p; j++)
        for (int k = 0; k < j; k++) {
            const double own = error[j * p + k] > 0 ? error[j * p + k] : s->error[j * p + k];
            if (s->error[j * p + k] > 0)
                t = fmax(t, fabs(moved[j] - moved[k]) / own);
        }
    return t;
}

static int argmax(const double *values, const double *more, int count)
{
    int at = 0;
    for (int j = 1; j < count; j++)
        if (values[j] + (more ? more[j] : 0) > values[at] + (more ? more[at] : 0))
            at = j;
    return at;
}

/* Repetitions first .. first + count - 1: the largest |t| and the best of each. */
static bool repeat_some(const sample *s, int first, int count, double *t, int *winner)
{
    const bool resampled = s->n <= RESAMPLED;
    const size_t p = (size_t)s->points, n = (size_t)s->n;
    double *rows = malloc(sizeof(double) * n * (resampled ? p : CHUNK)),
           *shifts = malloc(sizeof(double) * CHUNK * p);
    double *error = malloc(sizeof(double) * p * p);
    const bool ready = rows && shifts && error;
    if (ready && !resampled)
        shift(s, first, count, rows, shifts);
    for (int b = 0; ready && b < count; b++) {
        double *shifted = shifts + (size_t)b * p;
        if (resampled)
            resample(s, first + b, rows, shifted, error);
        retrain(s, first + b, shifted);
        t[b] = largest_t(s, shifted, resampled ? error : s->error);
        winner[b] = argmax(s->mean, shifted, s->points);
    }
    free(rows);
    free(shifts);
    free(error);
    return ready;
}

static bool repeat(const sample *s, double *t, int *winner)
{
    const int chunks = (s->config->repetitions + CHUNK - 1) / CHUNK;
    bool failed = false;
#pragma omp parallel for schedule(dynamic) reduction(||                                                      \
                                                     : failed)                                               \
    num_threads(ts_quality_threads(s->config->threads))
    for (int c = 0; c < chunks; c++) {
        const int first = c * CHUNK, left = s->config->repetitions - first;
        if (!repeat_some(s, first, left < CHUNK ? left : CHUNK, t + first, winner + first))
            failed = true;
    }
    return !failed;
}

/* The quantile of the largest |t|; chance [points], or NULL, was zero. */
static ts_status bootstrap(const sample *s, double *quantile, double *chance)
{
    const int repetitions = s->config->repetitions;
    double *t = malloc(sizeof *t * (size_t)repetitions);
    int *winner = malloc(sizeof *winner * (size_t)repetitions);
    const bool done = t && winner && repeat(s, t, winner);
    if (done) {
        qsort(t, (size_t)repetitions, sizeof *t, ts_ascending);
        *quantile = t[(int)ceil(0.95 * repetitions) - 1];
        for (int b = 0; b < repetitions && chance; b++)
            chance[winner[b]] += 1.0 / repetitions;
    }
    free(t);
    free(winner);
    return done ? NULL : ts_error(TS_NO_MEMORY, "bands: no memory for %d repetitions", repetitions);
}

/* ---- opening ---- */

static void release(sample *s)
{
    free(s->mean);
    free(s->seed);
    free(s->centred);
    free(s->error);
}

/* Means and standard errors; to be released after an error too. */
static ts_status open_sample(const double *rows, int64_t n, int points, const ts_bands_config *config,
                             bool to_last, sample *s)
{
    const int64_t block = config->block > 1 ? config->block : 1;
    const size_t p = (size_t)points;
    *s = (sample){.config = config, .data = n, .n = n / block, .points = points, .to_last = to_last};
    TS_TRY(ts_blocks_check(n, block));
    if (n < 2 || n > INT32_MAX - 4 || points < 1 || config->repetitions < 1 || config->seeds > TS_MOST_SEEDS)
        return ts_error(
            TS_INVALID,
            "bands: %lld data, %d points, %d repetitions, %d seeds; at least 2, 1, 1 are needed, at most %d seeds",
            (long long)n, points, config->repetitions, config->seeds, TS_MOST_SEEDS);
    s->seeds = config->seeds > 1 ? config->seeds : 1;
    s->mean = calloc(p, sizeof(double));
    s->seed = calloc(p * (size_t)s->seeds, sizeof(double));
    s->centred = calloc(p * (size_t)n, sizeof(double));
    s->error = calloc(p * p, sizeof(double));
    if (!s->mean || !s->seed || !s->centred || !s->error)
        return ts_error(TS_NO_MEMORY, "bands: no memory for %lld data at %d points", (long long)n, points);
    ts_quality_threads(config->threads);
    for (int k = 0; k < s->seeds; k++)
        TS_TRY(level(rows, k, s));
    average_seeds(s);
    average_blocks(s, block);
    centre(s);
    standard_errors(s, s->centred, s->error);
    return NULL;
}

/* ---- what follows ---- */

static void losses(const sample *s, ts_bands *bands)
{
    const int p = s->points;
    for (int j = 0; j < p; j++)
        for (int k = 0; k < p; k++) {
            const double d = s->mean[k] - s->mean[j], half = bands->quantile * s->error[j * p + k];
            bands->loss[j] = fmax(bands->loss[j], d);
            bands->loss_low[j] = fmax(bands->loss_low[j], d - half);
            bands->loss_high[j] = fmax(bands->loss_high[j], d + half);
        }
}

/* The first point whose value does not exceed the tolerance; the last point, where none does. */
static int first_within(const double *values, int points, double tolerance)
{
    int j = 0;
    while (j < points - 1 && values[j] > tolerance)
        j++;
    return j;
}

static void conclude(const sample *s, ts_bands *bands)
{
    losses(s, bands);
    bands->best = argmax(s->mean, NULL, s->points);
    bands->best_low = s->points;
    bands->tie = true;
    for (int j = 0; j < s->points; j++) {
        bands->may_be_best[j] = bands->loss_low[j] <= 0;
        bands->tie = bands->tie && bands->may_be_best[j];
        if (bands->may_be_best[j]) {
            bands->best_low = j < bands->best_low ? j : bands->best_low;
            bands->best_high = j;
        }
    }
    bands->star = first_within(bands->loss, s->points, s->config->tolerance);
    bands->star_low = first_within(bands->loss_low, s->points, s->config->tolerance);
    bands->star_high = first_within(bands->loss_high, s->points, s->config->tolerance);
}

ts_status ts_bands_make(const double *rows, int64_t n, int points, const ts_bands_config *config,
                        ts_bands *bands)
{
    const size_t p = (size_t)(points > 0 ? points : 0);
    sample s;
    *bands = (ts_bands){.points = points};
    ts_status status = open_sample(rows, n, points, config, false, &s);
    if (!status) {
        bands->may_be_best = calloc(p, sizeof *bands->may_be_best);
        bands->loss = calloc(4 * p, sizeof(double));
        if (!bands->may_be_best || !bands->loss)
            status = ts_error(TS_NO_MEMORY, "bands: no memory for %d points", points);
    }
    if (!status) {
        bands->loss_low = bands->loss + p;
        bands->loss_high = bands->loss_low + p;
        bands->chance = bands->loss_high + p;
        status = bootstrap(&s, &bands->quantile, bands->chance);
    }
    if (!status)
        conclude(&s, bands);
    else
        ts_bands_release(bands);
    release(&s);
    return status;
}

/* As differences from one more point, whose rows are zero. */
ts_status ts_bands_of_means(const double *rows, int64_t n, int points, const ts_bands_config *config,
                            double *half)
{
    const int64_t all = n * (config->seeds > 1 ? config->seeds : 1);
    double *padded = calloc((size_t)all * ((size_t)points + 1), sizeof *padded), quantile;
    sample s;
    if (!padded)
        return ts_error(TS_NO_MEMORY, "bands: no memory for %lld data at %d points", (long long)n, points);
    for (int64_t i = 0; i < all; i++)
        memcpy(padded + i * (points + 1), rows + i * points, sizeof *rows * (size_t)points);
    ts_status status = open_sample(padded, n, points + 1, config, true, &s);
    if (!status)
        status = bootstrap(&s, &quantile, NULL);
    for (int j = 0; j < points && !status; j++)
        half[j] = quantile * s.error[points * (points + 1) + j];
    release(&s);
    free(padded);
    return status;
}

void ts_bands_release(ts_bands *bands)
{
    free(bands->may_be_best);
    free(bands->loss);
    *bands = (ts_bands){0};
}
