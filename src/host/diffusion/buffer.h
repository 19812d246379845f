/*
 * Typed allocation of device memory.
 */
#ifndef TS_DIFFUSION_BUFFER_H
#define TS_DIFFUSION_BUFFER_H

#include <stdlib.h>
#include "kernels/kernels.h"

static inline ts_status ts_buffer_floats(ts_device *device, size_t count, float **buffer)
{
    void *memory;
    *buffer = NULL;
    TS_TRY(device->k->allocate(device, count * sizeof(float), &memory));
    *buffer = memory;
    return NULL;
}

/* The same with `value` in every place. */
static inline ts_status ts_buffer_fill(ts_device *device, size_t count, float value, float **buffer)
{
    TS_TRY(ts_buffer_floats(device, count, buffer));
    float *host = malloc(count * sizeof *host);
    if (!host)
        return ts_error(TS_NO_MEMORY, "cannot allocate %zu bytes", count * sizeof *host);
    for (size_t i = 0; i < count; i++)
        host[i] = value;
    ts_status status = device->k->upload(device, *buffer, host, count * sizeof *host);
    free(host);
    return status;
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
