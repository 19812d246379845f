/* Planning: lifetimes, memory, addresses. */
#include "graph/tape.h"

#include <stdlib.h>
#include <string.h>
#include "base/amount.h"

static ts_status check_kernels(const ts_graph *graph)
{
    for (int i = 0; i < graph->step_count; i++) {
        const tape_step *step = &graph->steps[i];
        tape_kernel missing = step->kernel;
        if (step->initialize && !graph->device->k->actnorm_initialize)
            missing = KERNEL_actnorm_initialize;
        else if (tape_kernel_exists(graph->device->k, step->kernel))
            continue;
        return ts_error(TS_UNSUPPORTED, "the device %s does not have the operation %s",
                        graph->device->k->name, tape_kernel_name(missing));
    }
    return NULL;
}

/* ---- lifetimes ---- */

static void find_lifetimes(ts_graph *graph)
{
    for (int i = 0; i < graph->step_count; i++)
        for (int k = 0; k < graph->steps[i].operands; k++) {
            const tape_operand *o = &graph->operands[graph->steps[i].first_operand + k];
            if (o->access == ACCESS_VALUE || o->access == ACCESS_GRADIENT)
                continue;
            tape_buffer *b = &graph->buffers[o->index];
            if (b->first < 0)
                b->first = i;
            b->last = i;
        }
    for (int i = 0; i < graph->buffer_count; i++) {
        tape_buffer *b = &graph->buffers[i];
        if (b->pinned_start)
            b->first = 0;
        if (b->pinned_end)
            b->last = graph->step_count;
    }
}

static int reads_of(const ts_graph *graph, const tape_step *step, int buffer)
{
    int reads = 0;
    for (int k = 0; k < step->operands; k++) {
        const tape_operand *o = &graph->operands[step->first_operand + k];
        reads += (o->access == ACCESS_READ || o->access == ACCESS_UPDATE) && o->index == buffer;
    }
    return reads;
}

/* Probabilities that no backward step reads are not kept. */
static void drop_unread_probabilities(ts_graph *graph)
{
    for (int i = 0; i < graph->step_count; i++) {
        tape_step *step = &graph->steps[i];
        for (int k = 0; step->kernel == KERNEL_attention_forward && k < step->operands; k++) {
            tape_operand *o = &graph->operands[step->first_operand + k];
            if (o->field != offsetof(ts_attention_forward, probabilities))
                continue;
            int reads = 0;
            for (int j = i + 1; j < graph->step_count; j++)
                reads += reads_of(graph, &graph->steps[j], o->index);
            if (reads == 0)
                *o = graph->operands[step->first_operand + --step->operands];
            break;
        }
    }
}

/* Lets outputs take the memory of inputs that die with the step. */
static void merge_in_place(ts_graph *graph)
{
    for (int i = 0; i < graph->step_count; i++) {
        const tape_step *step = &graph->steps[i];
        if (step->over < 0)
            continue;
        tape_buffer *over = &graph->buffers[step->over];
        tape_buffer *under = &graph->buffers[graph->buffers[step->under].storage];
        if (over->pinned_start || over->first != i || under->pinned_end || under->last != i ||
            over->bytes != under->bytes || reads_of(graph, step, step->under) != 1)
            continue;
        over->storage = graph->buffers[step->under].storage;
        under->last = over->last;
        under->pinned_end = over->pinned_end;
    }
}

/* ---- memory ---- */

static size_t padded(const ts_graph *graph, size_t bytes)
{
    const size_t guards = graph->flags & TS_PLAN_GUARDS ? 2 * TAPE_GUARD : 0;
    return (bytes + TAPE_ALIGN - 1) / TAPE_ALIGN * TAPE_ALIGN + guards;
}

static ts_status lay_out(ts_graph *graph)
{
    tape_block *blocks = malloc((size_t)(graph->buffer_count + 1) * sizeof *blocks);
    if (!blocks)
        return ts_error(TS_NO_MEMORY, "not enough memory to plan %d tensors", graph->buffer_count);
    const bool reuse = !(graph->flags & TS_PLAN_NO_REUSE);
    int count = 0;
    graph->no_reuse_bytes = 0;
    for (int i = 0; i < graph->buffer_count; i++) {
        const tape_buffer *b = &graph->buffers[i];
        if (b->first < 0)
            continue; /* never touched */
        graph->no_reuse_bytes += padded(graph, b->bytes);
        if (b->storage == i)
            blocks[count++] = (tape_block){.bytes = padded(graph, b->bytes),
                                           .first = reuse ? b->first : 0,
                                           .last = reuse ? b->last : graph->step_count};
    }
    ts_status status = tape_layout(blocks, count, &graph->arena_bytes);
    for (int i = 0, k = 0; i < graph->buffer_count && !status; i++)
        if (graph->buffers[i].first >= 0 && graph->buffers[i].storage == i)
            graph->buffers[i].offset = blocks[k++].offset;
    free(blocks);
    return status;
}

void *tape_address(const ts_graph *graph, int buffer)
{
    const size_t guard = graph->flags & TS_PLAN_GUARDS ? TAPE_GUARD : 0;
    return graph->arena + graph->buffers[graph->buffers[buffer].storage].offset + guard;
}

/* ---- addresses ---- */

static ts_status address_of(const ts_graph *graph, const tape_operand *o, void **address)
{
    if (o->access != ACCESS_VALUE && o->access != ACCESS_GRADIENT) {
        *address = tape_address(graph, o->index);
        return NULL;
    }
    const bool gradient = o->access == ACCESS_GRADIENT;
    *address = ts_params_data(graph->params, o->index, gradient ? TS_BUFFER_GRADIENT : TS_BUFFER_VALUE);
    if (*address)
        return NULL;
    return ts_error(TS_INVALID, "parameter %s has no memory for its %s yet",
                    ts_params_info(graph->params, o->index)->name, gradient ? "gradient" : "value");
}

static ts_status bind_addresses(ts_graph *graph)
{
    for (int i = 0; i < graph->step_count; i++) {
        tape_step *step = &graph->steps[i];
        for (int k = 0; k < step->operands; k++) {
            const tape_operand *o = &graph->operands[step->first_operand + k];
            void *address;
            TS_TRY(address_of(graph, o, &address));
            memcpy((char *)&step->arguments + o->field, &address, sizeof address);
        }
    }
    return NULL;
}

/* Dropout reads the step from device memory. */
static ts_status bind_state(ts_graph *graph)
{
    for (int i = 0; i < graph->step_count; i++) {
        tape_step *step = &graph->steps[i];
        float dropout = 0.0f;
        if (step->kernel == KERNEL_group_norm_forward) {
            step->arguments.group_norm_forward.state = graph->state;
            dropout = step->arguments.group_norm_forward.dropout;
        } else if (step->kernel == KERNEL_group_norm_backward) {
            step->arguments.group_norm_backward.state = graph->state;
        }
        if (dropout > 0.0f && !graph->state)
            return ts_error(TS_INVALID, "a graph with dropout needs a step state");
    }
    return NULL;
}

static ts_status allocate(ts_graph *graph)
{
    ts_status status =
        graph->device->k->allocate(graph->device, graph->arena_bytes + TAPE_ALIGN, (void **)&graph->arena);
    char needed[32];
    ts_bytes_text((double)graph->arena_bytes, needed);
    return ts_context(status, "the graph needs %s of memory", needed);
}

static ts_status plan(ts_graph *graph)
{
    graph->forward_steps = graph->step_count;
    if (graph->flags & (TS_PLAN_PARAM_GRADIENTS | TS_PLAN_INPUT_GRADIENTS))
        tape_derive_backward(graph);
    if (graph->failed) {
        ts_status status = graph->error;
        graph->error = NULL;
        return status ? status : ts_error(TS_INVALID, "the graph was built with errors");
    }
    TS_TRY(check_kernels(graph));
    drop_unread_probabilities(graph);
    find_lifetimes(graph);
    if (!(graph->flags & TS_PLAN_NO_REUSE))
        merge_in_place(graph);
    TS_TRY(lay_out(graph));
    if (graph->flags & TS_PLAN_MEASURE)
        return NULL;
    TS_TRY(allocate(graph));
    TS_TRY(bind_addresses(graph));
    TS_TRY(bind_state(graph));
    return graph->flags & TS_PLAN_GUARDS ? tape_guards_prepare(graph) : NULL;
}

ts_status ts_graph_plan(ts_graph *graph, unsigned flags)
{
    if (graph->planned)
        return ts_error(TS_INVALID, "the graph is planned already");
    graph->flags = flags;
    ts_status status = plan(graph);
    if (status)
        graph->failed = true; /* half a plan is no graph to go on with */
    graph->planned = !status && !(flags & TS_PLAN_MEASURE);
    return status;
}
