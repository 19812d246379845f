/*
 * The Gaussian of the data as a start density: with the data's mean m and covariance C = V diag(l) V^T, the
 * forward process carries N(m, C) to N(a m, a^2 C + s^2 I) at every T: the same eigenvectors, eigenvalues
 * a^2 l_i + s^2.  Of rank r below the dimension d, the eigenvalues past the r largest are their mean, the most
 * likely such covariance (probabilistic principal components: Tipping and Bishop, "Probabilistic Principal
 * Component Analysis", JRSS B 61, 1999).
 */
#ifndef TS_DIFFUSION_DENSITIES_GAUSSIAN_H
#define TS_DIFFUSION_DENSITIES_GAUSSIAN_H

#include "diffusion/densities/density.h"

/* In host memory. */
typedef struct ts_data_gaussian {
    int d, rank;     /* 1 <= rank <= d */
    double *mean;    /* [d] */
    double *values;  /* [rank], eigenvalues of C, descending, none negative */
    double *vectors; /* [rank,d], an orthonormal eigenvector a row */
    double rest;     /* each of the other d - rank eigenvalues; 0 where there is none */
} ts_data_gaussian;

/* With room for its numbers, all zero. */
ts_status ts_data_gaussian_create(int d, int rank, ts_data_gaussian **gaussian);
/* Of mean [d] and covariance [d,d] (symmetric, its lower triangle is read; overwritten); a rank above d is d.
 * Eigenvalues that rounding made negative are zero. */
ts_status ts_data_gaussian_of_moments(int d, int rank, const double *mean, double *covariance,
                                      ts_data_gaussian **gaussian);
void ts_data_gaussian_destroy(ts_data_gaussian *gaussian); /* NULL is fine */

/* Eigenvalue i of all d. */
double ts_data_gaussian_value(const ts_data_gaussian *gaussian, int i);
/* basis [d,d], zero before: all eigenvectors, one a row; where only `rank` are known, any that complete them. */
ts_status ts_data_gaussian_basis(const ts_data_gaussian *gaussian, double *basis);

/* The entropy of N(a m, a^2 C + s^2 I) in nats: also -E log nu(x_T) over the data that m and C are of. */
double ts_data_gaussian_entropy(const ts_data_gaussian *gaussian, double a, double s);

/* N(a m, a^2 C + s^2 I), a >= 0 and s > 0, for batches of n, computed in double; `gaussian` is not kept. */
ts_status ts_density_gaussian(ts_device *device, const ts_data_gaussian *gaussian, double a, double s, int n,
                              ts_density **density);

#endif
