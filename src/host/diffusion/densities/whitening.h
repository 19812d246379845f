/*
 * Whitening by the Gaussian of the data, with which a flow ends (nn/nn.h), so that it has left to learn what that
 * Gaussian does not know.  With the data's mean m and covariance V diag(l) V^T, which the forward process carries to
 * N(a m, a^2 C + s^2 I),
 *
 *     y = V diag((a^2 l + s^2)^(-1/2)) V^T (x - a m),
 *
 * by the symmetric root, which of all roots leaves the pixels nearest to where they are; the density of x is that
 * of y plus -1/2 sum ln(a^2 l_i + s^2).  Where the one on y is N(0, I), that of x is the Gaussian itself.
 */
#ifndef TS_DIFFUSION_DENSITIES_WHITENING_H
#define TS_DIFFUSION_DENSITIES_WHITENING_H

#include "diffusion/densities/gaussian.h"

typedef struct ts_whitening {
    ts_device *device;
    double *mean, *values, *vectors; /* device: [d], [d], [d,d], an eigenvector a row */
    ts_whiten arguments;             /* of the operation: these, d and the process */
} ts_whitening;

/* `gaussian` is not kept. */
ts_status ts_whitening_create(ts_device *device, const ts_data_gaussian *gaussian, const ts_sde *sde,
                              ts_whitening **whitening);
void ts_whitening_destroy(ts_whitening *whitening); /* NULL is fine */

#endif
