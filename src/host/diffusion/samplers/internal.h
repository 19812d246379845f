/*
 * What the integrators of the reverse process share.
 *
 * A step of any of them is one sequence of operations that is recorded once and then replayed: whatever
 * changes from step to step lies in device memory.  Runs with the same frozen arguments share the recording.
 */
#ifndef TS_DIFFUSION_SAMPLERS_INTERNAL_H
#define TS_DIFFUSION_SAMPLERS_INTERNAL_H

#include "diffusion/recorded.h"
#include "diffusion/samplers/sampler.h"

enum { TS_SAMPLER_WIDTH = 8 }; /* coefficients of a fixed step, at most */

/* What a recorded step has frozen besides the sampler's own memory. */
typedef struct ts_sampler_frozen {
    ts_queue_fn *queue;
    const float *x, *probe;
    double rtol, atol;
} ts_sampler_frozen;

/* stage, current and next hold count + n floats: x [n,d], then one value a row that the ODE integrates along
 * with it when it computes a likelihood. */
struct ts_sampler {
    ts_score *score;
    ts_device *device;
    const ts_kernels *k;
    ts_sde sde;
    int n, d;
    int64_t count; /* n d */
    ts_step_state *state;
    float *t;            /* device [n]: the time of the current evaluation */
    int steps;           /* that the tables have room for */
    float *coefficients; /* device [steps][width of the integrator] */
    float *times;        /* device [steps + 1], of the current step and the end */
    float *host_table;   /* host [steps + 1][TS_SAMPLER_WIDTH] */
    float *stage[7], *current, *next;
    void *block;                   /* device: what changes from try to try of RK45 */
    double *results, *host_result; /* device and host: an error and the stages' divergences [7][n] */
    int evaluations;
    const volatile sig_atomic_t *stop; /* NULL: never */
    ts_recorded recorded;              /* a step with `frozen` */
    ts_sampler_frozen frozen;
};

/* Before a run: the recording of earlier ones is kept where they froze the same. */
void ts_sampler_freeze(ts_sampler *sampler, const ts_sampler_frozen *frozen);

/* ---- fixed steps ---- */

/* Of a step: how many coefficients it has and which, and what it queues, given a ts_sampler_step.  That starts
 * with the state at the step's number and ends with the state advanced; stage[1] is zero before the first. */
struct ts_integrator {
    int width;
    void (*coefficients)(const ts_sde *sde, int steps, const double *times, float *table);
    ts_queue_fn *queue;
};

typedef struct ts_sampler_step {
    ts_sampler *sampler;
    float *x;
} ts_sampler_step;

extern const ts_integrator ts_euler_maruyama, ts_heun, ts_dpmpp2m;

/* TS_INTERRUPTED where ts_sampler_stop_at says so.  To be asked between steps. */
ts_status ts_sampler_stopped(const ts_sampler *sampler);

/* ---- operations ---- */

/* net(x, t) at the time `times[state->step]`, or times[0] without a state. */
ts_status ts_sampler_evaluate(ts_sampler *sampler, const float *x, const float *times,
                              const ts_step_state *state, const float **net);
/* y = sum_k c[k] x[k], `count` elements. */
ts_status ts_sampler_combine(ts_sampler *sampler, int64_t count, int terms, const ts_coefficients *c,
                             const float *const *x, float *y);
/* The probability-flow ODE is dx/dt = f - g^2 score/2 = drift x + factor net; this is factor. */
double ts_sampler_ode_factor(const ts_sde *sde, double t);

#endif
