/*
 * How far samples are from data: distances between two finite sets of points, [n,d] and [m,d] on the host.
 */
#ifndef TS_QUALITY_METRICS_H
#define TS_QUALITY_METRICS_H

#include <stdint.h>
#include "base/kinds.h"
#include "base/status.h"

/*
 * The exact 2-Wasserstein distance, squared, between two sorted samples on the line:
 * integral over u in (0,1) of (F^-1(u) - G^-1(u))^2.  Unequal counts are handled by the quantile functions
 * themselves, which are step functions; nothing is interpolated.
 */
double ts_wasserstein2_sorted(const double *a, int64_t n, const double *b, int64_t m);

/*
 * Sliced 2-Wasserstein distance (Bonneel, Rabin, Peyre, Pfister 2015): the square root of the mean, over
 * `projections` random unit directions, of the squared 1-D distance above, in the units of the data.
 * Directions depend on (seed, TS_STREAM_PROJECT) alone, so distances of several sets are comparable.  On the
 * line (d = 1) there is one direction, and the distance is the exact 2-Wasserstein distance.  `half` (or
 * NULL) gets the half width of the 95 % interval over directions, NaN of one alone.  It does not contain the
 * noise of the finite sets: compare with the distance between two sets of real data of the same sizes.
 */
ts_status ts_sliced_wasserstein(const float *a, int64_t n, const float *b, int64_t m, int d, int projections,
                                uint64_t seed, double *distance, double *half);

/*
 * The squared Frechet (2-Wasserstein) distance between N(mean1, cov1) and N(mean2, cov2) (Dowson and Landau
 * 1982): |mean1 - mean2|^2 + tr(cov1 + cov2 - 2 (cov1^1/2 cov2 cov1^1/2)^1/2); means [d], covariances [d,d]
 * symmetric, positive semi-definite.  The matrix roots come from eigen-decompositions in double precision.
 */
ts_status ts_frechet_gaussians(int d, const double *mean1, const double *cov1, const double *mean2,
                               const double *cov2, double *distance);

/* What the Frechet distance between sets is computed on.  These are not Inception features, and the distance
 * is not FID. */
typedef struct ts_features ts_features;

/* Features chosen for the data: vectors ("coordinates") and images of at most 256 values ("pixels") are taken
 * as they are; larger images are projected on the leading 64 principal components ("pca64") of the first
 * images of `train` [n,h,w,c] (at most 2048 are used). */
ts_status ts_features_create(const float *train, int64_t n, int h, int w, int c, ts_features **features);
void ts_features_free(ts_features *features);
ts_features_kind ts_features_kind_of(const ts_features *features);

/* ts_frechet_gaussians between the Gaussians fitted to the features of a [n,h,w,c] and b [m,h,w,c];
 * n, m >= 2. */
ts_status ts_frechet_sets(const ts_features *features, const float *a, int64_t n, const float *b, int64_t m,
                          double *distance);

#endif
