/*
 * Where blocks with lifetimes lie in one arena: a dynamic storage allocation problem, NP-hard in general.
 * Best fit in two orders, the largest blocks first and the earliest first; the tighter result is taken.
 */
#include "graph/tape.h"

#include <stdlib.h>

static int by_size(const void *left, const void *right)
{
    const tape_block *a = *(tape_block *const *)left, *b = *(tape_block *const *)right;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? 1 : -1;
    return a->first != b->first ? (a->first > b->first) - (a->first < b->first) : (a > b) - (a < b);
}

static int by_time(const void *left, const void *right)
{
    const tape_block *a = *(tape_block *const *)left, *b = *(tape_block *const *)right;
    if (a->first != b->first)
        return (a->first > b->first) - (a->first < b->first);
    return a->bytes != b->bytes ? (a->bytes < b->bytes) - (a->bytes > b->bytes) : (a > b) - (a < b);
}

/* The smallest gap that takes `block` among `placed` (ascending offsets), else the place behind them all. */
static size_t best_offset(const tape_block *block, tape_block *const *placed, int count)
{
    size_t top = 0, best = 0, best_gap = SIZE_MAX;
    for (int i = 0; i < count; i++) {
        const tape_block *other = placed[i];
        if (other->last < block->first || other->first > block->last)
            continue;
        if (other->offset > top) {
            size_t gap = other->offset - top;
            if (gap >= block->bytes && gap < best_gap) {
                best = top;
                best_gap = gap;
            }
        }
        if (other->offset + other->bytes > top)
            top = other->offset + other->bytes;
    }
    return best_gap < SIZE_MAX ? best : top;
}

/* Places the blocks in the order given; `placed` is room for as many pointers. */
static size_t place(tape_block **order, tape_block **placed, int count)
{
    size_t peak = 0;
    for (int i = 0; i < count; i++) {
        tape_block *block = order[i];
        block->offset = best_offset(block, placed, i);
        if (block->offset + block->bytes > peak)
            peak = block->offset + block->bytes;
        int at = i;
        for (; at > 0 && placed[at - 1]->offset > block->offset; at--)
            placed[at] = placed[at - 1];
        placed[at] = block;
    }
    return peak;
}

ts_status tape_layout(tape_block *blocks, int count, size_t *bytes)
{
    *bytes = 0;
    if (count == 0)
        return NULL;
    tape_block **order = malloc(2 * (size_t)count * sizeof *order);
    if (!order)
        return ts_error(TS_NO_MEMORY, "not enough memory to plan %d tensors", count);
    for (int i = 0; i < count; i++)
        order[i] = &blocks[i];
    qsort(order, (size_t)count, sizeof *order, by_size);
    const size_t size_first = place(order, order + count, count);
    qsort(order, (size_t)count, sizeof *order, by_time);
    *bytes = place(order, order + count, count);
    if (size_first < *bytes) {
        qsort(order, (size_t)count, sizeof *order, by_size);
        *bytes = place(order, order + count, count);
    }
    free(order);
    return NULL;
}
