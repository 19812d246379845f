/*
 * Gaussian mixtures in any dimension, with diagonal or full covariances, or diagonal ones and factors: as data, as
 * exact score, as start density.  Under the forward process a mixture stays one: component k of p_t has mean a mu_k
 * and covariance a^2 C_k + s^2 I.
 */
#ifndef TS_DIFFUSION_MIXTURE_H
#define TS_DIFFUSION_MIXTURE_H

#include "kernels/kernels.h"

typedef struct ts_mixture {
    ts_device *device;
    int k, d;
    ts_mixture_view view; /* device memory */
} ts_mixture;

/* Host arrays: weights [k] (positive; normalised here), means [k,d], and either stds [k,d] or covariances
 * [k,d,d] (symmetric positive definite; eigen-decomposed with LAPACK); the other is NULL. */
ts_status ts_mixture_create(ts_device *device, int k, int d, const double *weights, const double *means,
                            const double *stds, const double *covariances, ts_mixture **mixture);
/* Of covariances F_k^T F_k + diag(variances): factors F [k,rank,d], variances [k,d] positive. */
ts_status ts_mixture_create_factors(ts_device *device, int k, int d, int rank, const double *weights,
                                    const double *means, const double *factors, const double *variances,
                                    ts_mixture **mixture);
/* Of one component with the covariance's eigenvectors [d,d], one a row (NULL: the axes), and its eigenvalues [d].  They
 * may be 0: at t > 0 its marginals are densities all the same. */
ts_status ts_mixture_create_gaussian(ts_device *device, int d, const double *mean, const double *values,
                                     const double *vectors, ts_mixture **mixture);
void ts_mixture_destroy(ts_mixture *mixture);

#endif
