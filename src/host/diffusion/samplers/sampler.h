/*
 * The reverse process from T down to eps: the SDE dx = [f - g^2 score] dt + g dw, time running backwards, or
 * the probability-flow ODE dx/dt = f - g^2 score/2 (Song et al. 2021).
 */
#ifndef TS_DIFFUSION_SAMPLERS_SAMPLER_H
#define TS_DIFFUSION_SAMPLERS_SAMPLER_H

#include <signal.h>
#include "diffusion/score.h"

typedef enum ts_sampler_kind {
    TS_SAMPLER_EULER_MARUYAMA, /* reverse SDE, h = (T - eps)/steps */
    TS_SAMPLER_HEUN,           /* probability-flow ODE, h = (T - eps)/steps, 2 evaluations a step */
    TS_SAMPLER_RK45,   /* probability-flow ODE, Dormand-Prince, adaptive over the whole batch as one system */
    TS_SAMPLER_DPMPP2M /* DPM-Solver++(2M), steps uniform in log(a/s) */
} ts_sampler_kind;

typedef struct ts_sampler_config {
    ts_sampler_kind kind;
    double T, eps;
    int steps;         /* fixed-step samplers */
    double rtol, atol; /* RK45 */
    bool denoise;      /* last step: x0 = (x + s^2 score)/a at eps; counts one evaluation */
} ts_sampler_config;

typedef struct ts_sampler ts_sampler;

/* Buffers for one score's batch size. */
ts_status ts_sampler_create(ts_score *score, const ts_sde *sde, ts_sampler **sampler);
/* Runs end between two steps, with TS_INTERRUPTED, once *stop is not zero; NULL: never.  A signal handler may set
 * it. */
void ts_sampler_stop_at(ts_sampler *sampler, const volatile sig_atomic_t *stop);
/* Integrates x [n,d] (device, float32) in place from T to eps. Noise: TS_STREAM_SAMPLER of (seed, instance);
 * the step number is the integrator's. *nfe gets the network evaluations.  A state that is not finite ends it with
 * TS_NOT_FINITE, at the latest behind the last step. */
ts_status ts_sampler_run(ts_sampler *sampler, const ts_sampler_config *config, uint64_t seed,
                         uint32_t instance, float *x, int *nfe);
/* The probability-flow ODE in either direction, from t0 to t1, by RK45; with `probe` (device [n,d]) it also
 * integrates the divergence by Hutchinson's estimator: delta_logp (host [n]) = int_{t0}^{t1} div dt, so that
 * from eps to T log p(x0) = log nu(x_T) + delta_logp.  Needs rtol >= 1e-7, atol >= 1e-8: x is float32. */
ts_status ts_sampler_flow(ts_sampler *sampler, double t0, double t1, double rtol, double atol, float *x,
                          const float *probe, double *delta_logp, int *nfe);
void ts_sampler_destroy(ts_sampler *sampler);

#endif
