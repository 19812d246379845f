#include "quality/kernel.h"

#include <math.h>
#include <stdlib.h>

#include "quality/threads.h"

enum { TILE = 512, GROUPS = TS_JACKKNIFE_GROUPS };

/* Sums of the kernel over pairs of rows of group g of the first set and h of the second; within one set a row is not
 * paired with itself. */
typedef double pair_sums[GROUPS][GROUPS];

static double cube_sum(const ts_feature_set *a, const ts_feature_set *b, int g, int h, float *tile)
{
    const size_t q = (size_t)a->count;
    const bool one = a == b && g == h;
    double sum = 0;
    for (int64_t i = a->first[g]; i < a->first[g + 1]; i += TILE)
        for (int64_t j = b->first[h]; j < b->first[h + 1]; j += TILE) {
            const int height = (int)(a->first[g + 1] - i < TILE ? a->first[g + 1] - i : TILE);
            const int width = (int)(b->first[h + 1] - j < TILE ? b->first[h + 1] - j : TILE);
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, height, width, a->count, 1,
                        a->rows + (size_t)i * q, a->count, b->rows + (size_t)j * q, a->count, 0, tile, TILE);
            for (int k = 0; k < height; k++)
                for (int l = 0; l < width; l++) {
                    const double v = tile[k * TILE + l] / (double)a->count + 1;
                    sum += one && i + k == j + l ? 0 : v * v * v;
                }
        }
    return sum;
}

/* The groups of task k: of one set, pairs g <= h. */
static void groups_of(int k, bool one, int columns, int *g, int *h)
{
    *g = k / columns;
    *h = k % columns;
    if (one && *g > *h)
        *g = *h = -1;
}

static ts_status sum_pairs(const ts_feature_set *a, const ts_feature_set *b, int threads,
                           ts_progress *progress, int done, int total, pair_sums sums)
{
    const bool one = a == b;
    bool failed = false;
#pragma omp parallel num_threads(threads)
    {
        float *tile = malloc(sizeof *tile * TILE * TILE);
        if (!tile) {
#pragma omp atomic write
            failed = true;
        }
#pragma omp for schedule(dynamic)
        for (int k = 0; k < a->groups * b->groups; k++) {
            int g, h;
            groups_of(k, one, b->groups, &g, &h);
            if (g >= 0 && tile && !ts_progress_stopped(progress)) {
                sums[g][h] = cube_sum(a, b, g, h, tile);
                if (one)
                    sums[h][g] = sums[g][h];
            }
#pragma omp critical(ts_kernel_progress)
            ts_progress_report(progress, "kernel distance", ++done, total, "pairs of groups", NULL);
        }
        free(tile);
    }
    if (failed)
        return ts_error(TS_NO_MEMORY, "kernel distance: no memory");
    return ts_progress_stopped(progress) ? ts_error(TS_INTERRUPTED, "kernel distance: interrupted") : NULL;
}

/* The mean over pairs without group `left` of the first set and `right` of the second (-1: none). */
static double mean_without(pair_sums sums, const ts_feature_set *a, const ts_feature_set *b, int left,
                           int right)
{
    const double n = (double)(a->n - (left < 0 ? 0 : ts_jackknife_size(a->n, left)));
    const double m = (double)(b->n - (right < 0 ? 0 : ts_jackknife_size(b->n, right)));
    double sum = 0;
    for (int g = 0; g < a->groups; g++)
        for (int h = 0; h < b->groups; h++)
            if (g != left && h != right)
                sum += sums[g][h];
    return sum / (n * (a == b ? m - 1 : m));
}

ts_status ts_kernel_distance(const ts_feature_set *a, const ts_feature_set *b, int threads,
                             ts_progress *progress, ts_estimate *estimate)
{
    if (a->count != b->count)
        return ts_error(TS_INVALID, "kernel distance: sets of %d and %d features", a->count, b->count);
    if (a->n < 2 || b->n < 2)
        return ts_error(TS_INVALID,
                        "kernel distance: needs at least two points in each set (has %lld and %lld)",
                        (long long)a->n, (long long)b->n);
    const ts_feature_set *const sets[2] = {a, b};
    const int workers = ts_quality_threads(threads), own = a->groups * a->groups,
              cross = a->groups * b->groups;
    const int total = own + cross + b->groups * b->groups;
    pair_sums within[2], between;
    double without[GROUPS];
    TS_TRY(sum_pairs(a, a, workers, progress, 0, total, within[0]));
    TS_TRY(sum_pairs(a, b, workers, progress, own, total, between));
    TS_TRY(sum_pairs(b, b, workers, progress, own + cross, total, within[1]));
    const double own_means[2] = {mean_without(within[0], a, a, -1, -1),
                                 mean_without(within[1], b, b, -1, -1)};
    *estimate = (ts_estimate){.value = own_means[0] + own_means[1] - 2 * mean_without(between, a, b, -1, -1)};
    estimate->unbiased = estimate->value;
    for (int s = 0; s < 2; s++) {
        const ts_feature_set *set = sets[s];
        const bool enough = set->n - ts_jackknife_size(set->n, 0) >= 2;
        for (int g = 0; g < set->groups && enough; g++)
            without[g] = mean_without(within[s], set, set, g, g) + own_means[!s] -
                         2 * mean_without(between, a, b, s ? -1 : g, s ? g : -1);
        ts_jackknife_side(estimate, s, set->n, enough ? without : NULL);
    }
    return NULL;
}
