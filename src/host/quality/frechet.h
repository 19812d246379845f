/*
 * The squared Frechet (2-Wasserstein) distance between Gaussians, and between those fitted to two sets'
 * features.
 */
#ifndef TS_QUALITY_FRECHET_H
#define TS_QUALITY_FRECHET_H

#include "quality/features.h"
#include "quality/jackknife.h"

/*
 * Between N(mean1, cov1) and N(mean2, cov2) (Dowson and Landau 1982): |mean1 - mean2|^2
 * + tr(cov1 + cov2 - 2 (cov1^1/2 cov2 cov1^1/2)^1/2); means [d], covariances [d,d] symmetric, positive
 * semi-definite.  The matrix roots come from eigen-decompositions in double precision.
 */
ts_status ts_frechet_gaussians(int d, const double *mean1, const double *cov1, const double *mean2,
                               const double *cov2, double *distance);

/* The moments of a set's features, whole and by jackknife group, and the root of its covariance. */
typedef struct ts_moments ts_moments;

/* Of points [n,h,w,c], n >= 2. */
ts_status ts_moments_create(const ts_features *features, const float *points, int64_t n, int threads,
                            ts_moments **moments);
void ts_moments_free(ts_moments *moments); /* NULL is fine */

/* ts_frechet_gaussians between two sets' means and unbiased covariances.  Bitwise the same for any number of
 * threads (0: OpenMP's default).  Variances are NaN where a set has fewer than 3 points. */
ts_status ts_moments_distance(const ts_moments *a, const ts_moments *b, int threads, ts_estimate *estimate);

#endif
