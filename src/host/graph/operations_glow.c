/* The builders of Glow's operations. */
#include "graph/operations.h"

#include <limits.h>

/* Ends a node whose second output is the log-determinant, -1 where none is wanted. */
static ts_tensor close_with_logdet(ts_graph *graph, ts_tensor y, ts_tensor determinant, ts_tensor *logdet)
{
    if (!graph->failed)
        graph->nodes[graph->node_count - 1].out[1] = determinant;
    if (logdet)
        *logdet = determinant;
    tape_close(graph);
    return y;
}

ts_tensor ts_graph_squeeze(ts_graph *graph, ts_tensor x, bool inverse)
{
    if (!tape_check_activation(graph, "squeeze", x))
        return -1;
    const int *s = graph->tensors[x].shape;
    const int n = s[0], h = s[1], w = s[2], c = s[3];
    if (inverse ? c % 4 != 0 || h > INT_MAX / 2 || w > INT_MAX / 2
                : h % 2 != 0 || w % 2 != 0 || c > INT_MAX / 4) {
        tape_fail(graph, TS_INVALID, "squeeze: [%d,%d,%d,%d] has no %s", n, h, w, c,
                  inverse ? "four equal parts of channels" : "even height and width");
        return -1;
    }
    const ts_tensor y = inverse ? tape_tensor_add(graph, n, 2 * h, 2 * w, c / 4, false)
                                : tape_tensor_add(graph, n, h / 2, w / 2, 4 * c, false);
    tape_open(graph, OPERATION_SQUEEZE, &x, 1, y);
    STEP(graph, squeeze, .n = n, .h = inverse ? 2 * h : h, .w = inverse ? 2 * w : w, .c = inverse ? c / 4 : c,
         .inverse = inverse);
    READ(graph, squeeze, x, tape_buffer_of(graph, x));
    WRITE(graph, squeeze, y, tape_buffer_of(graph, y));
    tape_close(graph);
    return y;
}

ts_tensor ts_actnorm(ts_graph *graph, ts_tensor x, ts_param bias, ts_param logs, float factor, bool relu,
                     bool inverse, bool initialize)
{
    if (!tape_check_activation(graph, "actnorm", x))
        return -1;
    const int *s = graph->tensors[x].shape;
    const int n = s[0], h = s[1], w = s[2], c = s[3];
    if (!tape_check_vector(graph, "actnorm", bias, c, true) ||
        !tape_check_vector(graph, "actnorm", logs, c, false))
        return -1;
    if (inverse && (relu || initialize)) {
        tape_fail(graph, TS_INVALID, "actnorm: the inverse has no ReLU and cannot be initialised");
        return -1;
    }
    const ts_tensor y = tape_tensor_add(graph, n, h, w, c, false);
    tape_open(graph, inverse ? OPERATION_ACTNORM_INVERSE : OPERATION_ACTNORM, &x, 1, y);
    tape_param(graph, 0, bias);
    tape_param(graph, 1, logs);
    STEP(graph, actnorm_forward, .rows = (int64_t)n * h * w, .c = c, .factor = factor, .relu = relu,
         .inverse = inverse);
    READ(graph, actnorm_forward, x, tape_buffer_of(graph, x));
    VALUE(graph, actnorm_forward, bias, bias);
    VALUE(graph, actnorm_forward, logs, logs);
    WRITE(graph, actnorm_forward, y, tape_buffer_of(graph, y));
    if (!graph->failed)
        graph->steps[graph->step_count - 1].initialize = initialize;
    tape_close(graph);
    return y;
}

ts_tensor ts_image_norm(ts_graph *graph, ts_tensor x, ts_tensor h, bool inverse, ts_tensor *logdet)
{
    if (logdet)
        *logdet = -1;
    if (!tape_check_activation(graph, "image_norm", x) || !tape_check_activation(graph, "image_norm", h))
        return -1;
    const int *s = graph->tensors[x].shape, *p = graph->tensors[h].shape;
    const int n = s[0], height = s[1], w = s[2], c = s[3];
    if (p[0] != n || p[1] != 1 || p[2] != 1 || p[3] != 2 * (int64_t)c) {
        tape_fail(graph, TS_INVALID, "image_norm: [%d,%d,%d,%d] with bias and logs [%d,%d,%d,%d]", n, height,
                  w, c, p[0], p[1], p[2], p[3]);
        return -1;
    }
    const ts_tensor y = tape_tensor_add(graph, n, height, w, c, false);
    const ts_tensor determinant = logdet ? tape_tensor_add(graph, n, 1, 1, 1, true) : -1;
    tape_open(graph, inverse ? OPERATION_IMAGE_NORM_INVERSE : OPERATION_IMAGE_NORM, (ts_tensor[]){x, h}, 2,
              y);
    STEP(graph, image_norm_forward, .n = n, .hw = height * w, .c = c, .inverse = inverse);
    READ(graph, image_norm_forward, x, tape_buffer_of(graph, x));
    READ(graph, image_norm_forward, h, tape_buffer_of(graph, h));
    WRITE(graph, image_norm_forward, y, tape_buffer_of(graph, y));
    WRITE(graph, image_norm_forward, logdet, tape_buffer_of(graph, determinant));
    return close_with_logdet(graph, y, determinant, logdet);
}

ts_tensor ts_glow_matrix(ts_graph *graph, ts_param permutation, ts_param lower, ts_param upper, ts_param sign,
                         ts_param log_s, int c, bool inverse)
{
    const int square = c > 0 && c < 46341 ? c * c : 0;
    if (!tape_ready(graph, "glow_matrix", NULL, 0) ||
        !tape_check_vector(graph, "glow_matrix", permutation, square, false) ||
        !tape_check_vector(graph, "glow_matrix", lower, square, false) ||
        !tape_check_vector(graph, "glow_matrix", upper, square, false) ||
        !tape_check_vector(graph, "glow_matrix", sign, c, false) ||
        !tape_check_vector(graph, "glow_matrix", log_s, c, false))
        return -1;
    const ts_tensor y = tape_tensor_add(graph, 1, 1, c, c, true);
    tape_open(graph, inverse ? OPERATION_GLOW_MATRIX_INVERSE : OPERATION_GLOW_MATRIX, NULL, 0, y);
    const ts_param params[] = {permutation, lower, upper, sign, log_s};
    for (int i = 0; i < 5; i++)
        tape_param(graph, i, params[i]);
    STEP(graph, glow_matrix_forward, .c = c, .inverse = inverse);
    VALUE(graph, glow_matrix_forward, permutation, permutation);
    VALUE(graph, glow_matrix_forward, lower, lower);
    VALUE(graph, glow_matrix_forward, upper, upper);
    VALUE(graph, glow_matrix_forward, sign, sign);
    VALUE(graph, glow_matrix_forward, log_s, log_s);
    WRITE(graph, glow_matrix_forward, weight, tape_buffer_of(graph, y));
    tape_close(graph);
    return y;
}

ts_tensor ts_coupling(ts_graph *graph, ts_tensor x, ts_tensor h, bool inverse, ts_tensor *logdet)
{
    if (logdet)
        *logdet = -1;
    if (!tape_check_activation(graph, "coupling", x) || !tape_check_activation(graph, "coupling", h))
        return -1;
    const int *s = graph->tensors[x].shape;
    const int n = s[0], height = s[1], w = s[2], c = s[3];
    if (!tape_same_shape(&graph->tensors[x], &graph->tensors[h]) || c % 2 != 0 || (!inverse && !logdet)) {
        tape_fail(
            graph, TS_INVALID,
            "coupling: it needs two tensors of one shape with an even number of channels, and a place for "
            "the log-determinant");
        return -1;
    }
    const ts_tensor y = tape_tensor_add(graph, n, height, w, c, false);
    const ts_tensor determinant = logdet ? tape_tensor_add(graph, n, 1, 1, 1, true) : -1;
    tape_open(graph, inverse ? OPERATION_COUPLING_INVERSE : OPERATION_COUPLING, (ts_tensor[]){x, h}, 2, y);
    STEP(graph, coupling_forward, .n = n, .hw = height * w, .c = c, .inverse = inverse);
    READ(graph, coupling_forward, x, tape_buffer_of(graph, x));
    READ(graph, coupling_forward, h, tape_buffer_of(graph, h));
    WRITE(graph, coupling_forward, y, tape_buffer_of(graph, y));
    WRITE(graph, coupling_forward, logdet, tape_buffer_of(graph, determinant));
    return close_with_logdet(graph, y, determinant, logdet);
}

/* ---- Gaussians ---- */

ts_tensor ts_gaussian(ts_graph *graph, ts_tensor x, int first, int channels, ts_tensor h, bool interleaved)
{
    if (!tape_check_activation(graph, "gaussian", x) || !tape_check_activation(graph, "gaussian", h))
        return -1;
    const int *s = graph->tensors[x].shape, *p = graph->tensors[h].shape;
    const int n = s[0], hw = s[1] * s[2], stride = s[3];
    if (first < 0 || channels < 1 || first > stride - channels || p[0] != s[0] || p[1] != s[1] ||
        p[2] != s[2] || p[3] != 2 * (int64_t)channels) {
        tape_fail(graph, TS_INVALID,
                  "gaussian: channels %d to %d of [%d,%d,%d,%d] with means and log-deviations [%d,%d,%d,%d]",
                  first, first + channels, s[0], s[1], s[2], s[3], p[0], p[1], p[2], p[3]);
        return -1;
    }
    const ts_tensor y = tape_tensor_add(graph, n, 1, 1, 1, true);
    tape_open(graph, OPERATION_GAUSSIAN, (ts_tensor[]){x, h}, 2, y);
    STEP(graph, gaussian_forward, .n = n, .hw = hw, .c = channels, .stride = stride, .first = first,
         .interleaved = interleaved);
    READ(graph, gaussian_forward, x, tape_buffer_of(graph, x));
    READ(graph, gaussian_forward, h, tape_buffer_of(graph, h));
    WRITE(graph, gaussian_forward, logp, tape_buffer_of(graph, y));
    tape_close(graph);
    return y;
}

ts_tensor ts_gaussian_draw(ts_graph *graph, ts_tensor h, int channels, bool interleaved, float temperature,
                           const ts_step_state *state, uint32_t stream, uint32_t element)
{
    if (!tape_check_activation(graph, "gaussian_draw", h))
        return -1;
    const int *s = graph->tensors[h].shape;
    const int n = s[0], height = s[1], w = s[2];
    if (channels < 1 || s[3] != 2 * (int64_t)channels || element % 4 != 0 ||
        (!state && temperature != 0.0f)) {
        tape_fail(graph, TS_INVALID,
                  "gaussian_draw: %d channels from %d means and log-deviations, first element %u (a multiple "
                  "of 4), and a step state to draw from",
                  channels, s[3], element);
        return -1;
    }
    const ts_tensor y = tape_tensor_add(graph, n, height, w, channels, false);
    tape_open(graph, OPERATION_GAUSSIAN_DRAW, &h, 1, y);
    STEP(graph, gaussian_sample, .n = n, .hw = height * w, .c = channels, .stride = channels,
         .interleaved = interleaved, .temperature = temperature, .state = state, .stream = stream,
         .element = element);
    READ(graph, gaussian_sample, h, tape_buffer_of(graph, h));
    WRITE(graph, gaussian_sample, x, tape_buffer_of(graph, y));
    tape_close(graph);
    return y;
}

/* ---- whitening ---- */

ts_tensor ts_graph_whiten(ts_graph *graph, ts_tensor x, ts_tensor t, const ts_whiten *like, bool inverse,
                          ts_tensor *logdet)
{
    if (logdet)
        *logdet = -1;
    if (!tape_check_activation(graph, "whiten", x) || !tape_ready(graph, "whiten", &t, 1))
        return -1;
    const int *s = graph->tensors[x].shape;
    const int n = s[0], h = s[1], w = s[2], c = s[3];
    if (!graph->tensors[t].is_float || tape_elements(graph, t) != n || like->d != h * (int64_t)w * c ||
        (!inverse && !logdet)) {
        tape_fail(
            graph, TS_INVALID,
            "whiten: [%d,%d,%d,%d] needs a vector of %d times, a Gaussian of as many dimensions, not %d, "
            "and a place for the log-determinant",
            n, h, w, c, n, like->d);
        return -1;
    }
    const ts_tensor y = tape_tensor_add(graph, n, h, w, c, false);
    const ts_tensor determinant = logdet ? tape_tensor_add(graph, n, 1, 1, 1, true) : -1;
    tape_open(graph, inverse ? OPERATION_WHITEN_INVERSE : OPERATION_WHITEN, (ts_tensor[]){x, t}, 2, y);
    STEP(graph, whiten, .n = n, .d = like->d, .inverse = inverse, .sde = like->sde, .mean = like->mean,
         .values = like->values, .vectors = like->vectors);
    READ(graph, whiten, x, tape_buffer_of(graph, x));
    READ(graph, whiten, t, tape_buffer_of(graph, t));
    WRITE(graph, whiten, y, tape_buffer_of(graph, y));
    WRITE(graph, whiten, log_det, tape_buffer_of(graph, determinant));
    return close_with_logdet(graph, y, determinant, logdet);
}

/* ---- sums ---- */

ts_tensor ts_parameter_sum(ts_graph *graph, ts_param p, int n, float factor)
{
    const ts_param_info *info = ts_params_info(graph->params, p);
    const int64_t count = info ? ts_param_elements(info) : 0;
    if (!tape_ready(graph, "parameter_sum", NULL, 0))
        return -1;
    if (count < 1 || count > INT_MAX) {
        tape_fail(graph, TS_INVALID, "parameter_sum: a parameter is missing or too large");
        return -1;
    }
    const ts_tensor y = tape_tensor_add(graph, n, 1, 1, 1, true);
    tape_open(graph, OPERATION_PARAMETER_SUM, NULL, 0, y);
    tape_param(graph, 0, p);
    STEP(graph, parameter_sum_forward, .n = n, .count = (int)count, .factor = factor);
    VALUE(graph, parameter_sum_forward, p, p);
    WRITE(graph, parameter_sum_forward, y, tape_buffer_of(graph, y));
    tape_close(graph);
    return y;
}

static ts_tensor sum_some(ts_graph *graph, const ts_tensor *vectors, int count)
{
    if (!tape_ready(graph, "vector_sum", vectors, count))
        return -1;
    const int n = graph->tensors[vectors[0]].shape[0];
    for (int i = 0; i < count; i++)
        if (!graph->tensors[vectors[i]].is_float || tape_elements(graph, vectors[i]) != n ||
            graph->tensors[vectors[i]].shape[0] != n) {
            tape_fail(graph, TS_INVALID, "vector_sum: operand %d is not a float vector of %d", i + 1, n);
            return -1;
        }
    const ts_tensor y = tape_tensor_add(graph, n, 1, 1, 1, true);
    tape_open(graph, OPERATION_VECTOR_SUM, vectors, count, y);
    STEP(graph, vector_sum, .n = n, .count = count);
    for (int i = 0; i < count; i++)
        tape_bind(graph, offsetof(ts_vector_sum, x) + (size_t)i * sizeof(float *), ACCESS_READ,
                  tape_buffer_of(graph, vectors[i]));
    WRITE(graph, vector_sum, y, tape_buffer_of(graph, y));
    tape_close(graph);
    return y;
}

/* More than one step can take become a chain of sums. */
ts_tensor ts_graph_vector_sum(ts_graph *graph, const ts_tensor *vectors, int count)
{
    if (count < 1) {
        tape_fail(graph, TS_INVALID, "vector_sum: there is nothing to sum");
        return -1;
    }
    ts_tensor sum = -1;
    for (int done = 0; done < count && !graph->failed;) {
        ts_tensor part[NODE_INPUTS];
        int size = 0;
        if (sum >= 0)
            part[size++] = sum;
        while (size < NODE_INPUTS && done < count)
            part[size++] = vectors[done++];
        sum = sum_some(graph, part, size);
    }
    return graph->failed ? -1 : sum;
}
