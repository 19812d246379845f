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
#define FINE   1e-7
#define COARSE 1e-5

typedef struct ode_test {
    golden *g;
    ts_device *device;
    ts_sampler *sampler;
    const ts_sde *sde;
    int n, h, w, c;
    int64_t count;
    golden_kind kind;
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
    golden_check(o->g, name, o->values, o->count, o->kind);
}

/* Evaluations of one solution beside SciPy's, which has the same steps: at 1e-5 to within a tenth.  At finer
 * tolerances rounding decides some of them. */
static void check_evaluations(ode_test *o, const char *key, double tolerance, int nfe)
{
    const char *theirs = golden_string(o->g, key);
    printf("     %d evaluations at rtol = atol = %g, SciPy's RK45: %s\n", nfe, tolerance,
           theirs ? theirs : "?");
    if (theirs && tolerance == COARSE)
        golden_check_evaluations(o->g, key, nfe);
}

static void check_sampling(ode_test *o, const char *name, const char *evaluations, double tolerance)
{
    const double eps = golden_number(o->g, "ode.eps");
    int nfe;
    load(o, "ode.xT", o->x);
    golden_must(ts_sampler_ode(o->sampler, o->T, eps, tolerance, tolerance, o->x, NULL, NULL, &nfe));
    check_images(o, name);
    check_evaluations(o, evaluations, tolerance, nfe);
}

/* From x0 to x_T, which is left in o->x and o->host.  Each [n]: the integral of the divergence, ln p_T(x_T),
 * bits per dimension. */
typedef struct likelihood {
    double *delta, *prior, *bits;
} likelihood;

static likelihood integrate(ode_test *o, double tolerance, const char *evaluations)
{
    const int64_t d = o->count / o->n;
    const double eps = golden_number(o->g, "likelihood.eps");
    const double sigma = golden_string(o->g, "likelihood.prior_std")
                             ? golden_number(o->g, "likelihood.prior_std")
                             : (o->sde->kind == TS_SDE_VE ? ts_sde_std(o->sde, o->T) : 1);
    const char *centered = golden_string(o->g, "centered");
    /* a level of 8 bits is 2^-8 of [0,1] and 2^-7 of [-1,1] */
    const double level = centered && strcmp(centered, "false") == 0 ? 8 : 7;
    likelihood l = {.delta = golden_allocate(3 * (size_t)o->n, sizeof(double))};
    int nfe;
    l.prior = l.delta + o->n;
    l.bits = l.prior + o->n;
    load(o, "x0", o->x);
    load(o, "likelihood.probe", o->probe);
    golden_must(ts_sampler_ode(o->sampler, eps, o->T, tolerance, tolerance, o->x, o->probe, l.delta, &nfe));
    golden_must(o->device->k->download(o->device, o->host, o->x, (size_t)o->count * sizeof(float)));
    golden_must(o->device->k->synchronize(o->device));
    for (int64_t i = 0; i < o->count; i++)
        l.prior[i / d] -= 0.5 * pow(o->host[i] / sigma, 2) + 0.5 * log(2 * M_PI * sigma * sigma);
    for (int i = 0; i < o->n; i++)
        l.bits[i] = -(l.prior[i] + l.delta[i]) / ((double)d * M_LN2) + level;
    check_evaluations(o, evaluations, tolerance, nfe);
    return l;
}

static void check_fine_likelihood(ode_test *o)
{
    /* the finest tolerance for which the file counts evaluations, else that of the larger files */
    char key[40] = "likelihood.nfe_rtol1e-7", candidate[40];
    double tolerance = FINE;
    for (int digits = 4; digits <= 9; digits++) {
        snprintf(candidate, sizeof candidate, "likelihood.nfe_rtol1e-%d", digits);
        if (golden_string(o->g, candidate)) {
            memcpy(key, candidate, sizeof key);
            tolerance = pow(10, -digits);
        }
    }
    likelihood l = integrate(o, tolerance, key);
    check_images(o, "likelihood.x_T");
    golden_check(o->g, "likelihood.delta_logp", l.delta, o->n, o->kind);
    golden_check(o->g, "likelihood.prior_logp", l.prior, o->n, o->kind);
    golden_check_absolute(o->g, "likelihood.bpd", l.bits, o->n, 1e-3);
    free(l.delta);
}

static void check_coarse_likelihood(ode_test *o)
{
    likelihood l = integrate(o, COARSE, "likelihood.nfe_rtol1e-5");
    golden_check_absolute(o->g, "likelihood.bpd_rtol1e-5", l.bits, o->n, 5e-3);
    free(l.delta);
}

/* What the file has of both tolerances.  `coarse`: of the finer one nothing. */
static void check_all(ode_test *o, bool coarse)
{
    static const char *const fine[] = {"ode.x_eps", "likelihood.x_T", "likelihood.delta_logp",
                                       "likelihood.prior_logp", "likelihood.bpd"};
    const golden *g = o->g;
    if (golden_has(g, "ode.x_eps_rtol1e-5"))
        check_sampling(o, "ode.x_eps_rtol1e-5", "ode.nfe_rtol1e-5", COARSE);
    if (golden_has(g, "likelihood.bpd_rtol1e-5"))
        check_coarse_likelihood(o);
    if (golden_has(g, "ode.x_eps") && !coarse)
        check_sampling(o, "ode.x_eps", "ode.nfe_rtol1e-7", FINE);
    if (golden_has(g, "likelihood.x_T") && !coarse)
        check_fine_likelihood(o);
    for (size_t i = 0; coarse && i < sizeof fine / sizeof *fine; i++)
        golden_leave(o->g, fine[i], "at a coarse tolerance");
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
    o.host = golden_allocate((size_t)o.count, sizeof *o.host);
    o.values = golden_allocate((size_t)o.count, sizeof *o.values);
    o.T = golden_number(g, "T");
    o.kind = g->rule ? GOLDEN_ROUGH_ODE : GOLDEN_ODE;
    const char *coarse = getenv("TSTAR_TEST_COARSE");
    check_all(&o, coarse && *coarse && strcmp(coarse, "0") && g->rule);
    ts_sampler_destroy(o.sampler);
    k->release(o.device, x);
    k->release(o.device, probe);
    free(o.host);
    free(o.values);
}
