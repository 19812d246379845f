/*
 * Predictor and corrector of Song et al. 2021 (algorithms 1 to 5): at each time Langevin steps, then one step of
 * reverse diffusion.  A Langevin step's length goes by the means over the batch of the norms of noise and score,
 * so samples depend on the batch that they are drawn in.
 */
#include <math.h>
#include "diffusion/samplers/internal.h"

void ts_reverse_diffusion_coefficients(ts_sde_kind kind, double added, double s_t, double c[3])
{
    c[0] = kind == TS_SDE_VE ? 1.0 : 2.0 - sqrt(1.0 - added);
    c[1] = -added / s_t;
    c[2] = sqrt(added);
}

/* step = 2 alpha (snr |z|/|score|)^2, x + step score + sqrt(2 step) z, score = -net/s_t. */
void ts_langevin_coefficients(double alpha, double snr, double s_t, double c[2])
{
    c[0] = -2.0 * alpha * snr * snr * s_t;
    c[1] = 2.0 * sqrt(alpha) * snr * s_t;
}

/* Sub-VP has no discrete chain that it is the limit of: Euler-Maruyama predicts. */
static void predict(const ts_sde *sde, double t, double u, double c[3])
{
    const double s_t = ts_sde_std(sde, t), s_u = ts_sde_std(sde, u);
    const double integral = ts_sde_beta_integral(sde, t) - ts_sde_beta_integral(sde, u);
    if (sde->kind == TS_SDE_SUBVP) {
        const double added = (t - u) * ts_sde_diffusion2(sde, t);
        c[0] = 1.0 - (t - u) * ts_sde_drift(sde, t);
        c[1] = -added / s_t;
        c[2] = sqrt(added);
    } else
        ts_reverse_diffusion_coefficients(
            sde->kind, sde->kind == TS_SDE_VE ? s_t * s_t - s_u * s_u : -expm1(-integral), s_t, c);
}

static void coefficients(const ts_sde *sde, const ts_sampler_config *config, const double *times,
                         double *starts, float *table)
{
    (void)starts;
    for (int i = 0; i < config->steps; i++) {
        const double t = times[i], u = times[i + 1];
        const double integral = ts_sde_beta_integral(sde, t) - ts_sde_beta_integral(sde, u);
        double c[5];
        ts_langevin_coefficients(sde->kind == TS_SDE_VE ? 1.0 : exp(-integral), config->snr,
                                 ts_sde_std(sde, t), c);
        predict(sde, t, u, c + 2);
        for (int k = 0; k < 5; k++)
            table[5 * i + k] = (float)c[k];
    }
}

/* out [n] = the squared norms of the rows of x. */
static ts_status squared_norms(ts_sampler *s, const float *x, double *out)
{
    const ts_row_dot a = {.n = s->n, .d = s->d, .x = x, .y = x, .out = out};
    return s->k->row_dot(s->device, &a);
}

static ts_status queue_correction(ts_sampler *s, int index, float *x)
{
    float *noise = s->stage[0];
    double *net_squared = s->results + 1, *z_squared = net_squared + s->n;
    const float *net;
    TS_TRY(ts_sampler_evaluate(s, x, s->times, s->state, &net));
    TS_TRY(ts_sampler_noise(s, TS_STREAM_CORRECTOR + (uint32_t)index, noise));
    TS_TRY(squared_norms(s, net, net_squared));
    TS_TRY(squared_norms(s, noise, z_squared));
    const ts_langevin_scale a = {.n = s->n,
                                 .c = ts_sampler_row_at(s, &ts_predictor_corrector, 0),
                                 .net_squared = net_squared,
                                 .z_squared = z_squared,
                                 .out = s->scales};
    TS_TRY(s->k->langevin_scale(s->device, &a));
    const ts_coefficients c = {.table = s->scales};
    return ts_sampler_combine(s, s->count, 3, &c, (const float *[]){x, net, noise}, x);
}

static ts_status queue(void *context)
{
    const ts_sampler_step *step = context;
    ts_sampler *s = step->sampler;
    float *x = step->x, *noise = s->stage[0];
    const float *net;
    for (int i = 0; i < s->frozen.corrector_steps; i++)
        TS_TRY(queue_correction(s, i, x));
    TS_TRY(ts_sampler_evaluate(s, x, s->times, s->state, &net));
    TS_TRY(ts_sampler_noise(s, TS_STREAM_SAMPLER, noise));
    TS_TRY(ts_sampler_combine_row(s, &ts_predictor_corrector, 2, 3, (const float *[]){x, net, noise}, x));
    return ts_sampler_advance(s);
}

const ts_integrator ts_predictor_corrector = {5, coefficients, queue};
