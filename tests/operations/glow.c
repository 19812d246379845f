/*
 * Rows of Glow's operations.
 */
#include <math.h>
#include <stdlib.h>
#include "operations.h"

/* ---- squeeze ---- */

typedef struct squeeze_row {
    int n, h, w, c; /* of the larger image */
    bool inverse, accumulate;
    ot_buffer *x, *y;
} squeeze_row;

static void squeeze_reference(void *p)
{
    squeeze_row *r = p;
    for (int i = 0; i < r->n; i++)
        for (int row = 0; row < r->h; row++)
            for (int column = 0; column < r->w; column++)
                for (int k = 0; k < r->c; k++) {
                    const int64_t large = ((int64_t)(i * r->h + row) * r->w + column) * r->c + k;
                    const int64_t small =
                        ((int64_t)(i * r->h / 2 + row / 2) * (r->w / 2) + column / 2) * 4 * r->c + 4 * k +
                        2 * (row % 2) + column % 2;
                    const int64_t from = r->inverse ? small : large, to = r->inverse ? large : small;
                    r->y->want[to] = r->x->v[from] + (r->accumulate ? r->y->v[to] : 0);
                }
}

static void squeeze_rows(ot *t)
{
    static const int shapes[][4] = {{3, 2, 2, 1}, {2, 6, 4, 3}, {5, 8, 8, 1}, {4, 32, 32, 5}};
    for (int i = 0; i < 4; i++)
        for (int variant = 0; variant < 4; variant++) {
            const int *s = shapes[i], count = s[0] * s[1] * s[2] * s[3];
            squeeze_row r = {s[0], s[1], s[2], s[3], variant & 1, variant & 2, NULL, NULL};
            ot_case(t, "%dx%dx%dx%d%s%s", s[0], s[1], s[2], s[3], r.inverse ? " inverse" : "",
                    r.accumulate ? " accumulate" : "");
            r.x = ot_normal(t, OT_ACTIVATION, count, 0, 1);
            r.y =
                r.accumulate ? ot_normal(t, OT_ACTIVATION, count, 0, 1) : ot_output(t, OT_ACTIVATION, count);
            ts_squeeze a = {r.n, r.h, r.w, r.c, r.inverse, ot_in(r.x), ot_out(r.y), r.accumulate};
            ot_run(t, squeeze, a);
            ot_check(t, squeeze_reference, &r, 1e-7);
        }
}

/* ---- actnorm ---- */

typedef struct actnorm_row {
    int rows, c;
    double factor;
    bool relu, inverse;
    ot_buffer *x, *bias, *logs, *y;
} actnorm_row;

static void actnorm_reference(void *p)
{
    actnorm_row *r = p;
    for (int i = 0; i < r->rows; i++)
        for (int j = 0; j < r->c; j++) {
            const int at = i * r->c + j;
            const double bias = r->bias ? r->bias->v[j] : 0, scale = exp(r->factor * r->logs->v[j]);
            if (r->inverse)
                r->y->want[at] = r->x->v[at] / scale - bias;
            else
                r->y->want[at] = (r->x->v[at] + bias) * scale;
            if (r->relu && !r->inverse)
                r->y->want[at] = fmax(r->y->want[at], 0);
        }
}

static actnorm_row actnorm_make(ot *t, int rows, int c, double factor, bool bias, bool relu, bool inverse)
{
    actnorm_row r = {rows, c, factor, relu, inverse, NULL, NULL, NULL, NULL};
    ot_case(t, "%dx%d factor %g%s%s%s", rows, c, factor, bias ? " bias" : "", relu ? " relu" : "",
            inverse ? " inverse" : "");
    r.x = ot_normal(t, OT_ACTIVATION, (int64_t)rows * c, 0.3, 1);
    r.bias = bias ? ot_normal(t, TS_F32, c, 0, 0.5) : NULL;
    r.logs = ot_normal(t, TS_F32, c, 0, 0.3);
    r.y = ot_output(t, OT_ACTIVATION, (int64_t)rows * c);
    for (int i = 0; relu && i < rows * c; i++) /* finite differences must not cross the kink */
        if (fabs(r.x->v[i] + (bias ? r.bias->v[i % c] : 0)) < 0.03)
            r.x->v[i] += 0.125;
    return r;
}

static void actnorm_forward(ot *t, actnorm_row r)
{
    ts_actnorm_forward a = {r.rows,     r.c,           (float)r.factor, r.relu,     r.inverse,
                            ot_in(r.x), ot_in(r.bias), ot_in(r.logs),   ot_out(r.y)};
    ot_run(t, actnorm_forward, a);
    ot_check(t, actnorm_reference, &r, 1e-6);
}

static void actnorm_backward(ot *t, actnorm_row r, ot_mode dx, bool dparameters)
{
    /* The backward pass reads the forward output: what the reference gives, rounded. */
    actnorm_reference(&r);
    ot_buffer *y = ot_values(t, OT_ACTIVATION, r.y->count, r.y->want);
    ts_actnorm_backward a = {.rows = r.rows,
                             .c = r.c,
                             .factor = (float)r.factor,
                             .relu = r.relu,
                             .x = ot_in(r.x),
                             .y = ot_in(y),
                             .dy = ot_cotangent(t, r.y),
                             .bias = ot_in(r.bias),
                             .logs = ot_in(r.logs),
                             .dx = ot_gradient(t, r.x, dx),
                             .accumulate = dx == OT_ADD,
                             .dbias = dparameters ? ot_gradient(t, r.bias, OT_ADD) : NULL,
                             .dlogs = dparameters ? ot_gradient(t, r.logs, OT_ADD) : NULL};
    ot_run(t, actnorm_backward, a);
    ot_check_gradients(t, actnorm_reference, &r, 1e-4);
}

typedef struct initialize_row {
    int rows, c;
    double factor;
    ot_buffer *x, *bias, *logs;
} initialize_row;

static void initialize_reference(void *p)
{
    initialize_row *r = p;
    for (int j = 0; j < r->c; j++) {
        double sum = 0, square = 0;
        for (int i = 0; i < r->rows; i++)
            sum += r->x->v[i * r->c + j];
        for (int i = 0; i < r->rows; i++)
            square += pow(r->x->v[i * r->c + j] - sum / r->rows, 2);
        r->bias->want[j] = -sum / r->rows;
        r->logs->want[j] = -log(sqrt(square / r->rows) + 1e-6) / r->factor;
    }
}

static void actnorm_rows(ot *t)
{
    static const int shapes[][2] = {{1, 1}, {37, 4}, {128, 12}, {5, 67}, {2048, 64}, {9001, 5}, {7, 301}};
    for (int i = 0; i < 7; i++) {
        const int rows = shapes[i][0], c = shapes[i][1];
        actnorm_forward(t, actnorm_make(t, rows, c, 1, true, false, false));
        actnorm_forward(t, actnorm_make(t, rows, c, 1, true, true, false));
        actnorm_forward(t, actnorm_make(t, rows, c, 1, true, false, true));
        actnorm_forward(t, actnorm_make(t, rows, c, 3, false, false, false));
        actnorm_backward(t, actnorm_make(t, rows, c, 1, true, false, false), OT_ASSIGN, true);
        actnorm_backward(t, actnorm_make(t, rows, c, 1, true, true, false), OT_ADD, true);
        actnorm_backward(t, actnorm_make(t, rows, c, 3, false, false, false), OT_ASSIGN, true);
        actnorm_backward(t, actnorm_make(t, rows, c, 1, true, true, false), OT_NONE, true);
        actnorm_backward(t, actnorm_make(t, rows, c, 1, true, true, false), OT_ASSIGN, false);
    }
    for (int i = 1; i < 7; i++) {
        ot_case(t, "%dx%d", shapes[i][0], shapes[i][1]);
        initialize_row r = {shapes[i][0], shapes[i][1], i == 2 ? 3 : 1, NULL, NULL, NULL};
        r.x = ot_normal(t, OT_ACTIVATION, (int64_t)r.rows * r.c, -2, 0.4);
        r.bias = ot_output(t, TS_F32, r.c);
        r.logs = ot_output(t, TS_F32, r.c);
        ts_actnorm_initialize a = {r.rows, r.c, (float)r.factor, ot_in(r.x), ot_out(r.bias), ot_out(r.logs)};
        ot_run(t, actnorm_initialize, a);
        ot_check(t, initialize_reference, &r, 1e-6);
    }
}

/* ---- glow_matrix ---- */

typedef struct matrix_row {
    int c;
    bool inverse;
    ot_buffer *permutation, *lower, *upper, *sign, *log_s, *weight;
} matrix_row;

/* out = a b, [c,c] each; out may be neither. */
static void matrix_product(int c, const double *a, const double *b, double *out)
{
    for (int i = 0; i < c; i++)
        for (int j = 0; j < c; j++) {
            double sum = 0;
            for (int k = 0; k < c; k++)
                sum += a[i * c + k] * b[k * c + j];
            out[i * c + j] = sum;
        }
}

static void direct_matrix(const matrix_row *r, double *out)
{
    const int c = r->c;
    double *l = calloc((size_t)(3 * c * c), sizeof *l), *v = l + c * c, *lv = v + c * c;
    for (int i = 0; i < c; i++) {
        for (int j = 0; j < c; j++) {
            l[i * c + j] = j < i ? r->lower->v[i * c + j] : 0;
            v[i * c + j] = j > i ? r->upper->v[i * c + j] : 0;
        }
        l[i * c + i] = 1;
        v[i * c + i] = r->sign->v[i] * exp(r->log_s->v[i]);
    }
    matrix_product(c, l, v, lv);
    matrix_product(c, r->permutation->v, lv, out);
    free(l);
}

/* Of the inverse, the product with the direct matrix is compared instead, see matrix_rows. */
static void matrix_reference(void *p)
{
    matrix_row *r = p;
    direct_matrix(r, r->weight->want);
}

static matrix_row matrix_make(ot *t, int c, bool inverse)
{
    matrix_row r = {.c = c, .inverse = inverse};
    double *p = calloc((size_t)(c * c), sizeof *p), *s = calloc((size_t)c, sizeof *s);
    ot_case(t, "c %d%s", c, inverse ? " inverse" : "");
    for (int i = 0; i < c; i++) {
        p[i * c + (c % 3 ? (i + 1) % c : c - 1 - i)] = 1; /* a cycle (not its own inverse), or a reversal */
        s[i] = i % 3 == 1 ? -1 : 1;
    }
    r.permutation = ot_values(t, TS_F32, (int64_t)c * c, p);
    r.sign = ot_values(t, TS_F32, c, s);
    r.lower = ot_normal(t, TS_F32, (int64_t)c * c, 0, 0.5 / sqrt(c));
    r.upper = ot_normal(t, TS_F32, (int64_t)c * c, 0, 0.5 / sqrt(c));
    r.log_s = ot_normal(t, TS_F32, c, 0, 0.3);
    r.weight = ot_output(t, TS_F32, (int64_t)c * c);
    free(p);
    free(s);
    return r;
}

static void matrix_forward(ot *t, matrix_row r)
{
    ts_glow_matrix_forward a = {
        r.c,           r.inverse,      ot_in(r.permutation), ot_in(r.lower), ot_in(r.upper),
        ot_in(r.sign), ot_in(r.log_s), ot_out(r.weight)};
    ot_run(t, glow_matrix_forward, a);
    if (!r.inverse) {
        ot_check(t, matrix_reference, &r, 1e-6);
        return;
    }
    const int c = r.c;
    double *direct = calloc((size_t)(2 * c * c), sizeof *direct), *unit = direct + c * c, worst = 0;
    direct_matrix(&r, direct);
    matrix_product(c, direct, r.weight->got, unit);
    for (int i = 0; i < c * c; i++)
        worst = fmax(worst, fabs(unit[i] - (i % (c + 1) == 0)));
    ot_expect(t, worst < 1e-5, "W W^-1 is I to %.1e", worst);
    free(direct);
}

static void matrix_backward(ot *t, matrix_row r)
{
    ts_glow_matrix_backward a = {r.c,
                                 ot_in(r.permutation),
                                 ot_in(r.lower),
                                 ot_in(r.upper),
                                 ot_in(r.sign),
                                 ot_in(r.log_s),
                                 ot_cotangent(t, r.weight),
                                 ot_gradient(t, r.lower, OT_ADD),
                                 ot_gradient(t, r.upper, OT_ADD),
                                 ot_gradient(t, r.log_s, OT_ADD)};
    ot_run(t, glow_matrix_backward, a);
    ot_check_gradients(t, matrix_reference, &r, 1e-5);
    bool outside = false;
    for (int at = 0; at < r.c * r.c; at++) {
        const int i = at / r.c, j = at % r.c;
        const ot_buffer *l = r.lower->gradient, *u = r.upper->gradient;
        outside |= (j >= i && l->got[at] != l->v[at]) || (j <= i && u->got[at] != u->v[at]);
    }
    ot_expect(t, !outside, "no gradient outside the triangles");
}

static void matrix_rows(ot *t)
{
    static const int sizes[] = {1, 2, 4, 12, 48, 64};
    for (int i = 0; i < 6; i++) {
        matrix_forward(t, matrix_make(t, sizes[i], false));
        matrix_forward(t, matrix_make(t, sizes[i], true));
        matrix_backward(t, matrix_make(t, sizes[i], false));
    }
}

/* ---- coupling ---- */

typedef struct coupling_row {
    int n, hw, c;
    bool inverse;
    ot_buffer *x, *h, *y, *logdet;
} coupling_row;

static double log_sigmoid(double x)
{
    return fmin(x, 0) - log1p(exp(-fabs(x)));
}

static void coupling_reference(void *p)
{
    coupling_row *r = p;
    const int half = r->c / 2;
    for (int i = 0; i < r->n; i++) {
        double sum = 0;
        for (int q = i * r->hw; q < (i + 1) * r->hw; q++)
            for (int j = 0; j < half; j++) {
                const double *x = r->x->v + q * r->c, *h = r->h->v + q * r->c;
                const double logs = log_sigmoid(h[2 * j + 1] + 2), u = h[2 * j], x2 = x[half + j];
                r->y->want[q * r->c + j] = x[j];
                r->y->want[q * r->c + half + j] = r->inverse ? x2 / exp(logs) - u : (x2 + u) * exp(logs);
                sum += logs;
            }
        if (r->logdet)
            r->logdet->want[i] = sum;
    }
}

static coupling_row coupling_make(ot *t, int n, int hw, int c, double deviation, bool inverse, bool logdet)
{
    coupling_row r = {.n = n, .hw = hw, .c = c, .inverse = inverse};
    const int64_t count = (int64_t)n * hw * c;
    ot_case(t, "%dx%dx%d deviation %g%s%s", n, hw, c, deviation, inverse ? " inverse" : "",
            logdet ? "" : " no logdet");
    r.x = ot_normal(t, OT_ACTIVATION, count, 0, 1);
    r.h = ot_normal(t, OT_ACTIVATION, count, 0, deviation);
    r.y = ot_output(t, OT_ACTIVATION, count);
    r.logdet = logdet ? ot_output(t, TS_F32, n) : NULL;
    return r;
}

static void coupling_forward(ot *t, coupling_row r)
{
    ts_coupling_forward a = {r.n,        r.hw,       r.c,         r.inverse,
                             ot_in(r.x), ot_in(r.h), ot_out(r.y), ot_out(r.logdet)};
    ot_run(t, coupling_forward, a);
    ot_check(t, coupling_reference, &r, 2e-6);
}

static void coupling_backward(ot *t, coupling_row r, ot_mode dx)
{
    ts_coupling_backward a = {.n = r.n, .hw = r.hw, .c = r.c, .accumulate = dx == OT_ADD};
    a.x = ot_in(r.x), a.h = ot_in(r.h);
    a.dy = ot_cotangent(t, r.y), a.dlogdet = ot_cotangent(t, r.logdet);
    a.dx = ot_gradient(t, r.x, dx), a.dh = ot_gradient(t, r.h, OT_ASSIGN);
    ot_run(t, coupling_backward, a);
    ot_check_gradients(t, coupling_reference, &r, 1e-5);
}

/* Arguments of the sigmoid far outside what float32 holds: nothing may turn infinite or NaN. */
static void coupling_extremes(ot *t)
{
    static const double v[] = {-1e30, -1000, -104, -88, -62, -30, 0, 30, 88, 1000, 1e30, -70};
    double h[24], x[24];
    for (int i = 0; i < 12; i++) {
        h[2 * i] = 0.5;
        h[2 * i + 1] = v[i];
        x[2 * i] = x[2 * i + 1] = 1e-3 * (i + 1);
    }
    ot_case(t, "extremes");
    ot_buffer *bx = ot_values(t, OT_ACTIVATION, 24, x), *bh = ot_values(t, OT_ACTIVATION, 24, h);
    ot_buffer *y = ot_output(t, OT_ACTIVATION, 24), *logdet = ot_output(t, TS_F32, 6);
    ts_coupling_forward a = {.n = 6, .hw = 1, .c = 4, .x = ot_in(bx), .h = ot_in(bh)};
    a.y = ot_out(y);
    a.logdet = ot_out(logdet);
    for (int inverse = 0; inverse < 2; inverse++) {
        bool finite = true;
        a.inverse = inverse;
        ot_run(t, coupling_forward, a);
        for (int i = 0; i < 24; i++)
            finite &= isfinite(y->got[i]) && isfinite(logdet->got[i / 4]);
        ot_expect(t, finite, "%s finite", inverse ? "inverse" : "forward");
    }
}

static void coupling_rows(ot *t)
{
    static const int shapes[][3] = {{1, 1, 2},   {3, 4, 4},    {5, 9, 12},
                                    {2, 300, 6}, {128, 16, 8}, {64, 64, 24}};
    for (int i = 0; i < 6; i++) {
        const int *s = shapes[i];
        coupling_forward(t, coupling_make(t, s[0], s[1], s[2], 1, false, true));
        coupling_forward(t, coupling_make(t, s[0], s[1], s[2], 6, false, true));
        coupling_forward(t, coupling_make(t, s[0], s[1], s[2], 1, true, true));
        coupling_forward(t, coupling_make(t, s[0], s[1], s[2], 1, true, false));
        coupling_backward(t, coupling_make(t, s[0], s[1], s[2], 1, false, true), OT_ASSIGN);
        coupling_backward(t, coupling_make(t, s[0], s[1], s[2], 6, false, true), OT_ADD);
        coupling_backward(t, coupling_make(t, s[0], s[1], s[2], 1, false, true), OT_NONE);
    }
    coupling_extremes(t);
}

/* ---- gaussian ---- */

typedef struct gaussian_row {
    int n, hw, c, stride, first;
    bool interleaved;
    double temperature;
    ot_buffer *x, *h, *logp;
    const double *z;
} gaussian_row;

static void moments(const gaussian_row *r, int64_t row, int j, double *mean, double *logs)
{
    const double *h = r->h->v + row * 2 * r->c;
    *mean = r->interleaved ? h[2 * j] : h[j];
    *logs = r->interleaved ? h[2 * j + 1] : h[r->c + j];
}

static void gaussian_reference(void *p)
{
    gaussian_row *r = p;
    for (int i = 0; i < r->n; i++) {
        double sum = 0;
        for (int64_t q = (int64_t)i * r->hw; q < (int64_t)(i + 1) * r->hw; q++)
            for (int j = 0; j < r->c; j++) {
                double mean, logs;
                moments(r, q, j, &mean, &logs);
                const double d = (r->x->v[q * r->stride + r->first + j] - mean) / exp(logs);
                sum -= 0.5 * (d * d + log(6.283185307179586)) + logs;
            }
        r->logp->want[i] = sum;
    }
}

static gaussian_row gaussian_make(ot *t, const int *s, bool interleaved)
{
    gaussian_row r = {s[0], s[1], s[2], s[3], s[4], interleaved, 1, NULL, NULL, NULL, NULL};
    ot_case(t, "%dx%d, %d of %d from %d%s", r.n, r.hw, r.c, r.stride, r.first,
            interleaved ? " interleaved" : " halves");
    r.x = ot_normal(t, OT_ACTIVATION, (int64_t)r.n * r.hw * r.stride, 0, 1);
    r.h = ot_normal(t, OT_ACTIVATION, (int64_t)r.n * r.hw * r.c * 2, 0, 0.5);
    r.logp = ot_output(t, TS_F32, r.n);
    return r;
}

static void gaussian_forward(ot *t, gaussian_row r)
{
    ts_gaussian_forward a = {r.n,           r.hw,       r.c,        r.stride,      r.first,
                             r.interleaved, ot_in(r.x), ot_in(r.h), ot_out(r.logp)};
    ot_run(t, gaussian_forward, a);
    ot_check(t, gaussian_reference, &r, 2e-6);
}

static void gaussian_backward(ot *t, gaussian_row r, ot_mode dx)
{
    ts_gaussian_backward a = {r.n,
                              r.hw,
                              r.c,
                              r.stride,
                              r.first,
                              r.interleaved,
                              ot_in(r.x),
                              ot_in(r.h),
                              ot_cotangent(t, r.logp),
                              ot_gradient(t, r.x, dx),
                              dx == OT_ADD,
                              ot_gradient(t, r.h, OT_ASSIGN)};
    ot_run(t, gaussian_backward, a);
    ot_check_gradients(t, gaussian_reference, &r, 1e-5);
}

static void sample_reference(void *p)
{
    gaussian_row *r = p;
    for (int64_t i = 0; i < r->x->count; i++)
        r->x->want[i] = r->x->v[i];
    for (int64_t q = 0; q < (int64_t)r->n * r->hw; q++)
        for (int j = 0; j < r->c; j++) {
            double mean, logs;
            moments(r, q, j, &mean, &logs);
            r->x->want[q * r->stride + r->first + j] =
                mean + r->temperature * (r->z ? r->z[q * r->c + j] : 0) * exp(logs);
        }
}

/* z as fill_random, which has tests of its own, draws it. */
static void gaussian_sample(ot *t, gaussian_row r, double temperature)
{
    const int64_t count = (int64_t)r.n * r.hw * r.c;
    const ts_step_state *state = ot_state(t, 77, 3, 5);
    double *z = calloc((size_t)count, sizeof *z);
    r.temperature = temperature;
    if (temperature != 0) {
        ot_buffer *b = ot_output(t, OT_ACTIVATION, count);
        ts_fill_random f = {.count = count,
                            .scale = 1,
                            .stream = TS_STREAM_START,
                            .element = 40,
                            .state = state,
                            .out = ot_out(b)};
        ot_run(t, fill_random, f);
        b->output = false;
        for (int64_t i = 0; i < count; i++)
            z[i] = b->got[i];
        r.z = z;
    }
    ts_gaussian_sample a = {r.n,
                            r.hw,
                            r.c,
                            r.stride,
                            r.first,
                            r.interleaved,
                            (float)temperature,
                            state,
                            TS_STREAM_START,
                            40,
                            ot_in(r.h),
                            ot_out(r.x)};
    ot_run(t, gaussian_sample, a);
    ot_check(t, sample_reference, &r, 1e-6);
    free(z);
}

static void gaussian_rows(ot *t)
{
    /* n, hw, channels, stride, first */
    static const int shapes[][5] = {{1, 1, 1, 1, 0},   {3, 4, 2, 4, 2},   {5, 9, 6, 12, 6},  {7, 1, 8, 8, 0},
                                    {2, 300, 3, 7, 2}, {128, 4, 8, 8, 0}, {64, 64, 8, 16, 8}};
    for (int i = 0; i < 7; i++)
        for (int interleaved = 0; interleaved < 2; interleaved++) {
            gaussian_forward(t, gaussian_make(t, shapes[i], interleaved));
            gaussian_backward(t, gaussian_make(t, shapes[i], interleaved), OT_ASSIGN);
            gaussian_backward(t, gaussian_make(t, shapes[i], interleaved), OT_ADD);
            gaussian_backward(t, gaussian_make(t, shapes[i], interleaved), OT_NONE);
            gaussian_sample(t, gaussian_make(t, shapes[i], interleaved), 1);
            gaussian_sample(t, gaussian_make(t, shapes[i], interleaved), 0.5);
            gaussian_sample(t, gaussian_make(t, shapes[i], interleaved), 0);
        }
}

void operations_glow(ot *t)
{
    squeeze_rows(t);
    actnorm_rows(t);
    matrix_rows(t);
    coupling_rows(t);
    gaussian_rows(t);
}
