/* Concatenations: read in two halves by those who can, written for all others, with the same results. */
#include <stdlib.h>
#include "graph/tape.h"
#include "graph_test.h"

enum { N = 2, SIDE = 4, WIDE = 4, NARROW = 2, BOTH = WIDE + NARROW };

typedef struct model {
    ts_params *params;
    ts_param conv[2], gamma, beta, shortcut[2], last[2];
} model;

static void model_create(model *m)
{
    graph_must(ts_params_create(graph_device, &m->params));
    m->conv[0] = graph_add(m->params, "conv", 4, WIDE, WIDE, TS_INIT_NORMAL, 0.2f);
    m->conv[1] = graph_add(m->params, "conv bias", 1, WIDE, 0, TS_INIT_NORMAL, 0.2f);
    m->gamma = graph_add(m->params, "gamma", 1, BOTH, 0, TS_INIT_NORMAL, 1.0f);
    m->beta = graph_add(m->params, "beta", 1, BOTH, 0, TS_INIT_NORMAL, 0.2f);
    m->shortcut[0] = graph_add(m->params, "shortcut", 2, WIDE, BOTH, TS_INIT_NORMAL, 0.4f);
    m->shortcut[1] = graph_add(m->params, "shortcut bias", 1, WIDE, 0, TS_INIT_NORMAL, 0.2f);
    m->last[0] = graph_add(m->params, "last", 2, WIDE, BOTH, TS_INIT_NORMAL, 0.4f);
    m->last[1] = graph_add(m->params, "last bias", 1, WIDE, 0, TS_INIT_NORMAL, 0.2f);
    graph_must(ts_params_commit(m->params, 4));
    graph_must(ts_params_enable_gradients(m->params));
}

enum {
    PAIR = 0,   /* read in two halves */
    WHOLE = 1,  /* the readers get a copy in one piece */
    OUTPUT = 2, /* the concatenation is a seeded output too */
    READER = 4  /* and somebody reads it who takes no halves */
};

typedef struct built {
    ts_graph *graph;
    ts_tensor x, both, out;
} built;

/* The middle group of the normalisation has channels of both halves; the second half depends on the first. */
static built build(const model *m, int variant, unsigned flags)
{
    built b;
    graph_must(ts_graph_create(graph_device, m->params, &b.graph));
    ts_graph *g = b.graph;
    b.x = ts_graph_input(g, "x", N, SIDE, SIDE, WIDE);
    const ts_tensor left = ts_conv(g, b.x, m->conv[0], m->conv[1], WIDE, -1, 1.0f);
    const ts_tensor right = ts_slice(g, ts_silu(g, left), 1, NARROW);
    b.both = ts_concat(g, left, right);
    const ts_tensor read = variant & WHOLE ? ts_slice(g, b.both, 0, BOTH) : b.both;
    ts_tensor h = ts_group_norm(g, read, -1, m->gamma, m->beta, 2, 1e-6f, true, 0);
    const ts_tensor shortcut = ts_dense(g, read, false, m->shortcut[0], m->shortcut[1], WIDE, left, 0.8f);
    if (variant & READER)
        h = ts_graph_add_scaled(g, h, b.both, 0.6f);
    b.out = ts_dense(g, h, true, m->last[0], m->last[1], WIDE, shortcut, 0.7f);
    ts_graph_output(g, b.out, true);
    if (variant & OUTPUT)
        ts_graph_output(g, b.both, true);
    graph_must(ts_graph_plan(g, flags | TS_PLAN_PARAM_GRADIENTS | TS_PLAN_INPUT_GRADIENTS));
    return b;
}

static int steps_of(const ts_graph *graph, tape_kernel kernel)
{
    int count = 0;
    for (int i = 0; i < graph->step_count; i++)
        count += graph->steps[i].kernel == kernel;
    return count;
}

/* ---- running ---- */

enum { X_COUNT = N * SIDE * SIDE * WIDE, BOTH_COUNT = N * SIDE * SIDE * BOTH, MOST_PARAMS = 512 };

typedef struct results {
    float out[X_COUNT], dx[X_COUNT], dparams[MOST_PARAMS];
} results;

static void fill(float *to, int count, uint32_t seed)
{
    for (int i = 0; i < count; i++)
        to[i] = graph_random(&seed);
}

static void run(const model *m, const built *b, int variant, results *r)
{
    const size_t params = (size_t)ts_params_count(m->params);
    memset(r, 0, sizeof *r);
    assert_true(params <= MOST_PARAMS);
    graph_must(graph_device->k->zero(graph_device, ts_params_buffer(m->params, TS_BUFFER_GRADIENT),
                                     params * sizeof(float)));
    fill(ts_graph_data(b->graph, b->x), X_COUNT, 1);
    fill(ts_graph_gradient(b->graph, b->out), X_COUNT, 2);
    if (variant & OUTPUT)
        fill(ts_graph_gradient(b->graph, b->both), BOTH_COUNT, 3);
    graph_must(ts_graph_forward(b->graph));
    graph_must(ts_graph_backward(b->graph));
    memcpy(r->out, ts_graph_data(b->graph, b->out), sizeof r->out);
    memcpy(r->dx, ts_graph_gradient(b->graph, b->x), sizeof r->dx);
    memcpy(r->dparams, ts_params_buffer(m->params, TS_BUFFER_GRADIENT), params * sizeof(float));
}

/* ---- tests ---- */

void concat_is_written_on_demand(void **state)
{
    (void)state;
    model m;
    model_create(&m);
    for (int extra = 0; extra < 8; extra += 2) {
        const built pair = build(&m, extra, 0), whole = build(&m, extra | WHOLE, 0);
        static results a, b;
        assert_int_equal(steps_of(pair.graph, KERNEL_concat_forward), extra != 0);
        assert_int_equal(steps_of(pair.graph, KERNEL_concat_backward), extra != 0);
        assert_int_equal(steps_of(whole.graph, KERNEL_concat_forward), 1);
        if (!extra)
            assert_true(ts_graph_arena_bytes(pair.graph) < ts_graph_arena_bytes(whole.graph));
        run(&m, &pair, extra, &a);
        run(&m, &whole, extra, &b);
        graph_must_agree("output", a.out, b.out, X_COUNT);
        graph_must_agree("gradient of the input", a.dx, b.dx, X_COUNT);
        graph_must_agree("gradient of the parameters", a.dparams, b.dparams, (int)ts_params_count(m.params));
        if (extra & OUTPUT)
            assert_memory_equal(ts_graph_data(pair.graph, pair.both), ts_graph_data(whole.graph, whole.both),
                                BOTH_COUNT * sizeof(float));
        else
            assert_null(ts_graph_data(pair.graph, pair.both));
        ts_graph_destroy(pair.graph);
        ts_graph_destroy(whole.graph);
    }
    ts_params_destroy(m.params);
}

/* Of a normalisation with a shift, whose gradient is the sum over each image of the gradient of both halves:
 * the first half comes from a convolution, which may take the gradient of its bias from such sums. */
void concat_with_shift(void **state)
{
    (void)state;
    enum { SHIFTS = N * BOTH };
    static results r[2];
    static float dshift[2][SHIFTS];
    model m;
    model_create(&m);
    for (int whole = 0; whole < 2; whole++) {
        built b;
        graph_must(ts_graph_create(graph_device, m.params, &b.graph));
        ts_graph *g = b.graph;
        b.x = ts_graph_input(g, "x", N, SIDE, SIDE, WIDE);
        const ts_tensor shift = ts_graph_input(g, "shift", N, 1, 1, BOTH);
        const ts_tensor left = ts_conv(g, b.x, m.conv[0], m.conv[1], WIDE, -1, 1.0f);
        b.both = ts_concat(g, left, ts_slice(g, b.x, 1, NARROW));
        const ts_tensor read = whole ? ts_slice(g, b.both, 0, BOTH) : b.both;
        const ts_tensor h = ts_group_norm(g, read, shift, m.gamma, m.beta, 2, 1e-6f, true, 0);
        b.out = ts_dense(g, h, false, m.last[0], m.last[1], WIDE, -1, 1.0f);
        ts_graph_output(g, b.out, true);
        graph_must(ts_graph_plan(g, TS_PLAN_PARAM_GRADIENTS | TS_PLAN_INPUT_GRADIENTS));
        fill(ts_graph_data(g, shift), SHIFTS, 5);
        run(&m, &b, PAIR, &r[whole]);
        memcpy(dshift[whole], ts_graph_gradient(g, shift), sizeof dshift[whole]);
        ts_graph_destroy(g);
    }
    graph_must_agree("output", r[0].out, r[1].out, X_COUNT);
    graph_must_agree("gradient of the input", r[0].dx, r[1].dx, X_COUNT);
    graph_must_agree("gradient of the shift", dshift[0], dshift[1], SHIFTS);
    graph_must_agree("gradient of the parameters", r[0].dparams, r[1].dparams,
                     (int)ts_params_count(m.params));
    ts_params_destroy(m.params);
}

void concat_plans_agree_bitwise(void **state)
{
    (void)state;
    static const unsigned flags[] = {TS_PLAN_NO_REUSE, TS_PLAN_GUARDS, TS_PLAN_NO_REUSE | TS_PLAN_GUARDS};
    model m;
    model_create(&m);
    for (int extra = 0; extra < 8; extra += 2) {
        static results first, other;
        const built reused = build(&m, extra, 0);
        run(&m, &reused, extra, &first);
        ts_graph_destroy(reused.graph);
        for (int i = 0; i < 3; i++) {
            const built b = build(&m, extra, flags[i]);
            run(&m, &b, extra, &other);
            assert_memory_equal(&first, &other, sizeof first);
            if (flags[i] & TS_PLAN_GUARDS)
                graph_must(ts_graph_check_guards(b.graph));
            ts_graph_destroy(b.graph);
        }
    }
    ts_params_destroy(m.params);
}
