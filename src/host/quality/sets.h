/*
 * A set of data as features, made once: a row a datum, in the order of the jackknife's groups, so that leaving out a
 * group leaves out neighbouring rows.  What all measures of features (measures.h) work on.
 */
#ifndef TS_QUALITY_SETS_H
#define TS_QUALITY_SETS_H

#include "quality/features.h"
#include "quality/jackknife.h"

typedef struct ts_feature_set {
    int64_t n;
    int count, groups;                      /* features of a datum; ts_jackknife_groups(n) */
    int64_t first[TS_JACKKNIFE_GROUPS + 1]; /* group g: rows first[g] .. first[g + 1] - 1 */
    float *rows;                            /* [n][count] */
} ts_feature_set;

/* Takes the features rows [n][count] (malloc), one datum after the other as they came, and puts them in order; they are
 * the set's, or freed where this fails.  TS_NOT_FINITE: a feature is not. */
ts_status ts_feature_set_take(float *rows, int64_t n, int count, ts_feature_set *set);
/* The features of points [n,h,w,c]. */
ts_status ts_feature_set_of(const ts_features *features, const float *points, int64_t n, int threads,
                            ts_feature_set *set);
void ts_feature_set_release(ts_feature_set *set); /* an empty one is fine */

#endif
