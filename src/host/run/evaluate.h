/*
 * What a run is worth at T: the bound with its terms, and samples, for a choice of start density.
 */
#ifndef TS_RUN_EVALUATE_H
#define TS_RUN_EVALUATE_H

#include "diffusion/likelihood.h"
#include "diffusion/samplers/sampler.h"
#include "run/starts.h"
#include "base/progress.h"
#include "run/run.h"

/* ---- the bound ---- */

typedef struct ts_evaluate_row {
    ts_bound_terms terms; /* terms.T, elbo, reconstruction, prior, diffusion, bpd */
    ts_start_kind start;
    int d;
    bool mixture;            /* kl_prior and K are set */
    ts_interval kl_prior, K; /* KL[p_T || nu] and K(T), nats */
} ts_evaluate_row;

/* The smallest t of the bound: bound.eps, or for images the t with s(t) an eighth of the level spacing (but
 * not below train.eps), else train.eps. */
double ts_evaluate_eps(const ts_config *config, const ts_data *data);

/* The bound on held-out data for every T and start: rows[i * start_count + j] for T[i], starts[j].  Weights
 * are those in run->model now (ts_checkpoint_load_weights).  One pass over the data serves every T. */
ts_status ts_evaluate_bound(ts_run *run, int T_count, const double *T, int start_count,
                            const ts_start_kind *starts, ts_progress *progress, ts_evaluate_row *rows);

/* ---- the likelihood by the ODE ---- */

typedef struct ts_likelihood_row {
    double T;
    ts_start_kind start;
    ts_interval log_prob, bpd; /* nats, bits/dim; 95 % over data */
    double nfe;                /* network evaluations of a solution */
} ts_likelihood_row;

/* What section `likelihood` of the configuration says for the run's data. */
ts_likelihood_config ts_evaluate_likelihood_config(const ts_run *run);

/* Of held-out data for every T and start, by section `likelihood` of the configuration: rows[i * start_count + j]
 * for T[i], starts[j]. */
ts_status ts_evaluate_likelihood(ts_run *run, int T_count, const double *T, int start_count,
                                 const ts_start_kind *starts, ts_progress *progress, ts_likelihood_row *rows);

/* ---- samples ---- */

/* What section `sample` of the configuration says for this sampler and T. */
ts_status ts_evaluate_sampler(const ts_config *config, ts_sampler_kind kind, double T,
                              ts_sampler_config *sampler);

typedef struct ts_samples {
    int n, h, w, c;
    float *x;   /* host [n,h,w,c], images in [-1, 1]; the caller frees it with ts_samples_release */
    double nfe; /* network evaluations an image (mean over batches for RK45) */
    ts_interval seconds_per_image; /* the reverse process and its start, graphs and buffers made before; 95 %
                                      over batches, NaN of one alone */
    double start_seconds;          /* of these, the draw from the start */
} ts_samples;

ts_status ts_evaluate_samples(ts_run *run, const ts_sampler_config *sampler, ts_start_kind start, int count,
                              ts_progress *progress, ts_samples *samples);
/* Of `total` samples, those of places first .. first + count - 1 alone, with the bits that they have among all; first is a
 * multiple of sample.batch. */
ts_status ts_evaluate_some_samples(ts_run *run, const ts_sampler_config *sampler, ts_start_kind start,
                                   int total, int first, int count, ts_progress *progress,
                                   ts_samples *samples);
void ts_samples_release(ts_samples *samples);

#endif
