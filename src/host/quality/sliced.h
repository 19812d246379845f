/*
 * The sliced 2-Wasserstein distance (Bonneel, Rabin, Peyre, Pfister 2015): the square root of the mean, over
 * random unit directions, of the squared 2-Wasserstein distance between the projected sets, in the units of
 * the data.  On the line (d = 1) there is one direction, and the distance is the exact one.
 *
 * Sets are projected and sorted once; distances between them, with groups of points left out, are merges of
 * sorted lists.  Directions depend on (seed, TS_STREAM_PROJECT) alone.
 */
#ifndef TS_QUALITY_SLICED_H
#define TS_QUALITY_SLICED_H

#include "quality/jackknife.h"

/*
 * The exact 2-Wasserstein distance, squared, between two sorted samples on the line:
 * integral over u in (0,1) of (F^-1(u) - G^-1(u))^2.  Unequal counts are handled by the quantile functions
 * themselves, which are step functions; nothing is interpolated.
 */
double ts_wasserstein2_sorted(const double *a, int64_t n, const double *b, int64_t m);

/* A set [n,d] on every direction, sorted.  The points stay the caller's and must outlive it: where the sorted
 * lists would take more than 64 MiB, those beyond are made anew for each distance. */
typedef struct ts_projections ts_projections;

ts_status ts_projections_create(const float *points, int64_t n, int d, int directions, uint64_t seed,
                                int threads, ts_projections **projections);
void ts_projections_free(ts_projections *projections); /* NULL is fine */

/* The distance between two sets on the same directions.  The result is bitwise the same for any number of
 * threads (0: OpenMP's default). */
ts_status ts_projections_distance(const ts_projections *a, const ts_projections *b, int threads,
                                  ts_estimate *estimate);

#endif
