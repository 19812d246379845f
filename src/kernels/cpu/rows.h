/*
 * How element-wise operations with few channels are split: over threads only where that pays, and along tiles
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

/* Rows of c channels in one tile. */
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

#endif
