/*
 * Rows of what follows the gradient, and of the samplers: Adam, the step counter, random numbers, steps of
 * the integrators.
 */
#include <stdlib.h>
#include <string.h>
#include "training_loop.h"

/* ---- optimizer_step ---- */

enum { PARAMETER, GRADIENT, FIRST, SECOND, EMA, ADAM_ARRAYS };

typedef struct adam_row {
    int64_t count;
    ts_optimizer_step a;
    ts_step_state state;
    ot_buffer *b[ADAM_ARRAYS], *report;
    double *exact[ADAM_ARRAYS]; /* the reference's own run, in double precision throughout */
    double norm;
} adam_row;

/* One step of Kingma and Ba 2015, algorithm 1, on the clipped gradient; then the averages. */
static void adam_reference(void *p)
{
    adam_row *r = p;
    const ts_optimizer_step *a = &r->a;
    const double step = r->state.step, beta1 = (double)a->beta1, beta2 = (double)a->beta2;
    double *const *x = r->exact, squares = 0;
    for (int64_t i = 0; i < r->count; i++)
        squares += x[GRADIENT][i] * x[GRADIENT][i];
    r->norm = sqrt(squares);
    const double clip = a->clip > 0 && r->norm > (double)a->clip ? (double)a->clip / r->norm : 1;
    const double rate = (double)a->rate * (a->warmup ? fmin(1, (step + 1) / a->warmup) : 1);
    const double decay = fmin((double)a->ema_decay, (1 + step) / (10 + step));
    for (int64_t i = 0; i < r->count; i++) {
        const double g = clip * x[GRADIENT][i];
        x[FIRST][i] = beta1 * x[FIRST][i] + (1 - beta1) * g;
        x[SECOND][i] = beta2 * x[SECOND][i] + (1 - beta2) * g * g;
        const double m = x[FIRST][i] / (1 - pow(beta1, step + 1));
        const double v = x[SECOND][i] / (1 - pow(beta2, step + 1));
        x[PARAMETER][i] -= rate * m / (sqrt(v) + (double)a->epsilon);
        x[EMA][i] = decay * x[EMA][i] + (1 - decay) * x[PARAMETER][i];
        x[GRADIENT][i] = 0;
    }
    for (int k = 0; k < ADAM_ARRAYS; k++)
        if (r->b[k])
            memcpy(r->b[k]->want, x[k], (size_t)r->count * sizeof(double));
}

static void adam_arguments(ot *t, adam_row *r, const ts_optimizer_report *before)
{
    r->report = ot_bytes(t, before, sizeof *before);
    ot_out(r->report);
    r->report->output = false; /* written, but compared below: its norm is not exact */
    r->a.count = r->count;
    r->a.state = device_state(t, &r->state);
    r->a.parameters = ot_out(r->b[PARAMETER]);
    r->a.gradients = ot_out(r->b[GRADIENT]);
    r->a.first = ot_out(r->b[FIRST]);
    r->a.second = ot_out(r->b[SECOND]);
    r->a.ema = ot_out(r->b[EMA]);
    r->a.report = ot_out(r->report);
    r->report->output = false;
}

/* Nine steps, each array handed on by the device and, in double precision, by the reference; gradients of
 * norms around the clipping norm. */
static void adam_steps(ot *t, int64_t count, const ts_optimizer_step *settings, bool ema, uint32_t first_step)
{
    adam_row r = {.count = count, .a = *settings};
    double *now[ADAM_ARRAYS];
    for (int k = 0; k < ADAM_ARRAYS; k++) {
        now[k] = calloc((size_t)count, sizeof(double));
        r.exact[k] = calloc((size_t)count, sizeof(double));
    }
    for (int64_t i = 0; i < count; i++)
        for (int k = PARAMETER; k < ADAM_ARRAYS; k += EMA)
            now[k][i] = r.exact[k][i] = (double)(float)normal_of(&state5, TS_STREAM_TEST, (uint64_t)i);
    for (uint32_t step = 0; step < 9; step++) {
        r.state = (ts_step_state){.seed = 1, .step = first_step + step};
        ot_case(t, "count %ld, step %u, clip %g, warm-up %u%s", (long)count, r.state.step,
                (double)settings->clip, settings->warmup, ema ? "" : ", no EMA");
        ot_buffer *g = ot_normal(t, TS_F32, count, 0.1, (0.3 + step % 3) / sqrt((double)count));
        memcpy(r.exact[GRADIENT], g->v, (size_t)count * sizeof(double));
        for (int k = 0; k < ADAM_ARRAYS; k++)
            r.b[k] = k == GRADIENT ? g : k == EMA && !ema ? NULL : ot_values(t, TS_F32, count, now[k]);
        const ts_optimizer_report before = {.norm = -1.0f, .skipped = 3};
        adam_arguments(t, &r, &before);
        ot_run(t, optimizer_step, r.a);
        ot_check(t, adam_reference, &r, 2e-6);
        ts_optimizer_report after;
        ot_read_bytes(r.report, &after);
        ot_expect(t, fabs((double)after.norm - r.norm) < 1e-6 * r.norm && after.skipped == 3,
                  "report: norm %g, exactly %g", (double)after.norm, r.norm);
        for (int k = 0; k < ADAM_ARRAYS; k++)
            if (r.b[k])
                memcpy(now[k], r.b[k]->got, (size_t)count * sizeof(double));
    }
    for (int k = 0; k < ADAM_ARRAYS; k++) {
        free(now[k]);
        free(r.exact[k]);
    }
}

/* Where the norm is not finite nothing changes but the gradient, which becomes zero, and the report, which
 * keeps the first such step. */
static void adam_skipped(ot *t, double bad, uint32_t skipped)
{
    adam_row r = {.count = 50000,
                  .a = {.rate = 1e-3f, .beta1 = 0.9f, .beta2 = 0.99f, .epsilon = 1e-8f},
                  .state = {.step = 40}};
    const ts_optimizer_report before = {.norm = 1.0f, .skipped = skipped, .first_skipped = skipped ? 17 : 0};
    ts_optimizer_report after;
    bool unchanged = true;
    ot_case(t, "a gradient of %g, %u before", bad, skipped);
    for (int k = 0; k < ADAM_ARRAYS; k++)
        r.b[k] = ot_uniform(t, TS_F32, r.count, 0.1, 1);
    r.b[GRADIENT]->v[40001] = bad;
    adam_arguments(t, &r, &before);
    ot_run(t, optimizer_step, r.a);
    for (int k = 0; k < ADAM_ARRAYS; k++)
        for (int64_t i = 0; i < r.count; i++)
            unchanged = unchanged && r.b[k]->got[i] == (k == GRADIENT ? 0.0 : r.b[k]->v[i]);
    ot_read_bytes(r.report, &after);
    ot_expect(t, unchanged, "nothing is updated, the gradient is zeroed");
    ot_expect(t, after.skipped == skipped + 1 && !isfinite(after.norm), "report: norm %g, %u skipped",
              (double)after.norm, after.skipped);
    ot_expect(t, after.first_skipped == (skipped ? 17 : 40), "report: first at step %u", after.first_skipped);
}

static void adam_rows(ot *t)
{
    ts_optimizer_step s = {.rate = 1e-2f,
                           .beta1 = 0.9f,
                           .beta2 = 0.999f,
                           .epsilon = 1e-8f,
                           .clip = 1.0f,
                           .ema_decay = 0.3f,
                           .warmup = 5};
    adam_steps(t, 1000, &s, true, 0);
    adam_steps(t, 100003, &s, true, 0);
    adam_steps(t, 1, &s, true, 1000000);
    adam_steps(t, 1000, &s, false, 3);
    s.clip = 0.0f;
    s.warmup = 0;
    s.beta1 = 0.0f;
    s.ema_decay = 0.9999f;
    adam_steps(t, 40000, &s, true, 0);
    adam_skipped(t, NAN, 0);
    adam_skipped(t, INFINITY, 0);
    adam_skipped(t, -INFINITY, 3);
}

/* ---- advance, fill_time, fill_random, convert ---- */

typedef struct bytes_row {
    ot_buffer *b;
    ts_step_state want;
} bytes_row;

static void bytes_reference(void *p)
{
    bytes_row *r = p;
    for (size_t i = 0; i < sizeof r->want; i++)
        r->b->want[i] = ((const uint8_t *)&r->want)[i];
}

static void advance_rows(ot *t)
{
    static const uint32_t steps[] = {0, 255, 4000000000u};
    for (int k = 0; k < 3; k++) {
        const ts_step_state before = {.seed = 0xfedcba9876543210ull, .step = steps[k], .instance = 7};
        ot_case(t, "step %u", steps[k]);
        bytes_row r = {ot_bytes(t, &before, sizeof before), before};
        r.want.step++;
        ts_advance a = {ot_out(r.b)};
        ot_run(t, advance, a);
        ot_check(t, bytes_reference, &r, 0);
    }
}

typedef struct pair_row {
    int64_t count, from;
    double scale;
    bool rademacher, wide;
    ot_buffer *x, *y;
} pair_row;

static void fill_time_reference(void *p)
{
    pair_row *r = p;
    for (int64_t i = 0; i < r->count; i++)
        r->y->want[i] = r->x->v[r->from];
}

static void convert_reference(void *p)
{
    pair_row *r = p;
    for (int64_t i = 0; i < r->count; i++)
        r->y->want[i] = r->x->v[i];
}

static void fill_random_reference(void *p)
{
    pair_row *r = p;
    for (int64_t i = 0; i < r->count; i++) {
        const uint64_t element = (uint64_t)(r->from + i);
        r->y->want[i] = r->rademacher
                            ? (ts_uniform_from(word_of(&state5, TS_STREAM_PROBE, element)) > 0.5f ? 1 : -1)
                            : r->scale * normal_of(&state5, TS_STREAM_PROBE, element);
    }
}

static void fill_rows(ot *t)
{
    static const int64_t counts[] = {1, 37, 1000, 100003};
    for (int k = 0; k < 3; k++) {
        pair_row r = {.count = counts[k], .from = state5.step};
        ot_case(t, "n %ld", (long)r.count);
        r.x = ot_uniform(t, TS_F32, 9, 0, 1);
        r.y = ot_output(t, TS_F32, r.count);
        ts_fill_time a = {(int)r.count, ot_in(r.x), device_state(t, &state5), ot_out(r.y)};
        ot_run(t, fill_time, a);
        ot_check(t, fill_time_reference, &r, 0);
        ot_case(t, "n %ld, the first time", (long)r.count);
        r.from = 0;
        r.x = ot_uniform(t, TS_F32, 9, 0, 1);
        r.y = ot_output(t, TS_F32, r.count);
        ts_fill_time b = {(int)r.count, ot_in(r.x), NULL, ot_out(r.y)};
        ot_run(t, fill_time, b);
        ot_check(t, fill_time_reference, &r, 0);
    }
    for (int k = 0; k < 16; k++) {
        pair_row r = {.count = counts[k / 4],
                      .from = k & 2 ? 4 * 12345 : 0,
                      .scale = 2.5,
                      .rademacher = k & 1,
                      .wide = k / 4 == 1 || k / 4 == 3};
        ot_case(t, "count %ld from %ld%s%s", (long)r.count, (long)r.from, r.rademacher ? " rademacher" : "",
                r.wide ? " wide" : "");
        r.y = ot_output(t, r.wide ? TS_F32 : OT_ACTIVATION, r.count);
        ts_fill_random a = {.count = r.count,
                            .scale = 2.5f,
                            .rademacher = r.rademacher,
                            .stream = TS_STREAM_PROBE,
                            .element = (uint32_t)r.from,
                            .state = device_state(t, &state5),
                            .out = ot_out(r.y),
                            .wide = r.wide};
        ot_run(t, fill_random, a);
        ot_check(t, fill_random_reference, &r, 2e-6);
        if (r.wide)
            ot_expect(t, ot_error(r.y, r.y->want) < 2e-6, "float32 whatever the activations are");
    }
    for (int k = 0; k < 8; k++) {
        pair_row r = {.count = counts[k / 2]};
        ot_case(t, "count %ld %s float32", (long)r.count, k & 1 ? "to" : "from");
        r.x = ot_normal(t, k & 1 ? OT_ACTIVATION : TS_F32, r.count, 0, 1);
        r.y = ot_output(t, k & 1 ? TS_F32 : OT_ACTIVATION, r.count);
        ts_convert a = {r.count, k & 1, ot_in(r.x), ot_out(r.y)};
        ot_run(t, convert, a);
        ot_check(t, convert_reference, &r, 0);
    }
}

/* ---- integrators ---- */

typedef struct step_row {
    int64_t count;
    int terms, into, first; /* first: of the table, in use */
    float c[8];
    double rtol, atol;
    ot_buffer *coefficients, *net, *x[8], *y, *y0, *y1;
} step_row;

static void sde_step_reference(void *p)
{
    step_row *r = p;
    const double *c = r->coefficients->v + 3 * (int)state5.step;
    for (int64_t i = 0; i < r->count; i++)
        r->y->want[i] = c[0] * r->y->v[i] + c[1] * r->net->v[i] +
                        c[2] * normal_of(&state5, TS_STREAM_SAMPLER, (uint64_t)i);
}

static double combination(const step_row *r, int64_t i)
{
    double sum = 0;
    for (int k = 0; k < r->terms; k++)
        sum += (r->coefficients ? r->coefficients->v[r->first + k] : (double)r->c[k]) * r->x[k]->v[i];
    return sum;
}

static void combine_reference(void *p)
{
    step_row *r = p;
    for (int64_t i = 0; i < r->count; i++)
        r->y->want[i] = combination(r, i);
}

static void error_reference(void *p)
{
    step_row *r = p;
    double sum = 0;
    for (int64_t i = 0; i < r->count; i++) {
        const double size = fmax(fabs(r->y0->v[i]), fabs(r->y1->v[i]));
        const double e = combination(r, i) / (r->atol + r->rtol * size);
        sum += e * e;
    }
    r->y->want[0] = sqrt(sum / (double)r->count);
}

enum { STRIDE = 11, OFFSET = 2 }; /* of a table's rows, and what is taken of them */

/* Coefficients by value, from a table's row at the state's step, or from its first row; and what they
 * multiply. */
static ts_coefficients step_terms(ot *t, step_row *r, int variant)
{
    ts_coefficients c = {.value = {NAN}};
    for (int k = 0; k < r->terms; k++) {
        r->c[k] = (float)normal_of(&state5, TS_STREAM_TEST, (uint64_t)k);
        r->x[k] = ot_normal(t, TS_F32, r->count, 0, 1);
    }
    r->coefficients = NULL;
    if (variant == 0) {
        memcpy(c.value, r->c, sizeof r->c);
        return c;
    }
    r->coefficients = ot_normal(t, TS_F32, STRIDE * ((int64_t)state5.step + 1), 0, 1);
    r->first = OFFSET + (variant == 1 ? STRIDE * (int)state5.step : 0);
    c.table = (const float *)ot_in(r->coefficients) + OFFSET;
    c.stride = STRIDE;
    c.state = variant == 1 ? device_state(t, &state5) : NULL;
    return c;
}

static void integrator_rows(ot *t)
{
    static const int64_t counts[] = {1, 300, 2048, 100003};
    for (int k = 0; k < 4; k++) {
        step_row r = {.count = counts[k]};
        ot_case(t, "count %ld", (long)r.count);
        r.coefficients = ot_normal(t, TS_F32, 3 * 8, 0, 1);
        r.net = ot_normal(t, TS_F32, r.count, 0, 1);
        r.y = ot_normal(t, TS_F32, r.count, 0, 1);
        ts_sde_step a = {r.count, ot_in(r.coefficients), device_state(t, &state5), ot_in(r.net), ot_out(r.y)};
        ot_run(t, sde_step, a);
        ot_check(t, sde_step_reference, &r, 1e-6);
    }
    static const char *const from[] = {"", ", of the step", ", of the first step"};
    for (int k = 0; k < 36; k++) {
        static const int terms[] = {1, 2, 8}, into[] = {-1, 0, 7};
        const int variant = k % 3;
        step_row r = {.count = counts[k / 9], .terms = terms[k / 3 % 3], .into = into[k / 3 % 3]};
        ot_case(t, "count %ld, %d terms%s%s", (long)r.count, r.terms, r.into < 0 ? "" : " in place",
                from[variant]);
        ts_linear_combine a = {.count = r.count, .terms = r.terms, .c = step_terms(t, &r, variant)};
        r.y = r.into < 0 ? ot_output(t, TS_F32, r.count) : r.x[r.into];
        a.y = ot_out(r.y);
        for (int j = 0; j < r.terms; j++)
            a.x[j] = ot_in(r.x[j]);
        ot_run(t, linear_combine, a);
        ot_check(t, combine_reference, &r, 1e-6);

        ot_case(t, "count %ld, %d terms%s", (long)r.count, r.terms, from[variant]);
        ts_error_norm b = {.count = r.count, .terms = r.terms, .rtol = 1e-3, .atol = 1e-4};
        b.c = step_terms(t, &r, variant);
        for (int j = 0; j < r.terms; j++)
            b.x[j] = ot_in(r.x[j]);
        r.rtol = b.rtol;
        r.atol = b.atol;
        r.y0 = ot_normal(t, TS_F32, r.count, 0, 1);
        r.y1 = ot_normal(t, TS_F32, r.count, 0, 1);
        r.y = ot_output(t, TS_F64, 1);
        b.y0 = ot_in(r.y0);
        b.y1 = ot_in(r.y1);
        b.error = ot_out(r.y);
        ot_run(t, error_norm, b);
        ot_check(t, error_reference, &r, 1e-12);
    }
}

void operations_loop_update(ot *t)
{
    adam_rows(t);
    advance_rows(t);
    fill_rows(t);
    integrator_rows(t);
}
