/*
 * Rows of the training loop up to the gradient: times, batches, the forward process, the loss.
 */
#include <stdlib.h>
#include "processes.h"
#include "random.h"

static const ts_sde vp = {.kind = TS_SDE_VP, .beta_min = 0.1, .beta_max = 20.0};
static const ts_sde subvp = {.kind = TS_SDE_SUBVP, .beta_min = 0.1, .beta_max = 20.0};
static const ts_sde ve = {.kind = TS_SDE_VE, .sigma_min = 0.01, .sigma_max = 50.0};

/* ---- draw_times ---- */

typedef struct times_row {
    int n;
    ts_sde sde;
    double t_min, t_max;
    ts_time_sampling sampling;
    bool low;
    ot_buffer *t;
} times_row;

/* What is uniform: t, Lambda(t), or ln(s^2/(a^2 + s^2)). */
static double uniform_in(const times_row *r, double t)
{
    return r->sampling == TS_TIME_UNIFORM      ? t
           : r->sampling == TS_TIME_IMPORTANCE ? process_lambda(&r->sde, t)
                                               : -log1p(1 / process_ratio(&r->sde, t));
}

/* Inverts it by bisection. */
static void times_reference(void *p)
{
    times_row *r = p;
    for (int i = 0; i < r->n; i++) {
        double u = uniform_of(&state5, TS_STREAM_TIME, r->low ? 0 : (uint64_t)i);
        if (r->low)
            u = u + (double)i / r->n >= 1 ? u + (double)i / r->n - 1 : u + (double)i / r->n;
        const double low = uniform_in(r, r->t_min), high = uniform_in(r, r->t_max);
        double below = r->t_min, above = r->t_max, t = below;
        for (int k = 0; k < 200; k++) {
            t = (below + above) / 2;
            *(uniform_in(r, t) < low + u * (high - low) ? &below : &above) = t;
        }
        r->t->want[i] = t;
    }
}

static void times_rows(ot *t)
{
    static const int counts[] = {1, 7, 128};
    const ts_sde sdes[] = {vp, subvp, ve};
    static const char *const names[] = {"", " importance", " structure"};
    for (int k = 0; k < 54; k++) {
        times_row r = {counts[k / 18],
                       sdes[k / 6 % 3],
                       1e-5,
                       k % 3 ? 0.3 : 1.0,
                       (ts_time_sampling)(k % 3),
                       k / 3 % 2,
                       NULL};
        ot_case(t, "n %d, sde %d%s%s", r.n, (int)r.sde.kind, names[r.sampling],
                r.low ? " low discrepancy" : "");
        r.t = ot_output(t, TS_F32, r.n);
        ts_draw_times a = {r.n,        r.sde, r.t_min, r.t_max, r.sampling, r.low, device_state(t, &state5),
                           ot_out(r.t)};
        ot_run(t, draw_times, a);
        ot_check(t, times_reference, &r, 2e-6);
        bool within = true;
        for (int i = 0; i < r.n; i++)
            within = within && r.t->got[i] >= r.t_min && r.t->got[i] <= r.t_max;
        ot_expect(t, within, "all within [%g, %g]", r.t_min, r.t_max);
    }
    /* an interval narrower than float32 resolves: nothing leaves it, however t rounds */
    ot_case(t, "n 64, [1e-5, 1e-5 (1 + 2e-7)]");
    times_row r = {64, vp, 1e-5, 1e-5 * (1 + 2e-7), TS_TIME_IMPORTANCE, true, ot_output(t, TS_F32, 64)};
    ts_draw_times a = {r.n,        vp, r.t_min, r.t_max, TS_TIME_IMPORTANCE, true, device_state(t, &state5),
                       ot_out(r.t)};
    ot_run(t, draw_times, a);
    bool within = true;
    for (int i = 0; i < r.n; i++)
        within = within && r.t->got[i] >= r.t_min && r.t->got[i] <= r.t_max;
    ot_expect(t, within, "all within");
}

/* ---- gather ---- */

typedef struct gather_row {
    ts_gather a;
    ts_step_state state;
    ot_buffer *data, *x0;
} gather_row;

static void gather_reference(void *p)
{
    gather_row *r = p;
    const ts_gather *a = &r->a;
    for (int64_t i = 0; i < a->n; i++) {
        const int64_t position = (int64_t)r->state.step * a->n + i;
        const int64_t example = a->shuffle ? ts_shuffle_index(&r->state, (uint32_t)(position / a->count),
                                                              position % a->count, a->count)
                                           : (a->start + i) % a->count;
        const bool mirror = a->flip && uniform_of(&r->state, TS_STREAM_FLIP, (uint64_t)i) > 0.5;
        for (int y = 0; y < a->h; y++)
            for (int x = 0; x < a->w; x++)
                for (int c = 0; c < a->c; c++) {
                    const int from = mirror ? a->w - 1 - x : x;
                    const double v = r->data->v[((example * a->h + y) * a->w + from) * a->c + c];
                    r->x0->want[((i * a->h + y) * a->w + x) * a->c + c] =
                        a->bytes ? v * (double)a->scale + (double)a->offset : v;
                }
    }
}

static ot_buffer *gather_data(ot *t, int64_t count, bool bytes)
{
    double *values = malloc((size_t)count * sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = bytes ? word_of(&state5, TS_STREAM_TEST, (uint64_t)i) % 256
                          : normal_of(&state5, TS_STREAM_TEST, (uint64_t)i);
    ot_buffer *const data = ot_values(t, bytes ? TS_U8 : TS_F32, count, values);
    free(values);
    return data;
}

static void gather_run(ot *t, gather_row *r, bool bytes)
{
    ts_gather *a = &r->a;
    const int64_t d = (int64_t)a->h * a->w * a->c;
    r->data = gather_data(t, a->count * d, bytes);
    r->x0 = ot_output(t, TS_F32, a->n * d);
    a->bytes = bytes ? ot_in(r->data) : NULL;
    a->floats = bytes ? NULL : ot_in(r->data);
    a->scale = 2.0f / 255.0f;
    a->offset = -1.0f;
    a->state = device_state(t, &r->state);
    a->x0 = ot_out(r->x0);
    ot_run(t, gather, *a);
    ot_check(t, gather_reference, r, 1e-6);
}

/* Over 11 steps of 7 out of 11 examples, which straddle 7 epochs, every epoch shows every example once. */
static void gather_epochs(ot *t)
{
    enum { N = 7, COUNT = 11 };
    int seen[N][COUNT] = {{0}}, differing = 0;
    double order[N * COUNT];
    for (uint32_t step = 0; step < COUNT; step++) {
        ot_case(t, "n %d of %d, step %u", N, COUNT, step);
        double ids[COUNT];
        for (int i = 0; i < COUNT; i++)
            ids[i] = i;
        ot_buffer *data = ot_values(t, TS_U8, COUNT, ids), *x0 = ot_output(t, TS_F32, N);
        ts_gather a = {.n = N,
                       .h = 1,
                       .w = 1,
                       .c = 1,
                       .count = COUNT,
                       .shuffle = true,
                       .scale = 1.0f,
                       .bytes = ot_in(data),
                       .state = ot_state(t, 77, step, 0),
                       .x0 = ot_out(x0)};
        ot_run(t, gather, a);
        for (int i = 0; i < N; i++) {
            const int position = (int)step * N + i, id = (int)x0->got[i];
            order[position] = id;
            if (id >= 0 && id < COUNT)
                seen[position / COUNT][id]++;
        }
    }
    bool once = true;
    for (int epoch = 0; epoch < N; epoch++)
        for (int i = 0; i < COUNT; i++)
            once = once && seen[epoch][i] == 1;
    for (int i = 0; i < COUNT; i++)
        differing += order[i] != order[COUNT + i];
    ot_expect(t, once, "every epoch shows every example once");
    ot_expect(t, differing > 0, "the second epoch has another order");
}

static void gather_rows(ot *t)
{
    static const struct {
        int n, h, w, c, count;
        bool shuffle, flip, bytes;
        int64_t start;
        uint32_t step;
    } cases[] = {
        {4, 8, 8, 1, 20, true, false, true, 0, 0},     {7, 3, 5, 3, 5, true, true, true, 0, 3},
        {64, 8, 8, 1, 1500, true, true, true, 0, 999}, {5, 4, 4, 2, 7, false, false, true, 5, 9},
        {9, 2, 3, 1, 4, false, false, true, 2, 0},     {6, 1, 1, 5, 10, true, false, false, 0, 4},
        {3, 2, 4, 3, 6, true, true, false, 0, 1},      {40, 32, 32, 3, 50, true, true, true, 0, 4000000000u},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        gather_row r = {.a = {.n = cases[k].n,
                              .h = cases[k].h,
                              .w = cases[k].w,
                              .c = cases[k].c,
                              .count = cases[k].count,
                              .shuffle = cases[k].shuffle,
                              .flip = cases[k].flip,
                              .start = cases[k].start},
                        .state = {.seed = 31, .step = cases[k].step, .instance = 0}};
        ot_case(t, "n %d of %d [%d,%d,%d]%s%s%s", r.a.n, cases[k].count, r.a.h, r.a.w, r.a.c,
                cases[k].bytes ? "" : " floats", r.a.shuffle ? " shuffled" : "", r.a.flip ? " flips" : "");
        gather_run(t, &r, cases[k].bytes);
    }
    gather_epochs(t);
}

/* ---- perturb ---- */

typedef struct perturb_row {
    int n, d;
    ts_sde sde;
    bool wide;
    ts_predicts_kind predicts;
    ot_buffer *x0, *t, *xt, *z;
} perturb_row;

/* a and s at t, by their definitions. */
static void marginal_of(const ts_sde *e, double t, double *a, double *s)
{
    const double b = e->beta_min * t + (e->beta_max - e->beta_min) * t * t / 2;
    *a = e->kind == TS_SDE_VE ? 1 : exp(-b / 2);
    *s = e->kind == TS_SDE_VE ? 0.01 * pow(5000.0, t) : e->kind == TS_SDE_VP ? sqrt(-expm1(-b)) : -expm1(-b);
}

static void perturb_reference(void *p)
{
    perturb_row *r = p;
    for (int64_t i = 0; i < r->n; i++) {
        double a, s;
        marginal_of(&r->sde, r->t->v[i], &a, &s);
        for (int64_t j = i * r->d; j < (i + 1) * r->d; j++) {
            const double z = normal_of(&state5, TS_STREAM_NOISE, (uint64_t)j), x0 = r->x0->v[j];
            const double targets[] = {
                [TS_PREDICTS_NOISE] = z, [TS_PREDICTS_V] = a * z - s * x0, [TS_PREDICTS_X0] = x0};
            r->xt->want[j] = a * x0 + s * z;
            r->z->want[j] = targets[r->predicts];
        }
    }
}

static void perturb_rows(ot *t)
{
    static const int shapes[][2] = {{1, 8}, {3, 5}, {1000, 2}, {128, 64}, {11, 3072}, {40000, 1}};
    const ts_sde sdes[] = {vp, subvp, ve};
    const int cases = ot_device(t)->activation == TS_F32 ? 3 : 6; /* `wide` means nothing in float32 */
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
        for (int e = 0; e < cases; e++) {
            perturb_row r = {.n = shapes[k][0],
                             .d = shapes[k][1],
                             .sde = sdes[e % 3],
                             .wide = e >= 3,
                             .predicts = (ts_predicts_kind)(k % TS_PREDICTS_COUNT)};
            const ts_dtype type = r.wide ? TS_F32 : OT_ACTIVATION;
            ot_case(t, "n %d, d %d, sde %d%s, %s", r.n, r.d, e % 3, r.wide ? ", wide" : "",
                    ts_predicts_kind_words.word[r.predicts]);
            r.x0 = ot_uniform(t, TS_F32, (int64_t)r.n * r.d, -1, 1);
            r.t = ot_uniform(t, TS_F32, r.n, 1e-5, 1);
            r.xt = ot_output(t, type, (int64_t)r.n * r.d);
            r.z = ot_output(t, type, (int64_t)r.n * r.d);
            ts_perturb a = {r.n,         r.d,        r.sde,        device_state(t, &state5),
                            ot_in(r.x0), ot_in(r.t), ot_out(r.xt), ot_out(r.z),
                            r.wide,      r.predicts};
            ot_run(t, perturb, a);
            ot_check(t, perturb_reference, &r, 1e-6);
        }
}

/* ---- noisy_batch: the three before it in one ---- */

typedef struct noisy_row {
    gather_row gather;
    times_row times;
    perturb_row perturb;
} noisy_row;

static void noisy_reference(void *p)
{
    noisy_row *r = p;
    const int64_t count = (int64_t)r->perturb.n * r->perturb.d;
    ot_buffer x0 = {.want = malloc((size_t)count * sizeof(double))}, in = {.v = x0.want};
    ot_buffer drawn = {.v = r->times.t->want};
    r->gather.x0 = &x0;
    gather_reference(&r->gather);
    times_reference(&r->times);
    r->perturb.x0 = &in;
    r->perturb.t = &drawn;
    perturb_reference(&r->perturb);
    free(x0.want);
}

static void noisy_rows(ot *t)
{
    static const struct {
        int n, h, w, c, count;
        bool flip, bytes, importance, low;
    } cases[] = {
        {1, 1, 1, 1, 1, false, true, false, false},     {7, 3, 5, 3, 5, true, true, true, true},
        {64, 8, 8, 1, 150, true, true, true, false},    {33, 1, 1, 6, 40, false, false, false, true},
        {3, 2, 4, 3, 6, true, false, true, true},       {5, 32, 32, 3, 9, true, true, true, true},
        {2500, 1, 1, 2, 999, false, false, true, true}, {9, 4, 4, 2, 20, false, true, false, true},
        {3, 28, 28, 1, 4, false, true, true, false},
    };
    const ts_sde sdes[] = {vp, subvp, ve};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const int n = cases[k].n, d = cases[k].h * cases[k].w * cases[k].c;
        const ts_predicts_kind predicts = (ts_predicts_kind)(k / 3 % TS_PREDICTS_COUNT);
        ot_case(t, "n %d of %d [%d,%d,%d]%s%s, %s", n, cases[k].count, cases[k].h, cases[k].w, cases[k].c,
                cases[k].bytes ? "" : " floats", cases[k].flip ? " flips" : "",
                ts_predicts_kind_words.word[predicts]);
        ot_buffer *const data = gather_data(t, (int64_t)cases[k].count * d, cases[k].bytes);
        ot_buffer *const times = ot_output(t, TS_F32, n), *const xt =
                                                              ot_output(t, OT_ACTIVATION, (int64_t)n * d);
        ot_buffer *const z = ot_output(t, OT_ACTIVATION, (int64_t)n * d);
        ts_noisy_batch a = {.data = {.n = n,
                                     .h = cases[k].h,
                                     .w = cases[k].w,
                                     .c = cases[k].c,
                                     .count = cases[k].count,
                                     .shuffle = true,
                                     .flip = cases[k].flip,
                                     .scale = 2.0f / 255.0f,
                                     .offset = -1.0f,
                                     .state = device_state(t, &state5)},
                            .times = {.n = n,
                                      .sde = sdes[k % 3],
                                      .t_min = 1e-5,
                                      .t_max = 0.6,
                                      .sampling = cases[k].importance ? TS_TIME_IMPORTANCE : TS_TIME_UNIFORM,
                                      .low_discrepancy = cases[k].low,
                                      .state = device_state(t, &state5),
                                      .t = ot_out(times)},
                            .xt = ot_out(xt),
                            .z = ot_out(z),
                            .predicts = predicts};
        a.data.bytes = cases[k].bytes ? ot_in(data) : NULL;
        a.data.floats = cases[k].bytes ? NULL : ot_in(data);
        noisy_row r = {{a.data, state5, data, NULL},
                       {n, sdes[k % 3], 1e-5, 0.6, cases[k].importance, cases[k].low, times},
                       {n, d, sdes[k % 3], false, predicts, NULL, NULL, xt, z}};
        ot_run(t, noisy_batch, a);
        ot_check(t, noisy_reference, &r, 2e-6);
    }
}

/* ---- score_loss ---- */

typedef struct loss_row {
    int n, d, bins;
    ts_sde sde;
    ts_predicts_kind predicts;
    ts_loss_weight weight;
    double t_min, t_max;
    ot_buffer *t, *net, *z, *loss, *dnet, *total, *profile;
} loss_row;

static double image_loss(const loss_row *r, int64_t i, int64_t moved, double by)
{
    double sum = 0;
    for (int64_t j = i * r->d; j < (i + 1) * r->d; j++) {
        const double e = r->net->v[j] + (j == moved ? by : 0) - r->z->v[j];
        sum += e * e / r->d;
    }
    return sum;
}

/* What the squared error of the noise is of that of the prediction. */
static double factor_of(const loss_row *r, double t)
{
    double a, s;
    marginal_of(&r->sde, t, &a, &s);
    const double factors[] = {[TS_PREDICTS_NOISE] = 1,
                              [TS_PREDICTS_V] = pow(a / (a * a + s * s), 2),
                              [TS_PREDICTS_X0] = pow(a / s, 2)};
    return factors[r->predicts];
}

static double likelihood_weight(const loss_row *r, double t)
{
    const double b = r->sde.beta_min * t + (r->sde.beta_max - r->sde.beta_min) * t * t / 2;
    const double beta = r->sde.beta_min + (r->sde.beta_max - r->sde.beta_min) * t;
    return r->sde.kind == TS_SDE_VP      ? beta / -expm1(-b)
           : r->sde.kind == TS_SDE_SUBVP ? beta / tanh(b / 2)
                                         : 2 * log(r->sde.sigma_max / r->sde.sigma_min);
}

/* The loss is quadratic in net, so its central difference over any step is its derivative. */
static void loss_reference(void *p)
{
    loss_row *r = p;
    if (r->total)
        r->total->want[0] = r->total->v[0];
    for (int i = 0; r->profile && i < 2 * r->bins; i++)
        r->profile->want[i] = r->profile->v[i];
    for (int64_t i = 0; i < r->n; i++) {
        const double t = r->t->v[i], factor = factor_of(r, t), error = image_loss(r, i, -1, 0);
        const double weights[] = {[TS_WEIGHT_ONE] = 1,
                                  [TS_WEIGHT_NOISE] = factor,
                                  [TS_WEIGHT_LIKELIHOOD] = factor * likelihood_weight(r, t)};
        const double weight = weights[r->weight];
        r->loss->want[i] = weight * error;
        for (int64_t j = i * r->d; r->dnet && j < (i + 1) * r->d; j++)
            r->dnet->want[j] = weight * (image_loss(r, i, j, 1) - image_loss(r, i, j, -1)) / 2 / r->n;
        if (r->total)
            r->total->want[0] += weight * error;
        if (r->profile) {
            int bin = 0;
            while (bin < r->bins - 1 && t >= r->t_min + (bin + 1) * (r->t_max - r->t_min) / r->bins)
                bin++;
            r->profile->want[2 * bin] += factor * error;
            r->profile->want[2 * bin + 1] += 1;
        }
    }
}

static void loss_rows(ot *t)
{
    static const int shapes[][2] = {{1, 1}, {5, 3}, {128, 64}, {30, 3072}, {600, 2}};
    static const char *const weights[] = {"weight 1", "weight of the noise", "likelihood"};
    const ts_sde sdes[] = {vp, subvp, ve};
    for (int k = 0; k < 30; k++) { /* 27: every weight with every SDE and prediction */
        loss_row r = {.n = shapes[k % 5][0],
                      .d = shapes[k % 5][1],
                      .bins = 10,
                      .sde = sdes[k / 3 % 3],
                      .predicts = (ts_predicts_kind)(k / 9 % TS_PREDICTS_COUNT),
                      .weight = (ts_loss_weight)(k % 3),
                      .t_min = 0.25,
                      .t_max = 0.75};
        const bool lean = k % 6 == 4; /* without what may be NULL */
        const int64_t count = (int64_t)r.n * r.d;
        ot_case(t, "n %d, d %d, sde %d, %s, %s%s", r.n, r.d, k / 3 % 3,
                ts_predicts_kind_words.word[r.predicts], weights[r.weight], lean ? ", loss alone" : "");
        r.t = ot_uniform(t, TS_F32, r.n, 0.25, 0.75);
        r.t->v[0] = 0.75; /* t_max belongs to the last bin */
        r.t->v[r.n / 2] = 0.25;
        r.net = ot_normal(t, OT_ACTIVATION, count, 0.1, 1);
        r.z = ot_normal(t, OT_ACTIVATION, count, 0, 1);
        r.loss = ot_output(t, TS_F32, r.n);
        r.dnet = lean || count > 20000 ? NULL : ot_output(t, OT_ACTIVATION, count);
        r.total = lean ? NULL : ot_normal(t, TS_F64, 1, 3, 1);
        r.profile = lean ? NULL : ot_uniform(t, TS_F64, 2 * r.bins, 0, 5);
        ts_score_loss a = {.n = r.n,
                           .d = r.d,
                           .bins = r.bins,
                           .sde = r.sde,
                           .predicts = r.predicts,
                           .weight = r.weight,
                           .t_min = r.t_min,
                           .t_max = r.t_max,
                           .t = ot_in(r.t),
                           .net = ot_in(r.net),
                           .z = ot_in(r.z),
                           .loss = ot_out(r.loss),
                           .dnet = ot_out(r.dnet),
                           .total = ot_out(r.total),
                           .profile = ot_out(r.profile)};
        ot_run(t, score_loss, a);
        ot_check(t, loss_reference, &r, 1e-6);
    }
}

void operations_training_loop(ot *t)
{
    times_rows(t);
    gather_rows(t);
    perturb_rows(t);
    noisy_rows(t);
    loss_rows(t);
}
