/*
 * What the CPU device keeps for convolutions between calls: oneDNN primitives by shape and packed weights.
 */
#ifndef TS_KERNELS_CPU_CONVOLUTION_H
#define TS_KERNELS_CPU_CONVOLUTION_H

#include "kernels/kernels.h"

typedef struct ts_cpu_convolutions ts_cpu_convolutions;

/* Where the device keeps its cache; NULL before the first convolution. */
ts_cpu_convolutions **ts_cpu_convolution_cache(ts_device *device);
void ts_cpu_convolutions_free(ts_device *device);

#endif
