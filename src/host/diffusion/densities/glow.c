/*
 * A fitted Glow as a start density: one graph that evaluates, one that samples, and once it is asked for one whose backward
 * pass gives the flow's own score, over the same parameters.
 */
#include <stdlib.h>
#include "diffusion/buffer.h"
#include "diffusion/densities/density.h"
#include "diffusion/recorded.h"

typedef struct glow_density {
    ts_density base;
    const ts_glow *glow;
    ts_params *params;
    float T;
    int h, w, c;
    ts_graph *evaluate, *draw, *slope; /* slope: NULL until the score is asked for */
    ts_recorded evaluated, drawn, sloped;
    ts_tensor x, log_prob, sample, slope_x, slope_log_prob;
    ts_step_state *state; /* device: the caller's, copied, for the graph's address of it is fixed */
    float *ones;          /* device, [n] */
    float *noise;         /* device, [n,d]; with slope */
    double s;             /* the slope's rows are seeded with -s */
} glow_density;

static ts_status queue_graph(void *graph)
{
    return ts_graph_forward(graph);
}

static ts_status queue_both_ways(void *graph)
{
    TS_TRY(ts_graph_forward(graph));
    return ts_graph_backward(graph);
}

/* x [n,d] in float32 -> an input of a graph. */
static ts_status set_input(const glow_density *g, ts_graph *graph, ts_tensor input, const float *x)
{
    ts_device *device = g->base.device;
    const ts_convert c = {.count = (int64_t)g->base.n * g->base.d, .x = x, .y = ts_graph_data(graph, input)};
    return device->k->convert(device, &c);
}

/* A vector of the graph's with `value` in each of its n places. */
static ts_status fill(const glow_density *g, float *vector, float value)
{
    ts_device *device = g->base.device;
    float *values = NULL;
    ts_status status = ts_buffer_fill(device, (size_t)g->base.n, value, &values);
    if (!status)
        status = device->k->copy(device, vector, values, (size_t)g->base.n * sizeof *values);
    if (!status)
        status = device->k->synchronize(device);
    if (values)
        device->k->release(device, values);
    return status;
}

/* x and log nu(x | T) as tensors of a graph; with `gradient` its backward pass goes from the one to the other. */
static ts_status build_log_prob(const glow_density *g, bool gradient, ts_graph **graph, ts_tensor *x,
                                ts_tensor *log_prob)
{
    TS_TRY(ts_graph_create(g->base.device, g->params, graph));
    *x = ts_graph_input(*graph, "x", g->base.n, g->h, g->w, g->c);
    ts_tensor t = ts_graph_input_vector(*graph, "t", g->base.n);
    *log_prob = ts_glow_log_prob(g->glow, *graph, *x, t, NULL);
    ts_graph_output(*graph, *log_prob, gradient);
    TS_TRY(ts_graph_plan(*graph, gradient ? TS_PLAN_INPUT_GRADIENTS : TS_PLAN_FORWARD));
    return fill(g, ts_graph_data(*graph, t), g->T);
}

static ts_status glow_sample(ts_density *density, const ts_step_state *state, float *x)
{
    glow_density *g = (glow_density *)density;
    ts_device *device = density->device;
    TS_TRY(device->k->copy(device, g->state, state, sizeof *state));
    TS_TRY(ts_recorded_run(&g->drawn, queue_graph, g->draw));
    ts_convert c = {.count = (int64_t)density->n * density->d,
                    .to_float = true,
                    .x = ts_graph_data(g->draw, g->sample),
                    .y = x};
    return device->k->convert(device, &c);
}

static ts_status glow_log_prob(ts_density *density, const float *x, double *log_prob)
{
    glow_density *g = (glow_density *)density;
    ts_device *device = density->device;
    TS_TRY(set_input(g, g->evaluate, g->x, x));
    TS_TRY(ts_recorded_run(&g->evaluated, queue_graph, g->evaluate));
    /* to double: each log-density times one */
    ts_row_dot a = {
        .n = density->n, .d = 1, .x = ts_graph_data(g->evaluate, g->log_prob), .y = g->ones, .out = log_prob};
    return device->k->row_dot(device, &a);
}

static ts_status open_slope(glow_density *g)
{
    ts_status status = build_log_prob(g, true, &g->slope, &g->slope_x, &g->slope_log_prob);
    if (!status)
        status = ts_buffer_floats(g->base.device, (size_t)g->base.n * (size_t)g->base.d, &g->noise);
    if (status) {
        ts_graph_destroy(g->slope);
        g->slope = NULL;
    }
    return status;
}

/* By the backward pass of the log-densities, each seeded with -s. */
static ts_status glow_noise(ts_density *density, double s, const float *x, const float **noise)
{
    glow_density *g = (glow_density *)density;
    ts_device *device = density->device;
    if (!g->noise)
        TS_TRY(open_slope(g));
    if (s != g->s)
        TS_TRY(fill(g, ts_graph_gradient(g->slope, g->slope_log_prob), (float)-s));
    g->s = s;
    TS_TRY(set_input(g, g->slope, g->slope_x, x));
    TS_TRY(ts_recorded_run(&g->sloped, queue_both_ways, g->slope));
    const ts_convert to_float = {.count = (int64_t)density->n * density->d,
                                 .to_float = true,
                                 .x = ts_graph_gradient(g->slope, g->slope_x),
                                 .y = g->noise};
    *noise = g->noise;
    return device->k->convert(device, &to_float);
}

static void glow_destroy(ts_density *density)
{
    glow_density *g = (glow_density *)density;
    ts_device *device = density->device;
    ts_recorded_forget(&g->evaluated);
    ts_recorded_forget(&g->drawn);
    ts_recorded_forget(&g->sloped);
    ts_graph_destroy(g->evaluate);
    ts_graph_destroy(g->draw);
    ts_graph_destroy(g->slope);
    device->k->release(device, g->state);
    device->k->release(device, g->ones);
    if (g->noise)
        device->k->release(device, g->noise);
    free(g);
}

static ts_status build(glow_density *g)
{
    ts_device *device = g->base.device;
    const int n = g->base.n;
    TS_TRY(ts_buffer_state(device, &g->state));
    TS_TRY(ts_buffer_fill(device, (size_t)n, 1, &g->ones));
    TS_TRY(build_log_prob(g, false, &g->evaluate, &g->x, &g->log_prob));
    TS_TRY(ts_graph_create(device, g->params, &g->draw));
    ts_tensor t = ts_graph_input_vector(g->draw, "t", n);
    g->sample = ts_glow_sample(g->glow, g->draw, n, t, -1, 1, g->state, TS_STREAM_START);
    ts_graph_output(g->draw, g->sample, false);
    TS_TRY(ts_graph_plan(g->draw, TS_PLAN_FORWARD));
    TS_TRY(fill(g, ts_graph_data(g->draw, t), g->T));
    int shape[4];
    ts_graph_shape(g->draw, g->sample, shape);
    if (shape[1] != g->h || shape[2] != g->w || shape[3] != g->c)
        return ts_error(TS_INVALID, "the flow is for images of %dx%dx%d, not %dx%dx%d", shape[1], shape[2],
                        shape[3], g->h, g->w, g->c);
    return NULL;
}

ts_status ts_density_glow(ts_device *device, const ts_glow *glow, ts_params *params, double T, int n, int h,
                          int w, int c, ts_density **density)
{
    *density = NULL;
    if (n < 1 || h < 1 || w < 1 || c < 1)
        return ts_error(TS_INVALID, "Glow density: a batch of %d images of %dx%dx%d", n, h, w, c);
    if (!device->k->row_dot || !device->k->convert)
        return ts_error(TS_UNSUPPORTED, "Glow density: the %s device lacks its operations", device->k->name);
    glow_density *g = calloc(1, sizeof *g);
    if (!g)
        return ts_error(TS_NO_MEMORY, "Glow density: out of memory");
    g->base = (ts_density){.name = "glow",
                           .device = device,
                           .n = n,
                           .d = h * w * c,
                           .sample = glow_sample,
                           .log_prob = glow_log_prob,
                           .noise = glow_noise,
                           .destroy = glow_destroy};
    g->glow = glow;
    g->params = params;
    g->T = (float)T;
    g->h = h;
    g->w = w;
    g->c = c;
    g->evaluated.device = g->drawn.device = g->sloped.device = device;
    ts_status status = build(g);
    if (status) {
        glow_destroy(&g->base);
        return ts_context(status, "Glow density");
    }
    *density = &g->base;
    return NULL;
}
