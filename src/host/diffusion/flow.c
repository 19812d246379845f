/*
 * The probability-flow ODE by the adaptive Runge-Kutta method of Dormand and Prince (1980), orders 5 and 4,
 * with the step control of SciPy's RK45 (Hairer, Norsett, Wanner, "Solving Ordinary Differential Equations
 * I", II.4), so that numbers of evaluations compare with published ones.  The whole batch is one system; a
 * likelihood adds the divergence's integral of each row to it.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "diffusion/sampler_internal.h"

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

typedef struct flow {
    ts_sampler *s;
    const float *probe;
    int64_t count; /* of the whole system: n d, and n more with a probe */
    double rtol, atol;
} flow;

/* stage[i] = d(x, log-density)/dt at (x, t); the row part also in double in divergence[i]. */
static ts_status derivative(const flow *f, double t, const float *x, int i)
{
    ts_sampler *s = f->s;
    const double drift = ts_sde_drift(&s->sde, t), factor = ts_sampler_flow_factor(&s->sde, t);
    const float *net, *product;
    if (s->evaluations >= MAX_EVALUATIONS)
        return ts_error(TS_NOT_FINITE, "RK45: %d evaluations have not reached the end: t = %g",
                        MAX_EVALUATIONS, t);
    TS_TRY(ts_sampler_evaluate_at(s, x, t, &net));
    TS_TRY(ts_sampler_combine(s, s->count, 2, (double[]){drift, factor}, (const float *[]){x, net},
                              s->stage[i]));
    if (!f->probe)
        return NULL;
    TS_TRY(s->score->vjp(s->score, f->probe, &product));
    const ts_row_dot dot = {.n = s->n, .d = s->d, .x = product, .y = f->probe, .out = s->rows};
    TS_TRY(s->k->row_dot(s->device, &dot));
    TS_TRY(s->k->download(s->device, s->divergence[i], s->rows, (size_t)s->n * sizeof(double)));
    TS_TRY(s->k->synchronize(s->device));
    for (int row = 0; row < s->n; row++) {
        s->divergence[i][row] = drift * s->d + factor * s->divergence[i][row];
        s->host_rows[row] = (float)s->divergence[i][row];
    }
    return s->k->upload(s->device, s->stage[i] + s->count, s->host_rows, (size_t)s->n * sizeof(float));
}

/* y = current + h sum_j weight[j] stage[j]; the small terms first, so that float32 loses least. */
static ts_status step_to(const flow *f, double h, int stages, const double *weight, float *y)
{
    double coefficient[STAGES + 1];
    const float *x[STAGES + 1];
    for (int j = 0; j < stages; j++) {
        coefficient[j] = h * weight[j];
        x[j] = f->s->stage[j];
    }
    coefficient[stages] = 1.0;
    x[stages] = f->s->current;
    return ts_sampler_combine(f->s, f->count, stages + 1, coefficient, x, y);
}

/* The root mean square of sum_k coefficient[k] x[k] in units of the tolerance at y0, y1. */
static ts_status norm(const flow *f, int terms, const double *coefficient, const float *const *x,
                      const float *y0, const float *y1, double *value)
{
    ts_sampler *s = f->s;
    ts_error_norm a = {.count = f->count,
                       .terms = terms,
                       .y0 = y0,
                       .y1 = y1,
                       .rtol = f->rtol,
                       .atol = f->atol,
                       .error = s->error};
    for (int i = 0; i < terms; i++) {
        a.coefficient[i] = (float)coefficient[i];
        a.x[i] = x[i];
    }
    TS_TRY(s->k->error_norm(s->device, &a));
    TS_TRY(s->k->download(s->device, value, s->error, sizeof *value));
    return s->k->synchronize(s->device);
}

/* Hairer's starting step, from the slope stage[0] at t0 and one more evaluation. */
static ts_status first_step(const flow *f, double t0, double direction, double length, double *h)
{
    ts_sampler *s = f->s;
    const float *y = s->current, *slope = s->stage[0];
    double size, size_slope, size_change;
    TS_TRY(norm(f, 1, (double[]){1.0}, &y, y, y, &size));
    TS_TRY(norm(f, 1, (double[]){1.0}, &slope, y, y, &size_slope));
    double trial = size < 1e-5 || size_slope < 1e-5 ? 1e-6 : 0.01 * size / size_slope;
    trial = fmin(trial, length);
    TS_TRY(step_to(f, trial * direction, 1, (double[]){1.0}, s->next));
    TS_TRY(derivative(f, t0 + trial * direction, s->next, 1));
    TS_TRY(norm(f, 2, (double[]){1.0, -1.0}, (const float *[]){s->stage[1], slope}, y, y, &size_change));
    size_change /= trial;
    const double guess = size_slope <= 1e-15 && size_change <= 1e-15
                             ? fmax(1e-6, trial * 1e-3)
                             : pow(0.01 / fmax(size_slope, size_change), 1.0 / 5);
    *h = fmin(fmin(100.0 * trial, guess), length);
    return NULL;
}

/* next = the state h later, stage[6] = the slope there, *error = the estimated error over the tolerance. */
static ts_status attempt(const flow *f, double t, double h, double *error)
{
    ts_sampler *s = f->s;
    for (int i = 1; i < STAGES; i++) {
        TS_TRY(step_to(f, h, i, A[i], s->next));
        TS_TRY(derivative(f, t + C[i] * h, s->next, i));
    }
    TS_TRY(step_to(f, h, STAGES, B, s->next));
    TS_TRY(derivative(f, t + h, s->next, STAGES));
    double coefficient[STAGES + 1];
    for (int i = 0; i <= STAGES; i++)
        coefficient[i] = h * E[i];
    TS_TRY(norm(f, STAGES + 1, coefficient, (const float *const *)s->stage, s->current, s->next, error));
    if (!isfinite(*error))
        return ts_error(TS_NOT_FINITE, "RK45: the %s score is not finite between t = %g and t = %g",
                        s->score->name, t, t + h);
    return NULL;
}

/* The step is taken: the end becomes the start, its slope the first slope of the next step. */
static void accept(const flow *f, double h, double *delta_logp)
{
    ts_sampler *s = f->s;
    for (int row = 0; f->probe && row < s->n; row++)
        for (int i = 0; i < STAGES; i++)
            delta_logp[row] += h * B[i] * s->divergence[i][row];
    float *state = s->current, *slope = s->stage[0];
    double *divergence = s->divergence[0];
    s->current = s->next;
    s->next = state;
    s->stage[0] = s->stage[STAGES];
    s->stage[STAGES] = slope;
    s->divergence[0] = s->divergence[STAGES];
    s->divergence[STAGES] = divergence;
}

static ts_status integrate(const flow *f, double t0, double t1, double *delta_logp)
{
    const double direction = t1 < t0 ? -1.0 : 1.0;
    double t = t0, size, error;
    TS_TRY(derivative(f, t0, f->s->current, 0));
    TS_TRY(first_step(f, t0, direction, fabs(t1 - t0), &size));
    bool rejected = false;
    while (t != t1) {
        const double smallest = 10.0 * fabs(nextafter(t, direction * INFINITY) - t);
        if (size < smallest) {
            if (rejected)
                return ts_error(TS_NOT_FINITE,
                                "RK45: no step is small enough for rtol = %g, atol = %g at "
                                "t = %g",
                                f->rtol, f->atol, t);
            size = smallest;
        }
        const double end = size >= fabs(t1 - t) ? t1 : t + direction * size;
        const double h = end - t;
        size = fabs(h);
        TS_TRY(attempt(f, t, h, &error));
        if (error < 1.0) {
            const double factor = error == 0.0 ? 10.0 : fmin(10.0, 0.9 * pow(error, -1.0 / 5));
            size *= rejected ? fmin(1.0, factor) : factor;
            accept(f, h, delta_logp);
            t = end;
        } else
            size *= fmax(0.2, 0.9 * pow(error, -1.0 / 5));
        rejected = error >= 1.0;
    }
    return NULL;
}

static ts_status check(const flow *f, double t0, double t1, const double *delta_logp)
{
    const ts_sampler *s = f->s;
    if (!(t0 > 0.0 && t0 <= 1.0 && t1 > 0.0 && t1 <= 1.0))
        return ts_error(TS_INVALID, "RK45: from t = %g to t = %g; both must be in (0, 1]", t0, t1);
    /* x is float32: below that no step would ever be good enough. */
    if (!(f->rtol >= 1e-7 && f->atol >= 1e-8))
        return ts_error(TS_INVALID, "RK45: rtol = %g, atol = %g; float32 allows 1e-7 and 1e-8 at least",
                        f->rtol, f->atol);
    if (f->probe && (!s->score->vjp || !delta_logp))
        return ts_error(TS_INVALID, "RK45: a likelihood needs a score with a gradient; the %s score has none",
                        s->score->name);
    return NULL;
}

ts_status ts_sampler_flow(ts_sampler *sampler, double t0, double t1, double rtol, double atol, float *x,
                          const float *probe, double *delta_logp, int *nfe)
{
    ts_sampler *s = sampler;
    const size_t bytes = (size_t)s->count * sizeof *x;
    const flow f = {s, probe, s->count + (probe ? s->n : 0), rtol, atol};
    *nfe = 0;
    TS_TRY(check(&f, t0, t1, delta_logp));
    s->evaluations = 0;
    TS_TRY(s->k->copy(s->device, s->current, x, bytes));
    TS_TRY(s->k->zero(s->device, s->current + s->count, (size_t)s->n * sizeof *x));
    if (probe)
        memset(delta_logp, 0, (size_t)s->n * sizeof *delta_logp);
    ts_sampler_forget(s);
    ts_range_push(s->device, "flow");
    ts_status status = t0 != t1 ? integrate(&f, t0, t1, delta_logp) : NULL;
    ts_range_pop(s->device);
    ts_sampler_forget(s);
    TS_TRY(status);
    *nfe = s->evaluations;
    return s->k->copy(s->device, x, s->current, bytes);
}
