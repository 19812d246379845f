#include "kernels/cpu/cpu.h"

ts_status ts_cpu_add_scaled(ts_device *device, const ts_add_scaled *a)
{
    const float *const restrict x = a->x;
    const float scale = a->scale;
    float *const restrict y = a->y;
    const int64_t count = a->count;
    if (a->accumulate) {
#pragma omp parallel for simd num_threads(device->threads) schedule(static) if (count > TS_CPU_PARALLEL)
        for (int64_t i = 0; i < count; i++)
            y[i] += scale * x[i];
    } else {
#pragma omp parallel for simd num_threads(device->threads) schedule(static) if (count > TS_CPU_PARALLEL)
        for (int64_t i = 0; i < count; i++)
            y[i] = scale * x[i];
    }
    return NULL;
}
