#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vector_math.h"

ts_status ts_cpu_silu_forward(ts_device *device, const ts_silu_forward *a)
{
    const float *const restrict x = a->x;
    float *const restrict y = a->y;
    const int64_t count = a->count;
#pragma omp parallel for simd simdlen(16) num_threads(device->threads)                                       \
    schedule(static) if (count > TS_CPU_PARALLEL)
    for (int64_t i = 0; i < count; i++)
        y[i] = ts_silu_of(x[i]);
    return NULL;
}

ts_status ts_cpu_silu_backward(ts_device *device, const ts_silu_backward *a)
{
    const float *const restrict x = a->x, *const restrict dy = a->dy;
    float *const restrict dx = a->dx;
    const int64_t count = a->count;
    if (a->accumulate) {
#pragma omp parallel for simd simdlen(16) num_threads(device->threads)                                       \
    schedule(static) if (count > TS_CPU_PARALLEL)
        for (int64_t i = 0; i < count; i++)
            dx[i] += dy[i] * ts_silu_slope(x[i]);
    } else {
#pragma omp parallel for simd simdlen(16) num_threads(device->threads)                                       \
    schedule(static) if (count > TS_CPU_PARALLEL)
        for (int64_t i = 0; i < count; i++)
            dx[i] = dy[i] * ts_silu_slope(x[i]);
    }
    return NULL;
}
