/* The builders of what U-Nets need besides: embeddings of the time, affine maps, resampling by filters. */
#include "graph/operations.h"

/* ---- embeddings ---- */

static bool check_embedding(ts_graph *graph, const char *operation, ts_tensor t, int channels)
{
    if (!tape_ready(graph, operation, &t, 1))
        return false;
    const tape_tensor *times = &graph->tensors[t];
    if (!times->is_float || tape_elements(graph, t) != times->shape[0] || channels < 4 || channels % 2 != 0)
        tape_fail(graph, TS_INVALID,
                  "%s: it needs a vector of times and an even number of channels from 4 on, not %d",
                  operation, channels);
    return !graph->failed;
}

ts_tensor ts_graph_time_embedding(ts_graph *graph, ts_tensor t, const ts_sde *sde, ts_time_input_kind input,
                                  int channels)
{
    if (!check_embedding(graph, "time_embedding", t, channels))
        return -1;
    const int n = graph->tensors[t].shape[0];
    const ts_tensor y = tape_tensor_add(graph, n, 1, 1, channels, false);
    tape_open(graph, OPERATION_TIME_EMBEDDING, &t, 1, y);
    STEP(graph, time_embedding, .n = n, .c = channels, .sde = *sde, .input = input);
    READ(graph, time_embedding, t, tape_buffer_of(graph, t));
    WRITE(graph, time_embedding, y, tape_buffer_of(graph, y));
    tape_close(graph);
    return y;
}

ts_tensor ts_graph_fourier_embedding(ts_graph *graph, ts_tensor t, const ts_sde *sde,
                                     ts_time_input_kind input, ts_param frequencies, int channels)
{
    if (!check_embedding(graph, "fourier_embedding", t, channels) ||
        !tape_check_vector(graph, "fourier_embedding", frequencies, channels / 2, false))
        return -1;
    const int n = graph->tensors[t].shape[0];
    const ts_tensor y = tape_tensor_add(graph, n, 1, 1, channels, false);
    tape_open(graph, OPERATION_FOURIER_EMBEDDING, &t, 1, y);
    STEP(graph, fourier_embedding, .n = n, .c = channels, .sde = *sde, .input = input);
    READ(graph, fourier_embedding, t, tape_buffer_of(graph, t));
    VALUE(graph, fourier_embedding, frequencies, frequencies);
    WRITE(graph, fourier_embedding, y, tape_buffer_of(graph, y));
    tape_close(graph);
    return y;
}

ts_tensor ts_graph_lambda_embedding(ts_graph *graph, ts_tensor t, const ts_sde *sde, double t_min,
                                    double t_max, int waves)
{
    if (!check_embedding(graph, "lambda_embedding", t, 2 * waves))
        return -1;
    const int n = graph->tensors[t].shape[0];
    const double low = ts_sde_lambda(sde, t_min), width = ts_sde_lambda(sde, t_max) - low;
    const ts_tensor y = tape_tensor_add(graph, n, 1, 1, 1 + 2 * waves, false);
    tape_open(graph, OPERATION_LAMBDA_EMBEDDING, &t, 1, y);
    STEP(graph, lambda_embedding, .n = n, .waves = waves, .sde = *sde, .low = low,
         .scale = width > 0 ? 1.5707963267948966 / width : 0);
    READ(graph, lambda_embedding, t, tape_buffer_of(graph, t));
    WRITE(graph, lambda_embedding, y, tape_buffer_of(graph, y));
    tape_close(graph);
    return y;
}

/* ---- affine maps ---- */

ts_tensor ts_graph_affine(ts_graph *graph, ts_tensor x, ts_tensor t, const ts_sde *sde, float scale,
                          float offset)
{
    if (!tape_check_activation(graph, "affine", x) || (t != -1 && !tape_ready(graph, "affine", &t, 1)))
        return -1;
    const int *s = graph->tensors[x].shape, n = s[0], h = s[1], w = s[2], c = s[3];
    if (t != -1 && (!graph->tensors[t].is_float || tape_elements(graph, t) != n)) {
        tape_fail(graph, TS_INVALID, "affine: it needs a vector of %d times", n);
        return -1;
    }
    const ts_tensor y = tape_tensor_add(graph, n, h, w, c, false);
    tape_open(graph, OPERATION_AFFINE, (ts_tensor[]){x, t}, 2, y);
    STEP(graph, affine, .n = n, .d = h * w * c, .sde = sde ? *sde : (ts_sde){0}, .scale = scale,
         .offset = offset);
    READ(graph, affine, x, tape_buffer_of(graph, x));
    READ(graph, affine, t, tape_buffer_of(graph, t));
    WRITE(graph, affine, y, tape_buffer_of(graph, y));
    tape_close(graph);
    return y;
}

/* ---- predictions ---- */

ts_tensor ts_graph_to_noise(ts_graph *graph, ts_tensor net, ts_tensor x, ts_tensor t, const ts_sde *sde,
                            ts_predicts_kind predicts)
{
    const ts_tensor in[] = {net, x, t};
    if (predicts == TS_PREDICTS_NOISE)
        return net;
    if (!tape_ready(graph, "to_noise", in, 3))
        return -1;
    const tape_tensor *tensors = graph->tensors;
    const int *s = tensors[x].shape, n = s[0], h = s[1], w = s[2], c = s[3];
    if (tensors[x].is_float || !tape_same_shape(&tensors[net], &tensors[x]) || !tensors[t].is_float ||
        tape_elements(graph, t) != n) {
        tape_fail(graph, TS_INVALID,
                  "to_noise: it needs two activations of one shape and a vector of %d times", n);
        return -1;
    }
    const ts_tensor y = tape_tensor_add(graph, n, h, w, c, false);
    tape_open(graph, OPERATION_TO_NOISE, in, 3, y);
    STEP(graph, to_noise, .n = n, .d = h * w * c, .sde = *sde, .predicts = predicts);
    READ(graph, to_noise, net, tape_buffer_of(graph, net));
    READ(graph, to_noise, xt, tape_buffer_of(graph, x));
    READ(graph, to_noise, t, tape_buffer_of(graph, t));
    WRITE(graph, to_noise, y, tape_buffer_of(graph, y));
    tape_close(graph);
    return y;
}

/* ---- filters ---- */

ts_tensor ts_graph_fir(ts_graph *graph, ts_tensor x, const ts_fir *filter, ts_tensor residual, float scale)
{
    if (!tape_check_activation(graph, "fir", x))
        return -1;
    ts_fir a = *filter;
    if (a.up < 1 || a.up > 2 || a.down < 1 || a.down > 2 || a.taps < 1 || a.taps > TS_FIR_TAPS || a.oh < 1 ||
        a.ow < 1) {
        tape_fail(graph, TS_INVALID, "fir: %d taps up %d, down %d to an image of %dx%d", a.taps, a.up, a.down,
                  a.oh, a.ow);
        return -1;
    }
    const int *s = graph->tensors[x].shape;
    a.n = s[0], a.h = s[1], a.w = s[2], a.c = s[3];
    a.scale = scale;
    if (!tape_check_residual(graph, "fir", residual, (int[]){a.n, a.oh, a.ow}, a.c))
        return -1;
    const ts_tensor y = tape_tensor_add(graph, a.n, a.oh, a.ow, a.c, false);
    tape_open(graph, OPERATION_FIR, (ts_tensor[]){x, residual}, 2, y);
    tape_step_add(graph, KERNEL_fir, &a, sizeof a);
    READ(graph, fir, x, tape_buffer_of(graph, x));
    READ(graph, fir, residual, tape_buffer_of(graph, residual));
    WRITE(graph, fir, y, tape_buffer_of(graph, y));
    tape_close(graph);
    return y;
}
