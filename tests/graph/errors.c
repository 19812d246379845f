/* Errors of building and planning: the first one stays and says what is wrong. */
#include "graph_test.h"

typedef void wrong_build(ts_graph *g, const graph_model *m, ts_tensor x);

static ts_tensor resampled(ts_graph *g, const graph_model *m, ts_tensor x, bool up)
{
    return ts_group_norm_resampled(g, x, m->gamma, m->beta, 2, 1e-6f, true, up, NULL);
}

static void wrong_conv(ts_graph *g, const graph_model *m, ts_tensor x)
{
    ts_conv(g, x, m->conv[0], m->conv[1], 5, -1, 1);
}
static void wrong_residual(ts_graph *g, const graph_model *m, ts_tensor x)
{
    ts_conv(g, x, m->conv[0], m->conv[1], 4, resampled(g, m, x, true), 1);
}
static void wrong_dense(ts_graph *g, const graph_model *m, ts_tensor x)
{
    ts_dense(g, x, false, m->dense[0], m->dense[1], 4, -1, 1);
}
static void wrong_groups(ts_graph *g, const graph_model *m, ts_tensor x)
{
    ts_group_norm(g, x, -1, m->gamma, m->beta, 3, 1e-6f, true, 0);
}
static void wrong_norm(ts_graph *g, const graph_model *m, ts_tensor x)
{
    ts_group_norm(g, x, -1, m->dense[0], m->beta, 2, 1e-6f, true, 0);
}
static void no_state(ts_graph *g, const graph_model *m, ts_tensor x)
{
    ts_group_norm(g, x, -1, m->gamma, m->beta, 2, 1e-6f, true, 0.1f);
}
static void wrong_halving(ts_graph *g, const graph_model *m, ts_tensor x)
{
    resampled(g, m, resampled(g, m, resampled(g, m, x, false), false), false);
}
static void wrong_attention(ts_graph *g, const graph_model *m, ts_tensor x)
{
    (void)m;
    ts_attention(g, x);
}
static void wrong_concat(ts_graph *g, const graph_model *m, ts_tensor x)
{
    ts_concat(g, x, resampled(g, m, x, false));
}
static void wrong_slice(ts_graph *g, const graph_model *m, ts_tensor x)
{
    (void)m;
    ts_slice(g, x, 2, 3);
}
static void wrong_tensor(ts_graph *g, const graph_model *m, ts_tensor x)
{
    (void)m;
    ts_graph_add_scaled(g, x, 99, 1);
}
static void wrong_size(ts_graph *g, const graph_model *m, ts_tensor x)
{
    (void)m;
    (void)x;
    ts_graph_input(g, "huge", 1 << 20, 1 << 20, 3, 3);
}
static void not_differentiable(ts_graph *g, const graph_model *m, ts_tensor x)
{
    ts_graph_output(g, ts_actnorm(g, x, m->beta, m->beta, 1, false, true, false), true);
}
static void wrong_image_norm(ts_graph *g, const graph_model *m, ts_tensor x)
{
    (void)m;
    ts_graph_output(g, ts_image_norm(g, x, ts_zeros(g, 2, 1, 1, 7), false, NULL), true);
}
static void wrong_window(ts_graph *g, const graph_model *m, ts_tensor x)
{
    ts_graph_conv2d(g, x, m->conv[0], -1, &(ts_conv2d){.co = 4, .groups = 1, .window = {5, 3, 1, 1, 0, 0}},
                    -1);
}
static void wrong_filter(ts_graph *g, const graph_model *m, ts_tensor x)
{
    ts_graph_conv2d(g, x, m->conv[0], -1, &(ts_conv2d){.co = 4, .groups = 2, .window = {3, 3, 1, 1, 1, 1}},
                    -1);
}
static void wrong_split(ts_graph *g, const graph_model *m, ts_tensor x)
{
    ts_graph_conv2d(g, x, m->conv[0], -1, &(ts_conv2d){.co = 4, .groups = 3, .window = {3, 3, 1, 1, 1, 1}},
                    -1);
}
static void wrong_pool(ts_graph *g, const graph_model *m, ts_tensor x)
{
    (void)m;
    ts_graph_pool(g, x, &(ts_pool){.window = {2, 2, 1, 1, 2, 0}});
}
static void pool_not_differentiable(ts_graph *g, const graph_model *m, ts_tensor x)
{
    (void)m;
    ts_graph_output(g, ts_graph_pool(g, x, &(ts_pool){.window = {2, 2, 2, 2, 0, 0}}), true);
}
static void no_seed(ts_graph *g, const graph_model *m, ts_tensor x)
{
    (void)m;
    ts_graph_output(g, ts_silu(g, x), false);
}

void errors_stay(void **state)
{
    (void)state;
    static const struct {
        wrong_build *build;
        ts_code code;
        const char *message;
    } cases[] = {
        {wrong_conv, TS_INVALID, "conv: parameter conv should have the shape [5,4,3,3]"},
        {wrong_residual, TS_INVALID, "the residual is [2,8,8,4], it should be [2,4,4,4]"},
        {wrong_dense, TS_INVALID, "parameter dense should be, or begin, a matrix [4,4]"},
        {wrong_groups, TS_INVALID, "4 channels do not divide into 3 groups"},
        {wrong_norm, TS_INVALID, "parameter dense has 32 values, 4 are needed"},
        {no_state, TS_INVALID, "dropout needs a step state"},
        {wrong_halving, TS_INVALID, "1x1 cannot be halved"},
        {wrong_attention, TS_INVALID, "4 channels are not three equal parts"},
        {wrong_concat, TS_INVALID, "[2,4,4,4] and [2,2,2,4] differ"},
        {wrong_slice, TS_INVALID, "channels 2 to 5 of a tensor with 4"},
        {wrong_tensor, TS_INVALID, "add_scaled"},
        {wrong_size, TS_NO_MEMORY, "is more than can be addressed"},
        {not_differentiable, TS_UNSUPPORTED, "no gradient passes through the operation inverse actnorm"},
        {wrong_image_norm, TS_INVALID, "image_norm: [2,4,4,4] with bias and logs [2,1,1,7]"},
        {wrong_window, TS_INVALID, "conv2d: a window of 5x3, 1,1 apart, padded by 0,0, over an image of 4x4"},
        {wrong_filter, TS_INVALID, "conv2d: parameter conv should have the shape [4,2,3,3]"},
        {wrong_split, TS_INVALID, "conv2d: 4 to 4 channels in 3 groups"},
        {wrong_pool, TS_INVALID, "pool: a window of 2x2"},
        {pool_not_differentiable, TS_UNSUPPORTED, "no gradient passes through the operation pool"},
        {no_seed, TS_INVALID, "none is seeded"}};
    graph_model m;
    graph_model_create(&m);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ts_graph *g;
        graph_must(ts_graph_create(graph_device, m.params, &g));
        ts_tensor x = ts_graph_input(g, "x", 2, 4, 4, 4);
        cases[i].build(g, &m, x);
        int shape[4];
        ts_tensor later =
            ts_silu(g, ts_conv(g, x, -1, -1, 7, -1, 1)); /* a second error, or after the first */
        ts_graph_shape(g, later, shape);
        const bool passes = cases[i].build == not_differentiable ||
                            cases[i].build == pool_not_differentiable || cases[i].build == no_seed;
        ts_graph_output(g, passes ? x : later, false);
        if (passes || cases[i].build == no_state) {
            /* found only by planning, so without the second error */
            ts_graph_destroy(g);
            graph_must(ts_graph_create(graph_device, m.params, &g));
            cases[i].build(g, &m, ts_graph_input(g, "x", 2, 4, 4, 4));
        } else {
            assert_int_equal(later, -1);
        }
        const bool gradients = cases[i].build != no_state;
        graph_must_fail(ts_graph_plan(g, gradients ? TS_PLAN_INPUT_GRADIENTS : 0), cases[i].code,
                        cases[i].message);
        graph_must_fail(ts_graph_forward(g), TS_INVALID, "not been planned");
        assert_null(ts_graph_data(g, x));
        ts_graph_destroy(g);
    }
    ts_params_destroy(m.params);
}

void parameters_must_have_memory(void **state)
{
    (void)state;
    ts_params *params;
    ts_graph *g;
    graph_must(ts_params_create(graph_device, &params));
    const ts_param w = graph_add(params, "w", 2, 4, 4, TS_INIT_ONE, 0);
    graph_must(ts_graph_create(graph_device, params, &g));
    ts_graph_output(g, ts_dense(g, ts_graph_input(g, "x", 1, 1, 1, 4), false, w, -1, 4, -1, 1), true);
    graph_must_fail(ts_graph_plan(g, 0), TS_INVALID, "parameter w has no memory for its value yet");
    ts_graph_destroy(g);
    graph_must(ts_params_commit(params, 1));
    graph_must(ts_graph_create(graph_device, params, &g));
    ts_graph_output(g, ts_dense(g, ts_graph_input(g, "x", 1, 1, 1, 4), false, w, -1, 4, -1, 1), true);
    graph_must_fail(ts_graph_plan(g, TS_PLAN_PARAM_GRADIENTS), TS_INVALID,
                    "parameter w has no memory for its gradient yet");
    ts_graph_destroy(g);
    ts_params_destroy(params);
}
