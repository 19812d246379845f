/* Start densities in closed form: the normal and the exact mixture at T. */
#include <math.h>
#include <stdlib.h>
#include "diffusion/buffer.h"
#include "diffusion/densities/density.h"

void ts_density_destroy(ts_density *density)
{
    if (density)
        density->destroy(density);
}

/* ---- N(0, sigma^2 I) ---- */

typedef struct normal_density {
    ts_density base;
    double sigma;
} normal_density;

static ts_status normal_sample(ts_density *density, const ts_step_state *state, float *x)
{
    normal_density *m = (normal_density *)density;
    ts_device *device = density->device;
    const int64_t count = (int64_t)density->n * density->d;
    ts_fill_random a = {.count = count,
                        .scale = (float)m->sigma,
                        .stream = TS_STREAM_START,
                        .state = state,
                        .out = x,
                        .wide = true};
    return device->k->fill_random(device, &a);
}

static ts_status normal_log_prob(ts_density *density, const float *x, double *log_prob)
{
    const normal_density *m = (const normal_density *)density;
    ts_normal_log_prob a = {.n = density->n, .d = density->d, .sigma = m->sigma, .x = x, .out = log_prob};
    return density->device->k->normal_log_prob(density->device, &a);
}

/*
 * -d/2 ln(2 pi sigma^2) - (a^2 |x0|^2 + d s^2) / (2 sigma^2).  a^2 |x0|^2 / sigma^2 is what the log-density of
 * N(0, (sigma / a)^2 I) at x0 itself has, so that a x0 is never rounded to float32; what that density has
 * beside it, d ln a, goes into the constant.
 */
static ts_status normal_expected_log_prob(ts_density *density, double a, double s, const float *x0,
                                          double *values, double *constant)
{
    const normal_density *m = (const normal_density *)density;
    const double factor = fmax(a, 1e-100); /* its square is nothing, and sigma over it still has one */
    const ts_normal_log_prob log_prob = {
        .n = density->n, .d = density->d, .sigma = m->sigma / factor, .x = x0, .out = values};
    *constant = -density->d * (log(factor) + 0.5 * s * s / (m->sigma * m->sigma));
    return density->device->k->normal_log_prob(density->device, &log_prob);
}

static void normal_destroy(ts_density *density)
{
    free(density);
}

ts_status ts_density_normal(ts_device *device, int n, int d, double sigma, ts_density **density)
{
    *density = NULL;
    if (n < 1 || d < 1)
        return ts_error(TS_INVALID, "normal density: a batch of %d in %d dimensions", n, d);
    if (!(sigma > 0))
        return ts_error(TS_INVALID, "normal density: its standard deviation is %g; it must be positive",
                        sigma);
    if (!device->k->fill_random || !device->k->normal_log_prob)
        return ts_error(TS_UNSUPPORTED, "normal density: the %s device lacks its operations",
                        device->k->name);
    normal_density *m = calloc(1, sizeof *m);
    if (!m)
        return ts_error(TS_NO_MEMORY, "normal density: out of memory");
    m->base = (ts_density){.name = "normal",
                           .device = device,
                           .n = n,
                           .d = d,
                           .sample = normal_sample,
                           .log_prob = normal_log_prob,
                           .expected_log_prob = normal_expected_log_prob,
                           .destroy = normal_destroy};
    m->sigma = sigma;
    *density = &m->base;
    return NULL;
}

/* ---- the exact mixture at T ---- */

typedef struct mixture_density {
    ts_density base;
    ts_mixture_view view;
    ts_sde sde;
    double T;
    float *t;     /* device, [n], all T */
    float *noise; /* device, [n,d]; NULL until it is asked for */
} mixture_density;

static ts_status mixture_sample(ts_density *density, const ts_step_state *state, float *x)
{
    const mixture_density *m = (const mixture_density *)density;
    ts_mixture_sample a = {.n = density->n,
                           .sde = m->sde,
                           .t = m->T,
                           .mixture = m->view,
                           .state = state,
                           .stream = TS_STREAM_START,
                           .x = x};
    return density->device->k->mixture_sample(density->device, &a);
}

static ts_status mixture_log_prob(ts_density *density, const float *x, double *log_prob)
{
    const mixture_density *m = (const mixture_density *)density;
    ts_mixture_evaluate a = {
        .n = density->n, .sde = m->sde, .mixture = m->view, .x = x, .t = m->t, .log_prob = log_prob};
    return density->device->k->mixture_evaluate(density->device, &a);
}

/* The device gives that of its own s, which is another where the mixture is not carried to T but was fitted there. */
static ts_status mixture_noise(ts_density *density, double s, const float *x, const float **noise)
{
    mixture_density *m = (mixture_density *)density;
    ts_device *device = density->device;
    const int64_t count = (int64_t)density->n * density->d;
    if (!m->noise)
        TS_TRY(ts_buffer_floats(device, (size_t)count, &m->noise));
    const ts_mixture_evaluate evaluate = {
        .n = density->n, .sde = m->sde, .mixture = m->view, .x = x, .t = m->t, .net = m->noise};
    const ts_linear_combine to_s = {.count = count,
                                    .terms = 1,
                                    .c.value = {(float)(s / ts_sde_std(&m->sde, (double)(float)m->T))},
                                    .x = {m->noise},
                                    .y = m->noise};
    *noise = m->noise;
    TS_TRY(device->k->mixture_evaluate(device, &evaluate));
    return device->k->linear_combine(device, &to_s);
}

static void mixture_destroy(ts_density *density)
{
    mixture_density *m = (mixture_density *)density;
    density->device->k->release(density->device, m->t);
    if (m->noise)
        density->device->k->release(density->device, m->noise);
    free(m);
}

ts_status ts_density_mixture(const ts_mixture *mixture, const ts_sde *sde, double T, int n,
                             ts_density **density)
{
    ts_device *device = mixture->device;
    *density = NULL;
    if (n < 1)
        return ts_error(TS_INVALID, "mixture density: a batch of %d", n);
    if (!(T >= 0 && T <= 1))
        return ts_error(TS_INVALID, "mixture density: T is %g; it must be in [0, 1]", T);
    if (!device->k->mixture_evaluate || !device->k->mixture_sample)
        return ts_error(TS_UNSUPPORTED, "mixture density: the %s device lacks its operations",
                        device->k->name);
    mixture_density *m = calloc(1, sizeof *m);
    if (!m)
        return ts_error(TS_NO_MEMORY, "mixture density: out of memory");
    m->base = (ts_density){.name = "mixture",
                           .device = device,
                           .n = n,
                           .d = mixture->d,
                           .sample = mixture_sample,
                           .log_prob = mixture_log_prob,
                           .noise = mixture_noise,
                           .destroy = mixture_destroy};
    m->view = mixture->view;
    m->sde = *sde;
    m->T = T;
    ts_status status = ts_buffer_fill(device, (size_t)n, (float)T, &m->t);
    if (status) {
        mixture_destroy(&m->base);
        return ts_context(status, "mixture density");
    }
    *density = &m->base;
    return NULL;
}
