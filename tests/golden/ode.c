/*
 * Golden checks of the probability-flow ODE with a network: sampling, and the likelihood with a given
 * Hutchinson probe.  The references were integrated in double precision at rtol = atol = 1e-7.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "diffusion/samplers/sampler.h"
#include "golden.h"

/* As the references: with atol beside it, just within what float32 states can honour. */
#define FINE 1e-7

typedef struct ode_test {
    golden *g;
    ts_device *device;
    ts_sampler *sampler;
    const ts_sde *sde;
    int n, h, w, c;
    int64_t count;
    double T;
    float *x, *probe; /* device [n,h,w,c] */
    float *host;
    double *values;
} ode_test;

/* A tensor of images from the file to the device. */
static void load(ode_test *o, const char *name, float *to)
{
    double *values;
    int64_t shape[8];
    const int64_t count = golden_read(o->g, name, &values, shape);
    if (count != o->count) {
        fprintf(stderr, "%s: %lld elements, %lld are needed\n", name, (long long)count, (long long)o->count);
        exit(1);
    }
    golden_to_nhwc(values, o->n, o->c, o->h, o->w, o->host);
    free(values);
    golden_must(o->device->k->upload(o->device, to, o->host, (size_t)count * sizeof(float)));
}

static void check_images(ode_test *o, const char *name)
{
    golden_must(o->device->k->download(o->device, o->host, o->x, (size_t)o->count * sizeof(float)));
    golden_must(o->device->k->synchronize(o->device));
    golden_to_nchw(o->host, o->n, o->c, o->h, o->w, o->values);
    golden_check(o->g, name, o->values, o->count, GOLDEN_ODE);
}

static void check_sampling(ode_test *o, const char *name, double tolerance)
{
    const double eps = golden_number(o->g, "ode.eps");
    int nfe;
    load(o, "ode.xT", o->x);
    golden_must(ts_sampler_ode(o->sampler, o->T, eps, tolerance, tolerance, o->x, NULL, NULL, &nfe));
    check_images(o, name);
    printf("     %d evaluations at rtol = atol = %g\n", nfe, tolerance);
}

static void check_likelihood(ode_test *o)
{
    const double eps = golden_number(o->g, "likelihood.eps"), d = (double)(o->count / o->n);
    const double sigma = o->sde->kind == TS_SDE_VE ? ts_sde_std(o->sde, o->T) : 1.0;
    const char *centered = golden_string(o->g, "centered");
    /* a level of 8 bits is 2^-8 of [0,1] and 2^-7 of [-1,1] */
    const double bits = centered && strcmp(centered, "false") == 0 ? 8 : 7;
    double *delta = calloc((size_t)o->n, sizeof *delta), *prior = calloc((size_t)o->n, sizeof *prior);
    double *bpd = calloc((size_t)o->n, sizeof *bpd);
    int nfe;
    if (!delta || !prior || !bpd)
        golden_must(ts_error(TS_NO_MEMORY, "golden: out of memory"));
    load(o, "x0", o->x);
    load(o, "likelihood.probe", o->probe);
    golden_must(ts_sampler_ode(o->sampler, eps, o->T, FINE, FINE, o->x, o->probe, delta, &nfe));
    check_images(o, "likelihood.x_T");
    printf("     %d evaluations at rtol = atol = %g, SciPy's RK45: %s\n", nfe, FINE,
           golden_string(o->g, "likelihood.nfe_rtol1e-7") ? golden_string(o->g, "likelihood.nfe_rtol1e-7")
                                                          : "?");
    for (int64_t i = 0; i < o->count; i++)
        prior[i / (o->count / o->n)] -=
            0.5 * pow(o->host[i] / sigma, 2) + 0.5 * log(2 * M_PI * sigma * sigma);
    for (int i = 0; i < o->n; i++)
        bpd[i] = -(prior[i] + delta[i]) / (d * M_LN2) + bits;
    golden_check(o->g, "likelihood.delta_logp", delta, o->n, GOLDEN_ODE);
    golden_check(o->g, "likelihood.prior_logp", prior, o->n, GOLDEN_ODE);
    golden_check(o->g, "likelihood.bpd", bpd, o->n, GOLDEN_BITS);
    free(delta);
    free(prior);
    free(bpd);
}

void golden_ode(golden *g, ts_score *score, const ts_sde *sde, int h, int w, int c)
{
    ode_test o = {.g = g, .device = score->device, .sde = sde, .n = score->n, .h = h, .w = w, .c = c};
    const ts_kernels *k = o.device->k;
    void *x, *probe;
    o.count = (int64_t)o.n * h * w * c;
    golden_must(k->allocate(o.device, (size_t)o.count * sizeof(float), &x));
    golden_must(k->allocate(o.device, (size_t)o.count * sizeof(float), &probe));
    golden_must(ts_sampler_create(score, sde, &o.sampler));
    o.x = x;
    o.probe = probe;
    o.host = malloc((size_t)o.count * sizeof *o.host);
    o.values = malloc((size_t)o.count * sizeof *o.values);
    if (!o.host || !o.values)
        golden_must(ts_error(TS_NO_MEMORY, "golden: out of memory"));
    o.T = golden_number(g, "T");
    if (golden_has(g, "ode.xT")) {
        check_sampling(&o, "ode.x_eps", FINE);
        if (golden_has(g, "ode.x_eps_rtol1e-5")) {
            check_sampling(&o, "ode.x_eps_rtol1e-5", 1e-5);
            printf("     SciPy's RK45: %.0f\n", golden_number(g, "ode.nfe_rtol1e-5"));
        }
    }
    if (golden_has(g, "likelihood.probe"))
        check_likelihood(&o);
    ts_sampler_destroy(o.sampler);
    k->release(o.device, x);
    k->release(o.device, probe);
    free(o.host);
    free(o.values);
}
