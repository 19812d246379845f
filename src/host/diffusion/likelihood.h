/*
 * The likelihood by the probability-flow ODE (Song et al. 2021, section 4.3), from any start density nu at T:
 *
 *   log p(x0) = log nu(x_T) + int_eps^T div (f - g^2 score/2) dt,   x_T from x0 at eps by the ODE,
 *
 * with the divergence by Hutchinson's probes v, E v^T J v, or exactly by the unit vectors.  Images are
 * dequantised: uniform noise over a level's width is added to x0 first, so that log p is a density's.
 */
#ifndef TS_DIFFUSION_LIKELIHOOD_H
#define TS_DIFFUSION_LIKELIHOOD_H

#include "diffusion/bound.h"

typedef struct ts_likelihood_config {
    ts_sde sde;
    double eps, rtol, atol; /* where the ODE begins, and RK45's tolerances */
    int probes;             /* a datum, each with a solution of its own; 0: the d unit vectors */
    ts_probe_kind probe;    /* what probes are drawn from */
    int dequantisations;    /* draws of the noise a datum, each with probes of its own; continuous data: 1 */
    int64_t count;          /* data: the first `count` of the set */
    uint64_t seed;
    const volatile sig_atomic_t *stop; /* not zero: TS_INTERRUPTED; NULL: never */
} ts_likelihood_config;

/* log_prob [density_count][count] (nats, means over each datum's draws) for starts at T, batches of as many rows
 * as score and densities have; *nfe: network evaluations of a solution, mean over batches.  Needs a score with a
 * gradient.  Steps are those of a batch as one system: a datum's number depends on its batch by as much as the
 * tolerances allow. */
ts_status ts_likelihood_measure(const ts_likelihood_config *config, const ts_data *data, ts_score *score,
                                double T, int density_count, ts_density *const *densities,
                                ts_progress_fn *progress, void *context, double *log_prob, double *nfe);

/* How many rows a datum takes. */
int64_t ts_likelihood_draws(const ts_likelihood_config *config, const ts_data *data);

/* Bits per dimension of densities of data on levels: -log p/(d ln 2) + log2(1/spacing), an upper bound on
 * those of the levels themselves (Theis et al. 2016); of continuous data without the last term. */
ts_interval ts_likelihood_bits(ts_interval log_prob, const ts_data *data);

#endif
