/*
 * The prior term at many T at once, in closed form given x0, of the Gaussian starts: N(0, I) (under VE N(0, sigma(T)^2 I)) and
 * the Gaussian of the data.  x0 is projected on the covariance's eigenvectors once: with q_k the square of (x0 - m)_k and
 * v_k the start's variance there at T,
 *
 *     KL(q(x_T|x0) || nu) = 1/2 sum_k ( ln(v_k / s^2) + (a^2 q_k + s^2) / v_k - 1 ).
 */
#ifndef TS_DIFFUSION_PRIOR_CURVE_H
#define TS_DIFFUSION_PRIOR_CURVE_H

#include "diffusion/bound.h"
#include "diffusion/densities/gaussian.h"

/* low, high and what lies between them, ascending, 0.01 apart at most: T [count], the caller frees it.  low < high. */
ts_status ts_prior_times(double low, double high, double **T, int *count);

/* prior [config->count][config->T_count], of the gaussian, or where that is NULL of N(0, I): nats.  Of the configuration
 * draws, block and tracks_K are not asked for. */
ts_status ts_prior_curve(const ts_bound_config *config, const ts_data *data, const ts_data_gaussian *gaussian,
                         double *prior);

#endif
