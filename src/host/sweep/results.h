/*
 * The results of a sweep: in memory, as sweep.csv and as sweep.json.  The report is made from these and the
 * stored samples alone.
 */
#ifndef TS_SWEEP_RESULTS_H
#define TS_SWEEP_RESULTS_H

#include "diffusion/bound.h"

enum { TS_RESULT_WORD = 24 };

/* One (T, start density, score, sampler).  The bound does not depend on the sampler and stands in each of its
 * rows.  What is unknown is NaN: empty in CSV, null in JSON. */
typedef struct ts_result_row {
    double T;
    char prior[TS_RESULT_WORD], score[TS_RESULT_WORD], sampler[TS_RESULT_WORD];
    ts_bound_terms terms;
    ts_interval kl_prior, K; /* mixtures */
    double data;             /* held-out data behind the bound */
    double images, nfe, seconds_per_image;
    ts_interval sliced_wasserstein;
    double frechet;
    char frechet_features[TS_RESULT_WORD];
} ts_result_row;

/*
 * The columns of sweep.csv and the keys of each row of sweep.json:
 *     X(kind, name, member, what it is, with its unit)
 */
/* clang-format off */
#define TS_RESULT_COLUMNS(X)                                                                                                     \
    X(NUMBER, T, T, "diffusion time: the forward process ends, and the reverse process starts, at T <= 1")                       \
    X(TEXT, prior, prior, "start density: normal (N(0, I); VE: N(0, sigma(T)^2 I)), glow (the fitted auxiliary density), mixture (the exact density at T)") \
    X(TEXT, score, score, "network (trained), exact (of a mixture)")                                                             \
    X(NUMBER, elbo_nats, terms.elbo.mean, "evidence lower bound on the log-likelihood of a datum: mean over held-out data, nats") \
    X(NUMBER, elbo_ci95_nats, terms.elbo.half, "half width of its 95 % interval over data, nats")                                \
    X(NUMBER, bpd, terms.bpd.mean, "the bound in bits per dimension, -elbo_nats / (d ln 2); smaller is better")                  \
    X(NUMBER, bpd_ci95, terms.bpd.half, "half width of its 95 % interval, bits per dimension")                                   \
    X(NUMBER, reconstruction_nats, terms.reconstruction.mean, "reconstruction term, E log p(x0 | x_eps), nats; elbo = reconstruction - prior - diffusion") \
    X(NUMBER, reconstruction_ci95_nats, terms.reconstruction.half, "half width of its 95 % interval, nats")                      \
    X(NUMBER, prior_nats, terms.prior.mean, "prior term, KL(q(x_T | x0), start density), nats")                                  \
    X(NUMBER, prior_ci95_nats, terms.prior.half, "half width of its 95 % interval, nats")                                        \
    X(NUMBER, diffusion_nats, terms.diffusion.mean, "diffusion term, I(T), nats")                                                \
    X(NUMBER, diffusion_ci95_nats, terms.diffusion.half, "half width of its 95 % interval, nats")                                \
    X(NUMBER, kl_prior_nats, kl_prior.mean, "mixtures: KL(p(x, T), start density), nats")                                        \
    X(NUMBER, kl_prior_ci95_nats, kl_prior.half, "half width of its 95 % interval, nats")                                        \
    X(NUMBER, K_nats, K.mean, "mixtures: K(T), what the exact score would leave of the diffusion term, nats")                    \
    X(NUMBER, K_ci95_nats, K.half, "half width of its 95 % interval, nats")                                                      \
    X(NUMBER, data, data, "held-out data behind the bound")                                                                      \
    X(TEXT, sampler, sampler, "em (Euler-Maruyama on the reverse SDE), rk45 (adaptive Runge-Kutta on the probability-flow ODE)") \
    X(NUMBER, nfe, nfe, "network evaluations for one sample, the last denoising step included; rk45: the mean over batches")     \
    X(NUMBER, seconds_per_image, seconds_per_image, "wall time of sampling, the draw from the start density included, divided by the images, s") \
    X(NUMBER, images, images, "samples drawn")                                                                                   \
    X(NUMBER, sliced_wasserstein, sliced_wasserstein.mean, "sliced 2-Wasserstein distance between samples and held-out data, units of the data in [-1, 1]") \
    X(NUMBER, sliced_wasserstein_ci95, sliced_wasserstein.half, "half width of its 95 % interval over random directions; none for d = 1")        \
    X(NUMBER, frechet, frechet, "squared Frechet distance between Gaussians fitted to features of samples and of held-out data; not FID") \
    X(TEXT, frechet_features, frechet_features, "what these features are: pixels, coordinates (of vectors), pca64 (leading principal components of the training data)")
/* clang-format on */

/*
 * How the bound changes with T for one start density and score.  Bounds at different T share their data and
 * most draws, so they are compared datum by datum: deficit(T) is the mean over data of ELBO(T_best) -
 * ELBO(T), with its 95 % interval, and T is "not worse" where deficit - half <= 0.
 */
typedef struct ts_best {
    char prior[TS_RESULT_WORD], score[TS_RESULT_WORD];
    double T_best; /* where the mean bound is best */
    double T_star; /* the smallest T that is not worse */
    int count;
    double *T, *deficit, *deficit_half; /* [count], nats, T descending */
} ts_best;

/* The held-out loss between two times. */
typedef struct ts_profile_bin {
    double t_low, t_high;
    ts_interval mse;       /* (net - z)^2, mean over dimensions */
    ts_interval integrand; /* of the diffusion term, g^2/(2 s^2) E|net - z|^2, nats a unit of time */
} ts_profile_bin;

typedef struct ts_profile {
    char score[TS_RESULT_WORD];
    int count;
    ts_profile_bin *bins;
} ts_profile;

/* By quadrature, for mixtures on the line, nats. */
typedef struct ts_exact_point {
    double T, kl_normal, K;
} ts_exact_point;

/* The auxiliary density at one T. */
typedef struct ts_fit_summary {
    double T, steps, skipped; /* optimiser steps, and those left out because they were not finite */
    double loss;              /* of the last steps, nats a dimension */
} ts_fit_summary;

typedef struct ts_phase {
    char name[64];
    double seconds;
} ts_phase;

/* How far held-out data are from as many training data: what a perfect sampler would score. */
typedef struct ts_floor {
    int count; /* training subsets compared */
    double sliced_wasserstein, sliced_wasserstein_low, sliced_wasserstein_high;
    double frechet, frechet_low, frechet_high;
} ts_floor;

typedef struct ts_results {
    char *name, *command, *version, *device, *date, *config; /* config: resolved, YAML */
    double seed, threads;
    double h, w, c, levels, train_count, test_count, parameters; /* parameters: of the score network */
    double steps_per_unit, train_steps, projections;
    ts_floor floor;
    int row_count, best_count, profile_count, exact_count, fit_count, phase_count;
    ts_result_row *rows;
    ts_best *best;
    ts_profile *profiles;
    ts_exact_point *exact;
    ts_fit_summary *fits;
    ts_phase *phases;
} ts_results;

/* Frees everything within; `results` itself is the caller's.  All pointers come from malloc or are NULL. */
void ts_results_release(ts_results *results);

/* Both atomically.  CSV: RFC 4180, one header line. */
ts_status ts_results_write_csv(const ts_results *results, const char *path);
ts_status ts_results_write_json(const ts_results *results, const char *path);
/* Errors: TS_NOT_FOUND, TS_FORMAT naming the key. */
ts_status ts_results_read_json(const char *path, ts_results *results);

/* name, unit and meaning of each column, in order */
typedef void ts_result_column_visitor(void *context, const char *name, const char *meaning);
void ts_results_columns(ts_result_column_visitor *visitor, void *context);

/* The row of this T, start, score and sampler (NULL: any); NULL where there is none. */
const ts_result_row *ts_results_find(const ts_results *results, double T, const char *prior,
                                     const char *score, const char *sampler);
const ts_best *ts_results_best(const ts_results *results, const char *prior, const char *score);

#endif
