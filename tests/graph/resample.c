/* Normalisation with a resampled output: the same as normalisation, then resampling by a product. */
#include <stdlib.h>
#include "graph/tape.h"
#include "graph_test.h"

enum { N = 2, SIDE = 4, C = 4, X_COUNT = N * SIDE * SIDE * C, MOST_OUT = 4 * X_COUNT, MOST_PARAMS = 512 };

/* What of the two outputs is read. */
typedef enum readers { NORM = 1, INPUT = 2, BOTH = 3 } readers;

typedef struct results {
    float out[MOST_OUT], dx[X_COUNT], dparams[MOST_PARAMS];
    int out_count;
} results;

static void fill(float *to, int count, uint32_t seed)
{
    for (int i = 0; i < count; i++)
        to[i] = graph_random(&seed);
}

static int steps_of(const ts_graph *graph, tape_kernel kernel)
{
    int count = 0;
    for (int i = 0; i < graph->step_count; i++)
        count += graph->steps[i].kernel == kernel;
    return count;
}

/* Halving takes the mean of what a squeeze puts side by side, doubling copies and undoes a squeeze. */
static ts_tensor resample(ts_graph *g, const graph_model *m, ts_tensor x, bool up)
{
    if (up)
        return ts_graph_squeeze(g, ts_dense(g, x, false, m->copies, -1, 4 * C, -1, 1), true);
    return ts_dense(g, ts_graph_squeeze(g, x, false), false, m->mean, -1, C, -1, 1);
}

/* The input of the normalisation has a reader besides. */
static ts_graph *build(const graph_model *m, bool fused, bool up, readers read, ts_tensor *x, ts_tensor *out)
{
    ts_graph *g;
    graph_must(ts_graph_create(graph_device, m->params, &g));
    *x = ts_graph_input(g, "x", N, SIDE, SIDE, C);
    const ts_tensor a = ts_conv(g, *x, m->conv[0], m->conv[1], C, -1, 1.0f);
    ts_tensor y, plain = -1;
    if (fused) {
        y = ts_group_norm_resampled(g, a, m->gamma, m->beta, 2, 1e-6f, true, up,
                                    read & INPUT ? &plain : NULL);
    } else {
        y = resample(g, m, ts_group_norm(g, a, -1, m->gamma, m->beta, 2, 1e-6f, true, 0), up);
        plain = resample(g, m, a, up);
    }
    const ts_tensor other = resample(g, m, ts_silu(g, a), up);
    *out = ts_graph_add_scaled(g, read & NORM ? y : plain, other, 0.7f);
    if (read == BOTH)
        *out = ts_conv(g, *out, m->conv[0], m->conv[1], C, plain, 0.8f);
    ts_graph_output(g, *out, true);
    graph_must(ts_graph_plan(g, TS_PLAN_PARAM_GRADIENTS | TS_PLAN_INPUT_GRADIENTS));
    return g;
}

static void run(const graph_model *m, ts_graph *g, ts_tensor x, ts_tensor out, results *r)
{
    int s[4];
    const size_t params = (size_t)ts_params_count(m->params);
    memset(r, 0, sizeof *r);
    assert_true(params <= MOST_PARAMS);
    graph_must(graph_device->k->zero(graph_device, ts_params_buffer(m->params, TS_BUFFER_GRADIENT),
                                     params * sizeof(float)));
    ts_graph_shape(g, out, s);
    r->out_count = s[0] * s[1] * s[2] * s[3];
    assert_true(r->out_count <= MOST_OUT);
    fill(ts_graph_data(g, x), X_COUNT, 1);
    fill(ts_graph_gradient(g, out), r->out_count, 2);
    graph_must(ts_graph_forward(g));
    graph_must(ts_graph_backward(g));
    memcpy(r->out, ts_graph_data(g, out), (size_t)r->out_count * sizeof(float));
    memcpy(r->dx, ts_graph_gradient(g, x), sizeof r->dx);
    memcpy(r->dparams, ts_params_buffer(m->params, TS_BUFFER_GRADIENT), params * sizeof(float));
}

void resampled_norm_is_both(void **state)
{
    (void)state;
    static results fused, apart;
    graph_model m;
    graph_model_create(&m);
    for (int i = 0; i < 6; i++) {
        const bool up = i % 2;
        const readers read = (readers)(i / 2 + 1);
        ts_tensor x, out;
        ts_graph *g = build(&m, true, up, read, &x, &out);
        assert_int_equal(steps_of(g, KERNEL_squeeze), 2); /* of `other` alone, both ways */
        run(&m, g, x, out, &fused);
        ts_graph_destroy(g);
        g = build(&m, false, up, read, &x, &out);
        run(&m, g, x, out, &apart);
        ts_graph_destroy(g);
        assert_int_equal(fused.out_count, up ? 4 * X_COUNT : X_COUNT / 4);
        assert_int_equal(fused.out_count, apart.out_count);
        graph_must_agree("output", fused.out, apart.out, fused.out_count);
        graph_must_agree("gradient of the input", fused.dx, apart.dx, X_COUNT);
        graph_must_agree("gradient of the parameters", fused.dparams, apart.dparams,
                         (int)ts_params_count(m.params));
    }
    ts_params_destroy(m.params);
}

void resampled_norm_errors(void **state)
{
    (void)state;
    graph_model m;
    ts_graph *g;
    ts_tensor plain;
    graph_model_create(&m);
    graph_must(ts_graph_create(graph_device, m.params, &g));
    const ts_tensor x = ts_graph_input(g, "x", 1, 3, 4, 4);
    assert_int_equal(ts_group_norm_resampled(g, x, m.gamma, m.beta, 2, 1e-6f, true, false, &plain), -1);
    assert_int_equal(plain, -1);
    graph_must_fail(ts_graph_plan(g, 0), TS_INVALID, "group_norm: an image of 3x4 cannot be halved");
    ts_graph_destroy(g);
    ts_params_destroy(m.params);
}
