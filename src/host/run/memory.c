#include "run/memory.h"

#include <stdint.h>
#include "diffusion/buffer.h"

/* Of the free memory: the rest is for what the libraries take for themselves. */
static const double usable = 0.88;
enum { SOME = 16 };

typedef struct subject {
    ts_device *device;
    ts_params *params;
    const ts_model *model; /* NULL: the flow */
    const ts_glow *glow;
    int h, w, c;
    bool training;
} subject;

/* The graph of one pass over a batch. */
static ts_status build(const subject *s, int batch, const ts_step_state *state, ts_graph **graph)
{
    TS_TRY(ts_graph_create(s->device, s->params, graph));
    ts_graph_set_state(*graph, state);
    const ts_tensor x = ts_graph_input(*graph, "x", batch, s->h, s->w, s->c);
    const ts_tensor t = ts_graph_input_vector(*graph, "t", batch);
    ts_tensor out;
    if (s->model)
        out = s->model->row->apply(s->model->network, *graph, x, t, s->training);
    else
        out = ts_glow_log_prob(s->glow, *graph, x, t, NULL);
    ts_graph_output(*graph, out, s->training);
    return NULL;
}

static unsigned plan_flags(const subject *s)
{
    return s->training ? TS_PLAN_PARAM_GRADIENTS : TS_PLAN_FORWARD;
}

/* The bytes of the plan for a batch, and the FLOP of running it once.  Nothing of it is allocated. */
static ts_status measure(const subject *s, int batch, double *bytes, double *flops)
{
    ts_graph *graph = NULL;
    TS_TRY(build(s, batch, NULL, &graph));
    ts_status status = ts_graph_plan(graph, TS_PLAN_MEASURE | plan_flags(s));
    *bytes = (double)ts_graph_arena_bytes(graph);
    *flops = ts_graph_flops(graph, false) + ts_graph_flops(graph, true);
    ts_graph_destroy(graph);
    return status;
}

/* One pass over one image.  What the device allocates in it beside the plan (weights in layouts of its own,
 * what its kernels work in) it keeps, so that its free memory is what is left for batches. */
static ts_status run_one(const subject *s)
{
    ts_graph *graph = NULL;
    ts_step_state *state = NULL;
    ts_status status;
    if (s->training)
        TS_TRY(ts_params_enable_gradients(s->params));
    TS_GOTO(ts_buffer_state(s->device, &state), done);
    TS_GOTO(build(s, 1, state, &graph), done);
    TS_GOTO(ts_graph_plan(graph, plan_flags(s)), done);
    TS_GOTO(ts_graph_forward(graph), done);
    if (s->training)
        TS_GOTO(ts_graph_backward(graph), done);
    status = s->device->k->synchronize(s->device);
done:
    ts_graph_destroy(graph);
    s->device->k->release(s->device, state);
    return status;
}

/* What is still to be allocated for the parameters: what training makes of them (gradients, Adam's moments,
 * the average and what it is exchanged through), and what a flow's training returns to when it diverges. */
static double missing_buffers(const subject *s)
{
    static const ts_param_buffer needed[] = {TS_BUFFER_GRADIENT, TS_BUFFER_FIRST, TS_BUFFER_SECOND,
                                             TS_BUFFER_EMA, TS_BUFFER_EMA};
    int copies = s->training && !s->model ? 4 : 0;
    for (size_t i = 0; s->training && i < sizeof needed / sizeof *needed; i++)
        copies += !ts_params_buffer(s->params, needed[i]);
    return copies * (double)ts_params_count(s->params) * sizeof(float);
}

/* Bytes that a batch takes: plans grow with the batch along a line. */
typedef struct need {
    double first, each, beside;
} need;

/* Training holds a few arrays of the images' size beside the plan, the samplers up to these. */
enum { TRAINING_ARRAYS = 4, SAMPLER_ARRAYS = 16 };

static ts_status measure_need(const subject *s, need *n)
{
    double one, some, flops;
    TS_TRY(measure(s, 1, &one, &flops));
    TS_TRY(measure(s, SOME, &some, &flops));
    n->each = (some - one) / (SOME - 1);
    n->first = one - n->each;
    n->each +=
        (s->training ? TRAINING_ARRAYS : SAMPLER_ARRAYS) * sizeof(float) * (double)(s->h * s->w * s->c);
    n->beside = missing_buffers(s);
    return NULL;
}

/* The largest batch that the free memory suffices for, 0 if not even one does. */
static ts_status largest(const subject *s, const need *n, int *batch)
{
    size_t available;
    TS_TRY(s->device->k->free_memory(s->device, &available));
    const double room = usable * ((double)available - n->beside) - n->first;
    *batch = room < n->each                              ? 0
             : n->each > 0 && room / n->each < INT32_MAX ? (int)(room / n->each)
                                                         : INT32_MAX;
    return NULL;
}

/* Whether the device gives that much: other limits than its free memory may hold (ulimit, a group's). */
static bool is_given(const subject *s, const need *n, int batch)
{
    void *memory;
    const double bytes = (n->first + n->each * batch) / usable + n->beside;
    ts_status status = s->device->k->allocate(s->device, (size_t)bytes, &memory);
    if (status) {
        ts_status_free(status);
        return false;
    }
    s->device->k->release(s->device, memory);
    return true;
}

static ts_status advise(ts_status status, const subject *s, const char *key, int batch)
{
    int fits = 0;
    need n;
    if (ts_status_code(status) != TS_NO_MEMORY || !s->device->k->free_memory)
        return status;
    ts_status unknown = run_one(s);
    if (ts_status_code(unknown) == TS_NO_MEMORY) {
        ts_status_free(unknown);
        return ts_context(status, "%s = %d does not fit in memory, and no smaller one would", key, batch);
    }
    if (!unknown)
        unknown = measure_need(s, &n);
    if (!unknown)
        unknown = largest(s, &n, &fits);
    if (unknown) { /* the failure itself says more */
        ts_status_free(unknown);
        return ts_context(status, "%s = %d", key, batch);
    }
    if (fits >= batch &&
        is_given(s, &n, batch)) /* not the plan was in the way, and no batch is known to do */
        return status;
    fits = fits < batch ? fits : batch - 1;
    while (fits > 0 && !is_given(s, &n, fits))
        fits /= 2;
    if (fits < 1)
        return ts_context(status, "%s = %d does not fit in memory, and hardly a smaller one would", key,
                          batch);
    return ts_context(status, "%s = %d does not fit in memory, about %d would", key, batch, fits);
}

static subject network_of(const ts_model *model, bool training)
{
    return (subject){.device = model->device,
                     .params = model->params,
                     .model = model,
                     .h = model->h,
                     .w = model->w,
                     .c = model->c,
                     .training = training};
}

ts_status ts_memory_plan(const ts_model *model, int batch, bool training, double *bytes, double *flops)
{
    const subject s = network_of(model, training);
    return measure(&s, batch, bytes, flops);
}

ts_status ts_memory_plan_flow(ts_device *device, ts_params *params, const ts_glow *glow, int h, int w, int c,
                              int batch, double *bytes, double *flops)
{
    const subject s = {
        .device = device, .params = params, .glow = glow, .h = h, .w = w, .c = c, .training = false};
    return measure(&s, batch, bytes, flops);
}

ts_status ts_memory_advise(ts_status status, const ts_model *model, const char *key, int batch, bool training)
{
    if (!model->params) /* an exact score has no plan */
        return status;
    const subject s = network_of(model, training);
    return advise(status, &s, key, batch);
}

ts_status ts_memory_advise_flow(ts_status status, ts_device *device, ts_params *params, const ts_glow *glow,
                                int h, int w, int c, int batch)
{
    const subject s = {
        .device = device, .params = params, .glow = glow, .h = h, .w = w, .c = c, .training = true};
    return advise(status, &s, "glow.batch", batch);
}
