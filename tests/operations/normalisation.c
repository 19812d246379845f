/*
 * Rows of group normalisation, whose backward pass reads what the forward pass kept.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "operations.h"

/* ---- group normalisation ---- */

typedef struct norm_row {
    int n, hw, c, groups, c2;
    double epsilon;
    bool silu;
    float dropout;
    ts_step_state state;
    ot_buffer *x, *x2, *shift, *gamma, *beta, *y, *mean, *rstd;
    ts_resampling resample;
    int w;
    ot_buffer *plain; /* the resampled input */
} norm_row;

enum { LAYER = 3 };

static double dropout_factor(const norm_row *r, int i)
{
    const ts_philox_words w = ts_random_words(&r->state, TS_STREAM_DROPOUT + LAYER, (uint32_t)i / 4);
    if (r->dropout == 0)
        return 1;
    return ts_uniform_from(w.v[i % 4]) > r->dropout ? 1 / (1 - (double)r->dropout) : 0;
}

static double shifted(const norm_row *r, int image, int position, int k)
{
    const int row = image * r->hw + position, width = r->c - r->c2;
    const double x = k < width ? r->x->v[row * width + k] : r->x2->v[row * r->c2 + k - width];
    return x + (r->shift ? r->shift->v[image * r->c + k] : 0);
}

/* Statistics, and the output before it is resampled. */
static void norm_whole(norm_row *r, double *y)
{
    const int width = r->c / r->groups;
    for (int i = 0; i < r->n * r->groups; i++) {
        const int image = i / r->groups, first = i % r->groups * width;
        double mean = 0, variance = 0;
        for (int j = 0; j < r->hw * width; j++)
            mean += shifted(r, image, j / width, first + j % width) / (r->hw * width);
        for (int j = 0; j < r->hw * width; j++)
            variance += pow(shifted(r, image, j / width, first + j % width) - mean, 2) / (r->hw * width);
        const double rstd = 1 / sqrt(variance + r->epsilon);
        r->mean->want[i] = mean;
        r->rstd->want[i] = rstd;
        for (int j = 0; j < r->hw * width; j++) {
            const int k = first + j % width, at = (image * r->hw + j / width) * r->c + k;
            const double u = r->gamma->v[k] * (shifted(r, image, j / width, k) - mean) * rstd + r->beta->v[k];
            y[at] = dropout_factor(r, at) * (r->silu ? u / (1 + exp(-u)) : u);
        }
    }
}

/* The mean over a 2x2 of the input, or over four times the nearest. */
static void norm_resample(const norm_row *r, const double *from, double *to)
{
    const bool up = r->resample == TS_RESAMPLE_DOUBLE;
    const int h = r->hw / r->w, w = r->w, out_h = up ? 2 * h : h / 2, out_w = up ? 2 * w : w / 2;
    for (int i = 0; i < r->n * out_h * out_w * r->c; i++) {
        const int k = i % r->c, x = i / r->c % out_w, y = i / r->c / out_w % out_h;
        const int image = i / r->c / out_w / out_h;
        to[i] = 0;
        for (int j = 0; j < 4; j++) {
            const int from_y = up ? y / 2 : 2 * y + j / 2, from_x = up ? x / 2 : 2 * x + j % 2;
            to[i] += from[((image * h + from_y) * w + from_x) * r->c + k] / 4;
        }
    }
}

static void norm_reference(void *p)
{
    norm_row *r = p;
    const int count = r->n * r->hw * r->c;
    if (r->resample == TS_RESAMPLE_NONE) {
        norm_whole(r, r->y->want);
        return;
    }
    double *const whole = malloc((size_t)count * sizeof *whole);
    if (!whole)
        abort();
    norm_whole(r, whole);
    norm_resample(r, whole, r->y->want);
    for (int i = 0; i < count; i++)
        whole[i] = shifted(r, i / r->c / r->hw, i / r->c % r->hw, i % r->c);
    if (r->plain)
        norm_resample(r, whole, r->plain->want);
    free(whole);
}

typedef struct norm_shape {
    int n, hw, c, groups;
    double mean;
    bool shift, silu;
    float dropout;
    int c2;
} norm_shape;

static const norm_shape norm_shapes[] = {
    {1, 1, 4, 1, 0, false, false, 0, 0},        {3, 35, 6, 3, 0, true, true, 0, 0},
    {2, 64, 32, 8, 0, true, true, 0.1f, 0},     {5, 16, 96, 24, 30, false, true, 0, 0},
    {2, 200, 64, 16, 30, true, false, 0.5f, 0}, {2, 49, 17, 1, 1, true, true, 0.1f, 0},
    {1, 9, 34, 17, 0, false, true, 0.3f, 0},    {3, 64, 128, 32, 0, false, true, 0, 0},
};
/* Two inputs: of whole groups, and with a group across both; widths of whole columns and not. */
static const norm_shape norm_pairs[] = {
    {2, 20, 32, 8, 0, false, true, 0, 16},    {3, 16, 96, 8, 30, true, true, 0.1f, 32},
    {2, 25, 12, 2, 0, true, true, 0, 5},      {2, 64, 24, 2, 1, false, false, 0, 8},
    {1, 9, 20, 5, 30, false, true, 0.3f, 4},  {2, 49, 17, 1, 1, true, false, 0, 16},
    {2, 16, 384, 32, 0, false, true, 0, 128},
};
enum {
    NORM_SHAPES = sizeof norm_shapes / sizeof *norm_shapes,
    NORM_PAIRS = sizeof norm_pairs / sizeof *norm_pairs
};

static norm_row norm_make(ot *t, const norm_shape *s, const char *what)
{
    ot_case(t, "%dx%dx%d by %d, %d beside%s%s%s mean %g%s", s->n, s->hw, s->c, s->groups, s->c2,
            s->shift ? " shift" : "", s->silu ? " silu" : "", s->dropout > 0 ? " dropout" : "", s->mean,
            what);
    norm_row r = {.n = s->n, .hw = s->hw, .c = s->c, .groups = s->groups, .c2 = s->c2};
    r.silu = s->silu, r.dropout = s->dropout;
    r.epsilon = (double)1e-6f;
    r.state = (ts_step_state){.seed = 5, .step = 7, .instance = 1};
    r.x = ot_normal(t, OT_ACTIVATION, r.n * r.hw * (r.c - r.c2), s->mean, 1);
    r.x2 = r.c2 ? ot_normal(t, OT_ACTIVATION, r.n * r.hw * r.c2, s->mean, 1) : NULL;
    r.shift = s->shift ? ot_normal(t, OT_ACTIVATION, r.n * r.c, 0, 1) : NULL;
    r.gamma = ot_normal(t, TS_F32, r.c, 1, 0.3);
    r.beta = ot_normal(t, TS_F32, r.c, 0, 0.3);
    r.y = ot_output(t, OT_ACTIVATION, r.n * r.hw * r.c);
    r.mean = ot_output(t, TS_F32, r.n * r.groups);
    r.rstd = ot_output(t, TS_F32, r.n * r.groups);
    return r;
}

static void norm_forward(ot *t, const norm_shape *s, double tolerance)
{
    norm_row r = norm_make(t, s, "");
    ts_group_norm_forward a = {.n = r.n, .hw = r.hw, .c = r.c, .groups = r.groups, .c2 = r.c2};
    a.epsilon = 1e-6f, a.silu = r.silu, a.dropout = r.dropout, a.layer = LAYER,
    a.state = ot_state(t, 5, 7, 1);
    a.x = ot_in(r.x), a.x2 = ot_in(r.x2), a.shift = ot_in(r.shift);
    a.gamma = ot_in(r.gamma), a.beta = ot_in(r.beta);
    a.y = ot_out(r.y), a.mean = ot_out(r.mean), a.rstd = ot_out(r.rstd);
    ot_run(t, group_norm_forward, a);
    ot_check(t, norm_reference, &r, tolerance);
}

static void norm_rows(ot *t)
{
    for (int i = 0; i < NORM_SHAPES; i++)
        norm_forward(t, &norm_shapes[i], 1e-6);
    /* An image whose spread is a thousandth of its mean: the digits must not be lost in the statistics. */
    norm_forward(t, &(norm_shape){2, 256, 32, 8, 1000, true, false, 0, 0}, 2e-6);
}

/* What is wanted of each gradient, and how. */
typedef struct norm_modes {
    const char *name;
    ot_mode dx, dx2, dshift, dparameters;
} norm_modes;

static void norm_backward(ot *t, const norm_shape *s, const norm_modes *m)
{
    norm_row r = norm_make(t, s, m->name);
    norm_reference(&r);
    ot_buffer *mean = ot_values(t, TS_F32, r.mean->count, r.mean->want);
    ot_buffer *rstd = ot_values(t, TS_F32, r.rstd->count, r.rstd->want);
    ts_group_norm_backward a = {.n = r.n, .hw = r.hw, .c = r.c, .groups = r.groups, .c2 = r.c2};
    a.silu = r.silu, a.dropout = r.dropout, a.layer = LAYER, a.state = ot_state(t, 5, 7, 1);
    a.x = ot_in(r.x), a.x2 = ot_in(r.x2), a.shift = ot_in(r.shift), a.dy = ot_cotangent(t, r.y);
    a.gamma = ot_in(r.gamma), a.beta = ot_in(r.beta), a.mean = ot_in(mean), a.rstd = ot_in(rstd);
    a.dx = ot_gradient(t, r.x, m->dx), a.accumulate = m->dx == OT_ADD;
    a.dx2 = ot_gradient(t, r.x2, m->dx2), a.accumulate2 = m->dx2 == OT_ADD;
    a.dshift = ot_gradient(t, r.shift, m->dshift);
    a.dgamma = ot_gradient(t, r.gamma, m->dparameters), a.dbeta = ot_gradient(t, r.beta, m->dparameters);
    ot_run(t, group_norm_backward, a);
    ot_check_gradients(t, norm_reference, &r, 5e-6);
}

static void norm_gradient_rows(ot *t)
{
    static const norm_modes modes[] = {{" all", OT_ASSIGN, OT_NONE, OT_ASSIGN, OT_ADD},
                                       {" dx+ dparameters", OT_ADD, OT_NONE, OT_NONE, OT_ADD},
                                       {" dshift dparameters", OT_NONE, OT_NONE, OT_ASSIGN, OT_ADD},
                                       {" dx+ dshift", OT_ADD, OT_NONE, OT_ASSIGN, OT_NONE}};
    for (int i = 0; i < 4 * NORM_SHAPES; i++)
        norm_backward(t, &norm_shapes[i / 4], &modes[i % 4]);
}

void operations_norm_pairs(ot *t)
{
    static const norm_modes pair_modes[] = {{" all", OT_ASSIGN, OT_ASSIGN, OT_ASSIGN, OT_ADD},
                                            {" dx+ dx2", OT_ADD, OT_ASSIGN, OT_NONE, OT_NONE},
                                            {" dx dx2+ dparameters", OT_ASSIGN, OT_ADD, OT_NONE, OT_ADD},
                                            {" dx+", OT_ADD, OT_NONE, OT_ASSIGN, OT_NONE},
                                            {" dx2", OT_NONE, OT_ASSIGN, OT_NONE, OT_ADD},
                                            {" dshift dparameters", OT_NONE, OT_NONE, OT_ASSIGN, OT_ADD}};
    for (int i = 0; i < NORM_PAIRS; i++)
        norm_forward(t, &norm_pairs[i], 1e-6);
    for (int i = 0; i < 6 * NORM_PAIRS; i++)
        norm_backward(t, &norm_pairs[i / 6], &pair_modes[i % 6]);
}

/* ---- with the output resampled ---- */

typedef struct resampled_shape {
    int n, h, w, c, groups, c2;
    double mean;
    bool silu;
} resampled_shape;

/* Several columns and one, more positions and fewer than a block takes at once; a pair with a group
 * across. */
static const resampled_shape resampled_shapes[] = {
    {1, 2, 2, 4, 1, 0, 1, false},    {3, 4, 6, 16, 4, 0, 1, true}, {2, 8, 2, 6, 3, 0, 1, true},
    {2, 16, 16, 32, 8, 0, 30, true}, {2, 4, 4, 24, 2, 8, 1, true}, {2, 6, 4, 12, 2, 5, 1, true},
    {1, 32, 8, 64, 32, 0, 1, true}};
enum { RESAMPLED_SHAPES = sizeof resampled_shapes / sizeof *resampled_shapes };

static norm_row resampled_make(ot *t, const resampled_shape *s, bool up, const char *what)
{
    ot_case(t, "%dx%dx%dx%d by %d, %d beside%s mean %g %s%s", s->n, s->h, s->w, s->c, s->groups, s->c2,
            s->silu ? " silu" : "", s->mean, up ? "doubled" : "halved", what);
    norm_row r = {.n = s->n, .hw = s->h * s->w, .w = s->w, .c = s->c, .groups = s->groups, .c2 = s->c2};
    r.silu = s->silu, r.resample = up ? TS_RESAMPLE_DOUBLE : TS_RESAMPLE_HALVE;
    r.epsilon = (double)1e-6f;
    const int pixels = r.n * r.hw, out = (up ? 4 * pixels : pixels / 4) * r.c;
    r.x = ot_normal(t, OT_ACTIVATION, pixels * (r.c - r.c2), s->mean, 1);
    r.x2 = r.c2 ? ot_normal(t, OT_ACTIVATION, pixels * r.c2, s->mean, 1) : NULL;
    r.gamma = ot_normal(t, TS_F32, r.c, 1, 0.3);
    r.beta = ot_normal(t, TS_F32, r.c, 0, 0.3);
    r.y = ot_output(t, OT_ACTIVATION, out);
    r.plain = ot_output(t, OT_ACTIVATION, out);
    r.mean = ot_output(t, TS_F32, r.n * r.groups);
    r.rstd = ot_output(t, TS_F32, r.n * r.groups);
    return r;
}

static void resampled_forward(ot *t, const resampled_shape *s, bool up, bool plain)
{
    norm_row r = resampled_make(t, s, up, plain ? "" : " alone");
    ts_group_norm_forward a = {.n = r.n, .hw = r.hw, .c = r.c, .groups = r.groups, .c2 = r.c2};
    a.resample = r.resample, a.w = r.w, a.epsilon = 1e-6f, a.silu = r.silu;
    a.x = ot_in(r.x), a.x2 = ot_in(r.x2), a.gamma = ot_in(r.gamma), a.beta = ot_in(r.beta);
    a.y = ot_out(r.y), a.x_resampled = plain ? ot_out(r.plain) : NULL;
    a.mean = ot_out(r.mean), a.rstd = ot_out(r.rstd);
    ot_run(t, group_norm_forward, a);
    ot_check(t, norm_reference, &r, 1e-6);
}

/* `plain`: whether a gradient of the resampled input comes back too. */
static void resampled_backward(ot *t, const resampled_shape *s, bool up, bool plain, const norm_modes *m)
{
    char what[64];
    snprintf(what, sizeof what, "%s%s", m->name, plain ? " with the input" : "");
    norm_row r = resampled_make(t, s, up, what);
    norm_reference(&r);
    ot_buffer *mean = ot_values(t, TS_F32, r.mean->count, r.mean->want);
    ot_buffer *rstd = ot_values(t, TS_F32, r.rstd->count, r.rstd->want);
    ts_group_norm_backward a = {.n = r.n, .hw = r.hw, .c = r.c, .groups = r.groups, .c2 = r.c2};
    a.resample = r.resample, a.w = r.w, a.silu = r.silu;
    a.x = ot_in(r.x), a.x2 = ot_in(r.x2), a.dy = ot_cotangent(t, r.y);
    a.dx_resampled = plain ? ot_cotangent(t, r.plain) : NULL;
    a.gamma = ot_in(r.gamma), a.beta = ot_in(r.beta), a.mean = ot_in(mean), a.rstd = ot_in(rstd);
    a.dx = ot_gradient(t, r.x, m->dx), a.accumulate = m->dx == OT_ADD;
    a.dx2 = ot_gradient(t, r.x2, m->dx2), a.accumulate2 = m->dx2 == OT_ADD;
    a.dgamma = ot_gradient(t, r.gamma, m->dparameters), a.dbeta = ot_gradient(t, r.beta, m->dparameters);
    ot_run(t, group_norm_backward, a);
    ot_check_gradients(t, norm_reference, &r, 5e-6);
}

void operations_norm_resampled(ot *t)
{
    static const norm_modes modes[] = {{" all", OT_ASSIGN, OT_ASSIGN, OT_NONE, OT_ADD},
                                       {" dx+ dx2", OT_ADD, OT_ASSIGN, OT_NONE, OT_NONE},
                                       {" dx dx2+", OT_ASSIGN, OT_ADD, OT_NONE, OT_ADD}};
    for (int i = 0; i < 4 * RESAMPLED_SHAPES; i++)
        resampled_forward(t, &resampled_shapes[i / 4], i % 2, i / 2 % 2);
    for (int i = 0; i < 12 * RESAMPLED_SHAPES; i++)
        resampled_backward(t, &resampled_shapes[i / 12], i % 2, i / 2 % 2, &modes[i / 4 % 3]);
}

void operations_normalisation(ot *t)
{
    norm_rows(t);
    norm_gradient_rows(t);
}
