/* Running a plan: one call of the kernel table after the other. */
#include "graph/tape.h"

bool tape_kernel_exists(const ts_kernels *kernels, tape_kernel kernel)
{
    switch (kernel) {
#define X(name)                                                                                              \
    case KERNEL_##name:                                                                                      \
        return kernels->name != NULL;
        TS_OPERATIONS(X)
#undef X
    case KERNEL_zero:
    case KERNEL_copy:
        return true;
    }
    return false;
}

ts_status tape_step_run(const ts_graph *graph, const tape_step *step)
{
    const ts_kernels *k = graph->device->k;
    const tape_arguments *a = &step->arguments;
    switch (step->kernel) {
#define X(name)                                                                                              \
    case KERNEL_##name:                                                                                      \
        return k->name(graph->device, &a->name);
        TS_OPERATIONS(X)
#undef X
    case KERNEL_zero:
        return k->zero(graph->device, a->zero.memory, a->zero.bytes);
    case KERNEL_copy:
        return k->copy(graph->device, a->copy.to, a->copy.from, a->copy.bytes);
    }
    return ts_error(TS_UNSUPPORTED, "no such kernel: %d", (int)step->kernel);
}

static ts_status run_one(ts_graph *graph, int i)
{
    const bool guards = graph->flags & TS_PLAN_GUARDS;
    if (guards)
        TS_TRY(tape_guards_before(graph, i));
    TS_TRY(tape_step_run(graph, &graph->steps[i]));
    return guards ? tape_guards_after(graph, i) : NULL;
}

/* -1: none. */
static int layer_of(const ts_graph *graph, const tape_step *step)
{
    return step->node >= 0 ? graph->nodes[step->node].layer : -1;
}

/* From the range of one layer to that of another; -1: none. */
static void change_layer(const ts_graph *graph, int from, int to)
{
    if (from == to)
        return;
    if (from >= 0)
        ts_range_pop(graph->device);
    if (to >= 0)
        ts_range_push(graph->device, graph->layers[to]);
}

void tape_ranges_push(const ts_graph *graph, const tape_step *step)
{
    change_layer(graph, -1, layer_of(graph, step));
    ts_range_push(graph->device, tape_kernel_name(step->kernel));
}

void tape_ranges_pop(const ts_graph *graph, const tape_step *step)
{
    ts_range_pop(graph->device);
    change_layer(graph, layer_of(graph, step), -1);
}

static ts_status run(ts_graph *graph, int first, int last)
{
    ts_status status = NULL;
    int layer = -1;
    for (int i = first; i < last && !status; i++) {
        const int own = layer_of(graph, &graph->steps[i]);
        change_layer(graph, layer, own);
        layer = own;
        ts_range_push(graph->device, tape_kernel_name(graph->steps[i].kernel));
        status = run_one(graph, i);
        ts_range_pop(graph->device);
    }
    change_layer(graph, layer, -1);
    return status;
}

static ts_status run_pass(ts_graph *graph, const char *name, int first, int last)
{
    ts_range_push(graph->device, name);
    ts_status status = run(graph, first, last);
    ts_range_pop(graph->device);
    return status;
}

static ts_status check_planned(const ts_graph *graph)
{
    return graph->planned ? NULL : ts_error(TS_INVALID, "the graph has not been planned");
}

ts_status ts_graph_forward(ts_graph *graph)
{
    TS_TRY(check_planned(graph));
    return run_pass(graph, "forward", 0, graph->forward_steps);
}

ts_status ts_graph_backward(ts_graph *graph)
{
    TS_TRY(check_planned(graph));
    if (!(graph->flags & (TS_PLAN_PARAM_GRADIENTS | TS_PLAN_INPUT_GRADIENTS)))
        return ts_error(TS_INVALID, "the graph was planned without gradients");
    return run_pass(graph, "backward", graph->forward_steps, graph->step_count);
}

ts_status ts_graph_forward_initialize(ts_graph *graph)
{
    TS_TRY(check_planned(graph));
    const ts_kernels *k = graph->device->k;
    for (int i = 0; i < graph->forward_steps; i++) {
        const ts_actnorm_forward *a = &graph->steps[i].arguments.actnorm_forward;
        if (graph->steps[i].initialize) {
            /* the parameters lie in the graph's own ts_params, which the forward pass only reads */
            TS_TRY(k->actnorm_initialize(graph->device, &(ts_actnorm_initialize){.rows = a->rows,
                                                                                 .c = a->c,
                                                                                 .factor = a->factor,
                                                                                 .x = a->x,
                                                                                 .bias = (float *)a->bias,
                                                                                 .logs = (float *)a->logs}));
            k->weights_changed(graph->device);
        }
        TS_TRY(run(graph, i, i + 1));
    }
    return NULL;
}
