/*
 * What the integrators of the reverse process share.
 */
#ifndef TS_DIFFUSION_SAMPLER_INTERNAL_H
#define TS_DIFFUSION_SAMPLER_INTERNAL_H

#include "diffusion/recorded.h"
#include "diffusion/sampler.h"

enum { TS_SAMPLER_PLACES = 3 };

/* The network at one place x.  Recordings hold for one run: between two runs weights may change, and with
 * them what the first evaluation of a run has to do. */
typedef struct ts_sampler_place {
    const float *x, *net;
    ts_recorded recorded;
} ts_sampler_place;

/* stage, current and next hold count + n floats: x [n,d], then one value a row that the flow integrates along
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
    float *coefficients; /* device [steps][3], Euler-Maruyama's */
    float *times;        /* device [steps + 1], of the current step and the end */
    float *host_table;   /* host [steps][3] */
    float *stage[7], *current, *next;
    double *rows, *error;      /* device [n]; one */
    double *divergence_memory; /* host [7][n] */
    double *divergence[7];     /* host [n] each, by stage */
    float *host_rows;          /* host [n] */
    int evaluations;
    ts_sampler_place places[TS_SAMPLER_PLACES];
};

/* Before and after a run. */
void ts_sampler_forget(ts_sampler *sampler);

/* Room for `steps` steps in the tables. */
ts_status ts_sampler_reserve(ts_sampler *sampler, int steps);
/* Uploads the times [steps + 1] of a fixed-step integrator and puts the state at its first step. */
ts_status ts_sampler_begin(ts_sampler *sampler, const double *times, int steps, uint64_t seed,
                           uint32_t instance);
/* net(x, t) at the time of the state's step. */
ts_status ts_sampler_evaluate(ts_sampler *sampler, const float *x, const float **net);
/* net(x, t) at any t. */
ts_status ts_sampler_evaluate_at(ts_sampler *sampler, const float *x, double t, const float **net);
ts_status ts_sampler_advance(ts_sampler *sampler);
/* y = sum_k coefficient[k] x[k], `count` elements. */
ts_status ts_sampler_combine(ts_sampler *sampler, int64_t count, int terms, const double *coefficient,
                             const float *const *x, float *y);
/* The probability-flow ODE is dx/dt = f - g^2 score/2 = drift x + factor net; this is factor. */
double ts_sampler_flow_factor(const ts_sde *sde, double t);

/* Integrators: x from config->T to config->eps, from a state at step 0 of `times`. */
ts_status ts_sampler_heun(ts_sampler *sampler, int steps, const double *times, float *x);
ts_status ts_sampler_dpmpp2m(ts_sampler *sampler, int steps, const double *times, float *x);

#endif
