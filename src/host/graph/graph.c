/* The graph as a whole: making it, its inputs and outputs, what is asked of it. */
#include "graph/graph.h"

#include <stdlib.h>
#include <string.h>
#include "graph/tape.h"

ts_status ts_graph_create(ts_device *device, ts_params *params, ts_graph **graph)
{
    *graph = calloc(1, sizeof **graph);
    if (!*graph)
        return ts_error(TS_NO_MEMORY, "not enough memory for a graph");
    (*graph)->device = device;
    (*graph)->params = params;
    (*graph)->current_layer = -1;
    return NULL;
}

void ts_graph_destroy(ts_graph *graph)
{
    if (!graph)
        return;
    if (graph->arena)
        graph->device->k->release(graph->device, graph->arena);
    ts_status_free(graph->error);
    for (int i = 0; i < graph->layer_count; i++)
        free(graph->layers[i]);
    free(graph->layers);
    free(graph->tensors);
    free(graph->buffers);
    free(graph->nodes);
    free(graph->steps);
    free(graph->operands);
    free(graph->guard_failure);
    free(graph);
}

void ts_graph_set_state(ts_graph *graph, const ts_step_state *state)
{
    graph->state = state;
}

/* ---- inputs and outputs ---- */

static ts_tensor add_input(ts_graph *graph, const char *name, int n, int h, int w, int c, bool is_float)
{
    ts_tensor t = tape_tensor_add(graph, n, h, w, c, is_float);
    if (t < 0) {
        graph->error = ts_context(graph->error, "input %s", name);
        return -1;
    }
    graph->tensors[t].input = true;
    graph->buffers[graph->tensors[t].buffer].pinned_start = true;
    graph->buffers[graph->tensors[t].buffer].pinned_end = true;
    return t;
}

ts_tensor ts_graph_input(ts_graph *graph, const char *name, int n, int h, int w, int c)
{
    return add_input(graph, name, n, h, w, c, false);
}

ts_tensor ts_graph_input_vector(ts_graph *graph, const char *name, int n)
{
    return add_input(graph, name, n, 1, 1, 1, true);
}

/* Memory of a device is zeroed when it is allocated, and nothing writes to a pinned tensor. */
ts_tensor ts_zeros(ts_graph *graph, int n, int h, int w, int c)
{
    ts_tensor t = tape_tensor_add(graph, n, h, w, c, false);
    if (t >= 0) {
        graph->buffers[graph->tensors[t].buffer].pinned_start = true;
        graph->buffers[graph->tensors[t].buffer].pinned_end = true;
    }
    return t;
}

static bool is_tensor(const ts_graph *graph, ts_tensor tensor)
{
    return tensor >= 0 && tensor < graph->tensor_count;
}

void ts_graph_output(ts_graph *graph, ts_tensor tensor, bool seeded)
{
    if (graph->failed)
        return;
    if (!is_tensor(graph, tensor) || graph->planned) {
        tape_fail(graph, TS_INVALID,
                  graph->planned ? "outputs are declared before the graph is planned"
                                 : "an output of the graph is not a tensor");
        return;
    }
    tape_write_whole(graph, tensor);
    tape_tensor *t = &graph->tensors[tensor];
    t->output = true;
    t->seeded = t->seeded || seeded;
    graph->buffers[t->buffer].pinned_end = true;
}

/* ---- after planning ---- */

size_t ts_graph_arena_bytes(const ts_graph *graph)
{
    return graph->arena_bytes;
}

size_t ts_graph_no_reuse_bytes(const ts_graph *graph)
{
    return graph->no_reuse_bytes;
}

double ts_graph_flops(const ts_graph *graph, bool backward)
{
    double flops = 0;
    const int first = backward ? graph->forward_steps : 0;
    const int last = backward ? graph->step_count : graph->forward_steps;
    for (int i = first; i < last; i++)
        flops += graph->steps[i].flops;
    return flops;
}

void *ts_graph_data(const ts_graph *graph, ts_tensor tensor)
{
    if (!graph->planned || !is_tensor(graph, tensor))
        return NULL;
    const tape_tensor *t = &graph->tensors[tensor];
    return t->input || t->output ? tape_address(graph, t->buffer) : NULL;
}

void *ts_graph_gradient(const ts_graph *graph, ts_tensor tensor)
{
    if (!graph->planned || !is_tensor(graph, tensor))
        return NULL;
    const tape_tensor *t = &graph->tensors[tensor];
    if (t->seed >= 0)
        return tape_address(graph, t->seed);
    return t->input && t->gradient >= 0 ? tape_address(graph, t->gradient) : NULL;
}

void ts_graph_shape(const ts_graph *graph, ts_tensor tensor, int shape[4])
{
    static const int dummy[4] = {1, 1, 1, 1};
    memcpy(shape, is_tensor(graph, tensor) ? graph->tensors[tensor].shape : dummy, sizeof dummy);
}
