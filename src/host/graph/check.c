/*
 * Guards, for tests: known bytes before and behind every buffer, checked when it dies, and NaN in it when it
 * is born, so that writing beside a buffer and reading before anything was written both show.
 */
#include "graph/tape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD_BYTE = 0xA5, UNWRITTEN_BYTE = 0xFF /* NaN in every floating-point type */ };

static size_t body_bytes(const tape_buffer *b)
{
    return (b->bytes + TAPE_ALIGN - 1) / TAPE_ALIGN * TAPE_ALIGN;
}

/* Guards on both sides; between them NaN, or nothing new where the caller's content must stay. */
static ts_status arm(const ts_graph *graph, tape_buffer *b)
{
    const size_t body = body_bytes(b);
    unsigned char *image = malloc(body + 2 * TAPE_GUARD);
    if (!image)
        return ts_error(TS_NO_MEMORY, "not enough memory to guard %zu bytes", body);
    memset(image, GUARD_BYTE, body + 2 * TAPE_GUARD);
    memset(image + TAPE_GUARD, UNWRITTEN_BYTE, b->bytes);
    if (b->pinned_start)
        memset(image + TAPE_GUARD, 0, b->bytes);
    ts_status status =
        graph->device->k->upload(graph->device, graph->arena + b->offset, image, body + 2 * TAPE_GUARD);
    free(image);
    b->armed = !status;
    return status;
}

static ts_status inspect(const ts_graph *graph, int buffer, bool *intact)
{
    const tape_buffer *b = &graph->buffers[buffer];
    unsigned char edge[TAPE_GUARD + TAPE_ALIGN];
    const ts_kernels *k = graph->device->k;
    const char *start = graph->arena + b->offset;
    const size_t behind = body_bytes(b) - b->bytes + TAPE_GUARD;
    *intact = true;
    TS_TRY(k->download(graph->device, edge, start, TAPE_GUARD));
    for (size_t i = 0; i < TAPE_GUARD; i++)
        *intact = *intact && edge[i] == GUARD_BYTE;
    TS_TRY(k->download(graph->device, edge, start + TAPE_GUARD + b->bytes, behind));
    for (size_t i = 0; i < behind; i++)
        *intact = *intact && edge[i] == GUARD_BYTE;
    return NULL;
}

ts_status tape_guards_prepare(ts_graph *graph)
{
    for (int i = 0; i < graph->buffer_count; i++)
        if (graph->buffers[i].storage == i && graph->buffers[i].pinned_start)
            TS_TRY(arm(graph, &graph->buffers[i]));
    return NULL;
}

ts_status tape_guards_before(ts_graph *graph, int step)
{
    for (int i = 0; i < graph->buffer_count; i++) {
        tape_buffer *b = &graph->buffers[i];
        if (b->storage == i && b->first == step && !b->pinned_start)
            TS_TRY(arm(graph, b));
    }
    return NULL;
}

ts_status tape_guards_after(ts_graph *graph, int step)
{
    for (int i = 0; i < graph->buffer_count && !graph->guard_failure; i++) {
        const tape_buffer *b = &graph->buffers[i];
        if (b->storage != i || b->last != step)
            continue;
        bool intact;
        TS_TRY(inspect(graph, i, &intact));
        if (!intact &&
            asprintf(&graph->guard_failure,
                     "memory beside a tensor of %zu bytes was overwritten before step %d, %s, ended",
                     b->bytes, step, tape_kernel_name(graph->steps[step].kernel)) < 0)
            return ts_error(TS_NO_MEMORY, "not enough memory for a message");
    }
    return NULL;
}

ts_status ts_graph_check_guards(const ts_graph *graph)
{
    if (!graph->planned || !(graph->flags & TS_PLAN_GUARDS))
        return ts_error(TS_INVALID, "the graph was planned without guards");
    if (graph->guard_failure)
        return ts_error(TS_DEVICE, "%s", graph->guard_failure);
    for (int i = 0; i < graph->buffer_count; i++) {
        const tape_buffer *b = &graph->buffers[i];
        if (b->storage != i || !b->pinned_end || !b->armed)
            continue;
        bool intact;
        TS_TRY(inspect(graph, i, &intact));
        if (!intact)
            return ts_error(TS_DEVICE, "memory beside an input or output of %zu bytes was overwritten",
                            b->bytes);
    }
    return NULL;
}
