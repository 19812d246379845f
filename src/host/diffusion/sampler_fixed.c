/*
 * Fixed-step integrators of the probability-flow ODE.
 */
#include <math.h>
#include "diffusion/sampler_internal.h"

/* Heun's second-order method: an Euler step, then the trapezoidal rule with the slope at its end. */
ts_status ts_sampler_heun(ts_sampler *sampler, int steps, const double *times, float *x)
{
    ts_sampler *s = sampler;
    for (int i = 0; i < steps; i++) {
        const double t0 = times[i], t1 = times[i + 1], h = t1 - t0;
        const double drift0 = ts_sde_drift(&s->sde, t0), factor0 = ts_sampler_flow_factor(&s->sde, t0);
        const double drift1 = ts_sde_drift(&s->sde, t1), factor1 = ts_sampler_flow_factor(&s->sde, t1);
        float *slope = s->stage[0], *end = s->next;
        const float *net;
        TS_TRY(ts_sampler_evaluate(s, x, &net));
        TS_TRY(ts_sampler_combine(s, s->count, 2, (double[]){drift0, factor0}, (const float *[]){x, net},
                                  slope));
        TS_TRY(ts_sampler_combine(s, s->count, 2, (double[]){1.0, h}, (const float *[]){x, slope}, end));
        TS_TRY(ts_sampler_advance(s));
        TS_TRY(ts_sampler_evaluate(s, end, &net));
        TS_TRY(ts_sampler_combine(s, s->count, 4,
                                  (double[]){1.0, 0.5 * h, 0.5 * h * drift1, 0.5 * h * factor1},
                                  (const float *[]){x, slope, end, net}, x));
    }
    return NULL;
}

/*
 * DPM-Solver++(2M) (Lu, Zhou, Bao, Chen, Li, Zhu 2022, Algorithm 2) in the data prediction
 * D = (x - s net)/a: with lambda = log(a/s) and h the step in it,
 *   x_i = s_i/s_{i-1} x_{i-1} - a_i (exp(-h) - 1) D',   D' = (1 + 1/2r) D_{i-1} - 1/2r D_{i-2},
 * r the ratio of the last two steps in lambda.  The first and the last step are of first order (D' = D).
 */
ts_status ts_sampler_dpmpp2m(ts_sampler *sampler, int steps, const double *times, float *x)
{
    ts_sampler *s = sampler;
    double last_step = 0.0;
    for (int i = 0; i < steps; i++) {
        const double a0 = ts_sde_mean(&s->sde, times[i]), s0 = ts_sde_std(&s->sde, times[i]);
        const double a1 = ts_sde_mean(&s->sde, times[i + 1]), s1 = ts_sde_std(&s->sde, times[i + 1]);
        const double h = log(a1 / s1) - log(a0 / s0), gain = -a1 * expm1(-h);
        const double extrapolation = i > 0 && i < steps - 1 ? 0.5 * h / last_step : 0.0;
        float *prediction = s->stage[i % 2], *before = s->stage[(i + 1) % 2];
        const float *net;
        TS_TRY(ts_sampler_evaluate(s, x, &net));
        TS_TRY(ts_sampler_combine(s, s->count, 2, (double[]){1.0 / a0, -s0 / a0}, (const float *[]){x, net},
                                  prediction));
        TS_TRY(ts_sampler_combine(s, s->count, i ? 3 : 2,
                                  (double[]){s1 / s0, gain * (1.0 + extrapolation), -gain * extrapolation},
                                  (const float *[]){x, prediction, before}, x));
        TS_TRY(ts_sampler_advance(s));
        last_step = h;
    }
    return NULL;
}
