/*
 * Rows of the operations of networks that look at images.
 */
#include <math.h>
#include "operations.h"

/* n, h, w, ci, co, groups; window: size, strides, padding along both axes */
typedef struct image_shape {
    int n, h, w, c, co, groups;
    ts_window window;
} image_shape;

/* ---- convolution ---- */

typedef struct conv2d_row {
    image_shape s;
    bool relu;
    ot_buffer *x, *weight, *bias, *residual, *y;
} conv2d_row;

static int places_h(const image_shape *s)
{
    return ts_window_places(s->h, s->window.h, s->window.stride_h, s->window.pad_h);
}

static int places_w(const image_shape *s)
{
    return ts_window_places(s->w, s->window.w, s->window.stride_w, s->window.pad_w);
}

static double conv2d_at(const conv2d_row *r, int image, int i, int j, int o)
{
    const image_shape *const s = &r->s;
    const ts_window *const w = &s->window;
    const int inputs = s->c / s->groups, first = o / (s->co / s->groups) * inputs;
    double sum = 0;
    for (int p = 0; p < w->h; p++)
        for (int q = 0; q < w->w; q++) {
            const int y = i * w->stride_h + p - w->pad_h, x = j * w->stride_w + q - w->pad_w;
            for (int k = 0; k < inputs && y >= 0 && y < s->h && x >= 0 && x < s->w; k++)
                sum += r->x->v[((image * s->h + y) * s->w + x) * s->c + first + k] *
                       r->weight->v[((o * w->h + p) * w->w + q) * inputs + k];
        }
    return sum;
}

static void conv2d_reference(void *row)
{
    conv2d_row *r = row;
    const int oh = places_h(&r->s), ow = places_w(&r->s), co = r->s.co;
    for (int i = 0; i < r->y->count; i++) {
        double sum = conv2d_at(r, i / co / ow / oh, i / co / ow % oh, i / co % ow, i % co);
        sum += (r->bias ? r->bias->v[i % co] : 0) + (r->residual ? r->residual->v[i] : 0);
        r->y->want[i] = r->relu && sum < 0 ? 0 : sum;
    }
}

static void conv2d_rows(ot *t)
{
    static const image_shape shapes[] = {
        {1, 1, 1, 1, 1, 1, {1, 1, 1, 1, 0, 0}},     {2, 9, 11, 3, 32, 1, {3, 3, 2, 2, 0, 0}},
        {2, 6, 7, 16, 24, 1, {1, 7, 1, 1, 0, 3}},   {2, 7, 6, 17, 8, 1, {7, 1, 1, 1, 3, 0}},
        {3, 5, 5, 48, 64, 1, {5, 5, 1, 1, 2, 2}},   {2, 8, 8, 64, 80, 1, {1, 1, 1, 1, 0, 0}},
        {2, 8, 6, 16, 32, 1, {1, 1, 2, 2, 0, 0}},   {2, 9, 9, 8, 16, 2, {3, 3, 1, 1, 1, 1}},
        {2, 10, 7, 6, 12, 3, {3, 2, 2, 3, 1, 0}},   {1, 8, 8, 16, 16, 16, {3, 3, 1, 1, 1, 1}},
        {2, 17, 17, 32, 48, 1, {3, 3, 2, 2, 0, 0}}, {2, 4, 4, 5, 3, 1, {4, 4, 1, 1, 0, 0}},
        {2, 6, 5, 20, 40, 1, {3, 3, 1, 1, 1, 1}},   {2, 18, 18, 16, 32, 1, {3, 3, 1, 1, 0, 0}},
        {3, 8, 12, 32, 16, 1, {3, 3, 1, 1, 1, 1}},  {2, 9, 8, 16, 48, 1, {3, 3, 1, 1, 0, 1}}};
    for (int i = 0; i < 5 * (int)(sizeof shapes / sizeof *shapes); i++) {
        const image_shape *const s = &shapes[i / 5];
        const ts_window *const w = &s->window;
        const bool bias = i % 5 > 0, residual = i % 5 > 2, in_place = i % 5 == 4;
        conv2d_row r = {.s = *s, .relu = i % 5 > 1};
        ot_case(t, "%dx%dx%d %d->%d/%d, %dx%d by %d,%d%s%s%s%s", s->n, s->h, s->w, s->c, s->co, s->groups,
                w->h, w->w, w->stride_h, w->stride_w, bias ? " bias" : "", r.relu ? " relu" : "",
                residual ? " residual" : "", in_place ? " in place" : "");
        const int inputs = w->h * w->w * s->c / s->groups, count = s->n * places_h(s) * places_w(s) * s->co;
        r.x = ot_normal(t, OT_ACTIVATION, s->n * s->h * s->w * s->c, 0, 1);
        r.weight = ot_normal(t, TS_F32, s->co * inputs, 0, 1 / sqrt(inputs));
        r.bias = bias ? ot_normal(t, TS_F32, s->co, 0, 1) : NULL;
        r.residual = residual ? ot_normal(t, OT_ACTIVATION, count, 0, 1) : NULL;
        r.y = in_place ? r.residual : ot_output(t, OT_ACTIVATION, count);
        ts_conv2d a = {.n = s->n, .h = s->h, .w = s->w, .ci = s->c, .co = s->co, .groups = s->groups};
        a.window = *w, a.relu = r.relu, a.x = ot_in(r.x), a.weight = ot_in(r.weight), a.bias = ot_in(r.bias);
        a.residual = ot_in(r.residual), a.y = ot_out(r.y);
        ot_run(t, conv2d, a);
        ot_check(t, conv2d_reference, &r, 1e-6);
    }
}

/* ---- pooling ---- */

typedef struct pool_row {
    image_shape s;
    ts_pooling kind;
    bool count_padding;
    ot_buffer *x, *y;
} pool_row;

static double pool_at(const pool_row *r, int image, int i, int j, int k)
{
    const image_shape *const s = &r->s;
    const ts_window *const w = &s->window;
    double sum = 0, largest = -INFINITY;
    int count = 0;
    for (int p = 0; p < w->h * w->w; p++) {
        const int y = i * w->stride_h + p / w->w - w->pad_h, x = j * w->stride_w + p % w->w - w->pad_w;
        if (y < 0 || y >= s->h || x < 0 || x >= s->w)
            continue;
        const double value = r->x->v[((image * s->h + y) * s->w + x) * s->c + k];
        sum += value;
        largest = fmax(largest, value);
        count++;
    }
    return r->kind == TS_POOL_MAX ? largest : sum / (r->count_padding ? w->h * w->w : count);
}

static void pool_reference(void *row)
{
    pool_row *r = row;
    const int oh = places_h(&r->s), ow = places_w(&r->s), c = r->s.c;
    for (int i = 0; i < r->y->count; i++)
        r->y->want[i] = pool_at(r, i / c / ow / oh, i / c / ow % oh, i / c % ow, i % c);
}

static void pool_rows(ot *t)
{
    static const image_shape shapes[] = {
        {1, 1, 1, 1, 0, 0, {1, 1, 1, 1, 0, 0}},  {2, 9, 7, 17, 0, 0, {3, 3, 2, 2, 0, 0}},
        {2, 8, 8, 64, 0, 0, {3, 3, 1, 1, 1, 1}}, {3, 8, 8, 320, 0, 0, {8, 8, 1, 1, 0, 0}},
        {2, 5, 9, 8, 0, 0, {2, 5, 1, 2, 1, 3}},  {2, 14, 14, 16, 0, 0, {3, 3, 3, 3, 0, 0}}};
    static const char *const names[] = {"max", "average", "average, padding counted"};
    for (int i = 0; i < 3 * (int)(sizeof shapes / sizeof *shapes); i++) {
        const image_shape *const s = &shapes[i / 3];
        const ts_window *const w = &s->window;
        pool_row r = {.s = *s, .kind = i % 3 ? TS_POOL_AVERAGE : TS_POOL_MAX, .count_padding = i % 3 == 2};
        ot_case(t, "%dx%dx%d %d, %dx%d by %d,%d %s", s->n, s->h, s->w, s->c, w->h, w->w, w->stride_h,
                w->stride_w, names[i % 3]);
        /* all below zero, which padding is not */
        r.x = ot_normal(t, OT_ACTIVATION, s->n * s->h * s->w * s->c, -9, 1);
        r.y = ot_output(t, OT_ACTIVATION, s->n * places_h(s) * places_w(s) * s->c);
        ts_pool a = {.n = s->n, .h = s->h, .w = s->w, .c = s->c, .window = *w, .kind = r.kind};
        a.count_padding = r.count_padding, a.x = ot_in(r.x), a.y = ot_out(r.y);
        ot_run(t, pool, a);
        ot_check(t, pool_reference, &r, 1e-6);
    }
}

/* ---- resizing ---- */

typedef struct resize_row {
    ts_resize a;
    ot_buffer *x, *y;
} resize_row;

/* A triangle over every pixel, one at it and zero at its neighbours; what lies beyond the edges is the edge. */
static double share(int i, int pixel, int in, int out)
{
    const double place = fmin(fmax((i + 0.5) * in / out - 0.5, 0), in - 1);
    return fmax(1 - fabs(place - pixel), 0);
}

static void resize_reference(void *row)
{
    resize_row *r = row;
    const ts_resize *const a = &r->a;
    for (int i = 0; i < r->y->count; i++) {
        const int k = i % a->oc, x = i / a->oc % a->ow, y = i / a->oc / a->ow % a->oh;
        const int image = i / a->oc / a->ow / a->oh;
        double sum = 0;
        for (int p = 0; p < a->h * a->w; p++)
            sum += share(y, p / a->w, a->h, a->oh) * share(x, p % a->w, a->w, a->ow) *
                   r->x->v[(image * a->h * a->w + p) * a->c + (a->c == 1 ? 0 : k)];
        r->y->want[i] = (double)a->scale[k] * sum + (double)a->offset[k];
    }
}

static void resize_rows(ot *t)
{
    static const int shapes[][7] = {{1, 1, 1, 1, 3, 2, 1},   {2, 4, 4, 3, 4, 4, 3},   {2, 8, 8, 1, 28, 28, 1},
                                    {2, 6, 5, 3, 37, 29, 3}, {1, 19, 17, 1, 7, 5, 3}, {2, 5, 5, 4, 9, 3, 4}};
    for (int i = 0; i < 2 * (int)(sizeof shapes / sizeof *shapes); i++) {
        const int *const s = shapes[i / 2];
        const bool bytes = i % 2;
        resize_row r = {.a = {s[0], s[1], s[2], s[3], s[4], s[5], s[6]}};
        ot_case(t, "%dx%dx%dx%d to %dx%dx%d, %s", s[0], s[1], s[2], s[3], s[4], s[5], s[6],
                bytes ? "bytes" : "floats");
        const int count = s[0] * s[1] * s[2] * s[3];
        for (int k = 0; k < TS_RESIZE_CHANNELS; k++) {
            r.a.scale[k] = bytes ? (float)(k + 1) / 255 : (float)(k + 1);
            r.a.offset[k] = 0.5f - (float)k;
        }
        if (bytes) {
            double values[600];
            for (int j = 0; j < count; j++)
                values[j] = (37 * j + j * j / 7) % 256;
            r.x = ot_values(t, TS_U8, count, values);
            r.a.bytes = ot_in(r.x);
        } else {
            r.x = ot_normal(t, TS_F32, count, 0, 1);
            r.a.floats = ot_in(r.x);
        }
        r.y = ot_output(t, OT_ACTIVATION, s[0] * s[4] * s[5] * s[6]);
        r.a.y = ot_out(r.y);
        ot_run(t, resize, r.a);
        ot_check(t, resize_reference, &r, 1e-6);
    }
}

void operations_images(ot *t)
{
    conv2d_rows(t);
    pool_rows(t);
    resize_rows(t);
}
