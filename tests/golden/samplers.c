/*
 * Golden samplers on exact mixtures: laws, scores, and what each sampler makes of given points with given noise.
 *
 * Runs on the engine's own grids go through ts_sampler_run; score_sde's chains, whose tables hold its own
 * discrete betas, and DPM-Solver++ without a first-order last step are queued from a table that is made here, of
 * the engine's formulas.  The noise of the file takes the place of the device's.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "diffusion/samplers/internal.h"
#include "golden.h"

/* One mixture under one SDE; every name in the file begins with `prefix`. */
typedef struct chain {
    golden *g;
    ts_device *device;
    const char *prefix; /* "2d.vp." */
    ts_sde sde;
    double T, eps;
    int steps, n, d, components;
    int64_t count;
    double *weights, *means, *covariances;
    ts_mixture *mixture;
    ts_score *score;
    ts_sampler *sampler;
    float *x;       /* device [n,d] */
    double *values; /* host [n,d] */
} chain;

/* ---- noise ---- */

/* What the device draws instead: noise [step][n,d] of a sampler's own stream and of its corrector's, and how many
 * of the first steps have it; later ones have none. */
static struct {
    const ts_kernels *real;
    const float *sampler, *corrector;
    int64_t count;
    int step, noisy_steps;
    float *silence; /* device [n,d] */
} injected;

static const float *of_this_step(const float *noise)
{
    return injected.step < injected.noisy_steps ? noise + injected.step * injected.count : injected.silence;
}

static ts_status fill(ts_device *device, const ts_fill_random *a)
{
    const float *noise = a->stream == TS_STREAM_SAMPLER ? of_this_step(injected.sampler)
                                                        : injected.corrector + injected.step * injected.count;
    return injected.real->copy(device, a->out, noise, (size_t)a->count * sizeof(float));
}

static ts_status step(ts_device *device, const ts_sde_step *a)
{
    const ts_linear_combine sum = {.count = a->count,
                                   .terms = 3,
                                   .c = {.table = a->coefficients, .stride = 3, .state = a->state},
                                   .x = {a->x, a->net, of_this_step(injected.sampler)},
                                   .y = a->x};
    return injected.real->linear_combine(device, &sum);
}

static ts_status advance(ts_device *device, const ts_advance *a)
{
    injected.step++;
    return injected.real->advance(device, a);
}

/* ---- tensors ---- */

static const char *name_of(const chain *c, const char *what)
{
    static char name[96];
    snprintf(name, sizeof name, "%s%s", c->prefix, what);
    return name;
}

static double *read_exactly(const chain *c, const char *name, int64_t count)
{
    double *values;
    if (golden_read(c->g, name, &values, NULL) != count)
        golden_must(ts_error(TS_FORMAT, "%s should have %lld elements", name, (long long)count));
    return values;
}

static float *on_device(const chain *c, const double *values, int64_t count)
{
    float *host = golden_allocate((size_t)count, sizeof *host);
    void *memory;
    for (int64_t i = 0; i < count; i++)
        host[i] = (float)values[i];
    golden_must(c->device->k->allocate(c->device, (size_t)count * sizeof *host, &memory));
    golden_must(c->device->k->upload(c->device, memory, host, (size_t)count * sizeof *host));
    free(host);
    return memory;
}

/* [rows][n,d] of the file in device memory; release it. */
static float *load(const chain *c, const char *what, int rows)
{
    double *values = read_exactly(c, name_of(c, what), rows * c->count);
    float *memory = on_device(c, values, rows * c->count);
    free(values);
    return memory;
}

static void start_at(chain *c, const char *what)
{
    float *x = load(c, what, 1);
    golden_must(c->device->k->copy(c->device, c->x, x, (size_t)c->count * sizeof *x));
    golden_must(c->device->k->synchronize(c->device));
    c->device->k->release(c->device, x);
}

/* scale x against the tensor. */
static void check(chain *c, const char *what, const float *x, double scale)
{
    float *host = golden_allocate((size_t)c->count, sizeof *host);
    golden_must(c->device->k->download(c->device, host, x, (size_t)c->count * sizeof *host));
    golden_must(c->device->k->synchronize(c->device));
    for (int64_t i = 0; i < c->count; i++)
        c->values[i] = scale * (double)host[i];
    free(host);
    golden_check(c->g, name_of(c, what), c->values, c->count, GOLDEN_ODE);
}

/* ---- laws ---- */

static void check_law(chain *c, const char *means, const char *covariances, double t)
{
    const double a = ts_sde_mean(&c->sde, t), s = ts_sde_std(&c->sde, t);
    const int k = c->components, d = c->d;
    double *values = golden_allocate((size_t)k * (size_t)(d * d), sizeof *values);
    for (int i = 0; i < k * d; i++)
        values[i] = a * c->means[i];
    golden_check_absolute(c->g, name_of(c, means), values, (int64_t)k * d, 1e-9);
    for (int i = 0; i < k * d * d; i++)
        values[i] = a * a * c->covariances[i] + (i % (d * d) % (d + 1) == 0 ? s * s : 0);
    golden_check_absolute(c->g, name_of(c, covariances), values, (int64_t)k * d * d, 1e-9);
    free(values);
}

static void check_score(chain *c)
{
    float *t;
    double *times = golden_allocate((size_t)c->n, sizeof *times);
    const float *net;
    void *log_prob;
    for (int i = 0; i < c->n; i++)
        times[i] = c->T;
    t = on_device(c, times, c->n);
    start_at(c, "xT");
    golden_must(c->score->evaluate(c->score, c->x, t, &net));
    check(c, "score_xT", net, -1 / ts_sde_std(&c->sde, c->T));
    golden_must(c->device->k->allocate(c->device, (size_t)c->n * sizeof(double), &log_prob));
    const ts_mixture_evaluate a = {
        .n = c->n, .sde = c->sde, .mixture = c->mixture->view, .x = c->x, .t = t, .log_prob = log_prob};
    golden_must(c->device->k->mixture_evaluate(c->device, &a));
    golden_must(c->device->k->download(c->device, times, log_prob, (size_t)c->n * sizeof(double)));
    golden_must(c->device->k->synchronize(c->device));
    golden_check(c->g, name_of(c, "logp_xT"), times, c->n, GOLDEN_FORWARD);
    c->device->k->release(c->device, t);
    c->device->k->release(c->device, log_prob);
    free(times);
}

/* ---- runs ---- */

static void inject(const chain *c, const float *sampler, const float *corrector, int noisy_steps)
{
    injected.sampler = sampler;
    injected.corrector = corrector;
    injected.count = c->count;
    injected.step = 0;
    injected.noisy_steps = noisy_steps;
}

static void run(chain *c, ts_sampler_kind kind, bool denoise)
{
    const ts_sampler_config config = {.kind = kind,
                                      .T = c->T,
                                      .eps = c->eps,
                                      .steps = c->steps,
                                      .rtol = 1e-6,
                                      .atol = 1e-6,
                                      .denoise = denoise};
    int nfe;
    start_at(c, "xT");
    injected.step = 0;
    golden_must(ts_sampler_run(c->sampler, &config, 1, 0, c->x, &nfe));
}

/* The grid of the last run. */
static void check_times(chain *c, const char *what)
{
    const int64_t count = c->steps + 1;
    float *host = golden_allocate((size_t)count, sizeof *host);
    double *times = golden_allocate((size_t)count, sizeof *times);
    golden_must(c->device->k->download(c->device, host, c->sampler->times, (size_t)count * sizeof *host));
    golden_must(c->device->k->synchronize(c->device));
    for (int64_t i = 0; i < count; i++)
        times[i] = (double)host[i];
    golden_check_absolute(c->g, name_of(c, what), times, count, 1e-6);
    free(host);
    free(times);
}

/* The integrator's steps by a table of rows of its width, the times of its evaluations beside them. */
static void queue_table(chain *c, const ts_integrator *integrator, int steps, const double *times,
                        const float *table)
{
    const ts_step_state state = {.seed = 1};
    ts_sampler *s = c->sampler;
    const ts_kernels *k = c->device->k;
    float *host = golden_allocate((size_t)steps, sizeof *host);
    for (int i = 0; i < steps; i++)
        host[i] = (float)times[i];
    if (steps > s->steps)
        golden_must(ts_error(TS_INVALID, "the sampler has room for %d steps", s->steps));
    golden_must(k->upload(c->device, s->coefficients, table,
                          (size_t)steps * (size_t)integrator->width * sizeof *table));
    golden_must(k->upload(c->device, s->times, host, (size_t)steps * sizeof *host));
    golden_must(k->upload(c->device, s->state, &state, sizeof state));
    golden_must(k->zero(c->device, s->stage[1], (size_t)c->count * sizeof(float)));
    injected.step = 0;
    for (int i = 0; i < steps; i++)
        golden_must(integrator->queue(&(ts_sampler_step){s, c->x}));
    golden_must(k->synchronize(c->device));
    free(host);
}

static void check_ode_samplers(chain *c)
{
    double *times = read_exactly(c, name_of(c, "dpmpp2m.t"), c->steps + 1);
    ts_sampler_config config = {.steps = c->steps + 1};
    double *longer = golden_allocate((size_t)c->steps + 2, sizeof *longer);
    float *table = golden_allocate((size_t)(c->steps + 1) * TS_SAMPLER_WIDTH, sizeof *table);
    run(c, TS_SAMPLER_RK45, false);
    check(c, "ode.x_eps", c->x, 1);
    run(c, TS_SAMPLER_HEUN, false);
    check_times(c, "heun.t");
    check(c, "heun.x_eps", c->x, 1);
    run(c, TS_SAMPLER_DPMPP2M, false); /* its last step is of first order: the grid alone is the file's */
    check_times(c, "dpmpp2m.t");
    /* of a grid with a step more, all of these are of second order but the first */
    memcpy(longer, times, ((size_t)c->steps + 1) * sizeof *times);
    longer[c->steps + 1] = 0.5 * times[c->steps];
    ts_dpmpp2m.coefficients(&c->sde, &config, longer, longer, table);
    start_at(c, "xT");
    queue_table(c, &ts_dpmpp2m, c->steps, times, table);
    check(c, "dpmpp2m.x_eps", c->x, 1);
    free(times);
    free(longer);
    free(table);
}

static void check_noisy_samplers(chain *c)
{
    float *noise = load(c, "em.noise", c->steps);
    inject(c, noise, NULL, c->steps);
    run(c, TS_SAMPLER_EM, false);
    check(c, "em.x_eps", c->x, 1);
    run(c, TS_SAMPLER_EM, true);
    check(c, "em.x_denoised", c->x, 1);
    c->device->k->release(c->device, noise);
    noise = load(c, "ancestral.noise", c->steps);
    inject(c, noise, NULL, c->steps);
    run(c, TS_SAMPLER_ANCESTRAL, false);
    check(c, "ancestral.x_eps", c->x, 1);
    /* the first step without its noise */
    const double h = (c->T - c->eps) / c->steps, times[] = {c->T, c->T - h};
    const ts_sampler_config config = {.steps = 1};
    double starts[1];
    float table[3];
    ts_ancestral.coefficients(&c->sde, &config, times, starts, table);
    inject(c, noise, NULL, 0);
    start_at(c, "xT");
    queue_table(c, &ts_ancestral, 1, times, table);
    check(c, "ancestral.mean_first_step", c->x, 1);
    c->device->k->release(c->device, noise);
}

/* ---- score_sde's chains ---- */

enum { CHAIN_STEPS = 10, CHAIN_LENGTH = 100 };

/* Of the chain's step at the time t: the variance that it adds, score_sde's discrete beta or, VE, between two
 * discrete sigmas; and the variance of the noise of score_sde's ancestral step, which for VP is all that is added,
 * for VE the posterior's. */
static double added_at(const chain *c, double t, double *ancestral)
{
    const int index = (int)floor(t * (CHAIN_LENGTH - 1) + 1e-9);
    const double share = (double)index / (CHAIN_LENGTH - 1), step = 1.0 / (CHAIN_LENGTH - 1);
    if (c->sde.kind == TS_SDE_VP)
        return *ancestral = (c->sde.beta_min + (c->sde.beta_max - c->sde.beta_min) * share) / CHAIN_LENGTH;
    const double s = ts_sde_std(&c->sde, share), s_u = index ? ts_sde_std(&c->sde, share - step) : 0;
    *ancestral = s_u * s_u * (s * s - s_u * s_u) / (s * s);
    return s * s - s_u * s_u;
}

/* Rows of predictor and corrector at these times; without a predictor the state is left as it is. */
static void chain_table(const chain *c, double snr, bool predicts, const double *times, float *table)
{
    for (int i = 0; i < CHAIN_STEPS; i++) {
        double ancestral, row[5] = {0, 0, 1, 0, 0};
        const double s_t = ts_sde_std(&c->sde, times[i]), added = added_at(c, times[i], &ancestral);
        ts_langevin_coefficients(c->sde.kind == TS_SDE_VP ? 1 - added : 1, snr, s_t, row);
        if (predicts)
            ts_reverse_diffusion_coefficients(c->sde.kind, added, s_t, row + 2);
        for (int k = 0; k < 5; k++)
            table[5 * i + k] = (float)row[k];
    }
}

/* score_sde's ancestral step has the posterior's mean for its discrete betas; the engine's own has other noise. */
static void ancestral_table(const chain *c, const double *times, float *table)
{
    for (int i = 0; i < CHAIN_STEPS; i++) {
        double ancestral;
        const double s_t = ts_sde_std(&c->sde, times[i]), added = added_at(c, times[i], &ancestral);
        const double decay = c->sde.kind == TS_SDE_VE ? 1 : sqrt(1 - added);
        table[3 * i] = (float)(1 / decay);
        table[3 * i + 1] = (float)(-added / (s_t * decay));
        table[3 * i + 2] = (float)sqrt(ancestral);
    }
}

static void check_chain_times(chain *c, const char *what, int first)
{
    double times[CHAIN_STEPS];
    for (int i = 0; i < CHAIN_STEPS; i++)
        times[i] = 1 + (c->eps - 1) * (first + i) / (CHAIN_LENGTH - 1);
    golden_check_absolute(c->g, name_of(c, what), times, CHAIN_STEPS, 1e-9);
}

/* The chain's first or last steps: `part` is "first" or "last". */
static void check_chain(chain *c, const char *part, int first)
{
    char name[64];
#define PART(format) (snprintf(name, sizeof name, format, part), name)
    const double snr = golden_number(c->g, "pc.snr");
    const ts_integrator *pc = &ts_predictor_corrector;
    float table[CHAIN_STEPS * 5];
    check_chain_times(c, PART("pc.%s.t"), first);
    double *times = read_exactly(c, name_of(c, PART("pc.%s.t")), CHAIN_STEPS);
    float *corrector = load(c, PART("pc.%s.noise_corrector"), CHAIN_STEPS);
    float *predictor = load(c, PART("pc.%s.noise_predictor"), CHAIN_STEPS);
    ts_sampler_freeze(c->sampler, &(ts_sampler_frozen){.queue = pc->queue, .x = c->x, .corrector_steps = 1});
    inject(c, predictor, corrector, CHAIN_STEPS);
    chain_table(c, snr, false, times, table);
    start_at(c, PART("pc.%s.x_start"));
    queue_table(c, pc, 1, times, table);
    check(c, PART("pc.%s.x_after_first_corrector"), c->x, 1);
    chain_table(c, snr, true, times, table);
    start_at(c, PART("pc.%s.x_start"));
    queue_table(c, pc, 1, times, table);
    check(c, PART("pc.%s.x_after_first_predictor"), c->x, 1);
    start_at(c, PART("pc.%s.x_start"));
    queue_table(c, pc, CHAIN_STEPS, times, table);
    check(c, PART("pc.%s.x_end"), c->x, 1);
    inject(c, predictor, corrector, CHAIN_STEPS - 1);
    start_at(c, PART("pc.%s.x_start"));
    queue_table(c, pc, CHAIN_STEPS, times, table);
    check(c, PART("pc.%s.x_mean_end"), c->x, 1);
    ancestral_table(c, times, table);
    start_at(c, PART("pc.%s.x_start"));
    inject(c, predictor, corrector, 0);
    queue_table(c, &ts_ancestral, 1, times, table);
    check(c, PART("score_sde_ancestral.%s.x_mean_first_step"), c->x, 1);
    inject(c, predictor, corrector, CHAIN_STEPS);
    start_at(c, PART("pc.%s.x_start"));
    queue_table(c, &ts_ancestral, CHAIN_STEPS, times, table);
    check(c, PART("score_sde_ancestral.%s.x_end"), c->x, 1);
#undef PART
    c->device->k->release(c->device, corrector);
    c->device->k->release(c->device, predictor);
    free(times);
}

/* ---- one mixture under one SDE ---- */

static ts_sde read_sde(const golden *g, bool ve)
{
    return (ts_sde){.kind = ve ? TS_SDE_VE : TS_SDE_VP,
                    .beta_min = golden_number(g, "vp.beta_min"),
                    .beta_max = golden_number(g, "vp.beta_max"),
                    .sigma_min = golden_number(g, "ve.sigma_min"),
                    .sigma_max = golden_number(g, "ve.sigma_max")};
}

static void read_mixture(chain *c, const char *mixture)
{
    char name[32];
    int64_t shape[8];
    snprintf(name, sizeof name, "%s.weights", mixture);
    c->components = (int)golden_read(c->g, name, &c->weights, NULL);
    snprintf(name, sizeof name, "%s.means", mixture);
    golden_read(c->g, name, &c->means, shape);
    c->d = (int)shape[1];
    snprintf(name, sizeof name, "%s.covs", mixture);
    c->covariances = read_exactly(c, name, (int64_t)c->components * c->d * c->d);
    golden_must(ts_mixture_create(c->device, c->components, c->d, c->weights, c->means, NULL, c->covariances,
                                  &c->mixture));
}

static void test_chain(golden *g, const char *mixture, bool ve)
{
    char prefix[16];
    double *start;
    int64_t shape[8];
    void *x;
    snprintf(prefix, sizeof prefix, "%s.%s.", mixture, ve ? "ve" : "vp");
    chain c = {.g = g,
               .device = g->device,
               .prefix = prefix,
               .sde = read_sde(g, ve),
               .T = golden_number(g, ve ? "ve.T" : "vp.T"),
               .eps = golden_number(g, "eps"),
               .steps = (int)golden_number(g, "steps")};
    read_mixture(&c, mixture);
    c.count = golden_read(g, name_of(&c, "xT"), &start, shape);
    c.n = (int)shape[0];
    c.values = golden_allocate((size_t)c.count, sizeof *c.values);
    golden_must(ts_score_mixture(c.mixture, &c.sde, c.n, &c.score));
    golden_must(ts_sampler_create(c.score, &c.sde, &c.sampler));
    golden_must(c.device->k->allocate(c.device, (size_t)c.count * sizeof(float), &x));
    c.x = x;
    golden_must(c.device->k->allocate(c.device, (size_t)c.count * sizeof(float), &x));
    golden_must(c.device->k->zero(c.device, x, (size_t)c.count * sizeof(float)));
    injected.silence = x;
    check_law(&c, "p_eps.means", "p_eps.covs", c.eps);
    check_law(&c, "p_T.means", "p_T.covs", c.T);
    check_score(&c);
    check_ode_samplers(&c);
    check_noisy_samplers(&c);
    check_chain(&c, "first", 0);
    check_chain(&c, "last", CHAIN_LENGTH - CHAIN_STEPS);
    c.device->k->release(c.device, c.x);
    c.device->k->release(c.device, injected.silence);
    ts_sampler_destroy(c.sampler);
    ts_score_destroy(c.score);
    ts_mixture_destroy(c.mixture);
    free(start);
    free(c.values);
    free(c.weights);
    free(c.means);
    free(c.covariances);
}

void golden_samplers(golden *g)
{
    ts_kernels kernels = *g->device->k;
    injected.real = g->device->k;
    kernels.fill_random = fill;
    kernels.sde_step = step;
    kernels.advance = advance;
    g->device->k = &kernels;
    g->device->recording_off = true; /* noise changes by the step */
    if (golden_number(g, "pc.N") != CHAIN_LENGTH || golden_number(g, "pc.T") != 1 ||
        golden_number(g, "pc.corrector_steps") != 1)
        golden_must(ts_error(TS_UNSUPPORTED, "the chain should be of %d steps from 1", CHAIN_LENGTH));
    for (int i = 0; i < 4; i++)
        test_chain(g, i < 2 ? "1d" : "2d", i % 2);
    g->device->k = injected.real;
}
