/* Running a plan: one call of the kernel table after the other. */
#include "graph/tape.h"

#include <time.h>

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

static ts_status run(ts_graph *graph, int first, int last)
{
    ts_status status = NULL;
    for (int i = first; i < last && !status; i++) {
        ts_range_push(graph->device, tape_kernel_name(graph->steps[i].kernel));
        status = run_one(graph, i);
        ts_range_pop(graph->device);
    }
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

/* ---- profile ---- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* How many values of parameters an operand reaches: those of one, or of the several that make one matrix. */
static double param_values(const ts_graph *graph, const tape_step *step, const tape_operand *o)
{
    const ts_param_info *info = ts_params_info(graph->params, o->index);
    const ts_dense_forward *f = &step->arguments.dense_forward;
    const ts_dense_backward *b = &step->arguments.dense_backward;
    double count = 1;
    for (int axis = 0; axis < info->rank; axis++)
        count *= (double)info->shape[axis];
    if (step->kernel == KERNEL_dense_forward)
        return o->field == offsetof(ts_dense_forward, weight) ? (double)f->in * f->out : f->out;
    if (step->kernel == KERNEL_dense_backward)
        return o->field == offsetof(ts_dense_backward, dbias) ? b->out : (double)b->in * b->out;
    return count;
}

/* Bytes that a step reads and writes. */
static double traffic(const ts_graph *graph, const tape_step *step)
{
    double bytes = 0;
    for (int i = 0; i < step->operands; i++) {
        const tape_operand *o = &graph->operands[step->first_operand + i];
        const int passes = o->access == ACCESS_UPDATE || o->access == ACCESS_GRADIENT ? 2 : 1;
        const bool param = o->access == ACCESS_VALUE || o->access == ACCESS_GRADIENT;
        bytes += passes * (param ? param_values(graph, step, o) * sizeof(float)
                                 : (double)graph->buffers[o->index].bytes);
    }
    return bytes;
}

ts_status ts_graph_profile(ts_graph *graph, bool backward, ts_graph_observer *observer, void *context)
{
    TS_TRY(check_planned(graph));
    const int last = backward ? graph->step_count : graph->forward_steps;
    static const int none[4] = {0};
    TS_TRY(run(graph, 0, last)); /* the first run makes what devices keep for later */
    TS_TRY(graph->device->k->synchronize(graph->device));
    for (int i = 0; i < last; i++) {
        const tape_step *step = &graph->steps[i];
        const double start = now();
        TS_TRY(run(graph, i, i + 1));
        TS_TRY(graph->device->k->synchronize(graph->device));
        const double seconds = now() - start;
        const tape_node *node = step->node >= 0 ? &graph->nodes[step->node] : NULL;
        const ts_tensor shown = !node ? -1 : node->inputs ? node->in[0] : node->out[0];
        observer(context, tape_kernel_name(step->kernel), shown >= 0 ? graph->tensors[shown].shape : none,
                 step->flops, traffic(graph, step), seconds);
    }
    return NULL;
}
