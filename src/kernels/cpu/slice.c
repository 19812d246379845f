#include <string.h>
#include "kernels/cpu/cpu.h"

ts_status ts_cpu_slice_forward(ts_device *device, const ts_slice_forward *a)
{
    const float *const x = a->x;
    float *const y = a->y;
#pragma omp parallel for num_threads(device->threads)                                                        \
    schedule(static) if (a->rows * a->c_in > TS_CPU_PARALLEL)
    for (int64_t row = 0; row < a->rows; row++)
        memcpy(y + row * a->c_out, x + row * a->c_in + a->first, (size_t)a->c_out * sizeof *y);
    return NULL;
}

ts_status ts_cpu_slice_backward(ts_device *device, const ts_slice_backward *a)
{
    const float *const dy = a->dy;
    float *const dx = a->dx;
#pragma omp parallel for num_threads(device->threads)                                                        \
    schedule(static) if (a->rows * a->c_in > TS_CPU_PARALLEL)
    for (int64_t row = 0; row < a->rows; row++) {
        const float *const restrict in = dy + row * a->c_out;
        float *const restrict out = dx + row * a->c_in;
        if (!a->accumulate)
            memset(out, 0, (size_t)a->c_in * sizeof *out);
        for (int k = 0; k < a->c_out; k++)
            out[a->first + k] += in[k];
    }
    return NULL;
}
