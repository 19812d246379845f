/*
 * Typed allocation of device memory.
 */
#ifndef TS_DIFFUSION_BUFFER_H
#define TS_DIFFUSION_BUFFER_H

#include "kernels/kernels.h"

static inline ts_status ts_buffer_floats(ts_device *device, size_t count, float **buffer)
{
    void *memory;
    *buffer = NULL;
    TS_TRY(device->k->allocate(device, count * sizeof(float), &memory));
    *buffer = memory;
    return NULL;
}

static inline ts_status ts_buffer_doubles(ts_device *device, size_t count, double **buffer)
{
    void *memory;
    *buffer = NULL;
    TS_TRY(device->k->allocate(device, count * sizeof(double), &memory));
    *buffer = memory;
    return NULL;
}

static inline ts_status ts_buffer_state(ts_device *device, ts_step_state **buffer)
{
    void *memory;
    *buffer = NULL;
    TS_TRY(device->k->allocate(device, sizeof(ts_step_state), &memory));
    *buffer = memory;
    return NULL;
}

#endif
