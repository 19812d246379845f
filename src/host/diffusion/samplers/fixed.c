/*
 * Integrators with fixed steps: Euler-Maruyama of the reverse SDE, Heun and DPM-Solver++(2M) of the
 * probability-flow ODE.  Each has a table of coefficients, one row a step, and queues its steps from it.
 */
#include <math.h>
#include "diffusion/samplers/internal.h"

/* The row of the current step from its element `first` on. */
static ts_coefficients row(const ts_sampler *s, const ts_integrator *integrator, int first)
{
    return (ts_coefficients){
        .table = s->coefficients + first, .stride = integrator->width, .state = s->state};
}

/* sum_k c[k] x[k], c from element `first` of the row. */
static ts_status combine(ts_sampler *s, const ts_integrator *integrator, int first, int terms,
                         const float *const *x, float *y)
{
    const ts_coefficients c = row(s, integrator, first);
    return ts_sampler_combine(s, s->count, terms, &c, x, y);
}

static ts_status advance(ts_sampler *s)
{
    const ts_advance a = {.state = s->state};
    return s->k->advance(s->device, &a);
}

/* ---- Euler-Maruyama ----
 *
 * x <- x - h (f - g^2 score) + g sqrt(h) z with everything taken at the step's own time. */

static void euler_coefficients(const ts_sde *sde, int steps, const double *times, float *table)
{
    for (int i = 0; i < steps; i++) {
        const double t = times[i], h = t - times[i + 1], g2 = ts_sde_diffusion2(sde, t);
        table[3 * i] = (float)(1.0 - h * ts_sde_drift(sde, t));
        table[3 * i + 1] = (float)(-h * g2 / ts_sde_std(sde, t));
        table[3 * i + 2] = (float)sqrt(g2 * h);
    }
}

static ts_status queue_euler(void *context)
{
    const ts_sampler_step *step = context;
    ts_sampler *s = step->sampler;
    const float *net;
    TS_TRY(ts_sampler_evaluate(s, step->x, s->times, s->state, &net));
    const ts_sde_step a = {
        .count = s->count, .coefficients = s->coefficients, .state = s->state, .net = net, .x = step->x};
    TS_TRY(s->k->sde_step(s->device, &a));
    return advance(s);
}

const ts_integrator ts_euler_maruyama = {3, euler_coefficients, queue_euler};

/* ---- Heun's second-order method: an Euler step, then the trapezoidal rule with the slope at its end ---- */

static void heun_coefficients(const ts_sde *sde, int steps, const double *times, float *table)
{
    for (int i = 0; i < steps; i++) {
        const double t0 = times[i], t1 = times[i + 1], h = t1 - t0;
        const double drift = ts_sde_drift(sde, t1), factor = ts_sampler_ode_factor(sde, t1);
        const double c[] = {/* slope = drift x + factor net */
                            ts_sde_drift(sde, t0), ts_sampler_ode_factor(sde, t0),
                            /* end = x + h slope */
                            1.0, h,
                            /* x + h (slope + slope at the end)/2, the latter by drift and factor there */
                            1.0, 0.5 * h, 0.5 * h * drift, 0.5 * h * factor};
        for (int k = 0; k < 8; k++)
            table[8 * i + k] = (float)c[k];
    }
}

static ts_status queue_heun(void *context)
{
    const ts_sampler_step *step = context;
    ts_sampler *s = step->sampler;
    float *x = step->x, *slope = s->stage[0], *end = s->next;
    const float *net;
    TS_TRY(ts_sampler_evaluate(s, x, s->times, s->state, &net));
    TS_TRY(combine(s, &ts_heun, 0, 2, (const float *[]){x, net}, slope));
    TS_TRY(combine(s, &ts_heun, 2, 2, (const float *[]){x, slope}, end));
    TS_TRY(ts_sampler_evaluate(s, end, s->times + 1, s->state, &net));
    TS_TRY(combine(s, &ts_heun, 4, 4, (const float *[]){x, slope, end, net}, x));
    return advance(s);
}

const ts_integrator ts_heun = {8, heun_coefficients, queue_heun};

/* ---- DPM-Solver++(2M) ----
 *
 * Lu, Zhou, Bao, Chen, Li, Zhu 2022, Algorithm 2, in the data prediction D = (x - s net)/a: with
 * lambda = log(a/s) and h the step in it,
 *   x_i = s_i/s_{i-1} x_{i-1} - a_i (exp(-h) - 1) D',   D' = (1 + 1/2r) D_{i-1} - 1/2r D_{i-2},
 * r the ratio of the last two steps in lambda.  The first and the last step are of first order (D' = D). */

static void dpmpp2m_coefficients(const ts_sde *sde, int steps, const double *times, float *table)
{
    double last_step = 0.0;
    for (int i = 0; i < steps; i++) {
        const double a0 = ts_sde_mean(sde, times[i]), s0 = ts_sde_std(sde, times[i]);
        const double a1 = ts_sde_mean(sde, times[i + 1]), s1 = ts_sde_std(sde, times[i + 1]);
        const double h = log(a1 / s1) - log(a0 / s0), gain = -a1 * expm1(-h);
        const double extrapolation = i > 0 && i < steps - 1 ? 0.5 * h / last_step : 0.0;
        const double c[] = {1.0 / a0, -s0 / a0, s1 / s0, gain * (1.0 + extrapolation), -gain * extrapolation};
        for (int k = 0; k < 5; k++)
            table[5 * i + k] = (float)c[k];
        last_step = h;
    }
}

static ts_status queue_dpmpp2m(void *context)
{
    const ts_sampler_step *step = context;
    ts_sampler *s = step->sampler;
    float *x = step->x, *prediction = s->stage[0], *before = s->stage[1];
    const float *net;
    TS_TRY(ts_sampler_evaluate(s, x, s->times, s->state, &net));
    TS_TRY(combine(s, &ts_dpmpp2m, 0, 2, (const float *[]){x, net}, prediction));
    TS_TRY(combine(s, &ts_dpmpp2m, 2, 3, (const float *[]){x, prediction, before}, x));
    TS_TRY(s->k->copy(s->device, before, prediction, (size_t)s->count * sizeof *before));
    return advance(s);
}

const ts_integrator ts_dpmpp2m = {5, dpmpp2m_coefficients, queue_dpmpp2m};
