/*
 * Rows of what follows the gradient in the training loop: Adam with its averages, the step counter.
 */
#include <stdlib.h>
#include <string.h>
#include "random.h"

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

/* ---- advance ---- */

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

void operations_training_loop_update(ot *t)
{
    adam_rows(t);
    advance_rows(t);
}
