/*
 * The squared Frechet (2-Wasserstein) distance between Gaussians, and between those fitted to two sets of features: of
 * Inception's it is FID (Heusel et al. 2017).
 *
 *     |m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C1^1/2 C2 C1^1/2)^1/2           (Dowson and Landau 1982)
 *
 * With C1 = F1^T F1, the last trace is the sum of the singular values of F2 F1^T: a factor F of r rows serves whatever the
 * root of the covariance would, and centred data over (n - 1)^1/2 are one where there are fewer data than features.  The
 * singular values come from the smaller Gram matrix, in double precision, which is symmetric: nothing is lost where a
 * covariance is singular.  Leaving out a group of rows takes a low-rank part from that matrix; its eigenvalues are made
 * anew, for an update of them would cost as much.  Measured: 2048 features, on one core 2 s a group.
 */
#ifndef TS_QUALITY_FRECHET_H
#define TS_QUALITY_FRECHET_H

#include "base/progress.h"
#include "quality/sets.h"

/* Between N(mean1, cov1) and N(mean2, cov2); means [d], covariances [d,d] symmetric, positive semi-definite. */
ts_status ts_frechet_gaussians(int d, const double *mean1, const double *cov1, const double *mean2,
                               const double *cov2, double *distance);

/* The moments of a set of features, whole and by jackknife group, and a factor of its covariance. */
typedef struct ts_feature_moments ts_feature_moments;

/* Of a set, n >= 2, which stays the caller's and is to outlive them. */
ts_status ts_feature_moments_create(const ts_feature_set *set, int threads, ts_feature_moments **moments);
/* Of mean [count] and unbiased covariance [count,count] alone, as of a set that is not at hand. */
ts_status ts_feature_moments_of(int count, const double *mean, const double *covariance,
                                ts_feature_moments **moments);
void ts_feature_moments_free(ts_feature_moments *moments); /* NULL is fine */

int ts_feature_moments_count(const ts_feature_moments *moments); /* features of a datum */
/* mean [count], covariance [count,count] (unbiased) */
void ts_feature_moments_write(const ts_feature_moments *moments, double *mean, double *covariance);

/* Between two sets' means and unbiased covariances.  Bitwise the same for any number of threads (0: OpenMP's default).
 * Variances are NaN where a set has fewer than 3 points, and 0 of moments alone, whose noise is not known (of two
 * such NaN).  The mean
 * difference's share goes to *mean_term where that is not NULL.  TS_INTERRUPTED where progress says so. */
ts_status ts_frechet_distance(const ts_feature_moments *a, const ts_feature_moments *b, int threads,
                              ts_progress *progress, ts_estimate *estimate, double *mean_term);

#endif
