#include "quality/measures.h"

#include <math.h>

#include "nn/feature_network.h"
#include "quality/kernel.h"
#include "quality/neighbours.h"

/* clang-format off */
const ts_measure_row ts_measure_rows[TS_MEASURE_COUNT] = {
    [TS_MEASURE_SLICED_WASSERSTEIN] = {"sliced 2-Wasserstein distance", "units of the data in [-1, 1]", .points = true, .least = 1},
    [TS_MEASURE_FRECHET] = {"squared Frechet distance between Gaussians fitted to features", "units of the features, squared", .moments = true, .least = 2},
    [TS_MEASURE_FID] = {"Frechet Inception distance", "units of the features, squared", .network = true, .inception = true, .moments = true, .least = 2},
    [TS_MEASURE_KID] = {"kernel distance, the squared maximum mean discrepancy of features", "none", .network = true, .least = 2},
    [TS_MEASURE_PRECISION] = {"share of samples within the manifold of the data", "none", .larger = true, .network = true, .least = TS_NEIGHBOURS + 1},
    [TS_MEASURE_RECALL] = {"share of data within the manifold of the samples", "none", .larger = true, .network = true, .least = TS_NEIGHBOURS + 1},
};
/* clang-format on */

bool ts_measures_any(ts_measure_set set, bool (*of)(const ts_measure_row *row))
{
    for (int k = 0; k < TS_MEASURE_COUNT; k++)
        if (ts_measure_in(set, k) && of(&ts_measure_rows[k]))
            return true;
    return false;
}

bool ts_measure_is_of_features(const ts_measure_row *row)
{
    return !row->points;
}

bool ts_measure_is_of_network(const ts_measure_row *row)
{
    return row->network;
}

bool ts_measure_is_of_points(const ts_measure_row *row)
{
    return row->points;
}

bool ts_measure_is_of_moments(const ts_measure_row *row)
{
    return row->moments;
}

ts_status ts_measures_check_network(ts_measure_set set, ts_feature_network_kind network, const char *weights)
{
    for (int k = 0; k < TS_MEASURE_COUNT; k++)
        if (ts_measure_in(set, k) && ts_measure_rows[k].inception && !ts_feature_networks[network].fid)
            return ts_error(
                TS_INVALID,
                "%s: these are the weights of %s, on whose features the distance is not %s; ask for frechet",
                weights, ts_feature_network_kind_words.word[network], ts_measure_kind_words.word[k]);
    return NULL;
}

ts_measures ts_measures_unknown(void)
{
    ts_measures m = {.extrapolated = NAN};
    for (int k = 0; k < TS_MEASURE_COUNT; k++)
        m.of[k] = (ts_distance){NAN, NAN};
    return m;
}

ts_status ts_measured_set_take(float *rows, int64_t n, int count, ts_measure_set measures, int threads,
                               ts_measured_set *set)
{
    *set = (ts_measured_set){0};
    TS_TRY(ts_feature_set_take(rows, n, count, &set->set));
    ts_status status = NULL;
    if (ts_measures_any(measures, ts_measure_is_of_moments))
        status = ts_feature_moments_create(&set->set, threads, &set->moments);
    if (status)
        ts_measured_set_release(set);
    return status;
}

void ts_measured_set_release(ts_measured_set *set)
{
    ts_feature_moments_free(set->moments);
    ts_feature_set_release(&set->set);
    *set = (ts_measured_set){0};
}

ts_status ts_measure_features(const ts_measured_set *real, const ts_measured_set *generated,
                              ts_measure_set measures, int threads, ts_progress *progress,
                              ts_measures *result)
{
    ts_estimate estimate, precision, recall;
    if (ts_measures_any(measures, ts_measure_is_of_moments)) {
        TS_TRY(ts_frechet_distance(real->moments, generated->moments, threads, progress, &estimate, NULL));
        for (int k = 0; k < TS_MEASURE_COUNT; k++)
            if (ts_measure_in(measures, k) && ts_measure_rows[k].moments)
                result->of[k] = ts_jackknife_interval_of_square(&estimate);
        result->extrapolated = estimate.unbiased;
    }
    if (ts_measure_in(measures, TS_MEASURE_KID)) {
        TS_TRY(ts_kernel_distance(&real->set, &generated->set, threads, progress, &estimate));
        result->of[TS_MEASURE_KID] = ts_jackknife_interval(&estimate);
    }
    if (ts_measure_in(measures, TS_MEASURE_PRECISION) || ts_measure_in(measures, TS_MEASURE_RECALL)) {
        TS_TRY(ts_precision_recall(&real->set, &generated->set, threads, progress, &precision, &recall));
        if (ts_measure_in(measures, TS_MEASURE_PRECISION))
            result->of[TS_MEASURE_PRECISION] = ts_jackknife_interval_of_share(&precision, generated->set.n);
        if (ts_measure_in(measures, TS_MEASURE_RECALL))
            result->of[TS_MEASURE_RECALL] = ts_jackknife_interval_of_share(&recall, real->set.n);
    }
    return NULL;
}
