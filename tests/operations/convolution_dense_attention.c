/*
 * Rows of convolution, dense layers and attention.
 */
#include <math.h>
#include "operations.h"

/* ---- convolution ---- */

typedef struct conv_row {
    int n, h, w, ci, co;
    double scale;
    ot_buffer *x, *weight, *bias, *residual, *y;
} conv_row;

static double conv_at(const conv_row *r, int n, int y, int x, int o)
{
    double sum = 0;
    for (int ky = 0; ky < 3; ky++)
        for (int kx = 0; kx < 3; kx++) {
            const int py = y + ky - 1, px = x + kx - 1;
            if (py < 0 || py >= r->h || px < 0 || px >= r->w)
                continue;
            for (int i = 0; i < r->ci; i++)
                sum += r->x->v[((n * r->h + py) * r->w + px) * r->ci + i] *
                       r->weight->v[((o * 3 + ky) * 3 + kx) * r->ci + i];
        }
    return sum;
}

static void conv_reference(void *p)
{
    conv_row *r = p;
    for (int i = 0; i < r->n * r->h * r->w * r->co; i++) {
        const int o = i % r->co, x = i / r->co % r->w, y = i / r->co / r->w % r->h;
        double sum = conv_at(r, i / r->co / r->w / r->h, y, x, o);
        if (r->bias)
            sum += r->bias->v[o];
        if (r->residual)
            sum += r->residual->v[i];
        r->y->want[i] = r->scale * sum;
    }
}

/* On the CPU those from the eighth on, but the last, go through Winograd's algorithm in all passes. */
static const int conv_shapes[][5] = {
    {1, 1, 1, 1, 1},     {2, 5, 7, 3, 17},    {2, 8, 8, 1, 32},    {3, 4, 4, 32, 1},  {2, 6, 5, 17, 40},
    {4, 4, 4, 64, 64},   {2, 8, 8, 96, 32},   {16, 4, 4, 64, 64},  {5, 8, 8, 96, 32}, {3, 7, 7, 16, 48},
    {2, 14, 14, 80, 32}, {2, 11, 15, 32, 16}, {24, 4, 4, 112, 80}, {9, 3, 4, 16, 16}, {3, 5, 9, 32, 32}};
enum { CONV_SHAPES = sizeof conv_shapes / sizeof *conv_shapes };

static conv_row conv_make(ot *t, const int *s)
{
    conv_row r = {s[0], s[1], s[2], s[3], s[4], 1, NULL, NULL, NULL, NULL, NULL};
    r.x = ot_normal(t, OT_ACTIVATION, r.n * r.h * r.w * r.ci, 0, 1);
    r.weight = ot_normal(t, TS_F32, r.co * 9 * r.ci, 0, 1 / sqrt(9.0 * r.ci));
    r.y = ot_output(t, OT_ACTIVATION, r.n * r.h * r.w * r.co);
    return r;
}

static void conv_rows(ot *t)
{
    for (int i = 0; i < 4 * CONV_SHAPES; i++) {
        const int *s = conv_shapes[i / 4];
        const bool bias = i % 4 > 0, residual = i % 4 > 1;
        const float scale = i % 4 == 3 ? 0.7f : 1;
        ot_case(t, "%dx%dx%d %d->%d%s%s%s", s[0], s[1], s[2], s[3], s[4], bias ? " bias" : "",
                residual ? " residual" : "", scale == 1 ? "" : " scale");
        conv_row r = conv_make(t, s);
        r.scale = (double)scale;
        r.bias = bias ? ot_normal(t, TS_F32, r.co, 0, 1) : NULL;
        r.residual = residual ? ot_normal(t, OT_ACTIVATION, r.y->count, 0, 1) : NULL;
        ts_conv_forward a = {
            r.n,           r.h,   r.w,        r.ci, r.co, ot_in(r.x), ot_in(r.residual), ot_in(r.weight),
            ot_in(r.bias), scale, ot_out(r.y)};
        ot_run(t, conv_forward, a);
        ot_check(t, conv_reference, &r, 1e-6);
    }
}

static void conv_gradient_rows(ot *t)
{
    /* dx, dweight, dbias */
    static const ot_mode modes[][3] = {{OT_ASSIGN, OT_ADD, OT_ADD},
                                       {OT_ADD, OT_ADD, OT_NONE},
                                       {OT_NONE, OT_NONE, OT_ADD},
                                       {OT_ASSIGN, OT_NONE, OT_NONE}};
    for (int i = 0; i < 4 * CONV_SHAPES; i++) {
        const int *s = conv_shapes[i / 4];
        const ot_mode *m = modes[i % 4];
        ot_case(t, "%dx%dx%d %d->%d%s%s%s", s[0], s[1], s[2], s[3], s[4],
                m[0] == OT_ADD ? " dx+"
                : m[0]         ? " dx"
                               : "",
                m[1] ? " dw" : "", m[2] ? " db" : "");
        conv_row r = conv_make(t, s);
        r.bias = ot_normal(t, TS_F32, r.co, 0, 1);
        ts_conv_backward a = {.n = r.n, .h = r.h, .w = r.w, .ci = r.ci, .co = r.co};
        a.x = ot_in(r.x), a.weight = ot_in(r.weight), a.dy = ot_cotangent(t, r.y);
        a.dx = ot_gradient(t, r.x, m[0]), a.accumulate = m[0] == OT_ADD;
        a.dweight = ot_gradient(t, r.weight, m[1]), a.dbias = ot_gradient(t, r.bias, m[2]);
        ot_run(t, conv_backward, a);
        ot_check_gradients(t, conv_reference, &r, 2e-6);
    }
}

/* Parameters that lie where those before them end. */
void operations_conv_shifted(ot *t)
{
    static const int shapes[][5] = {{2, 5, 7, 3, 17}, {3, 4, 5, 16, 24}};
    for (int i = 0; i < 4; i++) {
        const int *s = shapes[i / 2];
        ot_case(t, "%dx%dx%d %d->%d shifted", s[0], s[1], s[2], s[3], s[4]);
        ot_shift_parameters(t);
        conv_row r = conv_make(t, s);
        r.bias = ot_normal(t, TS_F32, r.co, 0, 1);
        if (i % 2 == 0) {
            ts_conv_forward a = {
                r.n, r.h, r.w, r.ci, r.co, ot_in(r.x), NULL, ot_in(r.weight), ot_in(r.bias), 1, ot_out(r.y)};
            ot_run(t, conv_forward, a);
            ot_check(t, conv_reference, &r, 1e-6);
        } else {
            ts_conv_backward a = {.n = r.n, .h = r.h, .w = r.w, .ci = r.ci, .co = r.co};
            a.x = ot_in(r.x), a.weight = ot_in(r.weight), a.dy = ot_cotangent(t, r.y);
            a.dx = ot_gradient(t, r.x, OT_ASSIGN);
            a.dweight = ot_gradient(t, r.weight, OT_ADD), a.dbias = ot_gradient(t, r.bias, OT_ADD);
            ot_run(t, conv_backward, a);
            ot_check_gradients(t, conv_reference, &r, 2e-6);
        }
    }
}

/* ---- dense layers ---- */

typedef struct dense_row {
    int rows, in, out, in2;
    bool silu;
    double scale;
    ot_buffer *x, *x2, *weight, *bias, *residual, *y;
} dense_row;

static void dense_reference(void *p)
{
    dense_row *r = p;
    const int width = r->in - r->in2;
    for (int i = 0; i < r->rows * r->out; i++) {
        const int row = i / r->out;
        double sum = (r->bias ? r->bias->v[i % r->out] : 0) + (r->residual ? r->residual->v[i] : 0);
        for (int j = 0; j < r->in; j++) {
            const double x = j < width ? r->x->v[row * width + j] : r->x2->v[row * r->in2 + j - width];
            sum += (r->silu ? x / (1 + exp(-x)) : x) * r->weight->v[i % r->out * r->in + j];
        }
        r->y->want[i] = r->scale * sum;
    }
}

/* rows, in, out, and how many of the inputs lie in a tensor of their own */
static const int dense_shapes[][4] = {
    {1, 1, 1, 0}, {7, 3, 17, 0}, {130, 96, 32, 0}, {64, 32, 96, 0}, {513, 17, 5, 0}};
static const int dense_pairs[][4] = {
    {3, 2, 2, 1}, {7, 20, 17, 3}, {130, 96, 32, 32}, {64, 48, 24, 24}, {33, 17, 5, 16}};
enum {
    DENSE_SHAPES = sizeof dense_shapes / sizeof *dense_shapes,
    DENSE_PAIRS = sizeof dense_pairs / sizeof *dense_pairs
};

static dense_row dense_make(ot *t, const int *s, bool silu)
{
    dense_row r = {.rows = s[0], .in = s[1], .out = s[2], .in2 = s[3], .silu = silu, .scale = 1};
    r.x = ot_normal(t, OT_ACTIVATION, r.rows * (r.in - r.in2), 0, 1);
    r.x2 = r.in2 ? ot_normal(t, OT_ACTIVATION, r.rows * r.in2, 0, 1) : NULL;
    r.weight = ot_normal(t, TS_F32, r.out * r.in, 0, 1 / sqrt(r.in));
    r.y = ot_output(t, OT_ACTIVATION, r.rows * r.out);
    return r;
}

static void dense_forward(ot *t, const int *s, int variant)
{
    const bool bias = variant == 1 || variant == 3, residual = variant > 1, silu = variant == 1;
    const float scale = variant == 3 ? 0.7f : 1;
    ot_case(t, "%d rows %d->%d, %d beside%s%s%s%s", s[0], s[1], s[2], s[3], silu ? " silu" : "",
            bias ? " bias" : "", residual ? " residual" : "", scale == 1 ? "" : " scale");
    dense_row r = dense_make(t, s, silu);
    r.scale = (double)scale;
    r.bias = bias ? ot_normal(t, TS_F32, r.out, 0, 1) : NULL;
    r.residual = residual ? ot_normal(t, OT_ACTIVATION, r.y->count, 0, 1) : NULL;
    ts_dense_forward a = {.rows = r.rows, .in = r.in, .out = r.out, .in2 = r.in2, .silu_input = silu};
    a.x = ot_in(r.x), a.x2 = ot_in(r.x2), a.residual = ot_in(r.residual), a.weight = ot_in(r.weight);
    a.bias = ot_in(r.bias), a.scale = scale, a.y = ot_out(r.y), a.computed_weight = variant == 2;
    ot_run(t, dense_forward, a);
    ot_check(t, dense_reference, &r, 1e-6);
}

static void dense_rows(ot *t)
{
    for (int i = 0; i < 4 * DENSE_SHAPES; i++)
        dense_forward(t, dense_shapes[i / 4], i % 4);
}

/* What is wanted of each gradient, and how. */
typedef struct dense_modes {
    const char *name;
    ot_mode dx, dx2, dweight, dbias;
} dense_modes;

static void dense_backward(ot *t, const int *s, bool silu, bool computed, const dense_modes *m)
{
    ot_case(t, "%d rows %d->%d, %d beside%s%s", s[0], s[1], s[2], s[3], silu ? " silu" : "", m->name);
    dense_row r = dense_make(t, s, silu);
    r.bias = ot_normal(t, TS_F32, r.out, 0, 1);
    ts_dense_backward a = {.rows = r.rows, .in = r.in, .out = r.out, .in2 = r.in2, .silu_input = silu};
    a.x = ot_in(r.x), a.x2 = ot_in(r.x2), a.weight = ot_in(r.weight), a.dy = ot_cotangent(t, r.y);
    a.dx = ot_gradient(t, r.x, m->dx), a.accumulate = m->dx == OT_ADD;
    a.dx2 = ot_gradient(t, r.x2, m->dx2), a.accumulate2 = m->dx2 == OT_ADD;
    a.dweight = ot_gradient(t, r.weight, m->dweight), a.dbias = ot_gradient(t, r.bias, m->dbias);
    a.computed_weight = computed;
    ot_run(t, dense_backward, a);
    ot_check_gradients(t, dense_reference, &r, 2e-6);
}

static void dense_gradient_rows(ot *t)
{
    static const dense_modes modes[] = {{" dx dw db", OT_ASSIGN, OT_NONE, OT_ADD, OT_ADD},
                                        {" dx+ dw", OT_ADD, OT_NONE, OT_ADD, OT_NONE},
                                        {" db", OT_NONE, OT_NONE, OT_NONE, OT_ADD},
                                        {" dx", OT_ASSIGN, OT_NONE, OT_NONE, OT_NONE}};
    for (int i = 0; i < 8 * DENSE_SHAPES; i++)
        dense_backward(t, dense_shapes[i / 8], i / 4 % 2, i % 8 == 5, &modes[i % 4]);
}

void operations_dense_pairs(ot *t)
{
    static const dense_modes pair_modes[] = {{" dx dx2 dw db", OT_ASSIGN, OT_ASSIGN, OT_ADD, OT_ADD},
                                             {" dx+ dx2 dw", OT_ADD, OT_ASSIGN, OT_ADD, OT_NONE},
                                             {" dx2+ db", OT_NONE, OT_ADD, OT_NONE, OT_ADD},
                                             {" dx dx2+", OT_ASSIGN, OT_ADD, OT_NONE, OT_NONE}};
    for (int i = 0; i < 4 * DENSE_PAIRS; i++)
        dense_forward(t, dense_pairs[i / 4], i % 4);
    for (int i = 0; i < 8 * DENSE_PAIRS; i++)
        dense_backward(t, dense_pairs[i / 8], i / 4 % 2, i % 8 == 5, &pair_modes[i % 4]);
}

/* ---- attention ---- */

typedef struct attention_row {
    int n, tokens, c;
    ot_buffer *qkv, *probabilities, *y;
} attention_row;

/* Part 0, 1, 2 of qkv: q, k, v. */
static double part(const attention_row *r, int which, int image, int token, int k)
{
    return r->qkv->v[((image * r->tokens + token) * 3 + which) * r->c + k];
}

static void attention_reference(void *p)
{
    attention_row *r = p;
    for (int i = 0; i < r->n * r->tokens; i++) {
        const int image = i / r->tokens;
        double *const row = r->probabilities->want + i * r->tokens, sum = 0;
        for (int j = 0; j < r->tokens; j++) {
            double score = 0;
            for (int k = 0; k < r->c; k++)
                score += part(r, 0, image, i % r->tokens, k) * part(r, 1, image, j, k);
            row[j] = exp(score / sqrt(r->c));
            sum += row[j];
        }
        for (int j = 0; j < r->tokens; j++)
            row[j] /= sum;
        for (int k = 0; k < r->c; k++) {
            double y = 0;
            for (int j = 0; j < r->tokens; j++)
                y += row[j] * part(r, 2, image, j, k);
            r->y->want[i * r->c + k] = y;
        }
    }
}

static attention_row attention_make(ot *t, const int *s, double spread, const char *variant)
{
    ot_case(t, "%d images, %d tokens, %d channels, spread %g%s", s[0], s[1], s[2], spread, variant);
    attention_row r = {.n = s[0], .tokens = s[1], .c = s[2]};
    r.qkv = ot_normal(t, OT_ACTIVATION, r.n * r.tokens * 3 * r.c, 0, spread);
    r.probabilities = ot_output(t, OT_ACTIVATION, r.n * r.tokens * r.tokens);
    r.y = ot_output(t, OT_ACTIVATION, r.n * r.tokens * r.c);
    return r;
}

void operations_attention(ot *t)
{
    static const int shapes[][3] = {{1, 1, 1}, {3, 16, 64}, {1, 49, 17}, {5, 9, 3}, {2, 64, 32}};
    for (int i = 0; i < 15; i++) {
        const bool spread = i % 3 == 1, kept = i % 3 < 2;
        attention_row r = attention_make(t, shapes[i / 3], spread ? 4 : 1, kept ? "" : ", nothing kept");
        ts_attention_forward a = {
            r.n, r.tokens, r.c, ot_in(r.qkv), kept ? ot_out(r.probabilities) : NULL, ot_out(r.y)};
        ot_run(t, attention_forward, a);
        ot_check(t, attention_reference, &r, spread ? 5e-6 : 1e-6);
    }
    for (int i = 0; i < 5; i++) {
        attention_row r = attention_make(t, shapes[i], 1, "");
        attention_reference(&r);
        ot_buffer *kept = ot_values(t, OT_ACTIVATION, r.probabilities->count, r.probabilities->want);
        ts_attention_backward b = {r.n,
                                   r.tokens,
                                   r.c,
                                   ot_in(r.qkv),
                                   ot_in(kept),
                                   ot_cotangent(t, r.y),
                                   ot_gradient(t, r.qkv, OT_ASSIGN)};
        ot_run(t, attention_backward, b);
        ot_check_gradients(t, attention_reference, &r, 2e-6);
    }
}

void operations_convolution_dense(ot *t)
{
    conv_rows(t);
    conv_gradient_rows(t);
    dense_rows(t);
    dense_gradient_rows(t);
}
