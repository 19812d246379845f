/*
 * What networks that look at images are made of: a graph of convolutions, pooling and concatenation under every plan,
 * with guards around its tensors, and its arithmetic as the profile counts it.
 */
#include <stdlib.h>
#include "graph_test.h"

enum { N = 2, SIDE = 9, CHANNELS = 4, OUT = 3 };

/* x [2,9,9,4] -> [2,1,1,7]: a halving convolution onto whose ReLU a 1x1 one adds, beside a pooled input. */
static ts_tensor build(ts_graph *g, const ts_param weight[3], ts_tensor x)
{
    const ts_window halving = {3, 3, 2, 2, 0, 0}, one = {1, 1, 1, 1, 0, 0}, all = {4, 4, 1, 1, 0, 0};
    const ts_tensor first =
        ts_graph_conv2d(g, x, weight[0], weight[2],
                        &(ts_conv2d){.co = OUT, .groups = 1, .window = halving, .relu = true}, -1);
    const ts_tensor added = ts_graph_conv2d(
        g, first, weight[1], -1, &(ts_conv2d){.co = OUT, .groups = 1, .window = one, .relu = true}, first);
    const ts_tensor pooled = ts_graph_pool(g, x, &(ts_pool){.window = halving, .kind = TS_POOL_MAX});
    return ts_graph_pool(g, ts_concat(g, added, pooled), &(ts_pool){.window = all, .kind = TS_POOL_AVERAGE});
}

static void run(ts_params *params, const ts_param weight[3], unsigned flags, float *y)
{
    float x[N * SIDE * SIDE * CHANNELS];
    uint32_t seed = 5;
    ts_graph *g;
    int shape[4];
    for (size_t i = 0; i < sizeof x / sizeof *x; i++)
        x[i] = graph_random(&seed);
    graph_must(ts_graph_create(graph_device, params, &g));
    const ts_tensor in = ts_graph_input(g, "x", N, SIDE, SIDE, CHANNELS), out = build(g, weight, in);
    ts_graph_output(g, out, false);
    graph_must(ts_graph_plan(g, flags));
    ts_graph_shape(g, out, shape);
    assert_int_equal(shape[0] * shape[1] * shape[2] * shape[3], N * (OUT + CHANNELS));
    assert_true(ts_graph_flops(g, false) == 2.0 * N * 16 * OUT * (9 * CHANNELS + OUT));
    graph_must(graph_device->k->upload(graph_device, ts_graph_data(g, in), x, sizeof x));
    graph_must(ts_graph_forward(g));
    graph_must(
        graph_device->k->download(graph_device, y, ts_graph_data(g, out), sizeof *y * N * (OUT + CHANNELS)));
    if (flags & TS_PLAN_GUARDS)
        graph_must(ts_graph_check_guards(g));
    ts_graph_destroy(g);
}

void image_plans_agree_bitwise(void **state)
{
    (void)state;
    float plain[N * (OUT + CHANNELS)], other[N * (OUT + CHANNELS)];
    static const unsigned plans[] = {TS_PLAN_NO_REUSE, TS_PLAN_GUARDS, TS_PLAN_GUARDS | TS_PLAN_NO_REUSE};
    ts_params *params;
    ts_param weight[3];
    ts_param_info one = {.name = "one", .rank = 4, .shape = {OUT, OUT, 1, 1}, .layout = TS_LAYOUT_CONV};
    one.init = TS_INIT_NORMAL, one.scale = 1;
    graph_must(ts_params_create(graph_device, &params));
    weight[0] = graph_add(params, "three", 4, OUT, CHANNELS, TS_INIT_NORMAL, 0.3f);
    weight[1] = ts_params_add(params, &one);
    weight[2] = graph_add(params, "bias", 1, OUT, 1, TS_INIT_NORMAL, 1);
    graph_must(ts_params_commit(params, 3));
    run(params, weight, TS_PLAN_FORWARD, plain);
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
        run(params, weight, plans[i], other);
        assert_memory_equal(plain, other, sizeof plain);
    }
    ts_params_destroy(params);
}
