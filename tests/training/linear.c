/*
 * Score training of a linear network, against a double-precision run of the same steps; what is refused.
 */
#include <math.h>
#include "training_common.h"

/* ---- a linear network: net = W x + b, whatever t ---- */

enum { D = 3, EXAMPLES = 10 };

typedef struct linear {
    ts_param weight, bias;
} linear;

static ts_tensor apply_linear(const void *model, ts_graph *graph, ts_tensor x, ts_tensor t, bool training)
{
    const linear *l = model;
    (void)t;
    (void)training;
    return ts_dense(graph, x, false, l->weight, l->bias, D, -1, 1.0f);
}

static ts_tensor apply_half(const void *model, ts_graph *graph, ts_tensor x, ts_tensor t, bool training)
{
    return ts_slice(graph, apply_linear(model, graph, x, t, training), 0, 2);
}

static ts_params *linear_params(ts_device *device, linear *l)
{
    ts_params *params;
    const ts_param_info weight = {.name = "weight",
                                  .rank = 2,
                                  .shape = {D, D},
                                  .trained = true,
                                  .init = TS_INIT_UNIFORM,
                                  .scale = 0.5f};
    const ts_param_info bias = {
        .name = "bias", .rank = 1, .shape = {D}, .trained = true, .init = TS_INIT_ZERO};
    must(ts_params_create(device, &params));
    l->weight = ts_params_add(params, &weight);
    l->bias = ts_params_add(params, &bias);
    must(ts_params_commit(params, 3));
    return params;
}

static ts_data vectors(ts_device *device, float host[EXAMPLES][D])
{
    for (int i = 0; i < EXAMPLES; i++)
        for (int j = 0; j < D; j++)
            host[i][j] = (float)sin(1.0 + 7.0 * i + 3.0 * j * j);
    ts_data data = {.device = device, .h = 1, .w = 1, .c = D, .count = EXAMPLES};
    data.floats = on_device(device, host, sizeof(float[EXAMPLES][D]));
    return data;
}

enum { COUNT = D * D + D };

/* The state of the reference: W row by row, then b. */
typedef struct reference {
    double p[COUNT], first[COUNT], second[COUNT], ema[COUNT];
    double loss, norm; /* sum over images; of the last gradient */
    double profile[8][2];
} reference;

/* Adam with warm-up, clipping and averaging, as the settings say. */
static void reference_update(reference *r, const ts_optimizer_config *o, double g[COUNT], int step)
{
    double squares = 0;
    for (int k = 0; k < COUNT; k++)
        squares += g[k] * g[k];
    r->norm = sqrt(squares);
    const double decay = fmin(o->ema, (1.0 + step) / (10.0 + step));
    for (int k = 0; k < COUNT; k++) {
        const double x = g[k] * fmin(1.0, o->clip / r->norm);
        r->first[k] = o->beta1 * r->first[k] + (1 - o->beta1) * x;
        r->second[k] = o->beta2 * r->second[k] + (1 - o->beta2) * x * x;
        r->p[k] -= o->rate * fmin(1.0, (step + 1.0) / o->warmup) * r->first[k] /
                   (1 - pow(o->beta1, step + 1)) /
                   (sqrt(r->second[k] / (1 - pow(o->beta2, step + 1))) + o->epsilon);
        r->ema[k] = decay * r->ema[k] + (1 - decay) * r->p[k];
    }
}

static void reference_step(reference *r, const ts_score_training_config *c, float x0[EXAMPLES][D], int step)
{
    const ts_step_state s = {.seed = c->seed, .step = (uint32_t)step};
    const int n = c->batch;
    double g[COUNT] = {0};
    const double u = ts_uniform_from(ts_random_words(&s, TS_STREAM_TIME, 0).v[0]);
    for (int i = 0; i < n; i++) {
        const int64_t position = (int64_t)step * n + i;
        const float *x =
            x0[ts_shuffle_index(&s, (uint32_t)(position / EXAMPLES), position % EXAMPLES, EXAMPLES)];
        const double share = fmod(u + (double)i / n, 1.0);
        double t = c->t_min + share * (c->t_max - c->t_min);
        if (c->sampling == TS_TIME_IMPORTANCE) {
            const double low = ts_sde_lambda(&c->sde, c->t_min), high = ts_sde_lambda(&c->sde, c->t_max);
            t = ts_sde_lambda_inverse(&c->sde, low + share * (high - low));
        }
        const double weight = c->weight == TS_WEIGHT_ONE ? 1 : ts_sde_likelihood_weight(&c->sde, t);
        double z[D], xt[D], squares = 0;
        for (int j = 0; j < D; j++) {
            const uint32_t e = (uint32_t)(i * D + j), pair = e % 4 / 2 * 2;
            const ts_philox_words w = ts_random_words(&s, TS_STREAM_NOISE, e / 4);
            const double radius = sqrt(-2 * log((w.v[pair] + 0.5) * 0x1p-32));
            const double angle = 6.283185307179586 * (w.v[pair + 1] + 0.5) * 0x1p-32;
            z[j] = radius * (e & 1 ? cos(angle) : sin(angle));
            xt[j] = ts_sde_mean(&c->sde, t) * (double)x[j] + ts_sde_std(&c->sde, t) * z[j];
        }
        for (int j = 0; j < D; j++) {
            double net = r->p[D * D + j];
            for (int k = 0; k < D; k++)
                net += r->p[j * D + k] * xt[k];
            const double e = net - z[j], slope = 2 * weight * e / (D * n);
            squares += e * e / D;
            g[D * D + j] += slope;
            for (int k = 0; k < D; k++)
                g[j * D + k] += slope * xt[k];
        }
        r->loss += weight * squares;
        const int bin = (int)fmin(7, 8 * (t - c->t_min) / (c->t_max - c->t_min));
        r->profile[bin][0] += squares;
        r->profile[bin][1] += 1;
    }
    reference_update(r, &c->optimizer, g, step);
}

/* ||got - want|| / ||want|| of the two parameters in one of their buffers. */
static double difference(const ts_params *params, const linear *l, ts_param_buffer which,
                         const double want[COUNT])
{
    float got[COUNT];
    double squares = 0, norm = 0;
    must(ts_params_get(params, l->weight, which, got));
    must(ts_params_get(params, l->bias, which, got + D * D));
    for (int k = 0; k < COUNT; k++) {
        squares += (got[k] - want[k]) * (got[k] - want[k]);
        norm += want[k] * want[k];
    }
    return sqrt(squares / norm);
}

static void follow(const ts_score_training_config *c, int steps)
{
    ts_device *device = open_device(1);
    linear l;
    float x0[EXAMPLES][D], initial[COUNT];
    ts_params *params = linear_params(device, &l);
    ts_data data = vectors(device, x0);
    reference r = {.loss = 0};
    ts_training *training;
    ts_training_report report;
    must(ts_params_get(params, l.weight, TS_BUFFER_VALUE, initial));
    must(ts_params_get(params, l.bias, TS_BUFFER_VALUE, initial + D * D));
    for (int k = 0; k < COUNT; k++)
        r.p[k] = r.ema[k] = initial[k];
    must(ts_training_score(device, c, &data, params, apply_linear, &l, &training));
    for (int step = 0; step < steps; step++) {
        must(ts_training_step(training));
        reference_step(&r, c, x0, step);
        if (step % 3 != 2)
            continue; /* a report covers three steps */
        must(ts_training_read(training, &report));
        assert_true(report.finite && report.skipped == 0 && report.step == step + 1);
        assert_true(fabs(report.loss - r.loss / (3 * c->batch)) < 1e-5 * report.loss);
        assert_true(fabs(report.gradient_norm - r.norm) < 1e-5 * r.norm);
        r.loss = 0;
    }
    assert_true(difference(params, &l, TS_BUFFER_VALUE, r.p) < 1e-5);
    assert_true(difference(params, &l, TS_BUFFER_EMA, r.ema) < 1e-5);
    assert_true(difference(params, &l, TS_BUFFER_FIRST, r.first) < 1e-4);
    assert_true(difference(params, &l, TS_BUFFER_SECOND, r.second) < 1e-4);
    double profile[8][2];
    must(ts_training_profile(training, &profile[0][0]));
    for (int k = 0; k < 8; k++) {
        assert_true(fabs(profile[k][0] - r.profile[k][0]) <= 1e-5 * r.profile[k][0]);
        assert_true(profile[k][1] == r.profile[k][1]);
    }
    ts_training_destroy(training);
    ts_params_destroy(params);
    ts_data_release(&data);
    ts_device_close(device);
}

void follows_the_reference(void **unused)
{
    (void)unused;
    ts_score_training_config c = plain;
    c.optimizer.rate = 1e-2;
    follow(&c, 12);
    c.sampling = TS_TIME_IMPORTANCE;
    c.optimizer.clip = 0.3;
    c.t_max = 0.4;
    follow(&c, 12);
    c.sampling = TS_TIME_UNIFORM;
    c.weight = TS_WEIGHT_LIKELIHOOD;
    c.sde.kind = TS_SDE_SUBVP;
    follow(&c, 6);
}

/* ---- refusals ---- */

void refusals(void **unused)
{
    (void)unused;
    ts_device *device = open_device(1);
    linear l;
    float x0[EXAMPLES][D];
    ts_params *params = linear_params(device, &l);
    ts_data data = vectors(device, x0), empty = data;
    ts_training *training;
    ts_score_training_config c = plain;
    empty.floats = NULL;
#define REFUSED(data, apply, word)                                                                           \
    must_fail(ts_training_score(device, &c, data, params, apply, &l, &training), TS_INVALID, word);          \
    assert_null(training)
    REFUSED(&empty, apply_linear, "data");
    REFUSED(&data, apply_half, "[16,1,1,2]");
    c.t_min = 0;
    REFUSED(&data, apply_linear, "eps");
    c.t_min = 1;
    REFUSED(&data, apply_linear, "eps");
    c = plain;
    c.t_max = 1.5;
    REFUSED(&data, apply_linear, "1.5");
    c = plain;
    c.batch = 0;
    REFUSED(&data, apply_linear, "batch");
    c = plain;
    c.optimizer.beta2 = 1;
    REFUSED(&data, apply_linear, "decays");
    c = plain;
    c.optimizer.rate = NAN;
    REFUSED(&data, apply_linear, "rate");
#undef REFUSED
    ts_params_destroy(params);
    ts_data_release(&data);
    assert_null(data.floats);
    ts_device_close(device);
}
