/*
 * What is known of each operation: its arithmetic, and how its gradient follows from the gradient of its
 * output.
 */
#include "graph/tape.h"

/* The arguments of the node's forward step. */
#define FORWARD(graph, node, name) (graph)->steps[(node)->step].arguments.name

/* ---- arithmetic: a multiply-add is two operations ---- */

static double conv_flops(const tape_arguments *arguments)
{
    const ts_conv_forward *a = &arguments->conv_forward;
    return 18.0 * a->n * a->h * a->w * a->ci * a->co;
}

static double conv2d_flops(const tape_arguments *arguments)
{
    const ts_conv2d *a = &arguments->conv2d;
    const ts_window *w = &a->window;
    const double places = (double)ts_window_places(a->h, w->h, w->stride_h, w->pad_h) *
                          ts_window_places(a->w, w->w, w->stride_w, w->pad_w);
    return 2.0 * a->n * places * a->co * w->h * w->w * (a->ci / a->groups);
}

static double whiten_flops(const tape_arguments *arguments)
{
    const ts_whiten *a = &arguments->whiten;
    return 4.0 * a->n * a->d * a->d;
}

static double dense_flops(const tape_arguments *arguments)
{
    const ts_dense_forward *a = &arguments->dense_forward;
    return 2.0 * a->rows * a->in * a->out;
}

static double attention_flops(const tape_arguments *arguments)
{
    const ts_attention_forward *a = &arguments->attention_forward;
    return 4.0 * a->n * a->tokens * a->tokens * a->c;
}

static double forward_flops(const ts_graph *graph, const tape_node *node)
{
    return graph->failed ? 0 : graph->steps[node->step].flops;
}

/* ---- the bracket: y = scale (f(x) + residual) ---- */

/* The gradient of the bracket, scale dy, and whether others have an eye on its buffer. */
static int bracket(ts_graph *graph, const tape_node *node, float scale, bool *shared)
{
    const ts_tensor y = node->out[0];
    const int dy = tape_gradient(graph, y);
    *shared = tape_gradient_shared(graph, y);
    if (scale == 1.0f)
        return dy;
    *shared = false;
    const int scaled = tape_buffer_add(graph, tape_bytes(graph, y));
    STEP(graph, add_scaled, .count = tape_elements(graph, y), .scale = scale);
    READ(graph, add_scaled, x, dy);
    WRITE(graph, add_scaled, y, scaled);
    return scaled;
}

static void bind_target(ts_graph *graph, size_t field, int target, bool accumulate)
{
    tape_bind(graph, field, accumulate ? ACCESS_UPDATE : ACCESS_WRITE, target);
}

/* The gradient of the bias, where what came before has left the sums over each image: returns the parameter
 * if it is still to be done. */
static ts_param bias_from_sums(ts_graph *graph, const tape_node *node, const ts_conv_forward *f)
{
    const ts_param bias = tape_wants_param(graph, node->param[1]);
    const int sums = graph->failed ? -1 : graph->tensors[node->out[0]].image_sums;
    if (bias < 0 || sums < 0 || f->scale != 1.0f)
        return bias;
    STEP(graph, dense_backward, .rows = f->n, .in = 1, .out = f->co);
    READ(graph, dense_backward, dy, sums);
    GRADIENT(graph, dense_backward, dbias, bias);
    return -1;
}

static void conv_backward(ts_graph *graph, const tape_node *node)
{
    const ts_conv_forward f = FORWARD(graph, node, conv_forward);
    const ts_param weight = tape_wants_param(graph, node->param[0]);
    const ts_param bias = bias_from_sums(graph, node, &f);
    const ts_tensor x = node->in[0], residual = node->in[1];
    const bool wants_x = tape_wants(graph, x);
    bool shared, accumulate;
    const int db = bracket(graph, node, f.scale, &shared);
    if (wants_x || weight >= 0 || bias >= 0) {
        const int dx = tape_target(graph, x, &accumulate);
        STEP(graph, conv_backward, .n = f.n, .h = f.h, .w = f.w, .ci = f.ci, .co = f.co,
             .accumulate = accumulate);
        READ(graph, conv_backward, x, tape_buffer_of(graph, x));
        READ(graph, conv_backward, dy, db);
        VALUE(graph, conv_backward, weight, node->param[0]);
        bind_target(graph, offsetof(ts_conv_backward, dx), dx, accumulate);
        GRADIENT(graph, conv_backward, dweight, weight);
        GRADIENT(graph, conv_backward, dbias, bias);
        tape_flops(graph, forward_flops(graph, node) * ((dx >= 0) + (weight >= 0)));
    }
    tape_give(graph, residual, db, 1.0f, shared);
}

static void dense_backward(ts_graph *graph, const tape_node *node)
{
    const ts_dense_forward f = FORWARD(graph, node, dense_forward);
    const ts_param weight = tape_wants_param(graph, node->param[0]);
    const ts_param bias = tape_wants_param(graph, node->param[1]);
    const ts_tensor x = node->in[0], residual = node->in[1], x2 = node->in[2];
    bool shared, accumulate, accumulate2;
    const int db = bracket(graph, node, f.scale, &shared);
    if (tape_wants(graph, x) || tape_wants(graph, x2) || weight >= 0 || bias >= 0) {
        const int dx = tape_target(graph, x, &accumulate), dx2 = tape_target(graph, x2, &accumulate2);
        STEP(graph, dense_backward, .rows = f.rows, .in = f.in, .out = f.out, .in2 = f.in2,
             .silu_input = f.silu_input, .accumulate = accumulate, .accumulate2 = accumulate2);
        READ(graph, dense_backward, x, tape_buffer_of(graph, x));
        READ(graph, dense_backward, x2, tape_buffer_of(graph, x2));
        READ(graph, dense_backward, dy, db);
        VALUE(graph, dense_backward, weight, node->param[0]);
        bind_target(graph, offsetof(ts_dense_backward, dx), dx, accumulate);
        bind_target(graph, offsetof(ts_dense_backward, dx2), dx2, accumulate2);
        GRADIENT(graph, dense_backward, dweight, weight);
        GRADIENT(graph, dense_backward, dbias, bias);
        const double inputs = (dx >= 0 ? f.in - f.in2 : 0) + (dx2 >= 0 ? f.in2 : 0);
        tape_flops(graph, forward_flops(graph, node) * (inputs / f.in + (weight >= 0)));
    }
    tape_give(graph, residual, db, 1.0f, shared);
}

static void dense_matrix_backward(ts_graph *graph, const tape_node *node)
{
    const ts_dense_forward f = FORWARD(graph, node, dense_forward);
    const ts_tensor x = node->in[0], weight = node->in[1];
    bool accumulate;
    const int dx = tape_target(graph, x, &accumulate), dweight = tape_accumulator(graph, weight);
    STEP(graph, dense_backward, .rows = f.rows, .in = f.in, .out = f.out, .accumulate = accumulate,
         .computed_weight = true);
    READ(graph, dense_backward, x, tape_buffer_of(graph, x));
    READ(graph, dense_backward, dy, tape_gradient(graph, node->out[0]));
    READ(graph, dense_backward, weight, tape_buffer_of(graph, weight));
    bind_target(graph, offsetof(ts_dense_backward, dx), dx, accumulate);
    UPDATE(graph, dense_backward, dweight, dweight);
    tape_flops(graph, forward_flops(graph, node) * ((dx >= 0) + (dweight >= 0)));
}

static void attention_backward(ts_graph *graph, const tape_node *node)
{
    const ts_attention_forward f = FORWARD(graph, node, attention_forward);
    const int dqkv = tape_fresh(graph, node->in[0]);
    STEP(graph, attention_backward, .n = f.n, .tokens = f.tokens, .c = f.c);
    READ(graph, attention_backward, qkv, tape_buffer_of(graph, node->in[0]));
    READ(graph, attention_backward, probabilities, node->extra[0]);
    READ(graph, attention_backward, dy, tape_gradient(graph, node->out[0]));
    WRITE(graph, attention_backward, dqkv, dqkv);
    tape_flops(graph, 2.0 * forward_flops(graph, node));
    tape_give(graph, node->in[0], dqkv, 1.0f, false);
}

/* ---- normalisation and element-wise layers ---- */

static void group_norm_backward(ts_graph *graph, const tape_node *node)
{
    const ts_group_norm_forward f = FORWARD(graph, node, group_norm_forward);
    const ts_tensor x = node->in[0], shift = node->in[1], x2 = node->in[2];
    const int dshift = tape_fresh(graph, shift), dy = tape_gradient_or_zero(graph, node->out[0]);
    const int dx_resampled = tape_gradient(graph, node->out[1]);
    bool accumulate, accumulate2;
    const int dx = tape_target(graph, x, &accumulate), dx2 = tape_target(graph, x2, &accumulate2);
    STEP(graph, group_norm_backward, .n = f.n, .hw = f.hw, .c = f.c, .groups = f.groups, .c2 = f.c2,
         .resample = f.resample, .w = f.w, .silu = f.silu, .dropout = f.dropout, .layer = f.layer,
         .accumulate = accumulate, .accumulate2 = accumulate2);
    READ(graph, group_norm_backward, x, tape_buffer_of(graph, x));
    READ(graph, group_norm_backward, x2, tape_buffer_of(graph, x2));
    READ(graph, group_norm_backward, shift, tape_buffer_of(graph, shift));
    READ(graph, group_norm_backward, dy, dy);
    READ(graph, group_norm_backward, dx_resampled, dx_resampled);
    VALUE(graph, group_norm_backward, gamma, node->param[0]);
    VALUE(graph, group_norm_backward, beta, node->param[1]);
    READ(graph, group_norm_backward, mean, node->extra[0]);
    READ(graph, group_norm_backward, rstd, node->extra[1]);
    bind_target(graph, offsetof(ts_group_norm_backward, dx), dx, accumulate);
    bind_target(graph, offsetof(ts_group_norm_backward, dx2), dx2, accumulate2);
    WRITE(graph, group_norm_backward, dshift, dshift);
    GRADIENT(graph, group_norm_backward, dgamma, tape_wants_param(graph, node->param[0]));
    GRADIENT(graph, group_norm_backward, dbeta, tape_wants_param(graph, node->param[1]));
    /* The shift is added at every position, so its gradient is the sum of dx over each image. */
    const bool sums = dshift >= 0 && x2 < 0 && !accumulate;
    if (sums)
        tape_know_sums(graph, x, dshift);
    tape_give(graph, shift, dshift, 1.0f, sums);
}

static void silu_backward(ts_graph *graph, const tape_node *node)
{
    bool accumulate;
    const int dx = tape_target(graph, node->in[0], &accumulate);
    STEP(graph, silu_backward, .count = tape_elements(graph, node->in[0]), .accumulate = accumulate);
    READ(graph, silu_backward, x, tape_buffer_of(graph, node->in[0]));
    READ(graph, silu_backward, dy, tape_gradient(graph, node->out[0]));
    bind_target(graph, offsetof(ts_silu_backward, dx), dx, accumulate);
}

static void add_scaled_backward(ts_graph *graph, const tape_node *node)
{
    const float scale = FORWARD(graph, node, add_scaled).scale;
    bool shared;
    const int db = bracket(graph, node, scale, &shared);
    tape_give(graph, node->in[0], db, 1.0f, true);
    tape_give(graph, node->in[1], db, 1.0f, true);
}

static void concat_backward(ts_graph *graph, const tape_node *node)
{
    const ts_concat_forward f = FORWARD(graph, node, concat_forward);
    const ts_tensor a = node->in[0], b = node->in[1];
    const int dy = tape_gradient(graph, node->out[0]);
    bool accumulate_a, accumulate_b;
    const int da = tape_target(graph, a, &accumulate_a), db = tape_target(graph, b, &accumulate_b);
    /* [a, a]: both halves go to one gradient, the first of them may assign */
    STEP(graph, concat_backward, .rows = f.rows, .ca = f.ca, .cb = f.cb, .accumulate_a = accumulate_a);
    READ(graph, concat_backward, dy, dy);
    bind_target(graph, offsetof(ts_concat_backward, da), da, accumulate_a);
    if (a == b) {
        STEP(graph, concat_backward, .rows = f.rows, .ca = f.ca, .cb = f.cb, .accumulate_b = true);
        READ(graph, concat_backward, dy, dy);
        UPDATE(graph, concat_backward, db, db);
        return;
    }
    if (!graph->failed)
        graph->steps[graph->step_count - 1].arguments.concat_backward.accumulate_b = accumulate_b;
    bind_target(graph, offsetof(ts_concat_backward, db), db, accumulate_b);
}

static void slice_backward(ts_graph *graph, const tape_node *node)
{
    const ts_slice_forward f = FORWARD(graph, node, slice_forward);
    bool accumulate;
    const int dx = tape_target(graph, node->in[0], &accumulate);
    STEP(graph, slice_backward, .rows = f.rows, .c_in = f.c_in, .first = f.first, .c_out = f.c_out,
         .accumulate = accumulate);
    READ(graph, slice_backward, dy, tape_gradient(graph, node->out[0]));
    bind_target(graph, offsetof(ts_slice_backward, dx), dx, accumulate);
}

static void affine_backward(ts_graph *graph, const tape_node *node)
{
    const ts_affine f = FORWARD(graph, node, affine);
    bool accumulate;
    const int dx = tape_target(graph, node->in[0], &accumulate);
    STEP(graph, affine, .n = f.n, .d = f.d, .sde = f.sde, .scale = f.scale, .accumulate = accumulate);
    READ(graph, affine, x, tape_gradient(graph, node->out[0]));
    READ(graph, affine, t, tape_buffer_of(graph, node->in[1]));
    bind_target(graph, offsetof(ts_affine, y), dx, accumulate);
}

/* Of the output, then of x_t. */
static void to_noise_backward(ts_graph *graph, const tape_node *node)
{
    static const size_t fields[] = {offsetof(ts_to_noise, net), offsetof(ts_to_noise, xt)};
    const ts_to_noise f = FORWARD(graph, node, to_noise);
    for (int i = 0; i < 2; i++) {
        bool accumulate;
        if (!tape_wants(graph, node->in[i]))
            continue;
        const int target = tape_target(graph, node->in[i], &accumulate);
        STEP(graph, to_noise, .n = f.n, .d = f.d, .sde = f.sde, .predicts = f.predicts,
             .accumulate = accumulate);
        tape_bind(graph, fields[i], ACCESS_READ, tape_gradient(graph, node->out[0]));
        READ(graph, to_noise, t, tape_buffer_of(graph, node->in[2]));
        bind_target(graph, offsetof(ts_to_noise, y), target, accumulate);
    }
}

/* By the transposed filter. */
static void fir_backward(ts_graph *graph, const tape_node *node)
{
    const ts_fir f = FORWARD(graph, node, fir);
    const ts_tensor x = node->in[0], residual = node->in[1];
    bool shared, accumulate;
    const int db = bracket(graph, node, f.scale, &shared);
    if (!tape_wants(graph, x)) {
        tape_give(graph, residual, db, 1.0f, shared);
        return;
    }
    const int dx = tape_target(graph, x, &accumulate);
    ts_fir b = {.n = f.n,
                .h = f.oh,
                .w = f.ow,
                .c = f.c,
                .oh = f.h,
                .ow = f.w,
                .up = f.down,
                .down = f.up,
                .pad = f.taps - 1 - f.pad,
                .taps = f.taps,
                .scale = 1,
                .accumulate = accumulate};
    for (int i = 0; i < f.taps; i++)
        b.k[i] = f.k[f.taps - 1 - i];
    tape_step_add(graph, KERNEL_fir, &b, sizeof b);
    READ(graph, fir, x, db);
    bind_target(graph, offsetof(ts_fir, y), dx, accumulate);
    tape_give(graph, residual, db, 1.0f, shared);
}

/* ---- Glow ---- */

static void squeeze_backward(ts_graph *graph, const tape_node *node)
{
    const ts_squeeze f = FORWARD(graph, node, squeeze);
    bool accumulate;
    const int dx = tape_target(graph, node->in[0], &accumulate);
    STEP(graph, squeeze, .n = f.n, .h = f.h, .w = f.w, .c = f.c, .inverse = !f.inverse,
         .accumulate = accumulate);
    READ(graph, squeeze, x, tape_gradient(graph, node->out[0]));
    bind_target(graph, offsetof(ts_squeeze, y), dx, accumulate);
}

static void actnorm_backward(ts_graph *graph, const tape_node *node)
{
    const ts_actnorm_forward f = FORWARD(graph, node, actnorm_forward);
    bool accumulate;
    const int dx = tape_target(graph, node->in[0], &accumulate);
    STEP(graph, actnorm_backward, .rows = f.rows, .c = f.c, .factor = f.factor, .relu = f.relu,
         .accumulate = accumulate);
    READ(graph, actnorm_backward, x, tape_buffer_of(graph, node->in[0]));
    READ(graph, actnorm_backward, y, tape_buffer_of(graph, node->out[0]));
    READ(graph, actnorm_backward, dy, tape_gradient(graph, node->out[0]));
    VALUE(graph, actnorm_backward, bias, node->param[0]);
    VALUE(graph, actnorm_backward, logs, node->param[1]);
    bind_target(graph, offsetof(ts_actnorm_backward, dx), dx, accumulate);
    GRADIENT(graph, actnorm_backward, dbias, tape_wants_param(graph, node->param[0]));
    GRADIENT(graph, actnorm_backward, dlogs, tape_wants_param(graph, node->param[1]));
}

static void image_norm_backward(ts_graph *graph, const tape_node *node)
{
    const ts_image_norm_forward f = FORWARD(graph, node, image_norm_forward);
    const ts_tensor x = node->in[0], h = node->in[1];
    const int dy = tape_gradient_or_zero(graph, node->out[0]), dlogdet = tape_gradient(graph, node->out[1]);
    bool accumulate;
    const int dh = tape_fresh(graph, h), dx = tape_target(graph, x, &accumulate);
    STEP(graph, image_norm_backward, .n = f.n, .hw = f.hw, .c = f.c, .accumulate = accumulate);
    READ(graph, image_norm_backward, y, tape_buffer_of(graph, node->out[0]));
    READ(graph, image_norm_backward, h, tape_buffer_of(graph, h));
    READ(graph, image_norm_backward, dy, dy);
    READ(graph, image_norm_backward, dlogdet, dlogdet);
    bind_target(graph, offsetof(ts_image_norm_backward, dx), dx, accumulate);
    WRITE(graph, image_norm_backward, dh, dh);
    tape_give(graph, h, dh, 1.0f, false);
}

static void glow_matrix_backward(ts_graph *graph, const tape_node *node)
{
    STEP(graph, glow_matrix_backward, .c = FORWARD(graph, node, glow_matrix_forward).c);
    VALUE(graph, glow_matrix_backward, permutation, node->param[0]);
    VALUE(graph, glow_matrix_backward, lower, node->param[1]);
    VALUE(graph, glow_matrix_backward, upper, node->param[2]);
    VALUE(graph, glow_matrix_backward, sign, node->param[3]);
    VALUE(graph, glow_matrix_backward, log_s, node->param[4]);
    READ(graph, glow_matrix_backward, dweight, tape_gradient(graph, node->out[0]));
    GRADIENT(graph, glow_matrix_backward, dlower, tape_wants_param(graph, node->param[1]));
    GRADIENT(graph, glow_matrix_backward, dupper, tape_wants_param(graph, node->param[2]));
    GRADIENT(graph, glow_matrix_backward, dlog_s, tape_wants_param(graph, node->param[4]));
}

static void coupling_backward(ts_graph *graph, const tape_node *node)
{
    const ts_coupling_forward f = FORWARD(graph, node, coupling_forward);
    const ts_tensor x = node->in[0], h = node->in[1];
    const int dy = tape_gradient_or_zero(graph, node->out[0]);
    const int dlogdet = tape_gradient_or_zero(graph, node->out[1]);
    bool accumulate;
    const int dh = tape_fresh(graph, h), dx = tape_target(graph, x, &accumulate);
    STEP(graph, coupling_backward, .n = f.n, .hw = f.hw, .c = f.c, .accumulate = accumulate);
    READ(graph, coupling_backward, x, tape_buffer_of(graph, x));
    READ(graph, coupling_backward, h, tape_buffer_of(graph, h));
    READ(graph, coupling_backward, dy, dy);
    READ(graph, coupling_backward, dlogdet, dlogdet);
    bind_target(graph, offsetof(ts_coupling_backward, dx), dx, accumulate);
    WRITE(graph, coupling_backward, dh, dh);
    tape_give(graph, h, dh, 1.0f, false);
}

static void gaussian_backward(ts_graph *graph, const tape_node *node)
{
    const ts_gaussian_forward f = FORWARD(graph, node, gaussian_forward);
    const ts_tensor x = node->in[0], h = node->in[1];
    bool accumulate;
    const int dh = tape_fresh(graph, h), dx = tape_target(graph, x, &accumulate);
    STEP(graph, gaussian_backward, .n = f.n, .hw = f.hw, .c = f.c, .stride = f.stride, .first = f.first,
         .interleaved = f.interleaved, .accumulate = accumulate);
    READ(graph, gaussian_backward, x, tape_buffer_of(graph, x));
    READ(graph, gaussian_backward, h, tape_buffer_of(graph, h));
    READ(graph, gaussian_backward, dlogp, tape_gradient(graph, node->out[0]));
    bind_target(graph, offsetof(ts_gaussian_backward, dx), dx, accumulate);
    WRITE(graph, gaussian_backward, dh, dh);
    tape_give(graph, h, dh, 1.0f, false);
}

static void whiten_backward(ts_graph *graph, const tape_node *node)
{
    const ts_whiten f = FORWARD(graph, node, whiten);
    bool accumulate;
    const int dx = tape_target(graph, node->in[0], &accumulate);
    STEP(graph, whiten, .n = f.n, .d = f.d, .sde = f.sde, .values = f.values, .vectors = f.vectors,
         .accumulate = accumulate);
    tape_flops(graph, forward_flops(graph, node));
    READ(graph, whiten, x, tape_gradient(graph, node->out[0]));
    READ(graph, whiten, t, tape_buffer_of(graph, node->in[1]));
    bind_target(graph, offsetof(ts_whiten, y), dx, accumulate);
}

static void parameter_sum_backward(ts_graph *graph, const tape_node *node)
{
    const ts_parameter_sum_forward f = FORWARD(graph, node, parameter_sum_forward);
    STEP(graph, parameter_sum_backward, .n = f.n, .count = f.count, .factor = f.factor);
    READ(graph, parameter_sum_backward, dy, tape_gradient(graph, node->out[0]));
    GRADIENT(graph, parameter_sum_backward, dp, tape_wants_param(graph, node->param[0]));
}

/* Every summand has the sum's own gradient. */
static void vector_sum_backward(ts_graph *graph, const tape_node *node)
{
    for (int i = 0; i < node->inputs; i++)
        tape_give(graph, node->in[i], tape_gradient(graph, node->out[0]), 1.0f, true);
}

const tape_row tape_rows[OPERATION_COUNT] = {
    [OPERATION_CONV] = {"conv", conv_flops, conv_backward},
    [OPERATION_DENSE] = {"dense", dense_flops, dense_backward},
    [OPERATION_DENSE_MATRIX] = {"dense_matrix", dense_flops, dense_matrix_backward},
    [OPERATION_ATTENTION] = {"attention", attention_flops, attention_backward},
    [OPERATION_GROUP_NORM] = {"group_norm", NULL, group_norm_backward},
    [OPERATION_SILU] = {"silu", NULL, silu_backward},
    [OPERATION_ADD_SCALED] = {"add_scaled", NULL, add_scaled_backward},
    [OPERATION_CONCAT] = {"concat", NULL, concat_backward},
    [OPERATION_SLICE] = {"slice", NULL, slice_backward},
    [OPERATION_TIME_EMBEDDING] = {"time_embedding", NULL, NULL},
    [OPERATION_FOURIER_EMBEDDING] = {"fourier_embedding", NULL, NULL},
    [OPERATION_AFFINE] = {"affine", NULL, affine_backward},
    [OPERATION_TO_NOISE] = {"to_noise", NULL, to_noise_backward},
    [OPERATION_FIR] = {"fir", NULL, fir_backward},
    [OPERATION_CONV2D] = {"conv2d", conv2d_flops, NULL},
    [OPERATION_POOL] = {"pool", NULL, NULL},
    [OPERATION_SQUEEZE] = {"squeeze", NULL, squeeze_backward},
    [OPERATION_ACTNORM] = {"actnorm", NULL, actnorm_backward},
    [OPERATION_ACTNORM_INVERSE] = {"inverse actnorm", NULL, NULL},
    [OPERATION_IMAGE_NORM] = {"image_norm", NULL, image_norm_backward},
    [OPERATION_IMAGE_NORM_INVERSE] = {"inverse image_norm", NULL, NULL},
    [OPERATION_LAMBDA_EMBEDDING] = {"lambda_embedding", NULL, NULL},
    [OPERATION_GLOW_MATRIX] = {"glow_matrix", NULL, glow_matrix_backward},
    [OPERATION_GLOW_MATRIX_INVERSE] = {"inverse glow_matrix", NULL, NULL},
    [OPERATION_COUPLING] = {"coupling", NULL, coupling_backward},
    [OPERATION_COUPLING_INVERSE] = {"inverse coupling", NULL, NULL},
    [OPERATION_GAUSSIAN] = {"gaussian", NULL, gaussian_backward},
    [OPERATION_GAUSSIAN_DRAW] = {"gaussian_draw", NULL, NULL},
    [OPERATION_WHITEN] = {"whiten", whiten_flops, whiten_backward},
    [OPERATION_WHITEN_INVERSE] = {"inverse whiten", whiten_flops, NULL},
    [OPERATION_PARAMETER_SUM] = {"parameter_sum", NULL, parameter_sum_backward},
    [OPERATION_VECTOR_SUM] = {"vector_sum", NULL, vector_sum_backward},
};
