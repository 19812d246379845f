#include "quality/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/permutation.h"
#include "quality/frechet.h"
#include "quality/sliced.h"

struct ts_reference {
    const ts_features *features;
    ts_projections *projections;
    ts_feature_set set;
    ts_feature_moments *moments; /* of the set */
    int d, directions;
    uint64_t seed;
};

ts_status ts_reference_create(const ts_features *features, const float *points, int64_t m, int projections,
                              uint64_t seed, int threads, ts_reference **reference)
{
    *reference = NULL;
    ts_reference *r = calloc(1, sizeof *r);
    if (!r)
        return ts_error(TS_NO_MEMORY, "distances: no memory");
    *r = (ts_reference){
        .features = features, .d = ts_features_dimension(features), .directions = projections, .seed = seed};
    ts_status status = ts_projections_create(points, m, r->d, projections, seed, threads, &r->projections);
    if (!status)
        status = ts_feature_set_of(features, points, m, threads, &r->set);
    if (!status)
        status = ts_feature_moments_create(&r->set, threads, &r->moments);
    if (status)
        ts_reference_free(r);
    else
        *reference = r;
    return status;
}

void ts_reference_free(ts_reference *reference)
{
    if (!reference)
        return;
    ts_projections_free(reference->projections);
    ts_feature_moments_free(reference->moments);
    ts_feature_set_release(&reference->set);
    free(reference);
}

static ts_status estimate(const ts_reference *r, const float *x, int64_t n, int threads, ts_estimate *sliced,
                          ts_estimate *frechet)
{
    ts_projections *projections = NULL;
    ts_feature_set set = {0};
    ts_feature_moments *moments = NULL;
    ts_status status;
    TS_GOTO(ts_projections_create(x, n, r->d, r->directions, r->seed, threads, &projections), done);
    TS_GOTO(ts_projections_distance(projections, r->projections, threads, sliced), done);
    TS_GOTO(ts_feature_set_of(r->features, x, n, threads, &set), done);
    TS_GOTO(ts_feature_moments_create(&set, threads, &moments), done);
    TS_GOTO(ts_frechet_distance(moments, r->moments, threads, NULL, frechet, NULL), done);
done:
    ts_feature_moments_free(moments);
    ts_feature_set_release(&set);
    ts_projections_free(projections);
    return status;
}

ts_status ts_reference_distances(const ts_reference *r, const float *x, int64_t n, int threads,
                                 ts_distance *sliced, ts_distance *frechet)
{
    ts_estimate s, f;
    *sliced = *frechet = (ts_distance){NAN, NAN};
    for (int64_t i = 0; i < n * r->d; i++)
        if (!isfinite(x[i]))
            return NULL;
    TS_TRY(estimate(r, x, n, threads, &s, &f));
    *sliced = ts_jackknife_interval(&s);
    *frechet = ts_jackknife_interval_of_square(&f);
    return NULL;
}

/* ---- real data ---- */

/* The key of the subsets, a constant: "floor". */
#define SUBSETS_KEY 0x666C6F6F72u

/* Subsets share no datum, so what they add to the variance of their mean falls with their number; what the
 * reference adds does not. */
static ts_real_distance combine(const ts_estimate *estimates, int subsets, int64_t n,
                                ts_distance (*interval_of)(const ts_estimate *))
{
    const int freedom = subsets * (estimates[0].groups[0] - 1);
    ts_estimate mean = {.groups = {freedom + 1, estimates[0].groups[1]}};
    ts_real_distance d = {.subsets = subsets, .n = n, .low = INFINITY, .high = -INFINITY};
    for (int i = 0; i < subsets; i++) {
        mean.value += estimates[i].value / subsets;
        mean.variance[0] += estimates[i].variance[0] / subsets / subsets;
        mean.variance[1] += estimates[i].variance[1] / subsets;
        d.low = fmin(d.low, estimates[i].value);
        d.high = fmax(d.high, estimates[i].value);
    }
    const ts_distance interval = interval_of(&mean);
    d.value = interval.value;
    d.half = interval.half;
    return d;
}

/* subset [n][d] <- subset k of n each, in the permutation's order. */
static void take_subset(const float *train, const uint32_t *order, size_t d, int64_t n, int k, float *subset)
{
    for (int64_t i = 0; i < n; i++)
        memcpy(subset + (size_t)i * d, train + (size_t)order[k * n + i] * d, sizeof *subset * d);
}

ts_status ts_reference_subset(const float *train, int64_t count, int d, int64_t n, float **subset)
{
    uint32_t *order = count < UINT32_MAX ? malloc(sizeof *order * (size_t)count) : NULL;
    *subset = malloc(sizeof **subset * (size_t)n * (size_t)d);
    const bool ready = order && *subset;
    if (ready) {
        ts_permutation(SUBSETS_KEY, count, order);
        take_subset(train, order, (size_t)d, n, 0, *subset);
    }
    free(order);
    return ready ? NULL : ts_error(TS_NO_MEMORY, "distances: no memory for %lld training data", (long long)n);
}

ts_status ts_reference_floor(const ts_reference *r, const float *train, int64_t count, int64_t n, int most,
                             int threads, ts_real_distance *sliced, ts_real_distance *frechet)
{
    const int64_t size = n < count ? n : count;
    if (size < 2 || most < 1)
        return ts_error(TS_INVALID, "distance of real data: %d subsets of %lld of %lld training data", most,
                        (long long)n, (long long)count);
    const int subsets = count / size < most ? (int)(count / size) : most;
    const size_t d = (size_t)r->d;
    float *subset = malloc(sizeof *subset * (size_t)size * d);
    uint32_t *order = count < UINT32_MAX ? malloc(sizeof *order * (size_t)count) : NULL;
    ts_estimate *estimates = malloc(sizeof *estimates * 2 * (size_t)subsets);
    ts_status status = NULL;
    if (subset && order && estimates)
        ts_permutation(SUBSETS_KEY, count, order);
    else
        status = ts_error(TS_NO_MEMORY, "distances: no memory");
    for (int k = 0; k < subsets && !status; k++) {
        take_subset(train, order, d, size, k, subset);
        status = estimate(r, subset, size, threads, &estimates[k], &estimates[subsets + k]);
    }
    if (!status) {
        *sliced = combine(estimates, subsets, size, ts_jackknife_interval);
        *frechet = combine(estimates + subsets, subsets, size, ts_jackknife_interval_of_square);
    }
    free(estimates);
    free(order);
    free(subset);
    return status;
}
