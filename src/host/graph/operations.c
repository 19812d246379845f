/*
 * The builders of convolutions, dense layers, attention and element-wise layers: each checks its shapes and
 * appends one node with its forward step.
 */
#include "graph/operations.h"

#include <limits.h>

/* ---- what the builders share ---- */

bool tape_ready(ts_graph *graph, const char *operation, const ts_tensor *tensors, int count)
{
    if (graph->planned)
        tape_fail(graph, TS_INVALID, "%s: the graph is planned already", operation);
    for (int i = 0; i < count; i++)
        if (tensors[i] < 0 || tensors[i] >= graph->tensor_count)
            tape_fail(graph, TS_INVALID, "%s: operand %d is not a tensor of the graph", operation, i + 1);
    return !graph->failed;
}

bool tape_same_shape(const tape_tensor *a, const tape_tensor *b)
{
    for (int i = 0; i < 4; i++)
        if (a->shape[i] != b->shape[i])
            return false;
    return a->is_float == b->is_float;
}

void tape_open(ts_graph *graph, tape_operation operation, const ts_tensor *in, int inputs, ts_tensor out)
{
    tape_node node = {.operation = operation, .inputs = inputs, .out = {out, -1}, .extra = {-1, -1}};
    for (int i = 0; i < inputs; i++)
        tape_write_whole(graph, in[i]);
    for (int i = 0; i < NODE_PARAMS; i++)
        node.param[i] = -1;
    for (int i = 0; i < inputs; i++)
        node.in[i] = in[i];
    tape_node_add(graph, &node);
}

/* The tensors to give tape_open for an input that a step takes in two: in[0] = x and in[1] = -1, or the two
 * parts of a concatenation.  A tensor beside itself is no pair: the gradients of the two halves would meet in
 * one buffer. */
static void parts_of(const ts_graph *graph, ts_tensor x, ts_tensor in[2])
{
    const ts_tensor *const part = graph->failed ? NULL : graph->tensors[x].part;
    const bool pair = part && part[0] != part[1];
    in[0] = pair ? part[0] : x;
    in[1] = pair ? part[1] : -1;
}

static int channels_of(const ts_graph *graph, ts_tensor tensor)
{
    return graph->failed || tensor < 0 ? 0 : graph->tensors[tensor].shape[3];
}

void tape_close(ts_graph *graph)
{
    if (graph->failed)
        return;
    const tape_node *node = &graph->nodes[graph->node_count - 1];
    tape_step *step = &graph->steps[node->step];
    if (tape_rows[node->operation].flops)
        step->flops = tape_rows[node->operation].flops(&step->arguments);
}

void tape_param(ts_graph *graph, int slot, ts_param param)
{
    if (!graph->failed)
        graph->nodes[graph->node_count - 1].param[slot] = param;
}

bool tape_check_vector(ts_graph *graph, const char *operation, ts_param param, int count, bool optional)
{
    if (graph->failed || (optional && param == -1))
        return !graph->failed;
    const ts_param_info *info = ts_params_info(graph->params, param);
    if (!info)
        tape_fail(graph, TS_INVALID, "%s: a parameter is missing", operation);
    else if (ts_param_elements(info) != count)
        tape_fail(graph, TS_INVALID, "%s: parameter %s has %lld values, %d are needed", operation, info->name,
                  (long long)ts_param_elements(info), count);
    return !graph->failed;
}

/* ---- convolution ---- */

bool tape_check_residual(ts_graph *graph, const char *operation, ts_tensor residual, const int s[3],
                         int channels)
{
    if (residual == -1)
        return true;
    if (!tape_ready(graph, operation, &residual, 1))
        return false;
    const int *r = graph->tensors[residual].shape;
    if (r[0] != s[0] || r[1] != s[1] || r[2] != s[2] || r[3] != channels || graph->tensors[residual].is_float)
        tape_fail(graph, TS_INVALID, "%s: the residual is [%d,%d,%d,%d], it should be [%d,%d,%d,%d]",
                  operation, r[0], r[1], r[2], r[3], s[0], s[1], s[2], channels);
    return !graph->failed;
}

/* Activations are what layers work on; float vectors are times and log-densities. */
bool tape_check_activation(ts_graph *graph, const char *operation, ts_tensor x)
{
    if (tape_ready(graph, operation, &x, 1) && graph->tensors[x].is_float)
        tape_fail(graph, TS_INVALID, "%s: its input is a float vector, not an activation", operation);
    return !graph->failed;
}

ts_tensor ts_conv(ts_graph *graph, ts_tensor x, ts_param weight, ts_param bias, int channels,
                  ts_tensor residual, float scale)
{
    if (!tape_check_activation(graph, "conv", x))
        return -1;
    const int s[4] = {graph->tensors[x].shape[0], graph->tensors[x].shape[1], graph->tensors[x].shape[2],
                      graph->tensors[x].shape[3]};
    const ts_param_info *info = ts_params_info(graph->params, weight);
    if (!info || info->rank != 4 || info->layout != TS_LAYOUT_CONV || info->shape[0] != channels ||
        info->shape[1] != s[3] || info->shape[2] != 3 || info->shape[3] != 3)
        tape_fail(graph, TS_INVALID, "conv: parameter %s should have the shape [%d,%d,3,3]",
                  info ? info->name : "(none)", channels, s[3]);
    if (!tape_check_vector(graph, "conv", bias, channels, true) ||
        !tape_check_residual(graph, "conv", residual, s, channels))
        return -1;
    const ts_tensor y = tape_tensor_add(graph, s[0], s[1], s[2], channels, false);
    tape_open(graph, OPERATION_CONV, (ts_tensor[]){x, residual}, 2, y);
    tape_param(graph, 0, weight);
    tape_param(graph, 1, bias);
    STEP(graph, conv_forward, .n = s[0], .h = s[1], .w = s[2], .ci = s[3], .co = channels, .scale = scale);
    READ(graph, conv_forward, x, tape_buffer_of(graph, x));
    READ(graph, conv_forward, residual, tape_buffer_of(graph, residual));
    VALUE(graph, conv_forward, weight, weight);
    VALUE(graph, conv_forward, bias, bias);
    /* not in place over the residual: a device may then compute otherwise, and the result depend on
     * the plan */
    WRITE(graph, conv_forward, y, tape_buffer_of(graph, y));
    tape_close(graph);
    return y;
}

/* ---- dense layers ---- */

/* Parameters from `param` on, adjacent in memory, that together are `rows` rows of `columns`. */
static bool check_rows(ts_graph *graph, ts_param param, int rows, int columns)
{
    int64_t sum = 0;
    const ts_param_info *first = ts_params_info(graph->params, param);
    for (ts_param p = param; sum < rows && !graph->failed; p++) {
        const ts_param_info *info = ts_params_info(graph->params, p);
        const int64_t own = !info                                  ? 0
                            : info->layout == TS_LAYOUT_TRANSPOSED ? info->shape[1]
                            : info->rank > 0                       ? info->shape[0]
                                                                   : 1;
        if (!info || (p > param && !(info->trained && first->trained)) ||
            ts_param_elements(info) != own * columns)
            tape_fail(graph, TS_INVALID, "dense: parameter %s should be, or begin, a matrix [%d,%d]",
                      first ? first->name : "(none)", rows, columns);
        sum += own;
    }
    if (sum > rows)
        tape_fail(graph, TS_INVALID,
                  "dense: parameter %s should be, or begin, a matrix [%d,%d], it has %lld rows", first->name,
                  rows, columns, (long long)sum);
    return !graph->failed;
}

ts_tensor ts_dense(ts_graph *graph, ts_tensor x, bool silu_input, ts_param weight, ts_param bias,
                   int channels, ts_tensor residual, float scale)
{
    if (!tape_check_activation(graph, "dense", x))
        return -1;
    const int s[4] = {graph->tensors[x].shape[0], graph->tensors[x].shape[1], graph->tensors[x].shape[2],
                      graph->tensors[x].shape[3]};
    if (!check_rows(graph, weight, channels, s[3]) || (bias != -1 && !check_rows(graph, bias, channels, 1)) ||
        !tape_check_residual(graph, "dense", residual, s, channels))
        return -1;
    const ts_tensor y = tape_tensor_add(graph, s[0], s[1], s[2], channels, false);
    ts_tensor in[2];
    parts_of(graph, x, in);
    tape_open(graph, OPERATION_DENSE, (ts_tensor[]){in[0], residual, in[1]}, 3, y);
    tape_param(graph, 0, weight);
    tape_param(graph, 1, bias);
    STEP(graph, dense_forward, .rows = s[0] * s[1] * s[2], .in = s[3], .out = channels,
         .in2 = channels_of(graph, in[1]), .silu_input = silu_input, .scale = scale);
    READ(graph, dense_forward, x, tape_buffer_of(graph, in[0]));
    READ(graph, dense_forward, x2, tape_buffer_of(graph, in[1]));
    READ(graph, dense_forward, residual, tape_buffer_of(graph, residual));
    VALUE(graph, dense_forward, weight, weight);
    VALUE(graph, dense_forward, bias, bias);
    WRITE(graph, dense_forward, y, tape_buffer_of(graph, y));
    tape_in_place(graph, tape_buffer_of(graph, y), tape_buffer_of(graph, residual));
    tape_close(graph);
    return y;
}

ts_tensor ts_dense_matrix(ts_graph *graph, ts_tensor x, ts_tensor weight)
{
    if (!tape_check_activation(graph, "dense_matrix", x) || !tape_ready(graph, "dense_matrix", &weight, 1))
        return -1;
    const tape_tensor *m = &graph->tensors[weight];
    const int s[4] = {graph->tensors[x].shape[0], graph->tensors[x].shape[1], graph->tensors[x].shape[2],
                      graph->tensors[x].shape[3]};
    if (!m->is_float || m->shape[0] != 1 || m->shape[1] != 1 || m->shape[2] != s[3] || m->shape[3] != s[3]) {
        tape_fail(graph, TS_INVALID, "dense_matrix: the matrix is [%d,%d,%d,%d], it should be [1,1,%d,%d]",
                  m->shape[0], m->shape[1], m->shape[2], m->shape[3], s[3], s[3]);
        return -1;
    }
    const ts_tensor y = tape_tensor_add(graph, s[0], s[1], s[2], s[3], false);
    tape_open(graph, OPERATION_DENSE_MATRIX, (ts_tensor[]){x, weight}, 2, y);
    STEP(graph, dense_forward, .rows = s[0] * s[1] * s[2], .in = s[3], .out = s[3], .scale = 1.0f,
         .computed_weight = true);
    READ(graph, dense_forward, x, tape_buffer_of(graph, x));
    READ(graph, dense_forward, weight, tape_buffer_of(graph, weight));
    WRITE(graph, dense_forward, y, tape_buffer_of(graph, y));
    tape_close(graph);
    return y;
}

ts_tensor ts_attention(ts_graph *graph, ts_tensor qkv)
{
    if (!tape_check_activation(graph, "attention", qkv))
        return -1;
    const int s[4] = {graph->tensors[qkv].shape[0], graph->tensors[qkv].shape[1],
                      graph->tensors[qkv].shape[2], graph->tensors[qkv].shape[3]};
    if (s[3] % 3 != 0) {
        tape_fail(graph, TS_INVALID, "attention: %d channels are not three equal parts", s[3]);
        return -1;
    }
    const int tokens = s[1] * s[2], c = s[3] / 3;
    const ts_tensor y = tape_tensor_add(graph, s[0], s[1], s[2], c, false);
    const ts_tensor probabilities = tape_tensor_add(graph, s[0], tokens, tokens, 1, false);
    tape_open(graph, OPERATION_ATTENTION, &qkv, 1, y);
    STEP(graph, attention_forward, .n = s[0], .tokens = tokens, .c = c);
    READ(graph, attention_forward, qkv, tape_buffer_of(graph, qkv));
    WRITE(graph, attention_forward, probabilities, tape_buffer_of(graph, probabilities));
    WRITE(graph, attention_forward, y, tape_buffer_of(graph, y));
    if (!graph->failed)
        graph->nodes[graph->node_count - 1].extra[0] = tape_buffer_of(graph, probabilities);
    tape_close(graph);
    return y;
}

/* ---- normalisation and element-wise layers ---- */

static bool check_group_norm(ts_graph *graph, ts_tensor x, ts_tensor shift, ts_param gamma, ts_param beta,
                             int groups, float dropout)
{
    if (!tape_check_activation(graph, "group_norm", x) ||
        (shift != -1 && !tape_check_activation(graph, "group_norm", shift)))
        return false;
    const int *s = graph->tensors[x].shape, c = s[3];
    if (groups < 1 || c % groups != 0)
        tape_fail(graph, TS_INVALID, "group_norm: %d channels do not divide into %d groups", c, groups);
    else if (!(dropout >= 0.0f && dropout < 1.0f))
        tape_fail(graph, TS_INVALID, "group_norm: the dropout rate %g is not in [0, 1)", dropout);
    else if (shift != -1 &&
             (tape_elements(graph, shift) != (int64_t)s[0] * c || graph->tensors[shift].shape[3] != c))
        tape_fail(graph, TS_INVALID, "group_norm: the shift should have the shape [%d,1,1,%d]", s[0], c);
    return tape_check_vector(graph, "group_norm", gamma, c, false) &&
           tape_check_vector(graph, "group_norm", beta, c, false);
}

/* Sets height and width to those after resampling. */
static bool resample_size(ts_graph *graph, ts_resampling resample, int *h, int *w)
{
    const bool up = resample == TS_RESAMPLE_DOUBLE;
    if (resample == TS_RESAMPLE_NONE)
        return true;
    if (up ? *h > INT_MAX / 2 || *w > INT_MAX / 2 : *h % 2 != 0 || *w % 2 != 0) {
        tape_fail(graph, TS_INVALID, "group_norm: an image of %dx%d cannot be %s", *h, *w,
                  up ? "doubled" : "halved");
        return false;
    }
    *h = up ? 2 * *h : *h / 2;
    *w = up ? 2 * *w : *w / 2;
    return true;
}

/* Fills in the sizes of the arguments; `plain` gets the resampled input or is NULL. */
static ts_tensor group_norm(ts_graph *graph, ts_tensor x, ts_tensor shift, ts_param gamma, ts_param beta,
                            ts_group_norm_forward a, ts_tensor *plain)
{
    if (plain)
        *plain = -1;
    if (!check_group_norm(graph, x, shift, gamma, beta, a.groups, a.dropout))
        return -1;
    const int *const s = graph->tensors[x].shape;
    const int n = s[0], c = s[3];
    int h = s[1], w = s[2];
    a.n = n, a.hw = h * w, a.w = w, a.c = c;
    if (!resample_size(graph, a.resample, &h, &w))
        return -1;
    const ts_tensor y = tape_tensor_add(graph, n, h, w, c, false);
    const ts_tensor resampled = plain ? tape_tensor_add(graph, n, h, w, c, false) : -1;
    const size_t sums = (size_t)n * (size_t)a.groups * sizeof(float);
    const int mean = tape_buffer_add(graph, sums), rstd = tape_buffer_add(graph, sums);
    ts_tensor in[2];
    parts_of(graph, x, in);
    a.c2 = channels_of(graph, in[1]);
    tape_open(graph, OPERATION_GROUP_NORM, (ts_tensor[]){in[0], shift, in[1]}, 3, y);
    tape_param(graph, 0, gamma);
    tape_param(graph, 1, beta);
    tape_step_add(graph, KERNEL_group_norm_forward, &a, sizeof a);
    READ(graph, group_norm_forward, x, tape_buffer_of(graph, in[0]));
    READ(graph, group_norm_forward, x2, tape_buffer_of(graph, in[1]));
    READ(graph, group_norm_forward, shift, tape_buffer_of(graph, shift));
    VALUE(graph, group_norm_forward, gamma, gamma);
    VALUE(graph, group_norm_forward, beta, beta);
    WRITE(graph, group_norm_forward, y, tape_buffer_of(graph, y));
    WRITE(graph, group_norm_forward, x_resampled, tape_buffer_of(graph, resampled));
    WRITE(graph, group_norm_forward, mean, mean);
    WRITE(graph, group_norm_forward, rstd, rstd);
    if (!graph->failed) {
        tape_node *const node = &graph->nodes[graph->node_count - 1];
        node->extra[0] = mean;
        node->extra[1] = rstd;
        node->out[1] = resampled;
    }
    tape_close(graph);
    if (plain)
        *plain = resampled;
    return y;
}

ts_tensor ts_group_norm(ts_graph *graph, ts_tensor x, ts_tensor shift, ts_param gamma, ts_param beta,
                        int groups, float epsilon, bool silu, float dropout)
{
    const uint32_t layer = dropout > 0.0f ? graph->dropout_layers++ : 0;
    const ts_group_norm_forward a = {
        .groups = groups, .epsilon = epsilon, .silu = silu, .dropout = dropout, .layer = layer};
    return group_norm(graph, x, shift, gamma, beta, a, NULL);
}

ts_tensor ts_group_norm_resampled(ts_graph *graph, ts_tensor x, ts_param gamma, ts_param beta, int groups,
                                  float epsilon, bool silu, bool up, ts_tensor *x_resampled)
{
    const ts_group_norm_forward a = {.groups = groups,
                                     .epsilon = epsilon,
                                     .silu = silu,
                                     .resample = up ? TS_RESAMPLE_DOUBLE : TS_RESAMPLE_HALVE};
    return group_norm(graph, x, -1, gamma, beta, a, x_resampled);
}

ts_tensor ts_silu(ts_graph *graph, ts_tensor x)
{
    if (!tape_check_activation(graph, "silu", x))
        return -1;
    const int *s = graph->tensors[x].shape;
    const ts_tensor y = tape_tensor_add(graph, s[0], s[1], s[2], s[3], false);
    tape_open(graph, OPERATION_SILU, &x, 1, y);
    STEP(graph, silu_forward, .count = tape_elements(graph, x));
    READ(graph, silu_forward, x, tape_buffer_of(graph, x));
    WRITE(graph, silu_forward, y, tape_buffer_of(graph, y));
    tape_close(graph);
    return y;
}

ts_tensor ts_graph_add_scaled(ts_graph *graph, ts_tensor x, ts_tensor y, float scale)
{
    if (!tape_check_activation(graph, "add_scaled", x) || !tape_check_activation(graph, "add_scaled", y))
        return -1;
    if (!tape_same_shape(&graph->tensors[x], &graph->tensors[y])) {
        tape_fail(graph, TS_INVALID, "add_scaled: its operands have different shapes");
        return -1;
    }
    const int *s = graph->tensors[x].shape;
    const ts_tensor sum = tape_tensor_add(graph, s[0], s[1], s[2], s[3], false);
    const int64_t count = tape_elements(graph, sum);
    tape_open(graph, OPERATION_ADD_SCALED, (ts_tensor[]){x, y}, 2, sum);
    STEP(graph, add_scaled, .count = count, .scale = scale);
    READ(graph, add_scaled, x, tape_buffer_of(graph, x));
    WRITE(graph, add_scaled, y, tape_buffer_of(graph, sum));
    STEP(graph, add_scaled, .count = count, .scale = scale, .accumulate = true);
    READ(graph, add_scaled, x, tape_buffer_of(graph, y));
    UPDATE(graph, add_scaled, y, tape_buffer_of(graph, sum));
    tape_close(graph);
    return sum;
}

ts_tensor ts_concat(ts_graph *graph, ts_tensor a, ts_tensor b)
{
    if (!tape_check_activation(graph, "concat", a) || !tape_check_activation(graph, "concat", b))
        return -1;
    const int *p = graph->tensors[a].shape, *q = graph->tensors[b].shape;
    if (p[0] != q[0] || p[1] != q[1] || p[2] != q[2] || q[3] > INT_MAX - p[3]) {
        tape_fail(graph, TS_INVALID, "concat: [%d,%d,%d,%d] and [%d,%d,%d,%d] differ in more than channels",
                  p[0], p[1], p[2], p[3], q[0], q[1], q[2], q[3]);
        return -1;
    }
    const int c = p[3] + q[3], n = p[0], h = p[1], w = p[2];
    tape_write_whole(graph, a);
    tape_write_whole(graph, b);
    const ts_tensor y = tape_tensor_add(graph, n, h, w, c, false);
    if (!graph->failed) {
        graph->tensors[y].part[0] = a;
        graph->tensors[y].part[1] = b;
        graph->tensors[y].unwritten = true;
    }
    return y;
}

void tape_write_whole(ts_graph *graph, ts_tensor tensor)
{
    if (graph->failed || tensor < 0 || !graph->tensors[tensor].unwritten)
        return;
    tape_tensor *const t = &graph->tensors[tensor];
    const ts_tensor a = t->part[0], b = t->part[1];
    t->unwritten = false;
    tape_open(graph, OPERATION_CONCAT, t->part, 2, tensor);
    STEP(graph, concat_forward, .rows = tape_elements(graph, tensor) / channels_of(graph, tensor),
         .ca = channels_of(graph, a), .cb = channels_of(graph, b));
    READ(graph, concat_forward, a, tape_buffer_of(graph, a));
    READ(graph, concat_forward, b, tape_buffer_of(graph, b));
    WRITE(graph, concat_forward, y, tape_buffer_of(graph, tensor));
    tape_close(graph);
}

ts_tensor ts_slice(ts_graph *graph, ts_tensor x, int first, int channels)
{
    if (!tape_check_activation(graph, "slice", x))
        return -1;
    const int s[4] = {graph->tensors[x].shape[0], graph->tensors[x].shape[1], graph->tensors[x].shape[2],
                      graph->tensors[x].shape[3]};
    if (first < 0 || channels < 1 || first > s[3] - channels) {
        tape_fail(graph, TS_INVALID, "slice: channels %d to %d of a tensor with %d", first, first + channels,
                  s[3]);
        return -1;
    }
    const ts_tensor y = tape_tensor_add(graph, s[0], s[1], s[2], channels, false);
    tape_open(graph, OPERATION_SLICE, &x, 1, y);
    STEP(graph, slice_forward, .rows = (int64_t)s[0] * s[1] * s[2], .c_in = s[3], .first = first,
         .c_out = channels);
    READ(graph, slice_forward, x, tape_buffer_of(graph, x));
    WRITE(graph, slice_forward, y, tape_buffer_of(graph, y));
    tape_close(graph);
    return y;
}
