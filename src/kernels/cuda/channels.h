/*
 * Own kernels around the libraries' convolutions: channels padded to what tensor cores want, and what an
 * epilogue could not do.
 */
#ifndef TS_KERNELS_CUDA_CHANNELS_H
#define TS_KERNELS_CUDA_CHANNELS_H

#include "kernels/cuda/cuda.h"

/* y [rows,padded] = x [rows,c] and zeros; activations. */
ts_status ts_cuda_pad(ts_device *device, int64_t rows, int c, int padded, const void *x, void *y);

/* x itself where padded = c, else its copy with that many channels, in a scratch slot. */
ts_status ts_cuda_padded_of(ts_device *device, int slot, int64_t rows, int c, int padded, const void *x,
                            void **out);

/* What is done to y with what is cropped: added to it, or no more than assigned, below zero as it is or as zero. */
typedef enum ts_cuda_cropping { TS_CUDA_ASSIGN, TS_CUDA_ACCUMULATE, TS_CUDA_ASSIGN_RELU } ts_cuda_cropping;

/* y [rows,c] (+)= act(scale (x [rows,padded] + bias + residual [rows,c])); activations, bias float32 [c].  bias
 * and residual may be NULL; y may be x (padded = c) or the residual. */
ts_status ts_cuda_crop(ts_device *device, int64_t rows, int c, int padded, const void *x, const float *bias,
                       const void *residual, float scale, ts_cuda_cropping how, void *y);

/* dweight [rows,taps,columns] += g [..,taps,padded], of the activations' type if `rounded`, else float32. */
ts_status ts_cuda_add_weights(ts_device *device, int rows, int taps, int columns, int padded, bool rounded,
                              const void *g, float *dweight);

/* dbias [c] += the sums of the columns of dy [rows,c]; float32 sums in a fixed order. */
ts_status ts_cuda_bias_gradient(ts_device *device, int64_t rows, int c, const void *dy, float *dbias);

#endif
