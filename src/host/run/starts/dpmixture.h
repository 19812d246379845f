/*
 * A Dirichlet-process mixture fitted to a run's training data (diffusion/densities/dpmixture.h), for every T, or with
 * `start.at: T` to draws of x_T, for that T alone.
 *
 *   DIR/dpmixture.safetensors         weights [k], means [k,d], covariances [k,d,d] (diagonal: variances [k,d]; of factors: F [k,rank,d] and
 *   DIR/dpmixture_T0.4.safetensors    variances [k,d], a covariance F^T F + diag(variances)) and, by the step, the evidence bound in nats an
 *                                     example [steps + 1], float64; in the metadata what it is of
 *
 * Components that weigh less than 1e-9 are left out.  Images are taken in model scale, unflipped.
 */
#ifndef TS_RUN_STARTS_DPMIXTURE_H
#define TS_RUN_STARTS_DPMIXTURE_H

#include "run/starts/glow.h"

/* Whether the run's data have few enough dimensions for full covariances, if such are asked for.  TS_INVALID. */
ts_status ts_dpmixture_check(const ts_run *run);

/* Whether the configuration has one fitted for each T. */
bool ts_dpmixture_is_of_T(const ts_run *run);

/* Makes the file, unless it is there and is of the run's data, section start, process and seed: result->reused then.
 * One of others is TS_INVALID but with options->replace.  T may be NaN where the fit is to the data.  result->loss is
 * minus the evidence bound in nats an example and dimension, of what was fitted; result->steps those that it took. */
ts_status ts_dpmixture_fit_run(ts_run *run, double T, const ts_fit_options *options, ts_fit_result *result);

/* Its density at T, and the mixture that outlives it.  TS_NOT_FOUND says how to fit. */
ts_status ts_dpmixture_open(ts_run *run, double T, int n, ts_mixture **mixture, ts_density **density);

#endif
