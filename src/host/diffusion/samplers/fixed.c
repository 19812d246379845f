/*
 * Integrators with fixed steps: Euler-Maruyama of the reverse SDE, the ancestral chain, Heun and
 * DPM-Solver++(2M) of the probability-flow ODE.  Each has a table of coefficients, one row a step, and queues its
 * steps from it.
 */
#include <math.h>
#include "diffusion/samplers/internal.h"

/* ---- Euler-Maruyama ----
 *
 * x <- x - h (f - g^2 score) + g sqrt(h) z with everything taken at the step's own time. */

static void euler_coefficients(const ts_sde *sde, const ts_sampler_config *config, const double *times,
                               double *starts, float *table)
{
    (void)starts;
    for (int i = 0; i < config->steps; i++) {
        const double t = times[i], h = t - times[i + 1], g2 = ts_sde_diffusion2(sde, t);
        table[3 * i] = (float)(1.0 - h * ts_sde_drift(sde, t));
        table[3 * i + 1] = (float)(-h * g2 / ts_sde_std(sde, t));
        table[3 * i + 2] = (float)sqrt(g2 * h);
    }
}

/* A step of the three coefficients of x, net and its noise. */
static ts_status queue_noisy_step(void *context)
{
    const ts_sampler_step *step = context;
    ts_sampler *s = step->sampler;
    const float *net;
    TS_TRY(ts_sampler_evaluate(s, step->x, s->times, s->state, &net));
    const ts_sde_step a = {
        .count = s->count, .coefficients = s->coefficients, .state = s->state, .net = net, .x = step->x};
    TS_TRY(s->k->sde_step(s->device, &a));
    return ts_sampler_advance(s);
}

const ts_integrator ts_euler_maruyama = {3, euler_coefficients, queue_noisy_step};

/* ---- the ancestral chain (Ho, Jain, Abbeel 2020; Kingma, Salimans, Poole, Ho 2021) ----
 *
 * Its mean (a' s_u^2/s_t^2) x + (a_u v/s_t^2) x0, with v = s_t^2 - a'^2 s_u^2, a' the decay and
 * x0 = (x - s_t net)/a_t, comes to (x - (v/s_t) net)/a'. */

void ts_ancestral_coefficients(double decay, double s_t, double s_u, double c[3])
{
    const double v = s_t * s_t - decay * decay * s_u * s_u;
    c[0] = 1.0 / decay;
    c[1] = -v / (s_t * decay);
    c[2] = s_u * sqrt(v) / s_t;
}

static void ancestral_coefficients(const ts_sde *sde, const ts_sampler_config *config, const double *times,
                                   double *starts, float *table)
{
    (void)starts;
    for (int i = 0; i < config->steps; i++) {
        const double t = times[i], u = times[i + 1];
        double c[3];
        ts_ancestral_coefficients(ts_sde_mean(sde, t) / ts_sde_mean(sde, u), ts_sde_std(sde, t),
                                  ts_sde_std(sde, u), c);
        for (int k = 0; k < 3; k++)
            table[3 * i + k] = (float)c[k];
    }
}

const ts_integrator ts_ancestral = {3, ancestral_coefficients, queue_noisy_step};

/* ---- Heun's second-order method: an Euler step, then the trapezoidal rule with the slope at its end ---- */

static void heun_coefficients(const ts_sde *sde, const ts_sampler_config *config, const double *times,
                              double *starts, float *table)
{
    (void)starts;
    for (int i = 0; i < config->steps; i++) {
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
    TS_TRY(ts_sampler_combine_row(s, &ts_heun, 0, 2, (const float *[]){x, net}, slope));
    TS_TRY(ts_sampler_combine_row(s, &ts_heun, 2, 2, (const float *[]){x, slope}, end));
    TS_TRY(ts_sampler_evaluate(s, end, s->times + 1, s->state, &net));
    TS_TRY(ts_sampler_combine_row(s, &ts_heun, 4, 4, (const float *[]){x, slope, end, net}, x));
    return ts_sampler_advance(s);
}

const ts_integrator ts_heun = {8, heun_coefficients, queue_heun};

/* ---- DPM-Solver++(2M) ----
 *
 * Lu, Zhou, Bao, Chen, Li, Zhu 2022, Algorithm 2, in the data prediction D = (x - s net)/a: with
 * lambda = log(a/s) and h the step in it,
 *   x_i = s_i/s_{i-1} x_{i-1} - a_i (exp(-h) - 1) D',   D' = (1 + 1/2r) D_{i-1} - 1/2r D_{i-2},
 * r the ratio of the last two steps in lambda.  The first and the last step are of first order (D' = D). */

static void dpmpp2m_coefficients(const ts_sde *sde, const ts_sampler_config *config, const double *times,
                                 double *starts, float *table)
{
    const int steps = config->steps;
    (void)starts;
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
    TS_TRY(ts_sampler_combine_row(s, &ts_dpmpp2m, 0, 2, (const float *[]){x, net}, prediction));
    TS_TRY(ts_sampler_combine_row(s, &ts_dpmpp2m, 2, 3, (const float *[]){x, prediction, before}, x));
    TS_TRY(s->k->copy(s->device, before, prediction, (size_t)s->count * sizeof *before));
    return ts_sampler_advance(s);
}

const ts_integrator ts_dpmpp2m = {5, dpmpp2m_coefficients, queue_dpmpp2m};
