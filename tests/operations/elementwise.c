/*
 * Rows of the element-wise layers, and of the time embedding.
 */
#include <math.h>
#include "operations.h"

/* ---- add_scaled ---- */

typedef struct scale_row {
    int64_t count;
    double scale;
    bool accumulate;
    ot_buffer *x, *y;
} scale_row;

static void scale_reference(void *p)
{
    scale_row *r = p;
    for (int64_t i = 0; i < r->count; i++)
        r->y->want[i] = r->scale * r->x->v[i] + (r->accumulate ? r->y->v[i] : 0);
}

static void scale_rows(ot *t)
{
    static const int64_t counts[] = {1, 1000, 100003};
    for (int i = 0; i < 3; i++)
        for (int accumulate = 0; accumulate < 2; accumulate++) {
            ot_case(t, "count %ld%s", (long)counts[i], accumulate ? " accumulate" : "");
            scale_row r = {counts[i], (double)0.7f, accumulate, NULL, NULL};
            r.x = ot_normal(t, OT_ACTIVATION, r.count, 0, 1);
            r.y = accumulate ? ot_normal(t, OT_ACTIVATION, r.count, 0, 1)
                             : ot_output(t, OT_ACTIVATION, r.count);
            ts_add_scaled a = {r.count, 0.7f, ot_in(r.x), ot_out(r.y), accumulate};
            ot_run(t, add_scaled, a);
            ot_check(t, scale_reference, &r, 1e-6);
        }
}

/* ---- silu ---- */

typedef struct silu_row {
    int64_t count;
    ot_buffer *x, *y;
} silu_row;

static void silu_reference(void *p)
{
    silu_row *r = p;
    for (int64_t i = 0; i < r->count; i++)
        r->y->want[i] = r->x->v[i] / (1 + exp(-r->x->v[i]));
}

static void silu_rows(ot *t)
{
    static const int64_t counts[] = {1, 1000, 100003};
    for (int i = 0; i < 3; i++) {
        ot_case(t, "count %ld", (long)counts[i]);
        silu_row r = {.count = counts[i]};
        r.x = ot_normal(t, OT_ACTIVATION, r.count, 0, 4);
        r.y = ot_output(t, OT_ACTIVATION, r.count);
        ts_silu_forward a = {r.count, ot_in(r.x), ot_out(r.y)};
        ot_run(t, silu_forward, a);
        ot_check(t, silu_reference, &r, 1e-6);
    }
    for (ot_mode mode = OT_ASSIGN; mode <= OT_ADD; mode++) {
        ot_case(t, "count 1003%s", mode == OT_ADD ? " accumulate" : "");
        silu_row r = {.count = 1003};
        r.x = ot_normal(t, OT_ACTIVATION, r.count, 0, 4);
        r.y = ot_output(t, OT_ACTIVATION, r.count);
        ts_silu_backward a = {r.count, ot_in(r.x), ot_cotangent(t, r.y), ot_gradient(t, r.x, mode),
                              mode == OT_ADD};
        ot_run(t, silu_backward, a);
        ot_check_gradients(t, silu_reference, &r, 1e-6);
    }
}

/* ---- concat ---- */

typedef struct concat_row {
    int rows, ca, cb;
    ot_buffer *a, *b, *y;
} concat_row;

static void concat_reference(void *p)
{
    concat_row *r = p;
    const int c = r->ca + r->cb;
    for (int i = 0; i < r->rows * c; i++) {
        const int row = i / c, k = i % c;
        r->y->want[i] = k < r->ca ? r->a->v[row * r->ca + k] : r->b->v[row * r->cb + k - r->ca];
    }
}

static void concat_rows(ot *t)
{
    static const ot_mode modes[][2] = {{OT_ASSIGN, OT_ASSIGN},
                                       {OT_ADD, OT_ASSIGN},
                                       {OT_ASSIGN, OT_ADD},
                                       {OT_NONE, OT_ADD},
                                       {OT_ADD, OT_NONE}};
    static const int channels[][2] = {{17, 32}, {24, 40}};
    for (int i = 0; i < 12; i++) {
        const int variant = i / 2 - 1, *c = channels[i % 2];
        ot_case(t, "37 rows of %d + %d, variant %d", c[0], c[1], variant);
        concat_row r = {.rows = 37, .ca = c[0], .cb = c[1]};
        r.a = ot_normal(t, OT_ACTIVATION, r.rows * r.ca, 0, 1);
        r.b = ot_normal(t, OT_ACTIVATION, r.rows * r.cb, 0, 1);
        r.y = ot_output(t, OT_ACTIVATION, r.rows * (r.ca + r.cb));
        if (variant < 0) {
            ts_concat_forward a = {r.rows, r.ca, r.cb, ot_in(r.a), ot_in(r.b), ot_out(r.y)};
            ot_run(t, concat_forward, a);
            ot_check(t, concat_reference, &r, 0);
            continue;
        }
        const ot_mode a = modes[variant][0], b = modes[variant][1];
        ts_concat_backward d = {r.rows,
                                r.ca,
                                r.cb,
                                ot_cotangent(t, r.y),
                                ot_gradient(t, r.a, a),
                                ot_gradient(t, r.b, b),
                                a == OT_ADD,
                                b == OT_ADD};
        ot_run(t, concat_backward, d);
        ot_check_gradients(t, concat_reference, &r, 1e-6);
    }
}

/* ---- slice ---- */

typedef struct slice_row {
    int rows, c_in, first, c_out;
    ot_buffer *x, *y;
} slice_row;

static void slice_reference(void *p)
{
    slice_row *r = p;
    for (int i = 0; i < r->rows * r->c_out; i++)
        r->y->want[i] = r->x->v[i / r->c_out * r->c_in + r->first + i % r->c_out];
}

static void slice_rows(ot *t)
{
    static const int shapes[][3] = {{8, 0, 4}, {8, 4, 4}, {17, 3, 5}, {5, 0, 5}, {40, 16, 8}};
    for (int i = 0; i < 15; i++) {
        const int *s = shapes[i / 3], mode = i % 3;
        static const char *const names[] = {"", " backward", " backward accumulate"};
        ot_case(t, "37 rows, %d .. %d of %d%s", s[1], s[1] + s[2] - 1, s[0], names[mode]);
        slice_row r = {37, s[0], s[1], s[2], NULL, NULL};
        r.x = ot_normal(t, OT_ACTIVATION, r.rows * r.c_in, 0, 1);
        r.y = ot_output(t, OT_ACTIVATION, r.rows * r.c_out);
        if (mode == 0) {
            ts_slice_forward a = {r.rows, r.c_in, r.first, r.c_out, ot_in(r.x), ot_out(r.y)};
            ot_run(t, slice_forward, a);
            ot_check(t, slice_reference, &r, 0);
            continue;
        }
        ts_slice_backward b = {
            r.rows,        r.c_in, r.first, r.c_out, ot_cotangent(t, r.y), ot_gradient(t, r.x, mode),
            mode == OT_ADD};
        ot_run(t, slice_backward, b);
        ot_check_gradients(t, slice_reference, &r, 1e-6);
    }
}

/* ---- time embedding ---- */

typedef struct time_row {
    int n, c;
    ot_buffer *t, *y;
} time_row;

static void time_reference(void *p)
{
    time_row *r = p;
    const int half = r->c / 2;
    for (int i = 0; i < r->n * half; i++) {
        const int row = i / half, j = i % half;
        const double angle = 999 * r->t->v[row] * pow(10000, half > 1 ? -(double)j / (half - 1) : 0);
        r->y->want[row * r->c + j] = sin(angle);
        r->y->want[row * r->c + half + j] = cos(angle);
    }
}

static void time_rows(ot *t)
{
    static const int shapes[][2] = {{1, 2}, {5, 6}, {7, 128}};
    for (int i = 0; i < 3; i++) {
        ot_case(t, "%d times, %d channels", shapes[i][0], shapes[i][1]);
        time_row r = {.n = shapes[i][0], .c = shapes[i][1]};
        r.t = ot_uniform(t, TS_F32, r.n, 0, 1);
        r.y = ot_output(t, OT_ACTIVATION, r.n * r.c);
        ts_time_embedding a = {.n = r.n, .c = r.c, .t = ot_in(r.t), .y = ot_out(r.y)};
        ot_run(t, time_embedding, a);
        ot_check(t, time_reference, &r, 1e-6);
    }
}

void operations_elementwise(ot *t)
{
    silu_rows(t);
    scale_rows(t);
    concat_rows(t);
    slice_rows(t);
    time_rows(t);
}
