/*
 * The network as a score, and what every score shares.
 */
#include <stdlib.h>
#include "diffusion/buffer.h"
#include "diffusion/score.h"

typedef struct network_score {
    ts_score base;
    ts_graph *graph;
    ts_tensor x, t, net;
    float *converted, *converted_dx; /* where activations are not float32 */
} network_score;

/* float32 -> activations of the graph, or back. */
static ts_status convert(ts_device *device, int64_t count, bool to_float, const void *from, void *to)
{
    if (device->activation == TS_F32)
        return device->k->copy(device, to, from, (size_t)count * sizeof(float));
    const ts_convert a = {.count = count, .to_float = to_float, .x = from, .y = to};
    return device->k->convert(device, &a);
}

/* A graph tensor as float32: itself where it is. */
static ts_status as_float(const network_score *s, void *tensor, float *converted, const float **result)
{
    *result = tensor;
    if (!converted)
        return NULL;
    *result = converted;
    return convert(s->base.device, (int64_t)s->base.n * s->base.d, true, tensor, converted);
}

static ts_status evaluate(ts_score *score, const float *x, const float *t, const float **net)
{
    const network_score *s = (const network_score *)score;
    ts_device *device = score->device;
    TS_TRY(convert(device, (int64_t)score->n * score->d, false, x, ts_graph_data(s->graph, s->x)));
    TS_TRY(device->k->copy(device, ts_graph_data(s->graph, s->t), t, (size_t)score->n * sizeof *t));
    TS_TRY(ts_graph_forward(s->graph));
    return as_float(s, ts_graph_data(s->graph, s->net), s->converted, net);
}

static ts_status vjp(ts_score *score, const float *v, const float **dx)
{
    const network_score *s = (const network_score *)score;
    TS_TRY(
        convert(score->device, (int64_t)score->n * score->d, false, v, ts_graph_gradient(s->graph, s->net)));
    TS_TRY(ts_graph_backward(s->graph));
    return as_float(s, ts_graph_gradient(s->graph, s->x), s->converted_dx, dx);
}

static void destroy(ts_score *score)
{
    network_score *s = (network_score *)score;
    if (s->converted)
        score->device->k->release(score->device, s->converted);
    if (s->converted_dx)
        score->device->k->release(score->device, s->converted_dx);
    ts_graph_destroy(s->graph);
    free(s);
}

static ts_status build(network_score *s, ts_params *params, ts_network_apply *apply, const void *model, int h,
                       int w, int c, bool gradient)
{
    ts_device *device = s->base.device;
    TS_TRY(ts_graph_create(device, params, &s->graph));
    s->x = ts_graph_input(s->graph, "x", s->base.n, h, w, c);
    s->t = ts_graph_input_vector(s->graph, "t", s->base.n);
    s->net = apply(model, s->graph, s->x, s->t, false); /* x [n,h,w,c], t [n] -> [n,h,w,c] */
    ts_graph_output(s->graph, s->net, gradient);
    TS_TRY(ts_graph_plan(s->graph, gradient ? TS_PLAN_INPUT_GRADIENTS : TS_PLAN_FORWARD));
    if (device->activation == TS_F32)
        return NULL;
    const size_t count = (size_t)s->base.n * (size_t)s->base.d;
    TS_TRY(ts_buffer_floats(device, count, &s->converted));
    return gradient ? ts_buffer_floats(device, count, &s->converted_dx) : NULL;
}

ts_status ts_score_network(ts_device *device, ts_params *params, ts_network_apply *apply, const void *model,
                           int n, int h, int w, int c, bool gradient, ts_score **score)
{
    *score = NULL;
    network_score *s = calloc(1, sizeof *s);
    if (!s)
        return ts_error(TS_NO_MEMORY, "no memory for a score");
    s->base = (ts_score){.name = "network",
                         .device = device,
                         .n = n,
                         .d = h * w * c,
                         .evaluate = evaluate,
                         .vjp = gradient ? vjp : NULL,
                         .destroy = destroy};
    ts_status status = build(s, params, apply, model, h, w, c, gradient);
    if (status)
        destroy(&s->base);
    else
        *score = &s->base;
    return ts_context(status, "network for batches of %d", n);
}

void ts_score_destroy(ts_score *score)
{
    if (score)
        score->destroy(score);
}
