#include "graph/tape.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tape_fail(ts_graph *graph, ts_code code, const char *format, ...)
{
    if (graph->failed)
        return;
    graph->failed = true;
    va_list arguments;
    char *message;
    va_start(arguments, format);
    int length = vasprintf(&message, format, arguments);
    va_end(arguments);
    graph->error = ts_error(code, "%s", length < 0 ? "not enough memory" : message);
    if (length >= 0)
        free(message);
}

/* Makes room for one more element. */
static bool grow(ts_graph *graph, void *array, int count, int *room, size_t size)
{
    if (graph->failed)
        return false;
    if (count < *room)
        return true;
    void **place = array;
    int larger = *room ? 2 * *room : 64;
    void *memory = realloc(*place, (size_t)larger * size);
    if (!memory) {
        tape_fail(graph, TS_NO_MEMORY, "not enough memory for a graph of %d entries", larger);
        return false;
    }
    *place = memory;
    *room = larger;
    return true;
}

void ts_graph_layer(ts_graph *graph, const char *format, ...)
{
    char *name = NULL;
    va_list arguments;
    graph->current_layer = -1;
    if (!format ||
        !grow(graph, &graph->layers, graph->layer_count, &graph->layer_room, sizeof *graph->layers))
        return;
    va_start(arguments, format);
    const int length = vasprintf(&name, format, arguments);
    va_end(arguments);
    if (length < 0) {
        tape_fail(graph, TS_NO_MEMORY, "not enough memory for the name of a layer");
        return;
    }
    graph->current_layer = graph->layer_count;
    graph->layers[graph->layer_count++] = name;
}

int tape_buffer_add(ts_graph *graph, size_t bytes)
{
    if (!grow(graph, &graph->buffers, graph->buffer_count, &graph->buffer_room, sizeof *graph->buffers))
        return -1;
    graph->buffers[graph->buffer_count] =
        (tape_buffer){.bytes = bytes, .first = -1, .last = -1, .storage = graph->buffer_count};
    return graph->buffer_count++;
}

ts_tensor tape_tensor_add(ts_graph *graph, int n, int h, int w, int c, bool is_float)
{
    int64_t count = 0;
    if (n < 1 || h < 1 || w < 1 || c < 1)
        tape_fail(graph, TS_INVALID, "a tensor cannot have the shape [%d,%d,%d,%d]", n, h, w, c);
    else if (__builtin_mul_overflow((int64_t)n * h, (int64_t)w * c, &count) || (int64_t)n * h > INT_MAX ||
             (int64_t)n * h * w > INT_MAX || count > INT64_MAX / 64)
        tape_fail(graph, TS_NO_MEMORY, "a tensor of shape [%d,%d,%d,%d] is more than can be addressed", n, h,
                  w, c);
    if (!grow(graph, &graph->tensors, graph->tensor_count, &graph->tensor_room, sizeof *graph->tensors))
        return -1;
    size_t size = is_float ? sizeof(float) : ts_dtype_size(graph->device->activation);
    int buffer = tape_buffer_add(graph, (size_t)count * size);
    if (buffer < 0)
        return -1;
    graph->tensors[graph->tensor_count] = (tape_tensor){.shape = {n, h, w, c},
                                                        .is_float = is_float,
                                                        .buffer = buffer,
                                                        .part = {-1, -1},
                                                        .seed = -1,
                                                        .gradient = -1,
                                                        .image_sums = -1};
    return graph->tensor_count++;
}

void tape_node_add(ts_graph *graph, const tape_node *node)
{
    if (!grow(graph, &graph->nodes, graph->node_count, &graph->node_room, sizeof *graph->nodes))
        return;
    graph->nodes[graph->node_count] = *node;
    graph->nodes[graph->node_count].layer = graph->current_layer;
    graph->current_node = graph->node_count;
    graph->nodes[graph->node_count++].step = graph->step_count;
}

void tape_step_add(ts_graph *graph, tape_kernel kernel, const void *arguments, size_t size)
{
    if (!grow(graph, &graph->steps, graph->step_count, &graph->step_room, sizeof *graph->steps))
        return;
    tape_step *step = &graph->steps[graph->step_count++];
    *step = (tape_step){.kernel = kernel,
                        .first_operand = graph->operand_count,
                        .over = -1,
                        .under = -1,
                        .node = graph->current_node};
    memcpy(&step->arguments, arguments, size);
}

void tape_bind(ts_graph *graph, size_t field, tape_access access, int index)
{
    if (index < 0 ||
        !grow(graph, &graph->operands, graph->operand_count, &graph->operand_room, sizeof *graph->operands))
        return;
    graph->operands[graph->operand_count++] = (tape_operand){field, access, index};
    graph->steps[graph->step_count - 1].operands++;
}

void tape_in_place(ts_graph *graph, int over, int under)
{
    if (graph->failed || over < 0 || under < 0)
        return;
    graph->steps[graph->step_count - 1].over = over;
    graph->steps[graph->step_count - 1].under = under;
}

void tape_flops(ts_graph *graph, double flops)
{
    if (!graph->failed)
        graph->steps[graph->step_count - 1].flops = flops;
}

int64_t tape_elements(const ts_graph *graph, ts_tensor tensor)
{
    if (graph->failed || tensor < 0)
        return 0;
    const int *s = graph->tensors[tensor].shape;
    return (int64_t)s[0] * s[1] * s[2] * s[3];
}

size_t tape_bytes(const ts_graph *graph, ts_tensor tensor)
{
    return graph->failed || tensor < 0 ? 0 : graph->buffers[graph->tensors[tensor].buffer].bytes;
}

int tape_buffer_of(const ts_graph *graph, ts_tensor tensor)
{
    return graph->failed || tensor < 0 ? -1 : graph->tensors[tensor].buffer;
}

const char *tape_kernel_name(tape_kernel kernel)
{
    static const char *const names[] = {
#define X(name) [KERNEL_##name] = #name,
        TS_OPERATIONS(X)
#undef X
            [KERNEL_zero] = "zero",
        [KERNEL_copy] = "copy"};
    return names[kernel];
}
