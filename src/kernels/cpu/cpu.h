/*
 * The CPU device: what its operations share.  Every operation is one file of this folder and defines
 * ts_cpu_NAME; the table in device.c is made from the list in kernels.h.
 */
#ifndef TS_KERNELS_CPU_H
#define TS_KERNELS_CPU_H

#include "kernels/kernels.h"

#define X(name) ts_status ts_cpu_##name(ts_device *device, const ts_##name *a);
TS_OPERATIONS(X)
#undef X

typedef struct ts_cpu_device ts_cpu_device; /* begins with a ts_device */

/* Element-wise loops over fewer elements run on one thread: waking the others costs more than the work. */
enum { TS_CPU_PARALLEL = 16384 };

/* The table's `ceiling`: OpenBLAS sgemm. */
ts_status ts_cpu_ceiling(ts_device *device, double *flops);

/* Scratch that grows to the largest request and stays: 64-byte aligned, valid until the next call with the
 * same slot. No allocation once every operation has run once.  Slot numbers are private to a file's
 * operations within one call. */
ts_status ts_cpu_scratch(ts_device *device, int slot, size_t bytes, void **memory);

/* Counts up whenever weights may have changed: packed copies made under another epoch are stale. */
uint64_t ts_cpu_weights_epoch(const ts_device *device);

/* Fills out[0 .. count) with standard normals / uniforms of (state, stream), elements first .. (first a
 * multiple of 4). Serial: callers split work over threads in multiples of 64 elements.  The value of an
 * element never depends on the split. */
void ts_cpu_normals(const ts_step_state *state, uint32_t stream, uint64_t first, int64_t count, float *out);
void ts_cpu_uniforms(const ts_step_state *state, uint32_t stream, uint64_t first, int64_t count, float *out);

#endif
