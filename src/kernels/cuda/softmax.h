/* The kernels between the two products of an attention. */
#ifndef TS_KERNELS_CUDA_SOFTMAX_H
#define TS_KERNELS_CUDA_SOFTMAX_H

#include "kernels/cuda/cuda.h"

/* p [rows,length], activations, = softmax of each row of s (float32).  p may be s where activations are
 * float32. */
ts_status ts_cuda_softmax(ts_device *device, int64_t rows, int length, const float *s, void *p);

/* ds = scale p (dp - sum_j p_j dp_j), rows as above; p and ds activations, dp float32.  ds may be dp where
 * activations are float32. */
ts_status ts_cuda_softmax_backward(ts_device *device, int64_t rows, int length, float scale, const void *p,
                                   const float *dp, void *ds);

#endif
