/* Principal components: the leading eigenvectors of a covariance. */
#ifndef TS_QUALITY_PRINCIPAL_H
#define TS_QUALITY_PRINCIPAL_H

#include "base/status.h"

/* mean [d], principal [count,d] <- the mean of x [n,d] and the leading unit eigenvectors of its covariance,
 * count <= n and count <= d.  Directions in which the data do not vary (but for rounding) are rows of zeros.
 * Works on the smaller of covariance [d,d] and Gram matrix [n,n], in double. */
ts_status ts_principal_components(const float *x, int n, int d, int count, int threads, double *mean,
                                  double *principal);

#endif
