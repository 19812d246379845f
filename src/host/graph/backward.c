/*
 * The backward half of a graph, derived from its forward tape.  Nodes are visited in reverse; the first one
 * that contributes to a tensor's gradient assigns it, later ones add.  A gradient that passes through an
 * operation unchanged (a residual, a sum) is not copied: its buffer is handed on, and copied only when
 * somebody adds to it while others still read it.
 */
#include "graph/tape.h"

int tape_gradient(const ts_graph *graph, ts_tensor tensor)
{
    return graph->failed || tensor < 0 ? -1 : graph->tensors[tensor].gradient;
}

bool tape_gradient_shared(const ts_graph *graph, ts_tensor tensor)
{
    return !graph->failed && tensor >= 0 && graph->tensors[tensor].gradient_shared;
}

bool tape_wants(const ts_graph *graph, ts_tensor tensor)
{
    return !graph->failed && tensor >= 0 && graph->tensors[tensor].needs_gradient;
}

ts_param tape_wants_param(const ts_graph *graph, ts_param param)
{
    const ts_param_info *info = ts_params_info(graph->params, param);
    return info && info->trained && (graph->flags & TS_PLAN_PARAM_GRADIENTS) ? param : -1;
}

static void append_zero(ts_graph *graph, int buffer)
{
    tape_step_add(graph, KERNEL_zero, &(tape_zero){.bytes = graph->buffers[buffer].bytes}, sizeof(tape_zero));
    tape_bind(graph, offsetof(tape_zero, memory), ACCESS_WRITE, buffer);
}

int tape_gradient_or_zero(ts_graph *graph, ts_tensor tensor)
{
    int gradient = tape_gradient(graph, tensor);
    if (gradient >= 0 || graph->failed)
        return gradient;
    gradient = tape_buffer_add(graph, tape_bytes(graph, tensor));
    if (gradient >= 0)
        append_zero(graph, gradient);
    return gradient;
}

/* The gradient of a tensor that has one, in a buffer that may be added to. */
static int own_gradient(ts_graph *graph, ts_tensor tensor)
{
    tape_tensor *t = &graph->tensors[tensor];
    if (!t->gradient_shared)
        return t->gradient;
    const size_t bytes = tape_bytes(graph, tensor);
    const int own = tape_buffer_add(graph, bytes);
    tape_step_add(graph, KERNEL_copy, &(tape_copy){.bytes = bytes}, sizeof(tape_copy));
    tape_bind(graph, offsetof(tape_copy, from), ACCESS_READ, t->gradient);
    tape_bind(graph, offsetof(tape_copy, to), ACCESS_WRITE, own);
    t->gradient = own;
    t->gradient_shared = false;
    return own;
}

int tape_target(ts_graph *graph, ts_tensor tensor, bool *accumulate)
{
    *accumulate = false;
    if (!tape_wants(graph, tensor))
        return -1;
    tape_tensor *t = &graph->tensors[tensor];
    if (t->gradient < 0)
        return t->gradient = tape_buffer_add(graph, tape_bytes(graph, tensor));
    *accumulate = true;
    t->image_sums = -1;
    return own_gradient(graph, tensor);
}

void tape_know_sums(ts_graph *graph, ts_tensor tensor, int buffer)
{
    if (!graph->failed && tensor >= 0)
        graph->tensors[tensor].image_sums = buffer;
}

int tape_accumulator(ts_graph *graph, ts_tensor tensor)
{
    bool accumulate;
    int target = tape_target(graph, tensor, &accumulate);
    if (target >= 0 && !accumulate)
        append_zero(graph, target);
    return target;
}

int tape_fresh(ts_graph *graph, ts_tensor tensor)
{
    return tape_wants(graph, tensor) ? tape_buffer_add(graph, tape_bytes(graph, tensor)) : -1;
}

/* to (+)= scale from, both of the tensor's type. */
static void append_scaled(ts_graph *graph, ts_tensor tensor, int from, int to, float scale, bool accumulate)
{
    const int64_t count = tape_elements(graph, tensor);
    if (!graph->tensors[tensor].is_float) {
        STEP(graph, add_scaled, .count = count, .scale = scale, .accumulate = accumulate);
        READ(graph, add_scaled, x, from);
        tape_bind(graph, offsetof(ts_add_scaled, y), accumulate ? ACCESS_UPDATE : ACCESS_WRITE, to);
        return;
    }
    STEP(graph, linear_combine, .count = count, .terms = accumulate ? 2 : 1, .c.value = {scale, 1.0f});
    READ(graph, linear_combine, x[0], from);
    if (accumulate)
        READ(graph, linear_combine, x[1], to);
    tape_bind(graph, offsetof(ts_linear_combine, y), accumulate ? ACCESS_UPDATE : ACCESS_WRITE, to);
}

void tape_give(ts_graph *graph, ts_tensor tensor, int buffer, float scale, bool shared)
{
    if (buffer < 0 || !tape_wants(graph, tensor))
        return;
    tape_tensor *t = &graph->tensors[tensor];
    if (t->gradient < 0 && scale == 1.0f) {
        t->gradient = buffer;
        t->gradient_shared = shared;
        return;
    }
    bool accumulate;
    const int target = tape_target(graph, tensor, &accumulate);
    if (target >= 0)
        append_scaled(graph, tensor, buffer, target, scale, accumulate);
}

/* ---- deriving ---- */

/* Which tensors lie between something that wants a gradient and an output. */
static void mark_needs(ts_graph *graph)
{
    for (int i = 0; i < graph->tensor_count; i++) {
        tape_tensor *t = &graph->tensors[i];
        t->needs_gradient = t->input && !t->is_float && (graph->flags & TS_PLAN_INPUT_GRADIENTS);
    }
    for (int i = 0; i < graph->node_count; i++) {
        const tape_node *node = &graph->nodes[i];
        bool needs = false;
        for (int k = 0; k < node->inputs; k++)
            needs = needs || tape_wants(graph, node->in[k]);
        for (int k = 0; k < NODE_PARAMS; k++)
            needs = needs || tape_wants_param(graph, node->param[k]) >= 0;
        for (int k = 0; k < NODE_OUTPUTS; k++)
            if (node->out[k] >= 0)
                graph->tensors[node->out[k]].needs_gradient = needs;
    }
}

/* Seeded gradients belong to the caller, who may write them once for many runs: nothing else may. */
static void add_seeds(ts_graph *graph)
{
    bool any = false;
    for (int i = 0; i < graph->tensor_count && !graph->failed; i++) {
        if (!graph->tensors[i].seeded)
            continue;
        const int buffer = tape_buffer_add(graph, tape_bytes(graph, i));
        if (buffer < 0)
            return;
        graph->buffers[buffer].pinned_start = graph->buffers[buffer].pinned_end = true;
        graph->tensors[i].seed = graph->tensors[i].gradient = buffer;
        graph->tensors[i].gradient_shared = true;
        any = true;
    }
    if (!any)
        tape_fail(graph, TS_INVALID, "a backward pass needs an output to start from, and none is seeded");
}

void tape_derive_backward(ts_graph *graph)
{
    mark_needs(graph);
    add_seeds(graph);
    for (int i = graph->node_count - 1; i >= 0 && !graph->failed; i--) {
        const tape_node *node = &graph->nodes[i];
        bool reached = false;
        for (int k = 0; k < NODE_OUTPUTS; k++)
            reached = reached || (tape_wants(graph, node->out[k]) && tape_gradient(graph, node->out[k]) >= 0);
        if (!reached)
            continue;
        const tape_row *row = &tape_rows[node->operation];
        graph->current_node = i;
        if (row->backward)
            row->backward(graph, node);
        else
            tape_fail(graph, TS_UNSUPPORTED, "no gradient passes through the operation %s", row->name);
    }
    for (int i = 0; i < graph->tensor_count && !graph->failed; i++)
        if (graph->tensors[i].input && graph->tensors[i].gradient >= 0)
            graph->buffers[graph->tensors[i].gradient].pinned_end = true;
}
