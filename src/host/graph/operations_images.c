/* The builders of what networks that look at images need: convolutions of any window, pooling. */
#include "graph/operations.h"

/* Whether a window fits an image [h,w]; `overlap`: at every place it must cover a pixel. */
static bool check_window(ts_graph *graph, const char *operation, const ts_window *w, const int shape[4],
                         bool overlap)
{
    const int most = 1 << 12;
    if (w->h < 1 || w->w < 1 || w->stride_h < 1 || w->stride_w < 1 || w->pad_h < 0 || w->pad_w < 0 ||
        w->h > most || w->w > most || w->pad_h > most || w->pad_w > most ||
        (overlap && (w->pad_h >= w->h || w->pad_w >= w->w)) ||
        ts_window_places(shape[1], w->h, w->stride_h, w->pad_h) < 1 ||
        ts_window_places(shape[2], w->w, w->stride_w, w->pad_w) < 1)
        tape_fail(graph, TS_INVALID,
                  "%s: a window of %dx%d, %d,%d apart, padded by %d,%d, over an image of %dx%d", operation,
                  w->h, w->w, w->stride_h, w->stride_w, w->pad_h, w->pad_w, shape[1], shape[2]);
    return !graph->failed;
}

/* -> [n,oh,ow,channels] */
static ts_tensor add_output(ts_graph *graph, const ts_window *w, const int shape[4], int channels)
{
    return tape_tensor_add(graph, shape[0], ts_window_places(shape[1], w->h, w->stride_h, w->pad_h),
                           ts_window_places(shape[2], w->w, w->stride_w, w->pad_w), channels, false);
}

static bool check_weight(ts_graph *graph, ts_param weight, const ts_conv2d *a)
{
    const ts_param_info *info = ts_params_info(graph->params, weight);
    if (a->co < 1 || a->groups < 1 || a->ci % a->groups || a->co % a->groups)
        tape_fail(graph, TS_INVALID, "conv2d: %d to %d channels in %d groups", a->ci, a->co, a->groups);
    else if (!info || info->rank != 4 || info->layout != TS_LAYOUT_CONV || info->shape[0] != a->co ||
             info->shape[1] != a->ci / a->groups || info->shape[2] != a->window.h ||
             info->shape[3] != a->window.w)
        tape_fail(graph, TS_INVALID, "conv2d: parameter %s should have the shape [%d,%d,%d,%d]",
                  info ? info->name : "(none)", a->co, a->ci / a->groups, a->window.h, a->window.w);
    return !graph->failed;
}

ts_tensor ts_graph_conv2d(ts_graph *graph, ts_tensor x, ts_param weight, ts_param bias, const ts_conv2d *like,
                          ts_tensor residual)
{
    if (!tape_check_activation(graph, "conv2d", x))
        return -1;
    ts_conv2d a = *like;
    const int *s = graph->tensors[x].shape;
    a.n = s[0], a.h = s[1], a.w = s[2], a.ci = s[3];
    if (!check_window(graph, "conv2d", &a.window, s, false) || !check_weight(graph, weight, &a) ||
        !tape_check_vector(graph, "conv2d", bias, a.co, true))
        return -1;
    const ts_tensor y = add_output(graph, &a.window, s, a.co);
    if (graph->failed || !tape_check_residual(graph, "conv2d", residual, graph->tensors[y].shape, a.co))
        return -1;
    tape_open(graph, OPERATION_CONV2D, (ts_tensor[]){x, residual}, 2, y);
    tape_param(graph, 0, weight);
    tape_param(graph, 1, bias);
    tape_step_add(graph, KERNEL_conv2d, &a, sizeof a);
    READ(graph, conv2d, x, tape_buffer_of(graph, x));
    READ(graph, conv2d, residual, tape_buffer_of(graph, residual));
    VALUE(graph, conv2d, weight, weight);
    VALUE(graph, conv2d, bias, bias);
    WRITE(graph, conv2d, y, tape_buffer_of(graph, y));
    tape_close(graph);
    return y;
}

ts_tensor ts_graph_pool(ts_graph *graph, ts_tensor x, const ts_pool *like)
{
    if (!tape_check_activation(graph, "pool", x))
        return -1;
    ts_pool a = *like;
    const int *s = graph->tensors[x].shape;
    a.n = s[0], a.h = s[1], a.w = s[2], a.c = s[3];
    if (!check_window(graph, "pool", &a.window, s, true))
        return -1;
    const ts_tensor y = add_output(graph, &a.window, s, a.c);
    tape_open(graph, OPERATION_POOL, &x, 1, y);
    tape_step_add(graph, KERNEL_pool, &a, sizeof a);
    READ(graph, pool, x, tape_buffer_of(graph, x));
    WRITE(graph, pool, y, tape_buffer_of(graph, y));
    tape_close(graph);
    return y;
}
