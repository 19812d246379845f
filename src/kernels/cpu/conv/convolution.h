/*
 * What the CPU device keeps for convolutions between calls: oneDNN primitives by shape and packed weights.
 */
#ifndef TS_KERNELS_CPU_CONV_CONVOLUTION_H
#define TS_KERNELS_CPU_CONV_CONVOLUTION_H

#include "kernels/cpu/conv/onednn.h"

typedef struct ts_cpu_convolutions ts_cpu_convolutions;

/* Where the device keeps its cache; NULL before the first convolution. */
ts_cpu_convolutions **ts_cpu_convolution_cache(ts_device *device);
void ts_cpu_convolutions_free(ts_device *device);
/* Drops what was packed from weights in memory that is given back. */
void ts_cpu_convolutions_forget(ts_device *device, const void *memory, size_t bytes);

/* What distinguishes one primitive from another.  Made in zeroed memory: compared as bytes. */
typedef struct ts_cpu_convolution_key {
    ts_dnnl_pass pass;
    int n, h, w, ci, co, groups;
    ts_window window;
    enum { TS_CPU_NO_RESIDUAL, TS_CPU_RESIDUAL_IN_Y, TS_CPU_RESIDUAL_APART } residual; /* forward */
    float scale;                                                                       /* forward */
    int bias, relu;                                                                    /* relu: forward */
} ts_cpu_convolution_key;

/* The arrays of a call: x and y stand for their gradients in the backward passes. */
typedef struct ts_cpu_convolution_data {
    const void *x, *weight, *bias, *y, *residual;
} ts_cpu_convolution_data;

/* Runs the convolution.  weight [co,window.h,window.w,ci/groups]; in its backward pass it is added to and `bias`
 * assigned. */
ts_status ts_cpu_convolution(ts_device *device, const ts_cpu_convolution_key *key,
                             const ts_cpu_convolution_data *data);

#endif
