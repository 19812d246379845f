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
    int corrector_steps;
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
    float *starts;       /* device [steps]: the time of each step's first evaluation; `times` follows */
    float *times;        /* device [steps + 1], of the current step and the end */
    float *scales;       /* device [3]: coefficients of a Langevin step */
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
 * with the state at the step's number and ends with the state advanced; stage[1] is zero before the first.
 * times [steps + 1] are the grid's, starts [steps] the same: an integrator that evaluates first at another time
 * sets it there. */
struct ts_integrator {
    int width;
    void (*coefficients)(const ts_sde *sde, const ts_sampler_config *config, const double *times,
                         double *starts, float *table);
    ts_queue_fn *queue;
};

typedef struct ts_sampler_step {
    ts_sampler *sampler;
    float *x;
} ts_sampler_step;

extern const ts_integrator ts_euler_maruyama, ts_ancestral, ts_heun, ts_dpmpp2m; /* fixed.c */
extern const ts_integrator ts_edm;                                               /* edm.c */
extern const ts_integrator ts_predictor_corrector;                               /* predictor_corrector.c */

/* TS_INTERRUPTED where ts_sampler_stop_at says so.  To be asked between steps. */
ts_status ts_sampler_stopped(const ts_sampler *sampler);

/* ---- operations ---- */

/* net(x, t) at the time `times[state->step]`, or times[0] without a state. */
ts_status ts_sampler_evaluate(ts_sampler *sampler, const float *x, const float *times,
                              const ts_step_state *state, const float **net);
/* Tells the score between which t the evaluations to come lie; not to be queued. */
void ts_sampler_within(ts_sampler *sampler, double low, double high);
/* y = sum_k c[k] x[k], `count` elements; ts_sampler_combine_row: x and y [n,d], c from element `first` of the
 * integrator's coefficients of the current step. */
ts_status ts_sampler_combine(ts_sampler *sampler, int64_t count, int terms, const ts_coefficients *c,
                             const float *const *x, float *y);
ts_coefficients ts_sampler_row_at(const ts_sampler *sampler, const ts_integrator *integrator, int first);
ts_status ts_sampler_combine_row(ts_sampler *sampler, const ts_integrator *integrator, int first, int terms,
                                 const float *const *x, float *y);
/* out [n,d] = standard normals of the current step. */
ts_status ts_sampler_noise(ts_sampler *sampler, uint32_t stream, float *out);
/* The next step becomes the current one. */
ts_status ts_sampler_advance(ts_sampler *sampler);
/* The probability-flow ODE is dx/dt = f - g^2 score/2 = drift x + factor net; this is factor. */
double ts_sampler_ode_factor(const ts_sde *sde, double t);

/* ---- formulas ----
 *
 * A step is x <- c[0] x + c[1] net + c[2] z from t to u < t; s_t, s_u: the standard deviations there. */

/* The posterior q(x_u|x_t, x0) with the predicted x0; decay = a_t/a_u. */
void ts_ancestral_coefficients(double decay, double s_t, double s_u, double c[3]);
/* One step of the forward process backwards, x - rev_f + G z (Song et al. 2021, appendix E): `added` is the
 * variance that it adds, VP 1 - exp(-int beta) (score_sde: beta h), VE s_t^2 - s_u^2.  Not for sub-VP. */
void ts_reverse_diffusion_coefficients(ts_sde_kind kind, double added, double s_t, double c[3]);
/* A Langevin step at t but for the ratio r of the batch's norms: x <- x + c[0] r^2 net + c[1] r z.  alpha: VP
 * and sub-VP exp(-int beta), VE 1. */
void ts_langevin_coefficients(double alpha, double snr, double s_t, double c[2]);

#endif
