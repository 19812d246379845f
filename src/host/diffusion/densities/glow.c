/*
 * A fitted Glow as a start density: one graph that evaluates, one that samples, over the same parameters.
 */
#include <stdlib.h>
#include "diffusion/buffer.h"
#include "diffusion/densities/density.h"
#include "diffusion/recorded.h"

typedef struct glow_density {
    ts_density base;
    ts_graph *evaluate, *draw;
    ts_recorded evaluated, drawn;
    ts_tensor x, log_prob, sample;
    ts_step_state *state; /* device: the caller's, copied, for the graph's address of it is fixed */
    float *ones;          /* device, [n] */
} glow_density;

static ts_status queue_graph(void *graph)
{
    return ts_graph_forward(graph);
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
    ts_convert c = {.count = (int64_t)density->n * density->d, .x = x, .y = ts_graph_data(g->evaluate, g->x)};
    TS_TRY(device->k->convert(device, &c));
    TS_TRY(ts_recorded_run(&g->evaluated, queue_graph, g->evaluate));
    /* to double: each log-density times one */
    ts_row_dot a = {
        .n = density->n, .d = 1, .x = ts_graph_data(g->evaluate, g->log_prob), .y = g->ones, .out = log_prob};
    return device->k->row_dot(device, &a);
}

static void glow_destroy(ts_density *density)
{
    glow_density *g = (glow_density *)density;
    ts_device *device = density->device;
    ts_recorded_forget(&g->evaluated);
    ts_recorded_forget(&g->drawn);
    ts_graph_destroy(g->evaluate);
    ts_graph_destroy(g->draw);
    device->k->release(device, g->state);
    device->k->release(device, g->ones);
    free(g);
}

/* A vector of n times T as an input of the graph, written once it is planned. */
static ts_status set_time(glow_density *g, ts_graph *graph, ts_tensor t, float T)
{
    ts_device *device = g->base.device;
    float *times;
    ts_status status = ts_buffer_fill(device, (size_t)g->base.n, T, &times);
    if (!status)
        status = device->k->copy(device, ts_graph_data(graph, t), times, (size_t)g->base.n * sizeof *times);
    if (!status)
        status = device->k->synchronize(device);
    device->k->release(device, times);
    return status;
}

static ts_status build(glow_density *g, const ts_glow *glow, ts_params *params, float T, int h, int w, int c)
{
    ts_device *device = g->base.device;
    const int n = g->base.n;
    TS_TRY(ts_buffer_state(device, &g->state));
    TS_TRY(ts_buffer_fill(device, (size_t)n, 1, &g->ones));
    TS_TRY(ts_graph_create(device, params, &g->evaluate));
    g->x = ts_graph_input(g->evaluate, "x", n, h, w, c);
    ts_tensor t = ts_graph_input_vector(g->evaluate, "t", n);
    g->log_prob = ts_glow_log_prob(glow, g->evaluate, g->x, t, NULL);
    ts_graph_output(g->evaluate, g->log_prob, false);
    TS_TRY(ts_graph_plan(g->evaluate, TS_PLAN_FORWARD));
    TS_TRY(set_time(g, g->evaluate, t, T));
    TS_TRY(ts_graph_create(device, params, &g->draw));
    t = ts_graph_input_vector(g->draw, "t", n);
    g->sample = ts_glow_sample(glow, g->draw, n, t, -1, 1, g->state, TS_STREAM_START);
    ts_graph_output(g->draw, g->sample, false);
    TS_TRY(ts_graph_plan(g->draw, TS_PLAN_FORWARD));
    TS_TRY(set_time(g, g->draw, t, T));
    int shape[4];
    ts_graph_shape(g->draw, g->sample, shape);
    if (shape[1] != h || shape[2] != w || shape[3] != c)
        return ts_error(TS_INVALID, "the flow is for images of %dx%dx%d, not %dx%dx%d", shape[1], shape[2],
                        shape[3], h, w, c);
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
                           .destroy = glow_destroy};
    g->evaluated.device = g->drawn.device = device;
    ts_status status = build(g, glow, params, (float)T, h, w, c);
    if (status) {
        glow_destroy(&g->base);
        return ts_context(status, "Glow density");
    }
    *density = &g->base;
    return NULL;
}
