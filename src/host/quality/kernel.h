/*
 * The kernel distance between two sets of features (Binkowski, Sutherland, Arbel, Gretton 2018): the unbiased estimate of
 * the squared maximum mean discrepancy under the cubic polynomial kernel k(x, y) = (x.y / count + 1)^3; of Inception's
 * features it is KID.  All pairs are summed, group by group, so the jackknife takes exact differences; no subsets are
 * drawn.  Unbiased: it may come out below zero, and its mean depends on no n.
 */
#ifndef TS_QUALITY_KERNEL_H
#define TS_QUALITY_KERNEL_H

#include "base/progress.h"
#include "quality/sets.h"

/* n, m >= 2; TS_INTERRUPTED where progress says so.  Bitwise the same for any number of threads (0: OpenMP's default). */
ts_status ts_kernel_distance(const ts_feature_set *a, const ts_feature_set *b, int threads,
                             ts_progress *progress, ts_estimate *estimate);

#endif
