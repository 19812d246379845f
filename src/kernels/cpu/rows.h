/*
 * How element-wise operations with few channels are split: over threads only where that pays, and into pieces
 * of whole rows that are long enough to fill vector registers however few the channels.
 */
#ifndef TS_KERNELS_CPU_ROWS_H
#define TS_KERNELS_CPU_ROWS_H

#include "kernels/kernels.h"

/* Waking threads costs about as much as this many elements. */
static inline int ts_cpu_threads_for(const ts_device *device, int64_t elements)
{
    return elements < 16384 ? 1 : device->threads;
}

/* Rows of c channels in one tile of whole rows. */
static inline int64_t ts_cpu_tile_rows(int c)
{
    return c >= 64 ? 1 : (64 + c - 1) / c;
}

/* The share [first, last) of `count` items that thread `thread` of `threads` takes. */
static inline void ts_cpu_share(int64_t count, int thread, int threads, int64_t *first, int64_t *last)
{
    *first = count * thread / threads;
    *last = count * (thread + 1) / threads;
}

/* ---- blocks: some channels of some rows as one short contiguous array ---- */

enum { TS_CPU_BLOCK = 256 };

/* A walk over `c` channels of rows first .. last in blocks: many rows at once, or a piece of one long row. */
typedef struct ts_cpu_block {
    int64_t row, last;
    int channel, c;
    int width, rows, count; /* of this block: channels, rows, elements */
} ts_cpu_block;

static inline void ts_cpu_block_size(ts_cpu_block *b)
{
    const int width = b->c < TS_CPU_BLOCK ? b->c : TS_CPU_BLOCK, rows = TS_CPU_BLOCK / width;
    b->width = b->c - b->channel < width ? b->c - b->channel : width;
    b->rows = b->last - b->row < rows ? (int)(b->last - b->row) : rows;
    b->count = b->width * b->rows;
}

static inline ts_cpu_block ts_cpu_block_first(int64_t first, int64_t last, int c)
{
    ts_cpu_block b = {.row = first, .last = last, .c = c};
    ts_cpu_block_size(&b);
    return b;
}

static inline bool ts_cpu_block_more(const ts_cpu_block *b)
{
    return b->row < b->last;
}

static inline void ts_cpu_block_next(ts_cpu_block *b)
{
    b->channel += b->width;
    if (b->channel == b->c) {
        b->channel = 0;
        b->row += b->rows;
    }
    ts_cpu_block_size(b);
}

/* Where the elements of any block lie, relative to its first, in rows of `stride` with channels
 * `step` apart. */
static inline void ts_cpu_block_places(int c, int stride, int step, int32_t *places)
{
    const int width = c < TS_CPU_BLOCK ? c : TS_CPU_BLOCK;
    for (int i = 0; i < TS_CPU_BLOCK; i++)
        places[i] = i / width * stride + i % width * step;
}

static inline void ts_cpu_block_gather(int count, const float *restrict from, const int32_t *restrict places,
                                       float *restrict to)
{
#pragma omp simd
    for (int i = 0; i < count; i++)
        to[i] = from[places[i]];
}

static inline void ts_cpu_block_scatter(int count, const float *restrict from, const int32_t *restrict places,
                                        float *restrict to, bool accumulate)
{
    if (accumulate)
        for (int i = 0; i < count; i++)
            to[places[i]] += from[i];
    else
        for (int i = 0; i < count; i++)
            to[places[i]] = from[i];
}

/* The rows of a block that belong to one image of hw rows, as a range of its elements. */
typedef struct ts_cpu_run {
    int64_t image;
    int first, last;
} ts_cpu_run;

/* The run that begins with element `first`. */
static inline ts_cpu_run ts_cpu_block_run(const ts_cpu_block *b, int first, int hw)
{
    const int64_t row = b->row + first / b->width, image = row / hw;
    const int64_t end = (image + 1) * hw < b->row + b->rows ? (image + 1) * hw : b->row + b->rows;
    return (ts_cpu_run){image, first, (int)(end - b->row) * b->width};
}

#endif
