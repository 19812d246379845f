/*
 * Glow: that the flow inverts exactly, that its log-density is that of its map and of its samples, that the
 * plan of memory changes nothing; in whitened.c the same of whitened ones, which begin as the Gaussian that they
 * are whitened by; in vectors.c, how
 * close they come to a mixture in the plane; in training.c, that fits reach entropies and survive absurd rates.
 *
 * To add a case, make a Glow of any shape by glow_model_make (glow_model.h), compare with a closed form or a
 * Jacobian, and list the test in main; fits go into training.c.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "diffusion/densities/density.h"
#include "glow_model.h"

static int setup(void **state)
{
    const ts_device_options options = {.threads = 1}; /* the problems are small */
    ts_device *device;
    must(ts_device_open("cpu", &options, &device));
    *state = device;
    return 0;
}

static int teardown(void **state)
{
    ts_device_close(*state);
    return 0;
}

/* NaN where there is one. */
static double largest_difference(const float *a, const float *b, int64_t count)
{
    double worst = 0;
    for (int64_t i = 0; i < count; i++) {
        const double difference = fabs((double)a[i] - b[i]);
        worst = isnan(difference) ? difference : fmax(worst, difference);
        if (isnan(worst))
            break;
    }
    return worst;
}

/* ---- the map ---- */

/* height, width, channels, levels, steps */
static const int shapes[][5] = {
    {2, 2, 1, 1, 1}, {4, 2, 3, 1, 4}, {8, 8, 1, 2, 4}, {16, 8, 3, 3, 2}, {4, 4, 5, 2, 1}};

static void test_inverse(void **state)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int *s = shapes[i], n = 5;
        glow_model m = glow_model_make(*state, s[0], s[1], s[2], s[3], s[4], 0.05);
        const int64_t latents = (int64_t)n * m.d >> (s[3] - 1);
        float *z = malloc((size_t)latents * sizeof *z), *again = malloc((size_t)latents * sizeof *again);
        float *x = malloc((size_t)n * m.d * sizeof *x), log_prob[5];
        draw_normals(1, latents, z);
        glow_model_decode(&m, n, z, 0, 0, x);
        glow_model_encode(&m, n, x, log_prob, again);
        assert_true(largest_difference(z, again, latents) < 1e-4);
        if (s[3] == 1) { /* nothing splits off: the other way round too */
            float *back = malloc((size_t)n * m.d * sizeof *back);
            draw_normals(2, (int64_t)n * m.d, x);
            glow_model_encode(&m, n, x, log_prob, z);
            glow_model_decode(&m, n, z, 1, 0, back);
            assert_true(largest_difference(x, back, (int64_t)n * m.d) < 1e-4);
            free(back);
        }
        free(z);
        free(again);
        free(x);
        glow_model_free(&m);
    }
}

/* ln N(z; mean, exp(logs)) of one top latent, from the parameters. */
double top_log_density(const glow_model *m, const float *z, int channels)
{
    float bias[256], logs[256];
    double sum = 0;
    must(
        ts_params_get(m->params, ts_params_find(m->params, "learn_top_fn.conv.bias"), TS_BUFFER_VALUE, bias));
    must(ts_params_get(m->params, ts_params_find(m->params, "learn_top_fn.logs"), TS_BUFFER_VALUE, logs));
    for (int i = 0; i < m->d; i++) {
        const int j = i % channels;
        const double mean = bias[j] * exp(3.0 * logs[j]);
        const double log_std = bias[channels + j] * exp(3.0 * logs[channels + j]);
        sum -= 0.5 * (pow((z[i] - mean) / exp(log_std), 2) + log(2 * M_PI)) + log_std;
    }
    return sum;
}

/* log p(x) = log p(z) + log |det dz/dx|, the determinant from the Jacobian itself. */
static void test_change_of_variables(void **state)
{
    for (int i = 0; i < 2; i++) {
        const int *s = shapes[i];
        glow_model m = glow_model_make(*state, s[0], s[1], s[2], s[3], s[4], 0.2);
        float x[24], z[24], log_prob;
        for (uint32_t k = 0; k < 3; k++) {
            draw_normals(10 + k, m.d, x);
            glow_model_encode(&m, 1, x, &log_prob, z);
            const double want = top_log_density(&m, z, 4 * s[2]) + glow_model_log_det(&m, x);
            assert_true(fabs(log_prob - want) < 1e-4 * fabs(want));
        }
        glow_model_free(&m);
    }
}

/* Mean of exp(v) and its standard error. */
static void mean_of_exp(const double *v, int count, double *mean, double *error)
{
    double sum = 0, square = 0;
    for (int i = 0; i < count; i++) {
        sum += exp(v[i]);
        square += exp(2 * v[i]);
    }
    *mean = sum / count;
    *error = sqrt((square / count - *mean * *mean) / count);
}

/* With a normal density q: E_nu[q/nu] = 1 where x is drawn by ts_density's sample, and E_q[nu/q] = 1. Both
 * hold only if the density integrates to one and is that of the samples. */
static void test_density_of_samples(void **state)
{
    enum { N = 4096, ROUNDS = 8, D = 16, TOTAL = N * ROUNDS };
    ts_device *device = *state;
    const ts_kernels *k = device->k;
    const double sigma[2] = {0.8, 1.6}; /* narrower and wider than the flow */
    glow_model m = glow_model_make(device, 4, 4, 1, 2, 1, 0.05);
    ts_density *glow, *normal[2];
    double *ratio[2] = {malloc(TOTAL * sizeof(double)), malloc(TOTAL * sizeof(double))};
    double *a = malloc(N * sizeof *a), *b = malloc(N * sizeof *b), mean, error;
    void *x, *state_memory, *log_prob;
    must(ts_density_glow(device, m.glow, m.params, 1, N, 4, 4, 1, &glow));
    for (int i = 0; i < 2; i++)
        must(ts_density_normal(device, N, D, sigma[i], &normal[i]));
    must(k->allocate(device, N * D * sizeof(float), &x));
    must(k->allocate(device, sizeof(ts_step_state), &state_memory));
    must(k->allocate(device, N * sizeof(double), &log_prob));
    for (uint32_t round = 0; round < ROUNDS; round++)
        for (int i = 0; i < 2; i++) { /* 0: from the flow, 1: from the wide normal */
            const ts_step_state s = {.seed = 3, .step = round, .instance = (uint32_t)i};
            must(k->upload(device, state_memory, &s, sizeof s));
            ts_density *from = i ? normal[1] : glow, *to = i ? glow : normal[0];
            must(from->sample(from, state_memory, x));
            must(from->log_prob(from, x, log_prob));
            must(k->download(device, a, log_prob, N * sizeof *a));
            must(to->log_prob(to, x, log_prob));
            must(k->download(device, b, log_prob, N * sizeof *b));
            for (int j = 0; j < N; j++)
                ratio[i][round * N + (uint32_t)j] = b[j] - a[j];
        }
    for (int i = 0; i < 2; i++) {
        mean_of_exp(ratio[i], TOTAL, &mean, &error);
        print_message("E[%s] = %.4f +- %.4f\n", i ? "nu/q under q" : "q/nu under nu", mean, error);
        assert_true(error < 0.05 && fabs(mean - 1) < 4 * error);
    }
    for (int i = 0; i < 2; i++) {
        ts_density_destroy(normal[i]);
        free(ratio[i]);
    }
    ts_density_destroy(glow);
    k->release(device, x);
    k->release(device, state_memory);
    k->release(device, log_prob);
    free(a);
    free(b);
    glow_model_free(&m);
}

/* ---- memory ---- */

/* Log-densities and parameter gradients under a plan; gradient is [count]. */
static void run_plan(const glow_model *m, unsigned flags, int n, const float *x, float *log_prob,
                     float *gradient)
{
    const ts_kernels *k = m->device->k;
    const size_t bytes = (size_t)ts_params_count(m->params) * sizeof(float);
    float *seed = malloc((size_t)n * sizeof *seed);
    ts_graph *graph;
    for (int i = 0; i < n; i++)
        seed[i] = 1.0f / (float)(i + 1);
    must(ts_graph_create(m->device, m->params, &graph));
    ts_tensor input = ts_graph_input(graph, "x", n, m->config.height, m->config.width, m->config.channels);
    ts_tensor density = ts_glow_log_prob(m->glow, graph, input, -1, NULL);
    ts_graph_output(graph, density, true);
    must(ts_graph_plan(graph, TS_PLAN_PARAM_GRADIENTS | flags));
    must(k->zero(m->device, ts_params_buffer(m->params, TS_BUFFER_GRADIENT), bytes));
    must(k->upload(m->device, ts_graph_data(graph, input), x, (size_t)n * m->d * sizeof *x));
    must(ts_graph_forward(graph));
    must(k->download(m->device, log_prob, ts_graph_data(graph, density), (size_t)n * sizeof *log_prob));
    must(k->upload(m->device, ts_graph_gradient(graph, density), seed, (size_t)n * sizeof *seed));
    must(ts_graph_backward(graph));
    must(k->download(m->device, gradient, ts_params_buffer(m->params, TS_BUFFER_GRADIENT), bytes));
    if (flags & TS_PLAN_GUARDS)
        must(ts_graph_check_guards(graph));
    else if (!flags)
        assert_true(ts_graph_arena_bytes(graph) < ts_graph_no_reuse_bytes(graph));
    ts_graph_destroy(graph);
    free(seed);
}

static void test_plans(void **state)
{
    enum { N = 6 };
    static const unsigned flags[] = {0, TS_PLAN_NO_REUSE, TS_PLAN_GUARDS};
    glow_model m = glow_model_make(*state, 8, 8, 3, 2, 2, 0.1);
    must(ts_params_enable_gradients(m.params));
    const size_t count = (size_t)ts_params_count(m.params);
    float *x = malloc((size_t)N * m.d * sizeof *x), log_prob[3][N], *gradient[3];
    draw_normals(20, (int64_t)N * m.d, x);
    for (int i = 0; i < 3; i++) {
        gradient[i] = malloc(count * sizeof(float));
        run_plan(&m, flags[i], N, x, log_prob[i], gradient[i]);
        assert_memory_equal(log_prob[0], log_prob[i], sizeof log_prob[0]);
        assert_memory_equal(gradient[0], gradient[i], count * sizeof(float));
    }
    for (int i = 0; i < 3; i++)
        free(gradient[i]);
    free(x);
    glow_model_free(&m);
}

/* ---- bad configurations ---- */

static void expect_error(ts_device *device, ts_glow_config config, const char *words)
{
    ts_params *params;
    ts_glow *glow;
    must(ts_params_create(device, &params));
    ts_status status = ts_glow_create(&config, params, 1, &glow);
    assert_non_null(status);
    assert_int_equal(ts_status_code(status), TS_INVALID);
    assert_non_null(strstr(ts_status_message(status), words));
    assert_null(glow);
    ts_status_free(status);
    ts_params_destroy(params);
}

static void test_errors(void **state)
{
    expect_error(*state, (ts_glow_config){28, 28, 1, 3, 2, .hidden = 8}, "28x28");
    expect_error(*state, (ts_glow_config){8, 8, 1, 0, 2, .hidden = 8}, "0 levels");
    expect_error(*state, (ts_glow_config){8, 8, 1, 2, 0, .hidden = 8}, "0 steps");
    expect_error(*state, (ts_glow_config){8, 8, 0, 2, 2, .hidden = 8}, "0 channels");
    expect_error(*state, (ts_glow_config){1, 2, 2, 1, 2, .hidden = 8}, "multiples of 2");
    expect_error(*state, (ts_glow_config){1, 1, 1, 1, 2, .hidden = 8}, "vectors of 1 dimensions");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inverse),
        cmocka_unit_test(test_change_of_variables),
        cmocka_unit_test(test_density_of_samples),
        cmocka_unit_test(test_plans),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_begins_as_gaussian),
        cmocka_unit_test(test_whitened_inverse),
        cmocka_unit_test(test_whitened_change_of_variables),
        cmocka_unit_test(test_own_score_of_gaussian),
        cmocka_unit_test(test_own_score),
        cmocka_unit_test(test_conditional_rows),
        cmocka_unit_test(test_conditional_beginning),
        cmocka_unit_test(test_conditional_density),
        cmocka_unit_test(test_conditional_gradients),
        cmocka_unit_test(test_conditional_fit),
        cmocka_unit_test(test_initialization),
        cmocka_unit_test(test_entropy),
        cmocka_unit_test(test_guard),
        cmocka_unit_test(test_repeatable),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_one_coordinate),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
