/*
 * Score training of a linear network, against a double-precision run of the same steps; the same network as
 * one that predicts v or x0; what is refused.
 */
#include <math.h>
#include <stdlib.h>
#include "diffusion/bound.h"
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
    const ts_step_state state = {.seed = c->seed, .step = (uint32_t)step};
    const int n = c->batch;
    double g[COUNT] = {0};
    const double u = ts_uniform_from(ts_random_words(&state, TS_STREAM_TIME, 0).v[0]);
    for (int i = 0; i < n; i++) {
        const int64_t position = (int64_t)step * n + i;
        const float *x =
            x0[ts_shuffle_index(&state, (uint32_t)(position / EXAMPLES), position % EXAMPLES, EXAMPLES)];
        const double share = fmod(u + (double)i / n, 1.0);
        double t = c->t_min + share * (c->t_max - c->t_min);
        if (c->sampling == TS_TIME_IMPORTANCE) {
            const double low = ts_sde_lambda(&c->sde, c->t_min), high = ts_sde_lambda(&c->sde, c->t_max);
            t = ts_sde_lambda_inverse(&c->sde, low + share * (high - low));
        }
        const double a = ts_sde_mean(&c->sde, t), s = ts_sde_std(&c->sde, t);
        const double factors[] = {[TS_PREDICTS_NOISE] = 1,
                                  [TS_PREDICTS_V] = pow(a / (a * a + s * s), 2),
                                  [TS_PREDICTS_X0] = pow(a / s, 2)};
        const double factor = factors[c->predicts];
        const double weights[] = {[TS_WEIGHT_ONE] = 1,
                                  [TS_WEIGHT_NOISE] = factor,
                                  [TS_WEIGHT_LIKELIHOOD] = factor * ts_sde_likelihood_weight(&c->sde, t)};
        const double weight = weights[c->weight];
        double target[D], xt[D], squares = 0;
        for (int j = 0; j < D; j++) {
            const uint32_t e = (uint32_t)(i * D + j), pair = e % 4 / 2 * 2;
            const ts_philox_words w = ts_random_words(&state, TS_STREAM_NOISE, e / 4);
            const double radius = sqrt(-2 * log((w.v[pair] + 0.5) * 0x1p-32));
            const double angle = 6.283185307179586 * (w.v[pair + 1] + 0.5) * 0x1p-32;
            const double z = radius * (e & 1 ? cos(angle) : sin(angle)), x0j = x[j];
            const double targets[] = {
                [TS_PREDICTS_NOISE] = z, [TS_PREDICTS_V] = a * z - s * x0j, [TS_PREDICTS_X0] = x0j};
            target[j] = targets[c->predicts];
            xt[j] = a * x0j + s * z;
        }
        for (int j = 0; j < D; j++) {
            double net = r->p[D * D + j];
            for (int k = 0; k < D; k++)
                net += r->p[j * D + k] * xt[k];
            const double e = net - target[j], slope = 2 * weight * e / (D * n);
            squares += e * e / D;
            g[D * D + j] += slope;
            for (int k = 0; k < D; k++)
                g[j * D + k] += slope * xt[k];
        }
        r->loss += weight * squares;
        const int bin = (int)fmin(7, 8 * (t - c->t_min) / (c->t_max - c->t_min));
        r->profile[bin][0] += factor * squares;
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
    c.predicts = TS_PREDICTS_V;
    follow(&c, 6);
    c.sde = (ts_sde){.kind = TS_SDE_VE, .sigma_min = 0.01, .sigma_max = 5.0};
    c.predicts = TS_PREDICTS_X0;
    c.weight = TS_WEIGHT_NOISE;
    c.sampling = TS_TIME_IMPORTANCE;
    follow(&c, 6);
}

/* ---- one network, three ways ---- */

static const ts_sde ve = {.kind = TS_SDE_VE, .sigma_min = 0.1, .sigma_max = 5.0};

/* What the linear network says of x0 under VE, x - s net. */
static ts_tensor apply_x0(const void *model, ts_graph *graph, ts_tensor x, ts_tensor t, bool training)
{
    const ts_tensor net = apply_linear(model, graph, x, t, training);
    return ts_graph_add_scaled(graph, x, ts_graph_affine(graph, net, t, &ve, -1, 0), 1);
}

/* And of v, net - s x0. */
static ts_tensor apply_v(const void *model, ts_graph *graph, ts_tensor x, ts_tensor t, bool training)
{
    const ts_tensor x0 = apply_x0(model, graph, x, t, training);
    const ts_tensor net = apply_linear(model, graph, x, t, training);
    return ts_graph_add_scaled(graph, net, ts_graph_affine(graph, x0, t, &ve, -1, 0), 1);
}

enum { STEPS = 8 };

static void train_as(ts_predicts_kind predicts, const ts_score_training_config *config, double losses[STEPS],
                     float parameters[COUNT])
{
    static ts_network_apply *const ways[] = {apply_linear, apply_v, apply_x0};
    ts_score_training_config c = *config;
    ts_device *device = open_device(1);
    linear l;
    float x0[EXAMPLES][D];
    ts_params *params = linear_params(device, &l);
    ts_data data = vectors(device, x0);
    ts_training *training;
    ts_training_report report;
    c.predicts = predicts;
    must(ts_training_score(device, &c, &data, params, ways[predicts], &l, &training));
    for (int step = 0; step < STEPS; step++) {
        must(ts_training_step(training));
        must(ts_training_read(training, &report));
        losses[step] = report.loss;
    }
    must(ts_params_get(params, l.weight, TS_BUFFER_VALUE, parameters));
    must(ts_params_get(params, l.bias, TS_BUFFER_VALUE, parameters + D * D));
    ts_training_destroy(training);
    ts_params_destroy(params);
    ts_data_release(&data);
    ts_device_close(device);
}

/* The loss of the likelihood is one number in all, and so is what it teaches. */
void one_network_three_ways(void **unused)
{
    (void)unused;
    ts_score_training_config c = plain;
    double losses[TS_PREDICTS_COUNT][STEPS];
    float parameters[TS_PREDICTS_COUNT][COUNT];
    c.sde = ve;
    c.optimizer.rate = 1e-2;
    for (int way = 0; way < 2; way++) {
        c.sampling = way ? TS_TIME_UNIFORM : TS_TIME_IMPORTANCE;
        c.weight = way ? TS_WEIGHT_LIKELIHOOD : TS_WEIGHT_NOISE;
        for (int predicts = 0; predicts < TS_PREDICTS_COUNT; predicts++)
            train_as((ts_predicts_kind)predicts, &c, losses[predicts], parameters[predicts]);
        for (int predicts = 1; predicts < TS_PREDICTS_COUNT; predicts++) {
            for (int step = 0; step < STEPS; step++)
                assert_true(fabs(losses[predicts][step] / losses[0][step] - 1) < 1e-4);
            for (int k = 0; k < COUNT; k++)
                assert_true(fabsf(parameters[predicts][k] - parameters[0][k]) < 1e-4f);
        }
    }
}

/* A score that begins as another's noise, becomes what it stands for as `predicts`, on the host, and is made
 * noise again by the device. */
typedef struct disguised {
    ts_score base;
    ts_score *noise;
    ts_sde sde;
    ts_predicts_kind predicts;
    float *prediction, *net; /* device [n,d] */
} disguised;

static ts_status evaluate_disguised(ts_score *score, const float *x, const float *t, const float **net)
{
    const disguised *s = (const disguised *)score;
    ts_device *device = score->device;
    const size_t count = (size_t)score->n * (size_t)score->d, bytes = count * sizeof(float);
    float *z = malloc(bytes), *xt = malloc(bytes), *times = malloc((size_t)score->n * sizeof *times);
    const float *noise;
    assert_true(z && xt && times);
    TS_TRY(s->noise->evaluate(s->noise, x, t, &noise));
    TS_TRY(device->k->download(device, z, noise, bytes));
    TS_TRY(device->k->download(device, xt, x, bytes));
    TS_TRY(device->k->download(device, times, t, (size_t)score->n * sizeof *times));
    for (size_t i = 0; i < count; i++) {
        const double time = times[i / (size_t)score->d], a = ts_sde_mean(&s->sde, time),
                     sd = ts_sde_std(&s->sde, time), x0 = (xt[i] - sd * z[i]) / a;
        z[i] = (float)(s->predicts == TS_PREDICTS_V ? a * z[i] - sd * x0 : x0);
    }
    TS_TRY(device->k->upload(device, s->prediction, z, bytes));
    free(z);
    free(xt);
    free(times);
    *net = s->net;
    return device->k->to_noise(device, &(ts_to_noise){.n = score->n,
                                                      .d = score->d,
                                                      .sde = s->sde,
                                                      .predicts = s->predicts,
                                                      .t = t,
                                                      .xt = x,
                                                      .net = s->prediction,
                                                      .y = s->net});
}

static double diffusion_of(ts_score *score, const ts_data *data, const ts_sde *sde)
{
    const ts_bound_config config = {.sde = *sde,
                                    .eps = 1e-3,
                                    .T_count = 1,
                                    .T = (const double[]){0.9},
                                    .draws = 8,
                                    .count = EXAMPLES,
                                    .seed = 3};
    ts_bound bound;
    double sum = 0;
    must(ts_bound_measure(&config, data, score, NULL, NULL, &bound));
    for (int i = 0; i < EXAMPLES; i++)
        sum += bound.diffusion[i] / EXAMPLES;
    ts_bound_release(&bound);
    return sum;
}

/* So is the bound, under every SDE. */
void one_bound_three_ways(void **unused)
{
    (void)unused;
    ts_device *device = open_device(1);
    linear l;
    float x0[EXAMPLES][D], zeros[EXAMPLES * D] = {0};
    ts_params *params = linear_params(device, &l);
    ts_data data = vectors(device, x0);
    device->recording_off = true; /* the disguise is the host's work */
    for (int kind = 0; kind < TS_SDE_COUNT; kind++) {
        ts_sde sde = kind == TS_SDE_VE ? ve : plain.sde;
        disguised s = {.sde = sde};
        sde.kind = s.sde.kind = (ts_sde_kind)kind;
        must(ts_score_network(device, params, apply_linear, &l, EXAMPLES, 1, 1, D, false, &s.noise));
        s.base = *s.noise;
        s.base.evaluate = evaluate_disguised;
        s.prediction = on_device(device, zeros, sizeof zeros);
        s.net = on_device(device, zeros, sizeof zeros);
        const double bare = diffusion_of(s.noise, &data, &sde);
        for (int predicts = TS_PREDICTS_NOISE + 1; predicts < TS_PREDICTS_COUNT; predicts++) {
            s.predicts = (ts_predicts_kind)predicts;
            assert_true(fabs(diffusion_of(&s.base, &data, &sde) / bare - 1) < 1e-4);
        }
        device->k->release(device, s.prediction);
        device->k->release(device, s.net);
        ts_score_destroy(s.noise);
    }
    ts_params_destroy(params);
    ts_data_release(&data);
    ts_device_close(device);
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
