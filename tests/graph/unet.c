/* DDPM++ and NCSN++ networks as graphs: sizes, errors, plans, its whole gradient; the network as a score. */
#include <stdlib.h>
#include "diffusion/score.h"
#include "graph/tape.h"
#include "graph_test.h"

static const ts_unet_config small = {.height = 8,
                                     .width = 8,
                                     .channels = 3,
                                     .nf = 16,
                                     .levels = 2,
                                     .ch_mult = {1, 2},
                                     .num_res_blocks = 2,
                                     .attn_count = 1,
                                     .attn_resolutions = {4},
                                     .dropout = 0.1f};

static const ts_unet_config cifar10 = {.height = 32,
                                       .width = 32,
                                       .channels = 3,
                                       .nf = 128,
                                       .levels = 4,
                                       .ch_mult = {1, 2, 2, 2},
                                       .num_res_blocks = 4,
                                       .attn_count = 1,
                                       .attn_resolutions = {16},
                                       .dropout = 0.1f};

static const ts_sde ve = {.kind = TS_SDE_VE, .sigma_min = 0.01, .sigma_max = 50};

/* What makes a DDPM++ an NCSN++. */
static ts_unet_config ncsnpp_of(ts_unet_config c)
{
    c.sde = ve;
    c.unit_data = c.scale_by_sigma = c.fourier = true;
    c.fourier_scale = 16;
    c.fir_taps = 4;
    memcpy(c.fir, (float[]){1, 3, 3, 1}, 4 * sizeof *c.fir);
    c.input = TS_PROGRESSIVE_INPUT_RESIDUAL;
    return c;
}

/* ---- sizes and errors ---- */

static void must_have(const ts_unet_config *config, int64_t count)
{
    ts_params *params;
    ts_unet *unet;
    graph_must(ts_params_create(graph_device, &params));
    graph_must(ts_unet_create(config, params, &unet));
    assert_int_equal(ts_params_count(params), count);
    ts_unet_destroy(unet);
    ts_params_destroy(params);
}

/* The networks for CIFAR-10 of Song et al. 2021: 61.8, 106.6, 62.8 and 107.6 million parameters, of NCSN++
 * with its 128 frequencies, which are not trained. */
void unet_parameter_count(void **state)
{
    (void)state;
    ts_unet_config deep = cifar10;
    deep.num_res_blocks = 8;
    const ts_unet_config ncsnpp = ncsnpp_of(cifar10), ncsnpp_deep = ncsnpp_of(deep);
    must_have(&cifar10, 61804419);
    must_have(&deep, 106632579);
    must_have(&ncsnpp, 62758915 - 128);
    must_have(&ncsnpp_deep, 107587075 - 128);
}

static void refuse(const ts_unet_config *config, const char *first, const char *second)
{
    ts_params *params;
    ts_unet *unet;
    graph_must(ts_params_create(graph_device, &params));
    ts_status status = ts_unet_create(config, params, &unet);
    assert_non_null(status);
    assert_null(unet);
    if (!strstr(ts_status_message(status), first))
        fail_msg("message: %s; it should contain: %s", ts_status_message(status), first);
    graph_must_fail(status, TS_INVALID, second);
    ts_params_destroy(params);
}

void unet_errors(void **state)
{
    (void)state;
    ts_unet_config c = small;
    c.levels = 5;
    c.ch_mult[2] = c.ch_mult[3] = c.ch_mult[4] = 1;
    refuse(&c, "8x8", "5 levels");
    c = small;
    c.attn_resolutions[0] = 5;
    refuse(&c, "heights 8, 4", "not 5");
    c = small;
    c.nf = 17;
    refuse(&c, "nf", "17");
    c = small;
    c.channels = 0;
    refuse(&c, "image size", "8x8x0");
    c = small;
    c.ch_mult[1] = 0;
    refuse(&c, "ch_mult", "0 should be");
}

/* ---- a network to run ---- */

typedef struct network {
    ts_params *params;
    ts_unet *unet;
    ts_graph *graph;
    ts_tensor x, t, net;
    ts_step_state *dropout; /* device */
    int images;             /* scalars of one batch */
} network;

static void *device_memory(size_t bytes)
{
    void *memory;
    graph_must(graph_device->k->allocate(graph_device, bytes, &memory));
    return memory;
}

/* Random everywhere, the last convolutions too, so that every gradient is of ordinary size. */
static void randomise(ts_params *params)
{
    uint32_t seed = 77;
    for (ts_param p = 0; p < ts_params_table_size(params); p++) {
        const ts_param_info *info = ts_params_info(params, p);
        int64_t count = 1, fan = 1;
        for (int i = 0; i < info->rank; i++) {
            count *= info->shape[i];
            fan *= i ? info->shape[i] : 1;
        }
        float *values = malloc((size_t)count * sizeof *values);
        assert_non_null(values);
        for (int64_t i = 0; i < count; i++)
            values[i] = info->rank > 1
                            ? graph_random(&seed) / sqrtf((float)fan)
                            : 0.2f * graph_random(&seed) + (info->init == TS_INIT_ONE ? 1.0f : 0.0f);
        graph_must(ts_params_set(params, p, TS_BUFFER_VALUE, values));
        free(values);
    }
}

static void network_create(const ts_unet_config *config, network *n)
{
    graph_must(ts_params_create(graph_device, &n->params));
    graph_must(ts_unet_create(config, n->params, &n->unet));
    graph_must(ts_params_commit(n->params, 1));
    graph_must(ts_params_enable_gradients(n->params));
    randomise(n->params);
    n->dropout = device_memory(sizeof *n->dropout);
    const ts_step_state state = {.seed = 9, .step = 4};
    graph_must(graph_device->k->upload(graph_device, n->dropout, &state, sizeof state));
}

static void network_destroy(network *n)
{
    graph_device->k->release(graph_device, n->dropout);
    ts_unet_destroy(n->unet);
    ts_params_destroy(n->params);
}

static void build(network *n, int batch, unsigned flags)
{
    graph_must(ts_graph_create(graph_device, n->params, &n->graph));
    ts_graph_set_state(n->graph, n->dropout);
    n->x = ts_graph_input(n->graph, "x", batch, small.height, small.width, small.channels);
    n->t = ts_graph_input_vector(n->graph, "t", batch);
    n->net = ts_unet_apply(n->unet, n->graph, n->x, n->t, true);
    ts_graph_output(n->graph, n->net, true);
    graph_must(ts_graph_plan(n->graph, flags));
    n->images = batch * small.height * small.width * small.channels;
    uint32_t seed = 3;
    float *x = ts_graph_data(n->graph, n->x), *t = ts_graph_data(n->graph, n->t);
    float *dy = ts_graph_gradient(n->graph, n->net);
    for (int i = 0; i < n->images; i++) {
        x[i] = graph_random(&seed);
        dy[i] = graph_random(&seed);
    }
    for (int i = 0; i < batch; i++)
        t[i] = 0.5f + 0.4f * graph_random(&seed);
}

static void zero_gradients(const network *n)
{
    graph_must(graph_device->k->zero(graph_device, ts_params_buffer(n->params, TS_BUFFER_GRADIENT),
                                     (size_t)ts_params_count(n->params) * sizeof(float)));
}

static void run(const network *n)
{
    zero_gradients(n);
    graph_must(ts_graph_forward(n->graph));
    graph_must(ts_graph_backward(n->graph));
}

/* Output, gradients of the inputs and of the parameters, one behind the other. */
static float *results(const network *n, size_t *bytes)
{
    const size_t images = (size_t)n->images, params = (size_t)ts_params_count(n->params);
    *bytes = (2 * images + params) * sizeof(float);
    float *all = malloc(*bytes);
    assert_non_null(all);
    memcpy(all, ts_graph_data(n->graph, n->net), images * sizeof(float));
    memcpy(all + images, ts_graph_gradient(n->graph, n->x), images * sizeof(float));
    memcpy(all + 2 * images, ts_params_buffer(n->params, TS_BUFFER_GRADIENT), params * sizeof(float));
    return all;
}

/* ---- plans ---- */

void unet_plans_agree_bitwise(void **state)
{
    (void)state;
    static const unsigned flags[] = {0, TS_PLAN_NO_REUSE, TS_PLAN_GUARDS};
    network n;
    float *first = NULL;
    network_create(&small, &n);
    for (int i = 0; i < 3; i++) {
        size_t bytes;
        build(&n, 3, flags[i] | TS_PLAN_PARAM_GRADIENTS | TS_PLAN_INPUT_GRADIENTS);
        for (int repeat = 0; repeat < 2; repeat++) {
            run(&n);
            float *other = results(&n, &bytes);
            if (first)
                assert_memory_equal(first, other, bytes);
            if (first)
                free(other);
            else
                first = other;
        }
        if (flags[i] & TS_PLAN_GUARDS)
            graph_must(ts_graph_check_guards(n.graph));
        if (!flags[i])
            assert_true(ts_graph_arena_bytes(n.graph) < ts_graph_no_reuse_bytes(n.graph));
        ts_graph_destroy(n.graph);
    }
    for (size_t i = 0; i < (size_t)(3 * 8 * 8 * 3); i++)
        assert_true(isfinite(first[i]) && first[i] != 0);
    free(first);
    network_destroy(&n);
}

/* What a training step of the CIFAR-10 network on a batch of 4 needs beside its parameters. */
void unet_fits_in_memory(void **state)
{
    (void)state;
    ts_params *params;
    ts_unet *unet;
    ts_graph *graph;
    graph_must(ts_params_create(graph_device, &params));
    graph_must(ts_unet_create(&cifar10, params, &unet));
    graph_must(ts_params_commit(params, 1));
    graph_must(ts_params_enable_gradients(params));
    graph_must(ts_graph_create(graph_device, params, &graph));
    ts_tensor x = ts_graph_input(graph, "x", 4, 32, 32, 3), t = ts_graph_input_vector(graph, "t", 4);
    ts_graph_output(graph, ts_unet_apply(unet, graph, x, t, false), true);
    graph_must(ts_graph_plan(graph, TS_PLAN_PARAM_GRADIENTS));
    const double gib = (double)ts_graph_arena_bytes(graph) / 0x1p30;
    const double sum = (double)ts_graph_no_reuse_bytes(graph) / 0x1p30;
    print_message("           plan %.2f GiB, without reuse %.2f GiB\n", gib, sum);
    assert_true(gib < 1.5 && gib < 0.8 * sum);
    /* all readers of skips take them as they lie */
    for (int i = 0; i < graph->step_count; i++) {
        const tape_kernel kernel = graph->steps[i].kernel;
        assert_true(kernel != KERNEL_concat_forward && kernel != KERNEL_concat_backward);
    }
    ts_graph_destroy(graph);
    ts_unet_destroy(unet);
    ts_params_destroy(params);
}

/* ---- the whole gradient ---- */

static double objective(const network *n)
{
    double sum = 0;
    graph_must(ts_graph_forward(n->graph));
    const float *net = ts_graph_data(n->graph, n->net), *dy = ts_graph_gradient(n->graph, n->net);
    for (int i = 0; i < n->images; i++)
        sum += (double)net[i] * dy[i];
    return sum;
}

/* d objective along `direction` of parameters and inputs together, by a central difference. */
static double difference(const network *n, const float *direction, double step)
{
    const int64_t count = ts_params_count(n->params);
    float *values = ts_params_buffer(n->params, TS_BUFFER_VALUE), *x = ts_graph_data(n->graph, n->x);
    float *old = malloc((size_t)(count + n->images) * sizeof *old);
    double value[2];
    assert_non_null(old);
    memcpy(old, values, (size_t)count * sizeof *old);
    memcpy(old + count, x, (size_t)n->images * sizeof *old);
    for (int side = 0; side < 2; side++) {
        const double s = side ? step : -step;
        for (int64_t i = 0; i < count + n->images; i++)
            *(i < count ? &values[i] : &x[i - count]) = (float)(old[i] + s * direction[i]);
        graph_device->k->weights_changed(graph_device);
        value[side] = objective(n);
    }
    memcpy(values, old, (size_t)count * sizeof *old);
    memcpy(x, old + count, (size_t)n->images * sizeof *old);
    graph_device->k->weights_changed(graph_device);
    free(old);
    return (value[1] - value[0]) / (2 * step);
}

/* With dropout on: its masks depend on the step alone, so the function is smooth.  Along the gradient itself
 * the derivative is the gradient's norm; along random directions it is far smaller, so both are looked at. */
static void check_gradient(const ts_unet_config *config)
{
    network n;
    network_create(config, &n);
    build(&n, 2, TS_PLAN_PARAM_GRADIENTS | TS_PLAN_INPUT_GRADIENTS);
    run(&n);
    const int64_t count = ts_params_count(n.params), all = count + n.images;
    float *gradient = malloc((size_t)all * sizeof *gradient),
          *direction = malloc((size_t)all * sizeof *direction);
    assert_true(gradient && direction);
    memcpy(gradient, ts_params_buffer(n.params, TS_BUFFER_GRADIENT), (size_t)count * sizeof *gradient);
    memcpy(gradient + count, ts_graph_gradient(n.graph, n.x), (size_t)n.images * sizeof *gradient);
    double norm = 0;
    for (int64_t i = 0; i < all; i++)
        norm += (double)gradient[i] * gradient[i];
    norm = sqrt(norm);
    uint32_t seed = 13;
    for (int trial = 0; trial < 4; trial++) {
        double length = 0, expected = 0;
        for (int64_t i = 0; i < all; i++) {
            /* half random, in proportion to each scalar's share */
            direction[i] = gradient[i] * (trial ? 1.0f + 2.0f * graph_random(&seed) : 1.0f);
            length += (double)direction[i] * direction[i];
        }
        for (int64_t i = 0; i < all; i++) {
            direction[i] = (float)(direction[i] / sqrt(length));
            expected += (double)direction[i] * gradient[i];
        }
        const double found = difference(&n, direction, 2e-3);
        if (!(fabs(found - expected) < 2e-3 * norm))
            fail_msg("gradient %.6g along direction %d, finite difference %.6g", expected, trial, found);
    }
    free(gradient);
    free(direction);
    ts_graph_destroy(n.graph);
    network_destroy(&n);
}

void unet_gradient(void **state)
{
    (void)state;
    check_gradient(&small);
}

/* Every way through an NCSN++, those among them that no golden file takes. */
void ncsnpp_gradients(void **state)
{
    (void)state;
    ts_unet_config c = ncsnpp_of(small);
    check_gradient(&c);
    c.input = TS_PROGRESSIVE_INPUT_SKIP;
    c.combine_cat = c.output_skip = c.plain_sums = true;
    check_gradient(&c);
    c.ddpm_blocks = true;
    c.scale_by_sigma = c.fourier = c.combine_cat = false;
    check_gradient(&c);
    c.fir_taps = 0;
    c.sde = (ts_sde){.kind = TS_SDE_VP};
    check_gradient(&c);
}

/* ---- the network as a score ---- */

typedef struct predicting {
    const ts_unet *unet;
    ts_predicts_kind kind;
} predicting;

static ts_tensor apply(const void *model, ts_graph *graph, ts_tensor x, ts_tensor t, bool training)
{
    static const ts_sde vp = {.kind = TS_SDE_VP, .beta_min = 0.1, .beta_max = 20};
    const predicting *p = model;
    return ts_graph_to_noise(graph, ts_unet_apply(p->unet, graph, x, t, training), x, t, &vp, p->kind);
}

/* <v, net(x + h u) - net(x - h u)> / 2h = <J^T v, u>, net the noise whatever is predicted. */
static void check_score(ts_predicts_kind kind)
{
    enum { N = 2, D = 8 * 8 * 3 };
    network n;
    ts_score *score, *plain;
    network_create(&small, &n);
    const predicting model = {n.unet, kind};
    graph_must(ts_score_network(graph_device, n.params, apply, &model, N, 8, 8, 3, true, &score));
    graph_must(ts_score_network(graph_device, n.params, apply, &model, N, 8, 8, 3, false, &plain));
    assert_null(plain->vjp);
    assert_true(score->n == N && score->d == D);
    const size_t bytes = N * D * sizeof(float);
    float *x = device_memory(bytes), *v = device_memory(bytes), *t = device_memory(N * sizeof *t);
    float u[N * D], shifted[2][N * D];
    const float *net, *other, *dx;
    uint32_t seed = 31;
    double expected = 0, length = 0, found = 0;
    for (int i = 0; i < N * D; i++) {
        x[i] = graph_random(&seed);
        v[i] = graph_random(&seed);
    }
    t[0] = 0.3f;
    t[1] = 0.9f;
    graph_must(score->evaluate(score, x, t, &net));
    graph_must(plain->evaluate(plain, x, t, &other));
    assert_memory_equal(net, other, bytes);
    graph_must(score->vjp(score, v, &dx));
    for (int i = 0; i < N * D; i++)
        length += (double)dx[i] * dx[i];
    length = sqrt(length);
    for (int i = 0; i < N * D; i++) {
        u[i] = (float)(dx[i] / length);
        expected += (double)dx[i] * u[i];
    }
    const float h = 4e-3f;
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < N * D; i++)
            x[i] += (side ? 2.0f : -1.0f) * h * u[i];
        graph_must(score->evaluate(score, x, t, &net));
        memcpy(shifted[side], net, bytes);
    }
    for (int i = 0; i < N * D; i++)
        found += (double)v[i] * ((double)shifted[1][i] - shifted[0][i]) / (2.0 * h);
    if (!(fabs(found / expected - 1) < 2e-3))
        fail_msg("J^T v along itself %.6g, finite difference %.6g", expected, found);
    graph_device->k->release(graph_device, x);
    graph_device->k->release(graph_device, v);
    graph_device->k->release(graph_device, t);
    ts_score_destroy(score);
    ts_score_destroy(plain);
    network_destroy(&n);
}

void network_score(void **state)
{
    (void)state;
    for (int kind = 0; kind < TS_PREDICTS_COUNT; kind++)
        check_score((ts_predicts_kind)kind);
}
