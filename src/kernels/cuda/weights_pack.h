/*
 * Copies of float32 parameters in the form that the libraries read: of the activations' type, channels padded
 * with zeros.  They are made on first use and kept; when weights have changed (ts_cuda_device.epoch) all of
 * them are made anew by one kernel before the next use.
 */
#ifndef TS_KERNELS_CUDA_WEIGHTS_PACK_H
#define TS_KERNELS_CUDA_WEIGHTS_PACK_H

#include "kernels/cuda/cuda.h"

/* weight [rows,taps,columns]; its copy [padded_rows,taps,padded_columns], times `scale`. */
typedef struct ts_cuda_pack {
    const float *weight; /* NULL: zeros */
    int rows, taps, columns, padded_rows, padded_columns;
    float scale;
} ts_cuda_pack;

/* The copy, up to date; the weights themselves where they serve, which they do at addresses that are
 * multiples of 16. */
ts_status ts_cuda_packed(ts_device *device, const ts_cuda_pack *pack, const void **packed);

/* Makes stale copies anew.  Queued before a launch sequence is recorded or replayed, so that the sequence
 * need not. */
ts_status ts_cuda_packs_refresh(ts_device *device);

/* Forgets what was packed from memory that is given back. */
void ts_cuda_packs_forget(ts_device *device, const void *memory, size_t bytes);
void ts_cuda_packs_free(ts_device *device);

#endif
