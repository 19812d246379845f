/*
 * How far samples are from data: distances between two finite sets of points, [n,d] and [m,d] on the host,
 * with 95 % intervals of the noise of both sets (jackknife.h).
 *
 * What the intervals are not.  (1) They are about the mean of the estimate at these n and m, not about the
 * distance of the two laws: an estimate from finite sets is biased upward, since two finite sets differ even
 * where their laws do not.  To first order its mean is
 *
 *   sliced, squared:  D^2 + b (1/n + 1/m)     Frechet (a square itself):  F + c/n + c'/m
 *
 * with b about three times the mean variance along a direction (Gaussians), and c the trace of the features'
 * covariance plus, of q features of one variance, (q + 1)/4 times that (c is more than F itself for a few
 * hundred images); halving n doubles the excess.  Distances compare at the same n and m alone, those of real
 * data included (reference.h).  (2) The noise of the directions is not in the sliced distance's interval: all
 * sets are projected on the same, so that rows share it.  Rows that are compared with one set of held-out
 * data share its noise too, so differences between rows are surer than their intervals say.
 */
#ifndef TS_QUALITY_DISTANCES_H
#define TS_QUALITY_DISTANCES_H

#include "quality/features.h"
#include "quality/jackknife.h"

/* sliced.h, with `projections` directions (one where d = 1) under `seed`. n, m >= 1. */
ts_status ts_sliced_wasserstein(const float *a, int64_t n, const float *b, int64_t m, int d, int projections,
                                uint64_t seed, int threads, ts_distance *distance);

/* frechet.h, between the Gaussians fitted to the features of a [n,h,w,c] and b [m,h,w,c]; n, m >= 2. */
ts_status ts_frechet_sets(const ts_features *features, const float *a, int64_t n, const float *b, int64_t m,
                          int threads, ts_distance *distance);

#endif
