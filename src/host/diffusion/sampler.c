/*
 * The reverse process: buffers, time grids, Euler-Maruyama, the denoising step.
 */
#include <math.h>
#include <stdlib.h>
#include "diffusion/buffer.h"
#include "diffusion/sampler_internal.h"

/* ---- creation ---- */

static ts_status allocate(ts_sampler *s)
{
    const size_t n = (size_t)s->n, joint = (size_t)s->count + n;
    TS_TRY(ts_buffer_state(s->device, &s->state));
    TS_TRY(ts_buffer_floats(s->device, n, &s->t));
    TS_TRY(ts_buffer_doubles(s->device, n, &s->rows));
    TS_TRY(ts_buffer_doubles(s->device, 1, &s->error));
    TS_TRY(ts_buffer_floats(s->device, joint, &s->current));
    TS_TRY(ts_buffer_floats(s->device, joint, &s->next));
    for (int i = 0; i < 7; i++)
        TS_TRY(ts_buffer_floats(s->device, joint, &s->stage[i]));
    s->divergence_memory = calloc(7 * n, sizeof *s->divergence_memory);
    s->host_rows = calloc(n, sizeof *s->host_rows);
    if (!s->divergence_memory || !s->host_rows)
        return ts_error(TS_NO_MEMORY, "cannot allocate rows of %d", s->n);
    for (int i = 0; i < 7; i++)
        s->divergence[i] = s->divergence_memory + (size_t)i * n;
    return NULL;
}

ts_status ts_sampler_create(ts_score *score, const ts_sde *sde, ts_sampler **sampler)
{
    *sampler = NULL;
    ts_sampler *s = calloc(1, sizeof *s);
    if (!s)
        return ts_error(TS_NO_MEMORY, "sampler: out of memory");
    s->score = score;
    s->device = score->device;
    s->k = score->device->k;
    s->sde = *sde;
    s->n = score->n;
    s->d = score->d;
    s->count = (int64_t)score->n * score->d;
    ts_status status = allocate(s);
    if (status)
        ts_sampler_destroy(s);
    else
        *sampler = s;
    return ts_context(status, "sampler");
}

void ts_sampler_destroy(ts_sampler *sampler)
{
    if (!sampler)
        return;
    ts_sampler *s = sampler;
    ts_sampler_forget(s);
    void *memory[] = {s->state,    s->t,        s->coefficients, s->times,    s->current,
                      s->next,     s->rows,     s->error,        s->stage[0], s->stage[1],
                      s->stage[2], s->stage[3], s->stage[4],     s->stage[5], s->stage[6]};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        if (memory[i])
            s->k->release(s->device, memory[i]);
    free(s->divergence_memory);
    free(s->host_rows);
    free(s->host_table);
    free(s);
}

ts_status ts_sampler_reserve(ts_sampler *sampler, int steps)
{
    ts_sampler *s = sampler;
    if (steps <= s->steps)
        return NULL;
    s->steps = 0;
    free(s->host_table);
    s->host_table = malloc(((size_t)steps + 1) * 3 * sizeof *s->host_table);
    if (!s->host_table)
        return ts_error(TS_NO_MEMORY, "cannot allocate tables of %d steps", steps);
    if (s->coefficients)
        s->k->release(s->device, s->coefficients);
    if (s->times)
        s->k->release(s->device, s->times);
    s->times = NULL;
    TS_TRY(ts_buffer_floats(s->device, (size_t)steps * 3, &s->coefficients));
    TS_TRY(ts_buffer_floats(s->device, (size_t)steps + 1, &s->times));
    s->steps = steps;
    return NULL;
}

/* ---- what the integrators share ---- */

ts_status ts_sampler_begin(ts_sampler *sampler, const double *times, int steps, uint64_t seed,
                           uint32_t instance)
{
    ts_sampler *s = sampler;
    const ts_step_state state = {seed, 0, instance};
    for (int i = 0; i <= steps; i++)
        s->host_table[i] = (float)times[i];
    TS_TRY(s->k->upload(s->device, s->times, s->host_table, ((size_t)steps + 1) * sizeof *s->times));
    return s->k->upload(s->device, s->state, &state, sizeof state);
}

void ts_sampler_forget(ts_sampler *sampler)
{
    for (int i = 0; i < TS_SAMPLER_PLACES; i++) {
        ts_sampler_place *p = &sampler->places[i];
        p->recorded.device = sampler->device;
        ts_recorded_forget(&p->recorded);
        p->recorded.warm = false;
        p->x = NULL;
    }
}

typedef struct evaluation {
    ts_sampler *s;
    ts_sampler_place *place;
} evaluation;

static ts_status queue_evaluation(void *context)
{
    const evaluation *e = context;
    return e->s->score->evaluate(e->s->score, e->place->x, e->s->t, &e->place->net);
}

/* net(x, s->t), replayed where x was before in this run. */
static ts_status evaluate(ts_sampler *s, const float *x, const float **net)
{
    ts_sampler_place *place = s->places;
    s->evaluations++;
    while (place->x && place->x != x)
        if (++place == s->places + TS_SAMPLER_PLACES)
            return s->score->evaluate(s->score, x, s->t, net);
    place->x = x;
    TS_TRY(ts_recorded_run(&place->recorded, queue_evaluation, &(evaluation){s, place}));
    *net = place->net;
    return NULL;
}

static ts_status fill_time(ts_sampler *s)
{
    const ts_fill_time a = {.n = s->n, .times = s->times, .state = s->state, .t = s->t};
    return s->k->fill_time(s->device, &a);
}

ts_status ts_sampler_evaluate(ts_sampler *sampler, const float *x, const float **net)
{
    TS_TRY(fill_time(sampler));
    return evaluate(sampler, x, net);
}

ts_status ts_sampler_evaluate_at(ts_sampler *sampler, const float *x, double t, const float **net)
{
    ts_sampler *s = sampler;
    for (int i = 0; i < s->n; i++)
        s->host_rows[i] = (float)t;
    TS_TRY(s->k->upload(s->device, s->t, s->host_rows, (size_t)s->n * sizeof *s->t));
    return evaluate(s, x, net);
}

ts_status ts_sampler_advance(ts_sampler *sampler)
{
    const ts_advance a = {.state = sampler->state};
    return sampler->k->advance(sampler->device, &a);
}

ts_status ts_sampler_combine(ts_sampler *sampler, int64_t count, int terms, const double *coefficient,
                             const float *const *x, float *y)
{
    ts_linear_combine a = {.count = count, .terms = terms, .y = y};
    for (int i = 0; i < terms; i++) {
        a.coefficient[i] = (float)coefficient[i];
        a.x[i] = x[i];
    }
    return sampler->k->linear_combine(sampler->device, &a);
}

double ts_sampler_flow_factor(const ts_sde *sde, double t)
{
    return 0.5 * ts_sde_diffusion2(sde, t) / ts_sde_std(sde, t);
}

/* ---- Euler-Maruyama ---- */

typedef struct euler_step {
    ts_sampler *s;
    float *x;
} euler_step;

static ts_status queue_euler_step(void *context)
{
    const euler_step *e = context;
    ts_sampler *s = e->s;
    const float *net;
    TS_TRY(fill_time(s));
    TS_TRY(s->score->evaluate(s->score, e->x, s->t, &net));
    const ts_sde_step a = {
        .count = s->count, .coefficients = s->coefficients, .state = s->state, .net = net, .x = e->x};
    TS_TRY(s->k->sde_step(s->device, &a));
    return ts_sampler_advance(s);
}

/* x <- x - h (f - g^2 score) + g sqrt(h) z with everything taken at the step's own time. */
static ts_status euler_maruyama(ts_sampler *s, int steps, const double *times, float *x)
{
    for (int i = 0; i < steps; i++) {
        const double t = times[i], h = t - times[i + 1], g2 = ts_sde_diffusion2(&s->sde, t);
        s->host_table[3 * i] = (float)(1.0 - h * ts_sde_drift(&s->sde, t));
        s->host_table[3 * i + 1] = (float)(-h * g2 / ts_sde_std(&s->sde, t));
        s->host_table[3 * i + 2] = (float)sqrt(g2 * h);
    }
    TS_TRY(s->k->upload(s->device, s->coefficients, s->host_table, (size_t)steps * 3 * sizeof(float)));
    ts_recorded recorded = {.device = s->device};
    ts_status status = NULL;
    for (int i = 0; i < steps && !status; i++) {
        ts_range_push(s->device, "sample step");
        status = ts_recorded_run(&recorded, queue_euler_step, &(euler_step){s, x});
        ts_range_pop(s->device);
        s->evaluations++;
    }
    ts_recorded_forget(&recorded);
    return status;
}

/* ---- running ---- */

/* Uniform steps in t, or in the log signal-to-noise ratio, which is linear in Lambda: for every SDE here
 * 2 log(a/s) = constant - Lambda. */
static void make_grid(const ts_sde *sde, const ts_sampler_config *config, double *times)
{
    const int steps = config->steps;
    const bool log_snr = config->kind == TS_SAMPLER_DPMPP2M;
    const double first = log_snr ? ts_sde_lambda(sde, config->T) : config->T;
    const double last = log_snr ? ts_sde_lambda(sde, config->eps) : config->eps;
    for (int i = 1; i < steps; i++) {
        const double v = first + (last - first) * i / steps;
        times[i] = log_snr ? ts_sde_lambda_inverse(sde, v) : v;
    }
    times[0] = config->T;
    times[steps] = config->eps;
}

static ts_status run_fixed(ts_sampler *s, const ts_sampler_config *config, uint64_t seed, uint32_t instance,
                           float *x)
{
    TS_TRY(ts_sampler_reserve(s, config->steps));
    double *times = malloc(((size_t)config->steps + 1) * sizeof *times);
    if (!times)
        return ts_error(TS_NO_MEMORY, "cannot allocate %d steps", config->steps);
    make_grid(&s->sde, config, times);
    ts_status status = ts_sampler_begin(s, times, config->steps, seed, instance);
    if (!status && config->kind == TS_SAMPLER_EULER_MARUYAMA)
        status = euler_maruyama(s, config->steps, times, x);
    else if (!status && config->kind == TS_SAMPLER_HEUN)
        status = ts_sampler_heun(s, config->steps, times, x);
    else if (!status)
        status = ts_sampler_dpmpp2m(s, config->steps, times, x);
    free(times);
    return status;
}

/* x <- (x + s^2 score)/a, the posterior mean of x0 (Tweedie's formula). */
static ts_status denoise(ts_sampler *s, double eps, float *x)
{
    const double a = ts_sde_mean(&s->sde, eps), std = ts_sde_std(&s->sde, eps);
    const float *net;
    TS_TRY(ts_sampler_evaluate_at(s, x, eps, &net));
    return ts_sampler_combine(s, s->count, 2, (double[]){1.0 / a, -std / a}, (const float *[]){x, net}, x);
}

static ts_status check(const ts_sampler_config *config)
{
    if (!(config->eps > 0.0 && config->T > config->eps && config->T <= 1.0))
        return ts_error(TS_INVALID, "sampler: T = %g is not in (eps, 1] with eps = %g", config->T,
                        config->eps);
    if (config->kind != TS_SAMPLER_RK45 && (config->steps < 1 || config->steps > 1 << 24))
        return ts_error(TS_INVALID, "sampler: %d steps; at least 1 is needed", config->steps);
    return NULL;
}

static ts_status run(ts_sampler *sampler, const ts_sampler_config *config, uint64_t seed, uint32_t instance,
                     float *x)
{
    if (config->kind == TS_SAMPLER_RK45) {
        int flow_nfe;
        TS_TRY(ts_sampler_flow(sampler, config->T, config->eps, config->rtol, config->atol, x, NULL, NULL,
                               &flow_nfe));
    } else
        TS_TRY(ts_context(run_fixed(sampler, config, seed, instance, x), "sampler"));
    return config->denoise ? ts_context(denoise(sampler, config->eps, x), "sampler") : NULL;
}

ts_status ts_sampler_run(ts_sampler *sampler, const ts_sampler_config *config, uint64_t seed,
                         uint32_t instance, float *x, int *nfe)
{
    *nfe = 0;
    TS_TRY(check(config));
    sampler->evaluations = 0;
    ts_sampler_forget(sampler);
    ts_range_push(sampler->device, "sample");
    ts_status status = run(sampler, config, seed, instance, x);
    ts_range_pop(sampler->device);
    ts_sampler_forget(sampler);
    if (!status)
        *nfe = sampler->evaluations;
    return status;
}
