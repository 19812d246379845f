/*
 * Groups of points for a mixture to begin from: k-means++ (Arthur and Vassilvitskii, SODA 2007), then a few of
 * Lloyd's steps.
 */
#ifndef TS_DIFFUSION_DENSITIES_KMEANS_H
#define TS_DIFFUSION_DENSITIES_KMEANS_H

#include <stdint.h>
#include "base/status.h"

/* label [n] <- 0 .. k-1 for the rows of x [n,d]; a group may be empty.  Random numbers are those of `seed`, and
 * the result does not depend on the number of threads. */
ts_status ts_kmeans(const double *x, int64_t n, int d, int k, uint64_t seed, int threads, int *label);

#endif
