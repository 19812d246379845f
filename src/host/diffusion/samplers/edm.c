/*
 * Heun's method in sigma with churn: Karras, Aittala, Aila, Laine, "Elucidating the Design Space of
 * Diffusion-Based Generative Models", 2022, algorithm 2.  In y = x/a and sigma = s/a the probability-flow ODE of
 * every SDE is dy/dsigma = net.  x itself is kept, so that the start and the end are those of other samplers;
 * the last step ends at sigma(eps) and is of second order like the rest.
 */
#include <math.h>
#include "diffusion/samplers/internal.h"

static double sigma_at(const ts_sde *sde, double t)
{
    return ts_sde_std(sde, t) / ts_sde_mean(sde, t);
}

/* sigma of step i, raised for its first evaluation, but never past where the process began. */
static double churned(const ts_sampler_config *config, double sigma, double largest)
{
    const bool within =
        sigma >= config->churn_min && (config->churn_max == 0.0 || sigma <= config->churn_max);
    const double gamma = within ? fmin(config->churn / config->steps, sqrt(2.0) - 1.0) : 0.0;
    return fmin(sigma * (1.0 + gamma), largest);
}

/* With noise: x <- c0 x + c1 z.  Euler: end = c2 x + c3 slope.  The trapezoidal rule: c4 x + c5 slope + c6 slope at
 * the end. */
static void coefficients(const ts_sde *sde, const ts_sampler_config *config, const double *times,
                         double *starts, float *table)
{
    const double largest = sigma_at(sde, times[0]);
    for (int i = 0; i < config->steps; i++) {
        const double sigma = sigma_at(sde, times[i]), raised = churned(config, sigma, largest);
        /* sigma^2 is exp(Lambda) times a constant */
        if (raised > sigma)
            starts[i] =
                fmin(ts_sde_lambda_inverse(sde, ts_sde_lambda(sde, times[i]) + 2.0 * log(raised / sigma)),
                     times[0]);
        const double a = ts_sde_mean(sde, starts[i]), end = ts_sde_mean(sde, times[i + 1]);
        const double h = sigma_at(sde, times[i + 1]) - sigma_at(sde, starts[i]);
        const double noise =
            raised > sigma ? config->churn_noise * sqrt(raised * raised - sigma * sigma) : 0.0;
        const double c[] = {a / ts_sde_mean(sde, times[i]),
                            a * noise,
                            end / a,
                            end * h,
                            end / a,
                            0.5 * end * h,
                            0.5 * end * h};
        for (int k = 0; k < 7; k++)
            table[7 * i + k] = (float)c[k];
    }
}

static ts_status queue(void *context)
{
    const ts_sampler_step *step = context;
    ts_sampler *s = step->sampler;
    float *x = step->x, *noise = s->stage[0], *slope = s->stage[2], *end = s->next;
    const float *net;
    TS_TRY(ts_sampler_noise(s, TS_STREAM_SAMPLER, noise));
    TS_TRY(ts_sampler_combine_row(s, &ts_edm, 0, 2, (const float *[]){x, noise}, x));
    TS_TRY(ts_sampler_evaluate(s, x, s->starts, s->state, &net));
    TS_TRY(s->k->copy(s->device, slope, net, (size_t)s->count * sizeof *slope));
    TS_TRY(ts_sampler_combine_row(s, &ts_edm, 2, 2, (const float *[]){x, slope}, end));
    TS_TRY(ts_sampler_evaluate(s, end, s->times + 1, s->state, &net));
    TS_TRY(ts_sampler_combine_row(s, &ts_edm, 4, 3, (const float *[]){x, slope, net}, x));
    return ts_sampler_advance(s);
}

const ts_integrator ts_edm = {7, coefficients, queue};
