/*
 * The set that samples are compared with, prepared once: its projections sorted, its features' moments and
 * the root of their covariance.  A set of samples then costs its own share alone.
 *
 * What lives in this room: how far samples are from data.  What the numbers and their intervals mean is in
 * distances.h; each distance is a file (sliced.c, frechet.c), as are the features of the second (features.c,
 * principal.c) and the errors of both (jackknife.c); here they come together.  Features by trained networks, which
 * run on a device, are apart (embedding.h).
 *
 * Invariants: everything but embedding.c is on the host, and bitwise the same for any number of threads.
 * Nothing here knows a run or a configuration.
 */
#ifndef TS_QUALITY_REFERENCE_H
#define TS_QUALITY_REFERENCE_H

#include "quality/features.h"
#include "quality/jackknife.h"

typedef struct ts_reference ts_reference;

/* Of points [m,h,w,c], m >= 2, which stay the caller's, as the features do; both must outlive it. */
ts_status ts_reference_create(const ts_features *features, const float *points, int64_t m, int projections,
                              uint64_t seed, int threads, ts_reference **reference);
void ts_reference_free(ts_reference *reference); /* NULL is fine */

/* Both distances (distances.h) of x [n,h,w,c], n >= 2, from the reference; NaN +- NaN where a value of x is
 * not finite: a sampler that ran away has no distance. */
ts_status ts_reference_distances(const ts_reference *reference, const float *x, int64_t n, int threads,
                                 ts_distance *sliced, ts_distance *frechet);

/* The distance of real data: between the reference and subsets of the training data of n each. */
typedef struct ts_real_distance {
    int subsets;
    int64_t n;
    double value, half; /* mean over the subsets; 95 %: value +- half */
    double low, high;   /* over the subsets */
} ts_real_distance;

/*
 * What rows of n samples are to be read beside: the floor.  The subsets (at most `most`, fewer where there
 * are not enough data) share no datum of train [count,h,w,c] and are drawn by a permutation that is a
 * constant: files may be ordered, or alternate (MNIST's training images do, between its two groups of
 * writers).  It is no limit: samples may lie nearer to the held-out data than other real data do, for
 * instance those that vary less.  Of fewer than n training data, all are one subset.
 */
ts_status ts_reference_floor(const ts_reference *reference, const float *train, int64_t count, int64_t n,
                             int most, int threads, ts_real_distance *sliced, ts_real_distance *frechet);

/* subset [n][d] (malloc) <- the first of these subsets, of n <= count: for other floors. */
ts_status ts_reference_subset(const float *train, int64_t count, int d, int64_t n, float **subset);

#endif
