/*
 * The probability-flow ODE by the adaptive Runge-Kutta method of Dormand and Prince (1980), orders 5 and 4,
 * with the step control of SciPy's RK45 (Hairer, Norsett, Wanner, "Solving Ordinary Differential Equations
 * I", II.4), so that numbers of evaluations compare with published ones.  The whole batch is one system; a
 * likelihood adds the divergence's integral of each row to it.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "diffusion/samplers/internal.h"

enum { STAGES = 6, MAX_EVALUATIONS = 200000 };

static const double C[STAGES] = {0.0, 1.0 / 5, 3.0 / 10, 4.0 / 5, 8.0 / 9, 1.0};
static const double A[STAGES][STAGES - 1] = {
    {0},
    {1.0 / 5},
    {3.0 / 40, 9.0 / 40},
    {44.0 / 45, -56.0 / 15, 32.0 / 9},
    {19372.0 / 6561, -25360.0 / 2187, 64448.0 / 6561, -212.0 / 729},
    {9017.0 / 3168, -355.0 / 33, 46732.0 / 5247, 49.0 / 176, -5103.0 / 18656}};
static const double B[STAGES] = {35.0 / 384, 0.0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784, 11.0 / 84};
static const double E[STAGES + 1] = {-71.0 / 57600,    0.0,         71.0 / 16695, -71.0 / 1920,
                                     17253.0 / 339200, -22.0 / 525, 1.0 / 40};

/* What changes from try to try, in device memory.  Stage i is at index i. */
typedef struct ode_block {
    double affine[STAGES + 1][2]; /* its divergence: d drift, factor */
    float time[STAGES + 1];
    float slope[STAGES + 1][2];          /* drift, factor */
    float reach[STAGES + 1][STAGES + 1]; /* its state: i earlier slopes, then the state at the start */
    float error[STAGES + 1];
    float start[2]; /* the start and its slope: those of the last try, or where it ended */
} ode_block;

/* A try goes from `current`, its slope in stage[0], to `next`, its slope in stage[6]; whether it was accepted
 * the next one learns from its block. */
typedef struct ode {
    ts_sampler *s;
    const float *probe;
    int64_t count; /* of the whole system: n d, and n more with a probe */
    double rtol, atol;
    ode_block block; /* for the next upload */
    bool accepted;   /* the last try */
} ode;

/* ---- what a try queues ---- */

static const ode_block *on_device(const ode *o)
{
    return o->s->block;
}

/* Where stage i's divergences lie among the results: those of a try follow the error, stage 0's come last. */
static int64_t rows_of(const ode *o, int i)
{
    return 1 + (int64_t)((i + STAGES) % (STAGES + 1)) * o->s->n;
}

/* stage[i] = d(x, log-density)/dt at (x, time i); the row part also in double among the results. */
static ts_status queue_derivative(const ode *o, const float *x, int i)
{
    ts_sampler *s = o->s;
    const ode_block *block = on_device(o);
    const ts_coefficients slope = {.table = block->slope[i]};
    const float *net, *product;
    TS_TRY(ts_sampler_evaluate(s, x, &block->time[i], NULL, &net));
    TS_TRY(ts_sampler_combine(s, s->count, 2, &slope, (const float *[]){x, net}, s->stage[i]));
    if (!o->probe)
        return NULL;
    TS_TRY(s->score->vjp(s->score, o->probe, &product));
    const ts_row_dot dot = {.n = s->n,
                            .d = s->d,
                            .x = product,
                            .y = o->probe,
                            .out = s->results + rows_of(o, i),
                            .affine = block->affine[i],
                            .rounded = s->stage[i] + s->count};
    return s->k->row_dot(s->device, &dot);
}

/* next = the state at stage i, and stage[i]; the small terms first, so that float32 loses least. */
static ts_status queue_stage(const ode *o, int i)
{
    ts_sampler *s = o->s;
    const ts_coefficients reach = {.table = on_device(o)->reach[i]};
    const float *x[STAGES + 1];
    for (int j = 0; j < i; j++)
        x[j] = s->stage[j];
    x[i] = s->current;
    TS_TRY(ts_sampler_combine(s, o->count, i + 1, &reach, x, s->next));
    return queue_derivative(o, s->next, i);
}

/* results[0] = the root mean square of sum_k c[k] x[k] in units of the tolerance at y0, y1. */
static ts_status queue_norm(const ode *o, int terms, const ts_coefficients *c, const float *const *x,
                            const float *y0, const float *y1)
{
    ts_error_norm a = {.count = o->count,
                       .terms = terms,
                       .c = *c,
                       .y0 = y0,
                       .y1 = y1,
                       .rtol = o->rtol,
                       .atol = o->atol,
                       .error = o->s->results};
    for (int i = 0; i < terms; i++)
        a.x[i] = x[i];
    return o->s->k->error_norm(o->s->device, &a);
}

static ts_status queue_try(void *context)
{
    const ode *o = context;
    ts_sampler *s = o->s;
    const ts_coefficients start = {.table = on_device(o)->start}, error = {.table = on_device(o)->error};
    TS_TRY(ts_sampler_combine(s, o->count, 2, &start, (const float *[]){s->current, s->next}, s->current));
    TS_TRY(ts_sampler_combine(s, o->count, 2, &start, (const float *[]){s->stage[0], s->stage[STAGES]},
                              s->stage[0]));
    for (int i = 1; i <= STAGES; i++)
        TS_TRY(queue_stage(o, i));
    return queue_norm(o, STAGES + 1, &error, (const float *const *)s->stage, s->current, s->next);
}

/* ---- tries ---- */

/* Stage i is at t, h sum_j weight[j] stage[j] from the start. */
static void set_stage(ode *o, int i, double t, double h, const double *weight)
{
    const ts_sampler *s = o->s;
    const double drift = ts_sde_drift(&s->sde, t), factor = ts_sampler_ode_factor(&s->sde, t);
    ode_block *b = &o->block;
    b->time[i] = (float)t;
    b->slope[i][0] = (float)drift;
    b->slope[i][1] = (float)factor;
    b->affine[i][0] = drift * s->d;
    b->affine[i][1] = factor;
    for (int j = 0; j < i; j++)
        b->reach[i][j] = (float)(h * weight[j]);
    b->reach[i][i] = 1.0f;
}

static ts_status upload(ode *o)
{
    return o->s->k->upload(o->s->device, o->s->block, &o->block, sizeof o->block);
}

/* The first results, `stages` stages of divergences if there is a probe. */
static ts_status download(const ode *o, int stages)
{
    const ts_sampler *s = o->s;
    const size_t values = 1 + (o->probe ? (size_t)stages * (size_t)s->n : 0);
    return s->k->download(s->device, s->host_result, s->results, values * sizeof(double));
}

/* `evaluations` more of the score, between t and u, and of the network where it asks that. */
static ts_status count_evaluations(ts_sampler *s, int evaluations, double t, double u)
{
    ts_sampler_within(s, fmin(t, u), fmax(t, u));
    if (s->score->idle)
        return NULL;
    if (s->evaluations > MAX_EVALUATIONS - evaluations)
        return ts_error(TS_NOT_FINITE, "RK45: %d evaluations have not reached the end: t = %g",
                        MAX_EVALUATIONS, t);
    s->evaluations += evaluations;
    return NULL;
}

static ts_status norm(const ode *o, int terms, const ts_coefficients *c, const float *const *x, double *value)
{
    const float *y = o->s->current;
    TS_TRY(queue_norm(o, terms, c, x, y, y));
    TS_TRY(download(o, 0));
    *value = o->s->host_result[0];
    return NULL;
}

/* stage[0] at t0, and Hairer's starting step, from it and one more evaluation. */
static ts_status first_step(ode *o, double t0, double direction, double length, double *h)
{
    static const ts_coefficients same = {.value = {1.0f}}, difference = {.value = {1.0f, -1.0f}};
    ts_sampler *s = o->s;
    const float *y = s->current, *slope = s->stage[0];
    double size, size_slope, size_change;
    TS_TRY(count_evaluations(s, 1, t0, t0));
    set_stage(o, 0, t0, 0.0, NULL);
    TS_TRY(upload(o));
    TS_TRY(queue_derivative(o, y, 0));
    TS_TRY(norm(o, 1, &same, &y, &size));
    TS_TRY(norm(o, 1, &same, &slope, &size_slope));
    double trial = size < 1e-5 || size_slope < 1e-5 ? 1e-6 : 0.01 * size / size_slope;
    trial = fmin(trial, length);
    TS_TRY(count_evaluations(s, 1, t0 + trial * direction, t0 + trial * direction));
    set_stage(o, 1, t0 + trial * direction, trial * direction, (double[]){1.0});
    TS_TRY(upload(o));
    TS_TRY(queue_stage(o, 1));
    TS_TRY(norm(o, 2, &difference, (const float *[]){s->stage[1], slope}, &size_change));
    size_change /= trial;
    const double guess = size_slope <= 1e-15 && size_change <= 1e-15
                             ? fmax(1e-6, trial * 1e-3)
                             : pow(0.01 / fmax(size_slope, size_change), 1.0 / 5);
    *h = fmin(fmin(100.0 * trial, guess), length);
    return o->probe ? download(o, STAGES + 1) : NULL; /* stage 0's divergences */
}

/* next = the state h later, stage[6] = the slope there, *error = the estimated error over the tolerance. */
static ts_status attempt(ode *o, double t, double h, double *error)
{
    ts_sampler *s = o->s;
    TS_TRY(count_evaluations(s, STAGES, t, t + h));
    for (int i = 1; i < STAGES; i++)
        set_stage(o, i, t + C[i] * h, h, A[i]);
    set_stage(o, STAGES, t + h, h, B);
    for (int i = 0; i <= STAGES; i++)
        o->block.error[i] = (float)(h * E[i]);
    o->block.start[0] = o->accepted ? 0.0f : 1.0f;
    o->block.start[1] = o->accepted ? 1.0f : 0.0f;
    TS_TRY(upload(o));
    ts_range_push(s->device, "ODE step");
    ts_status status = ts_recorded_run(&s->recorded, queue_try, o);
    ts_range_pop(s->device);
    TS_TRY(status);
    TS_TRY(download(o, STAGES));
    *error = s->host_result[0];
    if (!isfinite(*error))
        return ts_error(TS_NOT_FINITE, "RK45: the %s score is not finite between t = %g and t = %g",
                        s->score->name, t, t + h);
    return NULL;
}

/* The step is taken: the slope at its end is the first slope of the next step. */
static void accept(const ode *o, double h, double *delta_logp)
{
    const ts_sampler *s = o->s;
    double *first = s->host_result + rows_of(o, 0);
    for (int row = 0; o->probe && row < s->n; row++) {
        for (int i = 0; i < STAGES; i++)
            delta_logp[row] += h * B[i] * s->host_result[rows_of(o, i) + row];
        first[row] = s->host_result[rows_of(o, STAGES) + row];
    }
}

static ts_status integrate(ode *o, double t0, double t1, double *delta_logp)
{
    const double direction = t1 < t0 ? -1.0 : 1.0;
    double t = t0, size, error;
    TS_TRY(first_step(o, t0, direction, fabs(t1 - t0), &size));
    bool rejected = false;
    while (t != t1) {
        const double smallest = 10.0 * fabs(nextafter(t, direction * INFINITY) - t);
        if (size < smallest) {
            if (rejected)
                return ts_error(TS_NOT_FINITE,
                                "RK45: no step is small enough for rtol = %g, atol = %g at t = %g", o->rtol,
                                o->atol, t);
            size = smallest;
        }
        TS_TRY(ts_sampler_stopped(o->s));
        const double end = size >= fabs(t1 - t) ? t1 : t + direction * size;
        const double h = end - t;
        size = fabs(h);
        TS_TRY(attempt(o, t, h, &error));
        o->accepted = error < 1.0;
        if (o->accepted) {
            const double factor = error == 0.0 ? 10.0 : fmin(10.0, 0.9 * pow(error, -1.0 / 5));
            size *= rejected ? fmin(1.0, factor) : factor;
            accept(o, h, delta_logp);
            t = end;
        } else
            size *= fmax(0.2, 0.9 * pow(error, -1.0 / 5));
        rejected = !o->accepted;
    }
    return NULL;
}

static ts_status check(const ode *o, double t0, double t1, const double *delta_logp)
{
    const ts_sampler *s = o->s;
    if (!(t0 > 0.0 && t0 <= 1.0 && t1 > 0.0 && t1 <= 1.0))
        return ts_error(TS_INVALID, "RK45: from t = %g to t = %g; both must be in (0, 1]", t0, t1);
    /* x is float32: below that no step would ever be good enough. */
    if (!(o->rtol >= 1e-7 && o->atol >= 1e-8))
        return ts_error(TS_INVALID, "RK45: rtol = %g, atol = %g; float32 allows 1e-7 and 1e-8 at least",
                        o->rtol, o->atol);
    if (o->probe && (!s->score->vjp || !delta_logp))
        return ts_error(TS_INVALID, "RK45: a likelihood needs a score with a gradient; the %s score has none",
                        s->score->name);
    return NULL;
}

ts_status ts_sampler_ode(ts_sampler *sampler, double t0, double t1, double rtol, double atol, float *x,
                         const float *probe, double *delta_logp, int *nfe)
{
    ts_sampler *s = sampler;
    const size_t bytes = (size_t)s->count * sizeof *x, joint = bytes + (size_t)s->n * sizeof *x;
    ode o = {.s = s, .probe = probe, .count = s->count + (probe ? s->n : 0), .rtol = rtol, .atol = atol};
    *nfe = 0;
    TS_TRY(check(&o, t0, t1, delta_logp));
    if (!s->block)
        TS_TRY(s->k->allocate(s->device, sizeof(ode_block), &s->block));
    s->evaluations = 0;
    TS_TRY(s->k->zero(s->device, s->current + s->count, (size_t)s->n * sizeof *x));
    TS_TRY(s->k->copy(s->device, s->current, x, bytes));
    /* The first try multiplies them by 0. */
    TS_TRY(s->k->zero(s->device, s->next, joint));
    TS_TRY(s->k->zero(s->device, s->stage[STAGES], joint));
    if (probe)
        memset(delta_logp, 0, (size_t)s->n * sizeof *delta_logp);
    ts_sampler_freeze(s,
                      &(ts_sampler_frozen){.queue = queue_try, .probe = probe, .rtol = rtol, .atol = atol});
    ts_range_push(s->device, "ODE");
    ts_status status = t0 != t1 ? integrate(&o, t0, t1, delta_logp) : NULL;
    ts_range_pop(s->device);
    TS_TRY(status);
    *nfe = s->evaluations;
    return s->k->copy(s->device, x, o.accepted ? s->next : s->current, bytes);
}
