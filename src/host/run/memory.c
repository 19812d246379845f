#include "run/memory.h"

#include <stdint.h>

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

/* The bytes of the plan for a batch.  Nothing of it is allocated. */
static ts_status measure(const subject *s, int batch, double *bytes)
{
    ts_graph *graph = NULL;
    TS_TRY(ts_graph_create(s->device, s->params, &graph));
    const ts_tensor x = ts_graph_input(graph, "x", batch, s->h, s->w, s->c);
    ts_tensor out;
    if (s->model)
        out = s->model->row->apply(s->model->network, graph, x, ts_graph_input_vector(graph, "t", batch),
                                   s->training);
    else
        out = ts_glow_log_prob(s->glow, graph, x, NULL);
    ts_graph_output(graph, out, s->training);
    ts_status status =
        ts_graph_plan(graph, TS_PLAN_MEASURE | (s->training ? TS_PLAN_PARAM_GRADIENTS : TS_PLAN_FORWARD));
    *bytes = (double)ts_graph_arena_bytes(graph);
    ts_graph_destroy(graph);
    return status;
}

/* What training still has to allocate beside the plan: gradients, Adam's moments, the average. */
static double missing_buffers(const subject *s)
{
    static const ts_param_buffer needed[] = {TS_BUFFER_GRADIENT, TS_BUFFER_FIRST, TS_BUFFER_SECOND,
                                             TS_BUFFER_EMA};
    double bytes = 0;
    for (size_t i = 0; s->training && i < sizeof needed / sizeof *needed; i++)
        if (!ts_params_buffer(s->params, needed[i]))
            bytes += (double)ts_params_count(s->params) * sizeof(float);
    return bytes;
}

/* Bytes that a batch takes: plans grow with the batch along a line. */
typedef struct need {
    double first, each, beside;
} need;

static ts_status measure_need(const subject *s, need *n)
{
    double one, some;
    TS_TRY(measure(s, 1, &one));
    TS_TRY(measure(s, SOME, &some));
    n->each = (some - one) / (SOME - 1);
    n->first = one - n->each;
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
    ts_status unknown = measure_need(s, &n);
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
        return ts_context(status, "%s = %d does not fit in memory, and no smaller one would", key, batch);
    return ts_context(status, "%s = %d does not fit in memory, about %d would", key, batch, fits);
}

ts_status ts_memory_advise(ts_status status, const ts_model *model, const char *key, int batch, bool training)
{
    if (!model->params) /* an exact score has no plan */
        return status;
    const subject s = {.device = model->device,
                       .params = model->params,
                       .model = model,
                       .h = model->h,
                       .w = model->w,
                       .c = model->c,
                       .training = training};
    return advise(status, &s, key, batch);
}

ts_status ts_memory_advise_flow(ts_status status, ts_device *device, ts_params *params, const ts_glow *glow,
                                int h, int w, int c, int batch)
{
    const subject s = {
        .device = device, .params = params, .glow = glow, .h = h, .w = w, .c = c, .training = true};
    return advise(status, &s, "glow.batch", batch);
}
