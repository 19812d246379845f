#include "kernels/cpu/cpu.h"

ts_status ts_cpu_affine(ts_device *device, const ts_affine *a)
{
    const int64_t d = a->d;
#pragma omp parallel for num_threads(device->threads) schedule(static) if (a->n * d > TS_CPU_PARALLEL)
    for (int i = 0; i < a->n; i++) {
        const double s = a->t ? ts_sde_std(&a->sde, (double)a->t[i]) : 1.0;
        const float scale = (float)((double)a->scale * s), offset = a->offset;
        const float *const restrict x = (const float *)a->x + i * d;
        float *const restrict y = (float *)a->y + i * d;
        if (a->accumulate)
            for (int64_t k = 0; k < d; k++)
                y[k] += scale * x[k] + offset;
        else
            for (int64_t k = 0; k < d; k++)
                y[k] = scale * x[k] + offset;
    }
    return NULL;
}
