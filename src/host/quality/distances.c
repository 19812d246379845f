#include "quality/distances.h"

#include <stddef.h>

#include "quality/frechet.h"
#include "quality/sliced.h"

ts_status ts_sliced_wasserstein(const float *a, int64_t n, const float *b, int64_t m, int d, int projections,
                                uint64_t seed, int threads, ts_distance *distance)
{
    ts_projections *first = NULL, *second = NULL;
    ts_estimate estimate;
    ts_status status;
    TS_GOTO(ts_projections_create(a, n, d, projections, seed, threads, &first), done);
    TS_GOTO(ts_projections_create(b, m, d, projections, seed, threads, &second), done);
    TS_GOTO(ts_projections_distance(first, second, threads, &estimate), done);
    *distance = ts_jackknife_interval(&estimate);
done:
    ts_projections_free(second);
    ts_projections_free(first);
    return status;
}

ts_status ts_frechet_sets(const ts_features *features, const float *a, int64_t n, const float *b, int64_t m,
                          int threads, ts_distance *distance)
{
    ts_feature_set sets[2] = {0};
    ts_feature_moments *first = NULL, *second = NULL;
    ts_estimate estimate;
    ts_status status;
    TS_GOTO(ts_feature_set_of(features, a, n, threads, &sets[0]), done);
    TS_GOTO(ts_feature_set_of(features, b, m, threads, &sets[1]), done);
    TS_GOTO(ts_feature_moments_create(&sets[0], threads, &first), done);
    TS_GOTO(ts_feature_moments_create(&sets[1], threads, &second), done);
    TS_GOTO(ts_frechet_distance(first, second, threads, NULL, &estimate, NULL), done);
    *distance = ts_jackknife_interval_of_square(&estimate);
done:
    ts_feature_moments_free(second);
    ts_feature_moments_free(first);
    ts_feature_set_release(&sets[1]);
    ts_feature_set_release(&sets[0]);
    return status;
}
