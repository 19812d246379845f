/* Timing the steps of a plan one by one. */
#include <stdlib.h>
#include "graph/tape.h"
#include "graph/timing.h"

/* ---- what a step moves ---- */

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

/* ---- what must not change by repetition ---- */

/* Copies of the tensors that a step changes in place or adds to: repeated, they would be something else than
 * the steps after it should read. */
typedef struct copies {
    void *memory; /* device */
    size_t bytes;
} copies;

static bool changes(const ts_graph *graph, const tape_step *step, const tape_operand *o)
{
    if (o->access == ACCESS_UPDATE)
        return true;
    for (int i = 0; o->access == ACCESS_WRITE && i < step->operands; i++) {
        const tape_operand *other = &graph->operands[step->first_operand + i];
        if (other->access == ACCESS_READ &&
            graph->buffers[other->index].storage == graph->buffers[o->index].storage)
            return true;
    }
    return false;
}

static size_t padded(size_t bytes)
{
    return (bytes + TAPE_ALIGN - 1) / TAPE_ALIGN * TAPE_ALIGN;
}

/* Copies what the step changes to the copies, or back. */
static ts_status copy_changed(const ts_graph *graph, const tape_step *step, const copies *c, bool back)
{
    char *at = c->memory;
    for (int i = 0; i < step->operands; i++) {
        const tape_operand *o = &graph->operands[step->first_operand + i];
        if (!changes(graph, step, o))
            continue;
        const size_t bytes = graph->buffers[o->index].bytes;
        void *tensor = tape_address(graph, o->index);
        TS_TRY(graph->device->k->copy(graph->device, back ? tensor : at, back ? at : tensor, bytes));
        at += padded(bytes);
    }
    return NULL;
}

static ts_status allocate_copies(const ts_graph *graph, int last, copies *c)
{
    *c = (copies){0};
    if (!graph->device->k->record_begin || graph->device->recording_off) /* nothing is repeated */
        return NULL;
    for (int i = 0; i < last; i++) {
        const tape_step *step = &graph->steps[i];
        size_t bytes = 0;
        for (int k = 0; k < step->operands; k++) {
            const tape_operand *o = &graph->operands[step->first_operand + k];
            if (changes(graph, step, o))
                bytes += padded(graph->buffers[o->index].bytes);
        }
        c->bytes = bytes > c->bytes ? bytes : c->bytes;
    }
    return graph->device->k->allocate(graph->device, c->bytes, &c->memory);
}

/* ---- timing ---- */

typedef struct timed_step {
    const ts_graph *graph;
    const tape_step *step;
    const copies *copies;
    bool ran;
} timed_step;

/* The first call is the step's own, those after it are repetitions. */
static ts_status queue(void *context)
{
    timed_step *t = context;
    TS_TRY(tape_step_run(t->graph, t->step));
    if (t->ran || !t->copies->memory)
        return NULL;
    t->ran = true;
    return copy_changed(t->graph, t->step, t->copies, false);
}

static ts_status time_step(const ts_graph *graph, const tape_step *step, const copies *c, double *seconds)
{
    timed_step t = {graph, step, c, false};
    TS_TRY(ts_time_call(graph->device, queue, &t, seconds));
    return c->memory ? copy_changed(graph, step, c, true) : NULL;
}

/* The shape of a node's first input, of both halves where it takes a concatenation in two. */
static void shape_of_input(const ts_graph *graph, const tape_node *node, int shape[4])
{
    const ts_tensor first = node->inputs ? node->in[0] : node->out[0];
    const bool halves = node->operation == OPERATION_GROUP_NORM || node->operation == OPERATION_DENSE;
    const ts_tensor second = halves ? node->in[2] : -1;
    ts_graph_shape(graph, first, shape);
    if (second >= 0)
        shape[3] += graph->tensors[second].shape[3];
}

static ts_status time_steps(ts_graph *graph, int last, const copies *c, ts_graph_observer *observer,
                            void *context)
{
    for (int i = 0; i < last; i++) {
        const tape_step *step = &graph->steps[i];
        double seconds;
        tape_ranges_push(graph, step);
        ts_status status = time_step(graph, step, c, &seconds);
        tape_ranges_pop(graph, step);
        TS_TRY(status);
        int shape[4] = {0};
        if (step->node >= 0)
            shape_of_input(graph, &graph->nodes[step->node], shape);
        observer(context, tape_kernel_name(step->kernel), shape, step->flops, traffic(graph, step), seconds);
    }
    return NULL;
}

ts_status ts_graph_profile(ts_graph *graph, bool backward, ts_graph_observer *observer, void *context)
{
    copies c;
    if (!graph->planned)
        return ts_error(TS_INVALID, "the graph has not been planned");
    const int last = backward ? graph->step_count : graph->forward_steps;
    TS_TRY(allocate_copies(graph, last, &c));
    ts_status status = time_steps(graph, last, &c, observer, context);
    graph->device->k->release(graph->device, c.memory);
    return status;
}
