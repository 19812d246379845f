/*
 * A Glow that is told t: every image has a density of its own, of which all that holds of a Glow holds.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "glow_model.h"

enum { N = 5 };

static const float times[N] = {0.1f, 1.0f, 0.37f, 0.1f, 0.8f};

/* height, width, channels, levels, steps */
static glow_model make(ts_device *device, const int s[5], bool conditional, double deviation)
{
    const ts_glow_config config = {.height = s[0],
                                   .width = s[1],
                                   .channels = s[2],
                                   .levels = s[3],
                                   .steps = s[4],
                                   .hidden = 8,
                                   .conditional = conditional,
                                   .sde = {.kind = TS_SDE_VP, .beta_min = 0.1, .beta_max = 20},
                                   .t_min = 0.1,
                                   .t_max = 1};
    glow_model m = glow_model_of(device, &config, deviation);
    m.times = times;
    return m;
}

/* Images of different t in one batch: each inverts, and its density is the one that it has alone; another t gives
 * another density. */
void test_conditional_rows(void **state)
{
    static const int shape[] = {8, 8, 3, 2, 2};
    glow_model m = make(*state, shape, true, 0.05);
    const size_t top = (size_t)m.d / 2;
    float *z = malloc(N * top * sizeof *z), *again = malloc(N * top * sizeof *again);
    float *x = malloc((size_t)(N * m.d) * sizeof *x), log_prob[N], alone;
    draw_normals(31, (int64_t)(N * top), z);
    glow_model_decode(&m, N, z, 0, 0, x);
    memcpy(x + 3 * m.d, x, (size_t)m.d * sizeof *x); /* as the first, whose t it has too */
    memcpy(x + 4 * m.d, x, (size_t)m.d * sizeof *x); /* whose t it has not */
    glow_model_encode(&m, N, x, log_prob, again);
    for (size_t i = 0; i < 3 * top; i++)
        assert_true(fabsf(z[i] - again[i]) < 1e-4f);
    assert_true(log_prob[3] == log_prob[0] && fabsf(log_prob[4] - log_prob[0]) > 1);
    for (int i = 0; i < N; i++) {
        m.times = times + i;
        glow_model_encode(&m, 1, x + i * m.d, &alone, NULL);
        assert_true(fabsf(alone - log_prob[i]) < 1e-5f * fabsf(alone));
    }
    free(z);
    free(again);
    free(x);
    glow_model_free(&m);
}

/* Told in weights that begin as nothing, it begins at every t as the flow that is told nothing. */
void test_conditional_beginning(void **state)
{
    static const int shape[] = {8, 8, 1, 2, 3};
    float x[N * 64], log_prob[2][N];
    draw_normals(32, N * 64, x);
    for (int conditional = 0; conditional < 2; conditional++) {
        glow_model m = make(*state, shape, conditional, 0);
        glow_model_encode(&m, N, x, log_prob[conditional], NULL);
        glow_model_free(&m);
    }
    for (int i = 0; i < N; i++)
        assert_true(fabsf(log_prob[1][i] - log_prob[0][i]) < 1e-5f * fabsf(log_prob[0][i]));
}

/* log p(x | t) = log p(z) + log |det dz/dx|, the determinant from the Jacobian itself. */
void test_conditional_density(void **state)
{
    static const int shapes[][5] = {{2, 2, 1, 1, 2}, {4, 2, 3, 1, 3}};
    for (int i = 0; i < 2; i++) {
        glow_model m = make(*state, shapes[i], true, 0.2);
        float x[24], z[24], log_prob;
        for (int k = 0; k < 3; k++) {
            m.times = times + k;
            draw_normals(40 + (uint32_t)k, m.d, x);
            glow_model_encode(&m, 1, x, &log_prob, z);
            const double want = top_log_density(&m, z, 4 * shapes[i][2]) + glow_model_log_det(&m, x);
            assert_true(fabs(log_prob - want) < 1e-4 * fabs(want));
        }
        glow_model_free(&m);
    }
}

/* ---- gradients ---- */

/* The sum of the log-densities of N images, and with `gradient` its gradient by all parameters. */
static double sum_of(const glow_model *m, const float *x, float *gradient)
{
    const ts_kernels *k = m->device->k;
    const size_t bytes = (size_t)ts_params_count(m->params) * sizeof(float);
    float log_prob[N], ones[N];
    double sum = 0;
    ts_graph *graph;
    must(ts_graph_create(m->device, m->params, &graph));
    ts_tensor input = ts_graph_input(graph, "x", N, m->config.height, m->config.width, m->config.channels);
    ts_tensor t = ts_graph_input_vector(graph, "t", N);
    ts_tensor density = ts_glow_log_prob(m->glow, graph, input, t, NULL);
    ts_graph_output(graph, density, true);
    must(ts_graph_plan(graph, TS_PLAN_PARAM_GRADIENTS));
    must(k->zero(m->device, ts_params_buffer(m->params, TS_BUFFER_GRADIENT), bytes));
    must(k->upload(m->device, ts_graph_data(graph, input), x, sizeof *x * N * (size_t)m->d));
    must(k->upload(m->device, ts_graph_data(graph, t), times, sizeof times));
    must(ts_graph_forward(graph));
    must(k->download(m->device, log_prob, ts_graph_data(graph, density), sizeof log_prob));
    for (int i = 0; i < N; i++) {
        ones[i] = 1;
        sum += log_prob[i];
    }
    must(k->upload(m->device, ts_graph_gradient(graph, density), ones, sizeof ones));
    must(ts_graph_backward(graph));
    if (gradient)
        must(k->download(m->device, gradient, ts_params_buffer(m->params, TS_BUFFER_GRADIENT), bytes));
    ts_graph_destroy(graph);
    return sum;
}

/* Of every parameter that tells: a central difference along the gradient is its length, which a gradient with a
 * wrong part would exceed. */
void test_conditional_gradients(void **state)
{
    static const int shape[] = {4, 4, 1, 2, 2};
    const double step = 1e-2;
    glow_model m = make(*state, shape, true, 0.03);
    float x[N * 16];
    must(ts_params_enable_gradients(m.params));
    const size_t size = (size_t)ts_params_count(m.params) * sizeof(float);
    float *gradient = malloc(size), *old = malloc(size),
          *values = ts_params_buffer(m.params, TS_BUFFER_VALUE);
    draw_normals(50, N * 16, x);
    sum_of(&m, x, gradient);
    memcpy(old, values, size); /* a CPU device: memory is memory */
    int found = 0;
    for (ts_param p = 0; p < ts_params_table_size(m.params); p++) {
        const ts_param_info *info = ts_params_info(m.params, p);
        if (strncmp(info->name, "t.", 2))
            continue;
        const int64_t first = ts_params_data(m.params, p, TS_BUFFER_VALUE) - values,
                      last = first + ts_param_elements(info);
        double square = 0, value[2];
        for (int64_t i = first; i < last; i++)
            square += (double)gradient[i] * (double)gradient[i];
        for (int side = 0; side < 2; side++) {
            for (int64_t i = first; i < last; i++)
                values[i] = old[i] + (float)((side ? step : -step) * gradient[i] / sqrt(square));
            m.device->k->weights_changed(m.device);
            value[side] = sum_of(&m, x, NULL);
        }
        memcpy(values, old, size);
        const double slope = (value[1] - value[0]) / (2 * step);
        if (!(fabs(slope - sqrt(square)) < 1e-2 * sqrt(square) + 2e-3))
            fail_msg("%s: a gradient of length %g, along it a slope of %g", info->name, sqrt(square), slope);
        found++;
    }
    assert_int_equal(found, 4 + 3 * 2 * 2); /* three a step */
    free(gradient);
    free(old);
    glow_model_free(&m);
}
