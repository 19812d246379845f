/*
 * Fits of Glow: on mixtures, whose density at T is known, and under rates that are far too large.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "diffusion/densities/density.h"
#include "diffusion/training.h"
#include "glow_model.h"

static const ts_sde vp = {.kind = TS_SDE_VP, .beta_min = 0.1, .beta_max = 20};

/* A problem: x0 from a mixture, laid out as a side x side image of one channel, and a Glow for it. */
typedef struct problem {
    ts_device *device;
    ts_mixture *mixture;
    ts_data data;
    ts_params *params;
    ts_glow *glow;
    ts_training *training;
    ts_glow_training_config config;
} problem;

/* Two components, apart in every second dimension, correlated within. */
static ts_mixture *make_mixture(ts_device *device, int d)
{
    double weights[2] = {0.3, 0.7}, *means = calloc((size_t)(2 * d), sizeof *means);
    double *covariances = calloc((size_t)(2 * d * d), sizeof *covariances);
    ts_mixture *mixture;
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < d; i++) {
            means[k * d + i] = i % 2 ? 0 : k ? -0.7 : 0.9;
            for (int j = 0; j < d; j++)
                covariances[(k * d + i) * d + j] = 0.09 * pow(k ? 0.8 : 0.5, abs(i - j));
        }
    must(ts_mixture_create(device, 2, d, weights, means, NULL, covariances, &mixture));
    free(means);
    free(covariances);
    return mixture;
}

/* In place: the training keeps the address of the data. */
static void make_problem(problem *p, ts_device *device, int side, int levels, int steps, int hidden,
                         ts_glow_training_config config)
{
    *p = (problem){.device = device, .config = config};
    const ts_glow_config g = {side,
                              side,
                              1,
                              levels,
                              steps,
                              .hidden = hidden,
                              .conditional = config.T_low > 0,
                              .sde = vp,
                              .t_min = config.T_low,
                              .t_max = config.T};
    p->mixture = make_mixture(device, side * side);
    p->data = (ts_data){.device = device, .h = side, .w = side, .c = 1, .count = 4096, .mixture = p->mixture};
    must(ts_params_create(device, &p->params));
    must(ts_glow_create(&g, p->params, 11, &p->glow));
    must(ts_params_commit(p->params, 11));
    must(ts_training_glow(device, &config, &p->data, p->params, p->glow, &p->training));
}

static void free_problem(problem *p)
{
    ts_training_destroy(p->training);
    ts_glow_destroy(p->glow);
    ts_params_destroy(p->params);
    ts_mixture_destroy(p->mixture);
}

/* E log p_T - E log nu in nats a dimension, under p_T: the divergence, by `rounds` batches of 1024. */
static double divergence(const problem *p, int rounds)
{
    enum { N = 1024 };
    const ts_kernels *k = p->device->k;
    const int h = p->data.h, d = h * h;
    ts_density *exact, *glow;
    void *x, *state, *memory;
    double *a = malloc(N * sizeof *a), *b = malloc(N * sizeof *b), sum = 0;
    must(ts_density_mixture(p->mixture, &vp, p->config.T, N, &exact));
    must(ts_density_glow(p->device, p->glow, p->params, p->config.T, N, h, h, 1, &glow));
    must(k->allocate(p->device, sizeof(float) * N * (size_t)d, &x));
    must(k->allocate(p->device, sizeof(ts_step_state), &state));
    must(k->allocate(p->device, N * sizeof(double), &memory));
    for (int r = 0; r < rounds; r++) {
        const ts_step_state s = {.seed = 1234, .step = (uint32_t)r};
        must(k->upload(p->device, state, &s, sizeof s));
        must(exact->sample(exact, state, x));
        must(exact->log_prob(exact, x, memory));
        must(k->download(p->device, a, memory, N * sizeof *a));
        must(glow->log_prob(glow, x, memory));
        must(k->download(p->device, b, memory, N * sizeof *b));
        for (int i = 0; i < N; i++)
            sum += a[i] - b[i];
    }
    k->release(p->device, x);
    k->release(p->device, state);
    k->release(p->device, memory);
    ts_density_destroy(exact);
    ts_density_destroy(glow);
    free(a);
    free(b);
    return sum / ((double)rounds * N * d);
}

static ts_glow_training_config settings(double T, double rate)
{
    return (ts_glow_training_config){.sde = vp,
                                     .T = T,
                                     .batch = 128,
                                     .seed = 5,
                                     .optimizer = {.rate = rate,
                                                   .beta1 = 0.9,
                                                   .beta2 = 0.999,
                                                   .epsilon = 1e-8,
                                                   .clip = 10,
                                                   .ema = 0.98,
                                                   .warmup = 20}};
}

/* ---- the first step ---- */

static void read_parameter(const problem *p, const char *name, float *values)
{
    const ts_param at = ts_params_find(p->params, name);
    assert_true(at >= 0);
    must(ts_params_get(p->params, at, TS_BUFFER_VALUE, values));
}

/* At a rate of 0 the first step leaves what the data-dependent initialisation made: the first actnorm holds
 * mean and deviation of its channels, to what 128 * 4 draws allow. */
void test_initialization(void **state)
{
    float bias[4], logs[4], log_s[4];
    problem p;
    make_problem(&p, *state, 4, 1, 2, 8, settings(0.3, 0));
    must(ts_training_step(p.training));
    read_parameter(&p, "flow.layers.1.actnorm.bias", bias);
    read_parameter(&p, "flow.layers.1.actnorm.logs", logs);
    const double a = ts_sde_mean(&vp, 0.3), s = ts_sde_std(&vp, 0.3);
    for (int j = 0; j < 4; j++) {
        /* Channels 0 and 2 are the even columns, where the components lie apart. */
        const double mean = j % 2 ? 0 : a * (0.3 * 0.9 - 0.7 * 0.7);
        const double between = j % 2 ? 0 : 0.3 * 0.7 * 1.6 * 1.6;
        const double deviation = sqrt(a * a * (0.09 + between) + s * s);
        assert_true(fabs(-bias[j] - mean) < 5 * deviation / sqrt(128));
        assert_true(fabs(logs[j] + log(deviation)) < 5 / sqrt(2 * 128));
    }
    /* The second step of the flow sees what comes out of a rotation of whitened channels. */
    read_parameter(&p, "flow.layers.2.actnorm.logs", logs);
    read_parameter(&p, "flow.layers.2.invconv.log_s", log_s);
    for (int j = 0; j < 4; j++)
        assert_true(logs[j] != 0 && fabsf(logs[j]) < 1.5f);
    assert_true(fabsf(log_s[0] + log_s[1] + log_s[2] + log_s[3]) < 1e-5f);
    free_problem(&p);
}

/* ---- what a fit reaches ---- */

/* KL[p_T || nu], per dimension, must fall to a small part of the distance that a fitted normal with
 * independent dimensions leaves, at small and at large T. */
void test_entropy(void **state)
{
    static const double T[] = {0.15, 0.6};
    static const double reach[] = {0.03, 0.01}; /* nats a dimension */
    for (int i = 0; i < 2; i++) {
        problem p;
        make_problem(&p, *state, 4, 2, 3, 24, settings(T[i], 3e-3));
        ts_training_report report;
        must(ts_training_step(p.training));
        must(ts_training_read(p.training, &report));
        const double first = divergence(&p, 4);
        const uint64_t allocations = p.device->allocations;
        for (int step = 1; step < 640; step++)
            must(ts_training_step(p.training));
        must(ts_training_read(p.training, &report));
        assert_int_equal(report.step, 640);
        assert_int_equal(report.skipped + report.rollbacks, 0);
        assert_true(report.finite && report.rate_scale == 1);
        assert_true(p.device->allocations == allocations); /* none after the first step */
        must(ts_params_swap_ema(p.params));
        const double last = divergence(&p, 16);
        print_message("T %.2f: KL %.4f -> %.4f nats a dimension\n", T[i], first, last);
        assert_true(last > -0.004 && last < reach[i]);
        free_problem(&p);
    }
}

/* One fit for all T of a range: at each of them it comes as near as a fit for that T alone must (above). */
void test_conditional_fit(void **state)
{
    static const double T[] = {0.15, 0.3, 0.6}, reach[] = {0.03, 0.02, 0.01};
    problem p;
    ts_glow_training_config c = settings(0.6, 3e-3);
    ts_training_report report;
    c.T_low = 0.15;
    make_problem(&p, *state, 4, 2, 3, 24, c);
    for (int step = 0; step < 800; step++)
        must(ts_training_step(p.training));
    must(ts_training_read(p.training, &report));
    assert_int_equal(report.skipped + report.rollbacks, 0);
    must(ts_params_swap_ema(p.params));
    for (int i = 0; i < 3; i++) {
        p.config.T = T[i];
        const double kl = divergence(&p, 16);
        print_message("all T, at %.2f: KL %.4f nats a dimension\n", T[i], kl);
        assert_true(kl > -0.004 && kl < reach[i]);
    }
    free_problem(&p);
}

/* ---- the guard ---- */

static bool all_finite(const problem *p, ts_param_buffer which)
{
    const int64_t count = ts_params_count(p->params);
    float *values = malloc((size_t)count * sizeof *values);
    bool finite = true;
    must(p->device->k->download(p->device, values, ts_params_buffer(p->params, which),
                                (size_t)count * sizeof *values));
    for (int64_t i = 0; i < count; i++)
        finite &= isfinite(values[i]);
    free(values);
    return finite;
}

/* The same fit as plain loops do it: forward, backward, Adam.  The loss, nats a dimension, of its last
 * steps. */
static double unguarded_loss(ts_device *device, const ts_glow_training_config *c, int steps)
{
    problem p;
    make_problem(&p, device, 4, 2, 3, 16, *c);
    const ts_kernels *k = device->k;
    const int d = 16, n = c->batch;
    void *state, *report, *x;
    ts_graph *graph;
    float *host = malloc((size_t)n * sizeof *host);
    double loss = 0;
    must(k->allocate(device, sizeof(ts_step_state), &state));
    must(k->allocate(device, sizeof(ts_optimizer_report), &report));
    must(k->allocate(device, sizeof(float) * (size_t)(n * d), &x));
    must(ts_graph_create(device, p.params, &graph));
    ts_tensor input = ts_graph_input(graph, "x", n, 4, 4, 1);
    ts_tensor log_prob = ts_glow_log_prob(p.glow, graph, input, -1, NULL);
    ts_graph_output(graph, log_prob, true);
    must(ts_graph_plan(graph, TS_PLAN_PARAM_GRADIENTS));
    ts_mixture_sample draw = {.n = n,
                              .sde = vp,
                              .t = c->T,
                              .mixture = p.mixture->view,
                              .state = state,
                              .stream = TS_STREAM_MIXTURE,
                              .x = ts_graph_data(graph, input)};
    ts_optimizer_step adam = {.count = ts_params_count(p.params),
                              .rate = (float)c->optimizer.rate,
                              .beta1 = 0.9f,
                              .beta2 = 0.999f,
                              .epsilon = 1e-8f,
                              .clip = (float)c->optimizer.clip,
                              .state = state,
                              .parameters = ts_params_buffer(p.params, TS_BUFFER_VALUE),
                              .gradients = ts_params_buffer(p.params, TS_BUFFER_GRADIENT),
                              .first = ts_params_buffer(p.params, TS_BUFFER_FIRST),
                              .second = ts_params_buffer(p.params, TS_BUFFER_SECOND),
                              .report = report};
    for (int step = 0; step < steps; step++) {
        const ts_step_state s = {.seed = 5, .step = (uint32_t)step};
        must(k->upload(device, state, &s, sizeof s));
        must(k->mixture_sample(device, &draw));
        must(step ? ts_graph_forward(graph) : ts_graph_forward_initialize(graph));
        must(k->download(device, host, ts_graph_data(graph, log_prob), (size_t)n * sizeof *host));
        for (int i = 0; i < n && step >= steps - 10; i++)
            loss -= host[i] / (10.0 * n * d);
        for (int i = 0; i < n; i++)
            host[i] = -1.0f / (float)(n * d);
        must(k->upload(device, ts_graph_gradient(graph, log_prob), host, (size_t)n * sizeof *host));
        must(ts_graph_backward(graph));
        must(k->optimizer_step(device, &adam));
    }
    ts_graph_destroy(graph);
    k->release(device, state);
    k->release(device, report);
    k->release(device, x);
    free(host);
    free_problem(&p);
    return loss;
}

/* Rates hundreds of times too large, no warm-up, no clipping. */
void test_guard(void **state)
{
    static const double rates[] = {0.1, 1, 30};
    for (int i = 0; i < 3; i++) {
        ts_glow_training_config c = settings(0.2, rates[i]);
        ts_training_report report;
        c.optimizer.clip = 0;
        c.optimizer.warmup = 0;
        const double without = unguarded_loss(*state, &c, 200);
        problem p;
        make_problem(&p, *state, 4, 2, 3, 16, c);
        for (int step = 0; step < 640; step++)
            must(ts_training_step(p.training));
        must(ts_training_read(p.training, &report));
        assert_true(report.finite && isfinite(report.loss));
        assert_true(all_finite(&p, TS_BUFFER_VALUE) && all_finite(&p, TS_BUFFER_EMA));
        must(ts_params_swap_ema(p.params));
        const double kl = divergence(&p, 4);
        print_message("rate %g: loss %g; unguarded %g; rate scaled by %g in %d rollbacks; KL %.4f\n",
                      rates[i], report.loss, without, report.rate_scale, (int)report.rollbacks, kl);
        if (rates[i] >= 1) {
            assert_true(!(without < 10)); /* NaN, or absurd */
            assert_true(report.rollbacks > 0 && report.rate_scale < 1);
        }
        assert_true(kl < 0.06);
        free_problem(&p);
    }
}

/* ---- repetition ---- */

void test_repeatable(void **state)
{
    float *values[2];
    int64_t count = 0;
    for (int run = 0; run < 2; run++) {
        ts_training_report report;
        problem p;
        make_problem(&p, *state, 4, 2, 2, 16, settings(0.4, 1e-3));
        for (int step = 0; step < 40; step++) {
            must(ts_training_step(p.training));
            if (run && step % 7 == 0) /* looking changes nothing */
                must(ts_training_read(p.training, &report));
        }
        count = ts_params_count(p.params);
        values[run] = malloc((size_t)count * sizeof(float));
        must(p.device->k->synchronize(p.device));
        must(p.device->k->download(p.device, values[run], ts_params_buffer(p.params, TS_BUFFER_EMA),
                                   (size_t)count * sizeof(float)));
        free_problem(&p);
    }
    assert_memory_equal(values[0], values[1], (size_t)count * sizeof(float));
    free(values[0]);
    free(values[1]);
}
