/*
 * The reverse process: buffers, time grids, runs of fixed steps, the denoising step.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "diffusion/buffer.h"
#include "diffusion/samplers/internal.h"

enum { STEPS_A_LOOK = 8 }; /* between two looks at whether the state is finite */

/* ---- creation ---- */

/* Room for `steps` steps in the tables, whose addresses recordings hold. */
static ts_status reserve(ts_sampler *s, int steps)
{
    if (steps <= s->steps)
        return NULL;
    s->steps = 0;
    ts_recorded_forget(&s->recorded);
    free(s->host_table);
    s->host_table = malloc(((size_t)steps + 1) * TS_SAMPLER_WIDTH * sizeof *s->host_table);
    if (!s->host_table)
        return ts_error(TS_NO_MEMORY, "cannot allocate tables of %d steps", steps);
    if (s->coefficients)
        s->k->release(s->device, s->coefficients);
    if (s->starts)
        s->k->release(s->device, s->starts);
    s->starts = NULL;
    TS_TRY(ts_buffer_floats(s->device, (size_t)steps * TS_SAMPLER_WIDTH, &s->coefficients));
    TS_TRY(ts_buffer_floats(s->device, 2 * (size_t)steps + 1, &s->starts));
    s->times = s->starts + steps;
    s->steps = steps;
    return NULL;
}

static ts_status allocate(ts_sampler *s)
{
    const size_t n = (size_t)s->n, joint = (size_t)s->count + n;
    TS_TRY(reserve(s, 1)); /* for the time of a denoising step */
    TS_TRY(ts_buffer_state(s->device, &s->state));
    TS_TRY(ts_buffer_floats(s->device, n, &s->t));
    TS_TRY(ts_buffer_floats(s->device, 3, &s->scales));
    TS_TRY(ts_buffer_doubles(s->device, 1 + 7 * n, &s->results));
    TS_TRY(ts_buffer_floats(s->device, joint, &s->current));
    TS_TRY(ts_buffer_floats(s->device, joint, &s->next));
    for (int i = 0; i < 7; i++)
        TS_TRY(ts_buffer_floats(s->device, joint, &s->stage[i]));
    s->host_result = calloc(1 + 7 * n, sizeof *s->host_result);
    if (!s->host_result)
        return ts_error(TS_NO_MEMORY, "cannot allocate rows of %d", s->n);
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
    s->recorded.device = s->device;
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
    ts_recorded_forget(&s->recorded);
    void *memory[] = {s->state,    s->t,        s->coefficients, s->starts,   s->scales,   s->current,
                      s->next,     s->results,  s->block,        s->stage[0], s->stage[1], s->stage[2],
                      s->stage[3], s->stage[4], s->stage[5],     s->stage[6]};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        if (memory[i])
            s->k->release(s->device, memory[i]);
    free(s->host_result);
    free(s->host_table);
    free(s);
}

/* Whether every value of x is, by the mean of their squares, which the device adds up in double.  Waits for
 * the device. */
static ts_status is_finite(ts_sampler *s, const float *x, bool *finite)
{
    const ts_error_norm a = {.count = s->count,
                             .terms = 1,
                             .c.value = {1.0f},
                             .x = {x},
                             .y0 = x,
                             .y1 = x,
                             .atol = 1.0,
                             .error = s->results};
    TS_TRY(s->k->error_norm(s->device, &a));
    TS_TRY(s->k->download(s->device, s->host_result, s->results, sizeof *s->host_result));
    *finite = isfinite(s->host_result[0]);
    return NULL;
}

/* ---- fixed steps ---- */

/* Uploads the tables and puts the state at the first step.  times [steps + 1]; starts [steps] is room. */
static ts_status begin(ts_sampler *s, const ts_integrator *integrator, const ts_sampler_config *config,
                       const double *times, double *starts, uint64_t seed, uint32_t instance)
{
    const ts_step_state state = {seed, 0, instance};
    const int steps = config->steps;
    const size_t entries = (size_t)steps * (size_t)integrator->width;
    float *const host_times = s->host_table + s->steps;
    memcpy(starts, times, (size_t)steps * sizeof *starts);
    integrator->coefficients(&s->sde, config, times, starts, s->host_table);
    TS_TRY(s->k->upload(s->device, s->coefficients, s->host_table, entries * sizeof(float)));
    memset(s->host_table, 0, (size_t)s->steps * sizeof *s->host_table);
    for (int i = 0; i < steps; i++)
        s->host_table[i] = (float)starts[i];
    for (int i = 0; i <= steps; i++)
        host_times[i] = (float)times[i];
    TS_TRY(s->k->upload(s->device, s->starts, s->host_table,
                        ((size_t)s->steps + (size_t)steps + 1) * sizeof *s->starts));
    TS_TRY(s->k->zero(s->device, s->stage[1], (size_t)s->count * sizeof(float)));
    return s->k->upload(s->device, s->state, &state, sizeof state);
}

static int step_evaluations(const ts_sampler_config *config)
{
    const ts_sampler_row *row = &ts_samplers[config->kind];
    return row->evaluations + (row->corrects ? config->corrector_steps : 0);
}

int64_t ts_sampler_nfe(const ts_sampler_config *config)
{
    if (!ts_samplers[config->kind].integrator)
        return 0;
    return (int64_t)config->steps * step_evaluations(config) + (config->denoise ? 1 : 0);
}

void ts_sampler_nfe_text(ts_sampler_kind kind, char text[64])
{
    const ts_sampler_row *row = &ts_samplers[kind];
    if (!row->integrator)
        snprintf(text, 64, "as many as it takes");
    else if (row->corrects)
        snprintf(text, 64, "(%d + sample.corrector_steps) N", row->evaluations);
    else if (row->evaluations > 1)
        snprintf(text, 64, "%d N", row->evaluations);
    else
        snprintf(text, 64, "N");
}

int ts_sampler_steps_within(const ts_sampler_config *config, int nfe)
{
    const int left = nfe - (config->denoise ? 1 : 0);
    return left > 0 ? left / step_evaluations(config) : 0;
}

static ts_status run_steps(ts_sampler *s, const ts_sampler_config *config, float *x)
{
    const ts_sampler_row *row = &ts_samplers[config->kind];
    const ts_integrator *integrator = row->integrator;
    const int steps = config->steps;
    const float *times = s->host_table + s->steps; /* behind the starts: see begin */
    int checked = 0;                               /* steps whose outcome is known to be finite */
    ts_sampler_freeze(s,
                      &(ts_sampler_frozen){.queue = integrator->queue,
                                           .x = x,
                                           .corrector_steps = row->corrects ? config->corrector_steps : 0});
    for (int i = 1; i <= steps; i++) {
        bool finite = true;
        ts_sampler_within(s, (double)times[i], fmax((double)times[i - 1], (double)s->host_table[i - 1]));
        ts_range_push(s->device, "sample step");
        ts_status status = ts_recorded_run(&s->recorded, integrator->queue, &(ts_sampler_step){s, x});
        ts_range_pop(s->device);
        TS_TRY(status);
        s->evaluations += s->score->idle ? 0 : step_evaluations(config);
        if (i < steps)
            TS_TRY(ts_sampler_stopped(s));
        /* a device that has run far ahead could not be stopped: the look at its state waits for it */
        if (i % STEPS_A_LOOK && i < steps)
            continue;
        TS_TRY(is_finite(s, x, &finite));
        if (!finite)
            return ts_error(TS_NOT_FINITE,
                            "%s from T = %g: between step %d and step %d of %d the state is not finite",
                            row->text, config->T, checked + 1, i, steps);
        checked = i;
    }
    return NULL;
}

/* Uniform steps in t; in the log signal-to-noise ratio, which is linear in Lambda, since for every SDE here
 * 2 log(a/s) = constant - Lambda; or in sigma^(1/rho), sigma = s/a, of which only the ratio r to its first value
 * matters (Karras et al. 2022, equation 5). */
static void make_grid(const ts_sde *sde, const ts_sampler_config *config, double *times)
{
    const int steps = config->steps;
    const double T = config->T, eps = config->eps;
    const double lambda = ts_sde_lambda(sde, T), range = ts_sde_lambda(sde, eps) - lambda;
    for (int i = 1; i < steps; i++) {
        if (ts_samplers[config->kind].grid == TS_GRID_T)
            times[i] = T + (eps - T) * i / steps;
        else if (ts_samplers[config->kind].grid == TS_GRID_LOG_SNR)
            times[i] = ts_sde_lambda_inverse(sde, lambda + range * i / steps);
        else {
            const double root = 1.0 + i * expm1(0.5 * range / config->rho) / steps; /* r^(1/rho) */
            times[i] = ts_sde_lambda_inverse(sde, lambda + 2.0 * config->rho * log(root));
        }
    }
    times[0] = T;
    times[steps] = eps;
}

static ts_status run_fixed(ts_sampler *s, const ts_sampler_config *config, uint64_t seed, uint32_t instance,
                           float *x)
{
    const ts_integrator *integrator = ts_samplers[config->kind].integrator;
    TS_TRY(reserve(s, config->steps));
    double *times = malloc((2 * (size_t)config->steps + 1) * sizeof *times);
    if (!times)
        return ts_error(TS_NO_MEMORY, "cannot allocate %d steps", config->steps);
    make_grid(&s->sde, config, times);
    ts_status status = begin(s, integrator, config, times, times + config->steps + 1, seed, instance);
    if (!status)
        status = run_steps(s, config, x);
    free(times);
    return status;
}

/* ---- running ---- */

/* x <- (x + s^2 score)/a, the posterior mean of x0 (Tweedie's formula). */
static ts_status denoise(ts_sampler *s, double eps, float *x)
{
    const double a = ts_sde_mean(&s->sde, eps), std = ts_sde_std(&s->sde, eps);
    const ts_coefficients c = {.value = {(float)(1.0 / a), (float)(-std / a)}};
    const float time = (float)eps, *net;
    ts_sampler_within(s, eps, eps);
    TS_TRY(s->k->upload(s->device, s->times, &time, sizeof time));
    TS_TRY(ts_sampler_evaluate(s, x, s->times, NULL, &net));
    s->evaluations += s->score->idle ? 0 : 1;
    TS_TRY(ts_sampler_combine(s, s->count, 2, &c, (const float *[]){x, net}, x));
    bool finite;
    TS_TRY(is_finite(s, x, &finite));
    return finite ? NULL
                  : ts_error(TS_NOT_FINITE, "the samples are not finite behind the denoising step at t = %g",
                             eps);
}

static ts_status check(const ts_sampler_config *config)
{
    if (!(config->eps > 0.0 && config->T > config->eps && config->T <= 1.0))
        return ts_error(TS_INVALID, "sampler: T = %g is not in (eps, 1] with eps = %g", config->T,
                        config->eps);
    if (ts_samplers[config->kind].integrator && (config->steps < 1 || config->steps > 1 << 24))
        return ts_error(TS_INVALID, "sampler: %d steps; at least 1 is needed", config->steps);
    if (ts_samplers[config->kind].corrects &&
        (config->corrector_steps < 0 || config->corrector_steps > TS_SAMPLER_CORRECTOR_STEPS))
        return ts_error(TS_INVALID, "sampler: %d corrector steps; 0 to %d are possible",
                        config->corrector_steps, TS_SAMPLER_CORRECTOR_STEPS);
    if (ts_samplers[config->kind].grid == TS_GRID_KARRAS && !(config->rho > 0.0))
        return ts_error(TS_INVALID, "sampler: rho = %g; it must be positive", config->rho);
    return NULL;
}

static ts_status run(ts_sampler *sampler, const ts_sampler_config *config, uint64_t seed, uint32_t instance,
                     float *x)
{
    int ode_nfe;
    if (ts_samplers[config->kind].integrator)
        TS_TRY(ts_context(run_fixed(sampler, config, seed, instance, x), "sampler"));
    else
        TS_TRY(ts_sampler_ode(sampler, config->T, config->eps, config->rtol, config->atol, x, NULL, NULL,
                              &ode_nfe));
    return config->denoise ? ts_context(denoise(sampler, config->eps, x), "sampler") : NULL;
}

ts_status ts_sampler_run(ts_sampler *sampler, const ts_sampler_config *config, uint64_t seed,
                         uint32_t instance, float *x, int *nfe)
{
    *nfe = 0;
    TS_TRY(check(config));
    sampler->evaluations = 0;
    ts_range_push(sampler->device, "sample");
    ts_status status = run(sampler, config, seed, instance, x);
    ts_sampler_within(sampler, 0.0, 1.0);
    ts_range_pop(sampler->device);
    if (!status)
        *nfe = sampler->evaluations;
    return status;
}
