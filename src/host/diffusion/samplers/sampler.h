/*
 * The reverse process from T down to eps: the SDE dx = [f - g^2 score] dt + g dw, time running backwards,
 * or the probability-flow ODE dx/dt = f - g^2 score/2 (Song et al. 2021).
 *
 * What is true of a kind of sampler stands in one table, table.c, a row a kind.  The integrators are in
 * fixed.c (a table of coefficients, one row a step) and rk45.c (steps by their error); sampler.c makes
 * time grids, runs the steps and owns the buffers.
 *
 * Invariants: x is float32 [n,d] whatever the activation type, in the caller's memory; a sampler owns all
 * else and outlives nothing of its score.  What changes from step to step lies in device memory, so that a
 * step, recorded once, is replayed for ever.
 */
#ifndef TS_DIFFUSION_SAMPLERS_SAMPLER_H
#define TS_DIFFUSION_SAMPLERS_SAMPLER_H

#include <signal.h>
#include "base/kinds.h"
#include "diffusion/score.h"

/*
 *   em         reverse SDE by Euler-Maruyama, h = (T - eps)/steps
 *   heun       probability-flow ODE, h = (T - eps)/steps, 2 evaluations a step
 *   rk45       probability-flow ODE, Dormand-Prince, adaptive over the whole batch as one system
 *   dpmpp2m    DPM-Solver++(2M), steps uniform in log(a/s)
 *   ancestral  reverse chain of posteriors q(x_u|x_t, x0) (Ho et al. 2020), on the continuous schedule,
 *              t - u = (T - eps)/steps
 *   edm        Heun in sigma = s/a, before each step noise that churns (Karras et al. 2022, algorithm 2);
 *              steps uniform in sigma^(1/rho), 2 evaluations a step, the last one too
 *   pc         Langevin steps, whose length goes by the whole batch, then a step of reverse diffusion (Song et
 *              al. 2021, algorithms 1 to 5), h = (T - eps)/steps
 */

typedef struct ts_integrator ts_integrator; /* internal.h */

typedef enum ts_sampler_grid { TS_GRID_T, TS_GRID_LOG_SNR, TS_GRID_KARRAS } ts_sampler_grid;

/* A row of the table. */
typedef struct ts_sampler_row {
    const ts_integrator *integrator; /* of fixed steps; NULL: adaptive, so it takes tolerances, not steps */
    ts_sampler_grid grid;            /* what fixed steps are uniform in: t, log(a/s) or (s/a)^(1/rho) */
    int evaluations;                 /* of the network, a step; of an adaptive one, a try */
    bool corrects;                   /* and one more a step for each of corrector_steps */
    int steps;                       /* that do whatever T is; 0: they go with T */
    const char *text, *html;         /* what it is called */
} ts_sampler_row;

extern const ts_sampler_row ts_samplers[TS_SAMPLER_COUNT]; /* table.c */

typedef struct ts_sampler_config {
    ts_sampler_kind kind;
    double T, eps;
    int steps;         /* of fixed steps */
    double rtol, atol; /* of adaptive ones */
    bool denoise;      /* last step: x0 = (x + s^2 score)/a at eps; counts one evaluation */
    /* edm: the step from sigma raises it first by 1 + min(churn/steps, sqrt(2) - 1), but not above sigma(T), where
     * churn_min <= sigma <= churn_max (0: no limit); churn_noise: standard deviation of that noise */
    double rho, churn, churn_min, churn_max, churn_noise;
    /* pc: Langevin steps before a predictor's, and how large their noise makes them beside the score */
    int corrector_steps;
    double snr;
} ts_sampler_config;

enum { TS_SAMPLER_CORRECTOR_STEPS = 100 }; /* at most */

typedef struct ts_sampler ts_sampler;

/* Network evaluations of a run of fixed steps: steps (evaluations [+ corrector_steps]) [+ 1, denoising].  0 of an
 * adaptive one, which is known when it has run. */
int64_t ts_sampler_nfe(const ts_sampler_config *config);
/* The same for people, of N steps without denoising: "2 N". */
void ts_sampler_nfe_text(ts_sampler_kind kind, char text[64]);
/* The most fixed steps whose evaluations, denoising included, are at most `nfe`; 0: not one fits. */
int ts_sampler_steps_within(const ts_sampler_config *config, int nfe);

/* Buffers for one score's batch size. */
ts_status ts_sampler_create(ts_score *score, const ts_sde *sde, ts_sampler **sampler);
/* Runs end between two steps, with TS_INTERRUPTED, once *stop is not zero; NULL: never.  A signal handler
 * may set it. */
void ts_sampler_stop_at(ts_sampler *sampler, const volatile sig_atomic_t *stop);
/* Integrates x [n,d] (device, float32) in place from T to eps. Noise: TS_STREAM_SAMPLER of (seed,
 * instance); the step number is the integrator's. *nfe gets the network evaluations.  A state that is not
 * finite ends it with TS_NOT_FINITE, at the latest behind the last step. */
ts_status ts_sampler_run(ts_sampler *sampler, const ts_sampler_config *config, uint64_t seed,
                         uint32_t instance, float *x, int *nfe);
/* The probability-flow ODE in either direction, from t0 to t1, by RK45; with `probe` (device [n,d]) it also
 * integrates the divergence by Hutchinson's estimator: delta_logp (host [n]) = int_{t0}^{t1} div dt, so that
 * from eps to T log p(x0) = log nu(x_T) + delta_logp.  Needs rtol >= 1e-7, atol >= 1e-8: x is float32. */
ts_status ts_sampler_ode(ts_sampler *sampler, double t0, double t1, double rtol, double atol, float *x,
                         const float *probe, double *delta_logp, int *nfe);
void ts_sampler_destroy(ts_sampler *sampler);

#endif
