/*
 * Sums that several operations share.  The order of the additions depends on the shape and the number of
 * threads alone.
 */
#ifndef TS_KERNELS_CPU_REDUCE_H
#define TS_KERNELS_CPU_REDUCE_H

#include "kernels/kernels.h"

/* sums[k] += sum over the rows of x [rows,c].  Uses the scratch slot `slot`. */
ts_status ts_cpu_add_column_sums(ts_device *device, int slot, int64_t rows, int c, const float *x,
                                 float *sums);

/* y += x */
void ts_cpu_add(const ts_device *device, int64_t count, const float *x, float *y);

#endif
