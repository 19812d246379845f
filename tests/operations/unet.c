/*
 * Rows of what U-Nets need besides: embeddings of the time, affine maps, noise from predictions, resampling by
 * filters.
 */
#include <math.h>
#include "operations.h"

static const ts_sde ve = {.kind = TS_SDE_VE, .sigma_min = 0.01, .sigma_max = 50.0};
static const ts_sde vp = {.kind = TS_SDE_VP, .beta_min = 0.1, .beta_max = 20.0};
static const ts_sde subvp = {.kind = TS_SDE_SUBVP, .beta_min = 0.1, .beta_max = 20.0};

/* sigma(t) by its definition, whatever the engine does. */
static double sigma_of(double t)
{
    return 0.01 * pow(5000, t);
}

/* ---- embeddings ---- */

typedef struct embedding_row {
    int n, c;
    ts_sde sde;
    ts_time_input_kind input;
    ot_buffer *t, *frequencies, *y;
} embedding_row;

/* a and s at t. */
static void marginal_of(const ts_sde *e, double t, double *a, double *s)
{
    const double b = 0.1 * t + 19.9 * t * t / 2, variance = 1 - exp(-b);
    *a = e->kind == TS_SDE_VE ? 1 : exp(-b / 2);
    *s = e->kind == TS_SDE_VE ? sigma_of(t) : e->kind == TS_SDE_VP ? sqrt(variance) : variance;
}

static void embedding_reference(void *p)
{
    embedding_row *r = p;
    const int half = r->c / 2;
    for (int i = 0; i < r->n * half; i++) {
        const int row = i / half, j = i % half;
        const double t = r->t->v[row];
        double u = r->sde.kind == TS_SDE_VE ? sigma_of(t) : 999 * t, log_u = log(u), a, s;
        if (r->input == TS_TIME_INPUT_LOG_SNR) {
            marginal_of(&r->sde, t, &a, &s);
            u = 25 * log(a * a / (s * s));
            log_u = log(s / a);
        }
        const double angle = r->frequencies ? 2 * M_PI * r->frequencies->v[j] * log_u
                                            : u * pow(10000, half > 1 ? -(double)j / (half - 1) : 0);
        r->y->want[row * r->c + j] = sin(angle);
        r->y->want[row * r->c + half + j] = cos(angle);
    }
}

static void embedding_rows(ot *t)
{
    static const int shapes[][2] = {{1, 2}, {5, 6}, {7, 128}};
    const ts_sde sdes[] = {vp, subvp, ve};
    for (int i = 0; i < 36; i++) {
        const int *s = shapes[i % 3];
        const bool fourier = i / 9 & 1;
        embedding_row r = {.n = s[0],
                           .c = s[1],
                           .sde = sdes[i / 3 % 3],
                           .input = i < 18 ? TS_TIME_INPUT_T : TS_TIME_INPUT_LOG_SNR};
        ot_case(t, "%d times, %d channels, %s of %s, sde %d", s[0], s[1],
                fourier ? "Fourier features" : "sinusoids", ts_time_input_kind_words.word[r.input],
                i / 3 % 3);
        r.t = ot_uniform(t, TS_F32, r.n, 0.01, 1);
        r.y = ot_output(t, OT_ACTIVATION, r.n * r.c);
        if (!fourier) {
            ts_time_embedding a = {r.n, r.c, r.sde, r.input, ot_in(r.t), ot_out(r.y)};
            ot_run(t, time_embedding, a);
        } else {
            r.frequencies = ot_normal(t, TS_F32, r.c / 2, 0, 16);
            ts_fourier_embedding a = {r.n,        r.c, r.sde, r.input, ot_in(r.t), ot_in(r.frequencies),
                                      ot_out(r.y)};
            ot_run(t, fourier_embedding, a);
        }
        ot_check(t, embedding_reference, &r, 1e-6);
    }
}

/* ---- affine ---- */

typedef struct affine_row {
    int n, d;
    double scale, offset;
    bool accumulate;
    ot_buffer *t, *x, *y;
} affine_row;

static void affine_reference(void *p)
{
    affine_row *r = p;
    for (int i = 0; i < r->n * r->d; i++) {
        const double factor = r->scale * (r->t ? sigma_of(r->t->v[i / r->d]) : 1);
        r->y->want[i] = factor * r->x->v[i] + r->offset + (r->accumulate ? r->y->v[i] : 0);
    }
}

static void affine_rows(ot *t)
{
    static const int shapes[][2] = {{1, 1}, {3, 64}, {5, 75}, {4, 8192}};
    for (int i = 0; i < 16; i++) {
        const int *s = shapes[i / 4];
        const bool accumulate = i & 1, times = i & 2;
        ot_case(t, "%d rows of %d%s%s", s[0], s[1], times ? ", s(t)" : "", accumulate ? ", accumulate" : "");
        affine_row r = {s[0], s[1], times ? -0.5 : 2, times ? 0 : -1, accumulate, NULL, NULL, NULL};
        r.t = times ? ot_uniform(t, TS_F32, r.n, 0, 1) : NULL;
        r.x = ot_normal(t, OT_ACTIVATION, r.n * r.d, 0, 1);
        r.y = accumulate ? ot_normal(t, OT_ACTIVATION, r.n * r.d, 0, 1)
                         : ot_output(t, OT_ACTIVATION, r.n * r.d);
        ts_affine a = {r.n,        r.d,         ve,        ot_in(r.t), (float)r.scale, (float)r.offset,
                       ot_in(r.x), ot_out(r.y), accumulate};
        ot_run(t, affine, a);
        ot_check(t, affine_reference, &r, 1e-6);
    }
}

/* ---- to_noise ---- */

typedef struct to_noise_row {
    ts_to_noise a;
    ot_buffer *t, *xt, *net, *y;
} to_noise_row;

static void to_noise_reference(void *p)
{
    to_noise_row *r = p;
    for (int i = 0; i < r->a.n * r->a.d; i++) {
        const double x = r->xt ? r->xt->v[i] : 0, net = r->net ? r->net->v[i] : 0;
        double a, s;
        marginal_of(&r->a.sde, r->t->v[i / r->a.d], &a, &s);
        const double noise[] = {[TS_PREDICTS_NOISE] = net,
                                [TS_PREDICTS_V] = (s * x + a * net) / (a * a + s * s),
                                [TS_PREDICTS_X0] = (x - a * net) / s};
        r->y->want[i] = noise[r->a.predicts] + (r->a.accumulate ? r->y->v[i] : 0);
    }
}

static void to_noise_rows(ot *t)
{
    static const int shapes[][2] = {{1, 1}, {3, 64}, {5, 75}, {4, 8192}};
    static const char *const terms[] = {"x and net", "net alone", "x alone"};
    const ts_sde sdes[] = {vp, subvp, ve};
    for (int i = 0; i < 36; i++) {
        const int *s = shapes[i % 4], term = i / 12;
        to_noise_row r = {.a = {.n = s[0],
                                .d = s[1],
                                .sde = sdes[i / 3 % 3],
                                .predicts = (ts_predicts_kind)(i % TS_PREDICTS_COUNT),
                                .accumulate = i & 1}};
        const int count = r.a.n * r.a.d;
        ot_case(t, "%d rows of %d, %s, sde %d, %s%s", s[0], s[1], ts_predicts_kind_words.word[r.a.predicts],
                i / 3 % 3, terms[term], r.a.accumulate ? ", accumulate" : "");
        r.t = ot_uniform(t, TS_F32, r.a.n, 0.01, 1);
        r.xt = term == 1 ? NULL : ot_normal(t, OT_ACTIVATION, count, 0, 1);
        r.net = term == 2 ? NULL : ot_normal(t, OT_ACTIVATION, count, 0, 1);
        r.y = r.a.accumulate ? ot_normal(t, OT_ACTIVATION, count, 0, 1) : ot_output(t, OT_ACTIVATION, count);
        r.a.t = ot_in(r.t);
        r.a.xt = ot_in(r.xt);
        r.a.net = ot_in(r.net);
        r.a.y = ot_out(r.y);
        ot_run(t, to_noise, r.a);
        ot_check(t, to_noise_reference, &r, 1e-6);
    }
}

/* ---- filters ---- */

typedef struct fir_row {
    ts_fir a;
    ot_buffer *x, *residual, *y;
} fir_row;

/* One axis: the input's weight in the output, by the definition. */
static double weight_of(const ts_fir *a, int out, int in)
{
    const int tap = a->up * in + a->pad - a->down * out;
    return tap >= 0 && tap < a->taps ? (double)a->k[tap] : 0;
}

static void fir_reference(void *p)
{
    fir_row *r = p;
    const ts_fir *a = &r->a;
    for (int o = 0; o < a->n * a->oh * a->ow * a->c; o++) {
        const int k = o % a->c, j = o / a->c % a->ow, i = o / a->c / a->ow % a->oh,
                  n = o / a->c / a->ow / a->oh;
        double sum = r->residual ? r->residual->v[o] : 0;
        for (int row = 0; row < a->h; row++)
            for (int column = 0; column < a->w; column++)
                sum += weight_of(a, i, row) * weight_of(a, j, column) *
                       r->x->v[((n * a->h + row) * a->w + column) * a->c + k];
        r->y->want[o] = (double)a->scale * sum + (a->accumulate ? r->y->v[o] : 0);
    }
}

static void fir_rows(ot *t)
{
    /* h, w, oh, ow, up, down, pad, taps: the filters of the networks and their transposes, then others */
    static const int shapes[][8] = {
        {8, 8, 4, 4, 1, 2, 1, 4},   {4, 4, 8, 8, 2, 1, 2, 4},  {6, 10, 7, 11, 1, 1, 2, 4},
        {7, 11, 6, 10, 1, 1, 1, 4}, {9, 9, 4, 4, 1, 2, -1, 1}, {4, 4, 9, 9, 2, 1, 1, 1},
        {8, 6, 4, 3, 1, 2, 0, 2},   {4, 3, 8, 6, 2, 1, 1, 2},  {5, 7, 9, 12, 2, 2, 3, 8}};
    static const int channels[] = {1, 3, 8, 40};
    for (int i = 0; i < 144; i++) {
        const int *s = shapes[i / 16], c = channels[i / 4 % 4];
        const bool accumulate = i & 1, residual = i & 2;
        ot_case(t, "2x%dx%dx%d -> %dx%d, up %d, down %d, pad %d, %d taps%s%s", s[0], s[1], c, s[2], s[3],
                s[4], s[5], s[6], s[7], residual ? ", residual" : "", accumulate ? ", accumulate" : "");
        fir_row r = {.a = {.n = 2,
                           .h = s[0],
                           .w = s[1],
                           .c = c,
                           .oh = s[2],
                           .ow = s[3],
                           .up = s[4],
                           .down = s[5],
                           .pad = s[6],
                           .taps = s[7],
                           .scale = residual ? 0.7f : 1,
                           .accumulate = accumulate}};
        for (int k = 0; k < r.a.taps; k++)
            r.a.k[k] = (float)(k + 1) / 8 - 0.2f * (float)(k % 2);
        const int64_t in = (int64_t)2 * s[0] * s[1] * c, out = (int64_t)2 * s[2] * s[3] * c;
        r.x = ot_normal(t, OT_ACTIVATION, in, 0, 1);
        r.y = accumulate ? ot_normal(t, OT_ACTIVATION, out, 0, 1) : ot_output(t, OT_ACTIVATION, out);
        r.residual = residual ? ot_normal(t, OT_ACTIVATION, out, 0, 1) : NULL;
        r.a.x = ot_in(r.x);
        r.a.residual = ot_in(r.residual);
        r.a.y = ot_out(r.y);
        ot_run(t, fir, r.a);
        ot_check(t, fir_reference, &r, 1e-6);
    }
}

void operations_unet(ot *t)
{
    embedding_rows(t);
    affine_rows(t);
    to_noise_rows(t);
    fir_rows(t);
}
