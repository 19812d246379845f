/*
 * Improved precision and recall (Kynkaanniemi, Karras, Laine, Lehtinen, Aila 2019).  A set's manifold is the union of balls,
 * one a point, that reach to its k-th nearest neighbour in the set (k = 3, as published).  Precision: the share of
 * generated data within the manifold of the real ones; recall: of real data within that of the generated ones.
 *
 * Both go with the number of points, since balls shrink as it grows: they compare at the same n and m alone.  The
 * intervals leave out groups exactly, radii included: a neighbour that has gone makes balls larger.
 */
#ifndef TS_QUALITY_NEIGHBOURS_H
#define TS_QUALITY_NEIGHBOURS_H

#include "base/progress.h"
#include "quality/sets.h"

enum { TS_NEIGHBOURS = 3 };

/* Each of TS_NEIGHBOURS + 1 points at least.  TS_INTERRUPTED where progress says so.  Bitwise the same for any number of
 * threads (0: OpenMP's default). */
ts_status ts_precision_recall(const ts_feature_set *real, const ts_feature_set *generated, int threads,
                              ts_progress *progress, ts_estimate *precision, ts_estimate *recall);

/* nearest [n]: of each row of x [n,d] the row of `among` [m,d] that is nearest to it; squared [n]: how far, squared. */
ts_status ts_nearest(const float *x, int64_t n, const float *among, int64_t m, int d, int threads,
                     int64_t *nearest, double *squared);

#endif
