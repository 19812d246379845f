/*
 * The evidence lower bound by Monte Carlo, with intervals over data (Franzese et al., arXiv 2206.05173).  For
 * one datum and start density nu, integrating over [eps, T],
 *
 *   ELBO = E log p(x0|x_eps) - KL(q(x_T|x0) || nu) - I(T),   I(T) = 1/2 int g^2/s^2 E||net - z||^2 dt.
 *
 * One pass of ts_bound_measure over the data gives, for each datum, the reconstruction term and the diffusion
 * term I(T) for every T of a list, from one set of draws with importance-sampled, stratified times;
 * ts_bound_prior then adds the prior term of one start density at one T.
 */
#ifndef TS_DIFFUSION_BOUND_H
#define TS_DIFFUSION_BOUND_H

#include <signal.h>
#include "diffusion/data.h"
#include "diffusion/densities/density.h"
#include "diffusion/interval.h"
#include "diffusion/score.h"

/* The instance under which mixtures are drawn as data of an evaluation: bound and likelihood have the same. */
enum { TS_BOUND_DATA = 0x45000000 };

typedef struct ts_bound_config {
    ts_sde sde;
    double eps;
    int T_count;
    const double *T; /* any order, each in (eps, 1] */
    int draws;       /* of t and z for each datum */
    int prior_draws; /* of x_T for each datum, where something about it is drawn */
    int64_t count;   /* data: the first `count` of the set */
    int64_t block;   /* of so many neighbours that depend on each other (interval.h); 0: each is by itself */
    uint64_t seed;
    bool tracks_K;                     /* mixtures: also K(T), from the exact score */
    const volatile sig_atomic_t *stop; /* not zero: end after the batch, TS_INTERRUPTED; NULL: never */
} ts_bound_config;

typedef struct ts_bound {
    int64_t count, block; /* as configured */
    int T_count;
    double *reconstruction; /* [count], nats; continuous data: -d/2 ln(2 pi e s(eps)^2), so that the bound is
                               one on E log p_eps(x_eps) */
    double *diffusion;      /* [count][T_count]: unbiased estimates of I(T), for one datum perhaps negative */
    double *K; /* [count][T_count] or NULL: the same with the exact score, mixtures only; its mean
                  is K(T), the part of I(T) that no score can avoid */
} ts_bound;

/* Called now and then with the share done; returning false interrupts (TS_INTERRUPTED). */
typedef bool ts_progress_fn(void *context, double share);

ts_status ts_bound_measure(const ts_bound_config *config, const ts_data *data, ts_score *score,
                           ts_progress_fn *progress, void *context, ts_bound *bound);
/* prior [count]: KL(q(x_T|x0) || nu) = -d/2 ln(2 pi e s(T)^2) - E log nu(x_T), given x0: in closed form where
 * the density has one (for N(0, sigma^2 I): sum over dimensions of (a^2 x0^2 + s^2) / (2 sigma^2) - 1/2
 * - ln(s / sigma)), else the mean of prior_draws draws.
 * On mixtures kl_prior [count] (or NULL) gets means of as many draws of log p_T(x_T) - log nu(x_T): where
 * KL(p_T || nu) is near zero they, and their mean over data, may be below it, which is noise about it. */
ts_status ts_bound_prior(const ts_bound_config *config, const ts_data *data, double T, ts_density *density,
                         double *prior, double *kl_prior);
/* error [count]: (net_nu - z)^2 at T, net_nu = -s grad log nu of the density, mean over dimensions and over prior_draws draws
 * of x_T = a x0 + s z.  Of a density that the forward process carries, minus the slope of its prior term, which the bound
 * weighs against the network's; of another, how well it knows the noise, and no more.  TS_INVALID where the
 * density has no such noise. */
ts_status ts_bound_start_error(const ts_bound_config *config, const ts_data *data, double T,
                               ts_density *density, double *error);
void ts_bound_release(ts_bound *bound);

typedef struct ts_bound_terms {
    double T;
    ts_interval elbo, reconstruction, prior, diffusion; /* nats; elbo = reconstruction - prior - diffusion */
    ts_interval bpd;                                    /* bits/dim */
} ts_bound_terms;

/* Combines datum by datum, so that correlated terms get the right interval.  bpd = -elbo/(d ln 2). */
void ts_bound_combine(const ts_bound *bound, int T_index, double T, const double *prior, int d,
                      ts_bound_terms *terms);
/* Of what was trained from several seeds: bounds [seeds] and priors [seeds], of the same data. */
void ts_bound_combine_seeds(int seeds, const ts_bound *const *bounds, int T_index, double T,
                            const double *const *priors, int d, ts_bound_terms *terms);

#endif
