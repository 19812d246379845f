/*
 * Rows of what a Glow for all T has besides: maps that differ from image to image, and what tells them of T.
 */
#include <math.h>
#include "operations.h"
#include "processes.h"

/* ---- image_norm ---- */

typedef struct image_norm_row {
    int n, hw, c;
    bool inverse;
    ot_buffer *x, *h, *y, *logdet;
} image_norm_row;

static void image_norm_reference(void *p)
{
    image_norm_row *r = p;
    for (int i = 0; i < r->n; i++) {
        const double *bias = r->h->v + 2 * i * r->c, *logs = bias + r->c;
        for (int at = i * r->hw * r->c; at < (i + 1) * r->hw * r->c; at++) {
            const double x = r->x->v[at], b = bias[at % r->c], factor = exp(logs[at % r->c]);
            r->y->want[at] = r->inverse ? x / factor - b : (x + b) * factor;
        }
        if (!r->logdet)
            continue;
        r->logdet->want[i] = 0;
        for (int j = 0; j < r->c; j++)
            r->logdet->want[i] += r->hw * logs[j];
    }
}

static image_norm_row image_norm_make(ot *t, const int *s, bool inverse, bool logdet)
{
    image_norm_row r = {s[0], s[1], s[2], inverse, NULL, NULL, NULL, NULL};
    const int64_t count = (int64_t)r.n * r.hw * r.c;
    ot_case(t, "%dx%dx%d%s%s", r.n, r.hw, r.c, inverse ? " inverse" : "", logdet ? "" : " no logdet");
    r.x = ot_normal(t, OT_ACTIVATION, count, 0.3, 1);
    r.h = ot_normal(t, OT_ACTIVATION, 2 * (int64_t)r.n * r.c, 0, 0.4);
    r.y = ot_output(t, OT_ACTIVATION, count);
    r.logdet = logdet ? ot_output(t, TS_F32, r.n) : NULL;
    return r;
}

static void image_norm_forward(ot *t, image_norm_row r)
{
    ts_image_norm_forward a = {r.n,        r.hw,       r.c,         r.inverse,
                               ot_in(r.x), ot_in(r.h), ot_out(r.y), ot_out(r.logdet)};
    ot_run(t, image_norm_forward, a);
    ot_check(t, image_norm_reference, &r, 2e-6);
}

static void image_norm_backward(ot *t, image_norm_row r, ot_mode dx, ot_mode dh)
{
    /* The backward pass reads the forward output: what the reference gives, rounded. */
    image_norm_reference(&r);
    ot_buffer *y = ot_values(t, OT_ACTIVATION, r.y->count, r.y->want);
    ts_image_norm_backward a = {.n = r.n, .hw = r.hw, .c = r.c, .accumulate = dx == OT_ADD};
    a.y = ot_in(y), a.h = ot_in(r.h), a.dy = ot_cotangent(t, r.y);
    a.dlogdet = r.logdet ? ot_cotangent(t, r.logdet) : NULL;
    a.dx = ot_gradient(t, r.x, dx), a.dh = ot_gradient(t, r.h, dh);
    ot_run(t, image_norm_backward, a);
    ot_check_gradients(t, image_norm_reference, &r, 1e-4);
}

static void image_norm_rows(ot *t)
{
    static const int shapes[][3] = {{1, 1, 1},  {3, 4, 4},   {5, 9, 6},   {128, 16, 8},
                                    {7, 1, 67}, {2, 70, 24}, {3, 5, 301}, {2, 3, 544}};
    for (int i = 0; i < 8; i++) {
        const int *s = shapes[i];
        image_norm_forward(t, image_norm_make(t, s, false, true));
        image_norm_forward(t, image_norm_make(t, s, false, false));
        image_norm_forward(t, image_norm_make(t, s, true, false));
        image_norm_backward(t, image_norm_make(t, s, false, true), OT_ASSIGN, OT_ASSIGN);
        image_norm_backward(t, image_norm_make(t, s, false, false), OT_ADD, OT_ASSIGN);
        image_norm_backward(t, image_norm_make(t, s, false, true), OT_NONE, OT_ASSIGN);
        image_norm_backward(t, image_norm_make(t, s, false, true), OT_ASSIGN, OT_NONE);
    }
}

/* ---- lambda_embedding ---- */

typedef struct lambda_row {
    int n, waves;
    ts_sde sde;
    double low, scale;
    ot_buffer *t, *y;
} lambda_row;

static void lambda_reference(void *p)
{
    lambda_row *r = p;
    for (int i = 0; i < r->n; i++) {
        const double u = (process_lambda(&r->sde, r->t->v[i]) - r->low) * r->scale;
        double *want = r->y->want + i * (1 + 2 * r->waves);
        *want++ = -log1p(process_ratio(&r->sde, r->t->v[i]));
        for (int j = 0; j < r->waves; j++) {
            want[j] = sin((j + 1) * u);
            want[r->waves + j] = cos((j + 1) * u);
        }
    }
}

static void lambda_rows(ot *t)
{
    static const int shapes[][2] = {{1, 1}, {37, 8}, {300, 32}};
    for (int i = 0; i < 9; i++) {
        lambda_row r = {
            shapes[i / 3][0], shapes[i / 3][1], {i % 3, 0.1, 20, 0.01, 50}, -2.5, 0.125, NULL, NULL};
        ot_case(t, "%dx%d sde %d", r.n, r.waves, i % 3);
        r.t = ot_uniform(t, TS_F32, r.n, 0.01, 1);
        r.y = ot_output(t, OT_ACTIVATION, (int64_t)r.n * (1 + 2 * r.waves));
        ts_lambda_embedding a = {r.n, r.waves, r.sde, r.low, r.scale, ot_in(r.t), ot_out(r.y)};
        ot_run(t, lambda_embedding, a);
        ot_check(t, lambda_reference, &r, 1e-6);
    }
}

void operations_glow_images(ot *t)
{
    image_norm_rows(t);
    lambda_rows(t);
}
