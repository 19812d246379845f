/* Two sources compared by every measure that is asked for, and the floor beside them. */
#ifndef TS_QUALITY_COMPARE_COMPARE_H
#define TS_QUALITY_COMPARE_COMPARE_H

#include "quality/compare/source.h"
#include "quality/measures.h"

typedef struct ts_compare_options {
    ts_measure_set measures;
    const char *
        weights; /* of the network whose features are compared; NULL: none, and frechet is of principal components */
    ts_device *device; /* which the network runs on */
    int threads, projections;
    uint64_t seed; /* of the sliced distance's directions */
    const char *
        save; /* where the mean and covariance of the real data's features go, a .npz as pytorch-fid has it; NULL: nowhere */
    ts_progress *progress;
} ts_compare_options;

typedef struct ts_compared {
    const char *features; /* a word for what the features are; NULL: none were made */
    ts_measures measures;
    int64_t floor_n; /* training data that the floor is of; 0: there is none */
    ts_measures floor;
} ts_compared;

/*
 * The measures between `real` and `generated`.  Where the real data have training data, the floor: the same measures of as
 * many of them as there are generated ones, which is what real data of that number score.
 * Errors name the measure and the source that does not suit it.
 */
ts_status ts_compare(ts_source *real, ts_source *generated, const ts_compare_options *options,
                     ts_compared *compared);

/* What is usually asked for of two sources (generated may be NULL): with weights all measures that suit their network and
 * what is known of the sources, of statistics alone fid, else the sliced distance. */
ts_status ts_compare_usual(const ts_source *real, const ts_source *generated, const char *weights,
                           ts_measure_set *measures);

/* These statistics alone, of one source. */
ts_status ts_compare_save(ts_source *source, const ts_compare_options *options);

#endif
