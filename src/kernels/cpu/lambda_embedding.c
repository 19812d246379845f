#include <math.h>
#include "kernels/cpu/cpu.h"

ts_status ts_cpu_lambda_embedding(ts_device *device, const ts_lambda_embedding *a)
{
    float *const y = a->y;
    const int half = a->c / 2;
#pragma omp parallel for num_threads(device->threads)                                                        \
    schedule(static) if (half * (int64_t)a->n > TS_CPU_PARALLEL / 8)
    for (int i = 0; i < a->n; i++) {
        const double u = (ts_sde_lambda(&a->sde, (double)a->t[i]) - a->low) * a->scale;
        for (int j = 0; j < half; j++) {
            y[(int64_t)i * a->c + j] = (float)sin((j + 1) * u);
            y[(int64_t)i * a->c + half + j] = (float)cos((j + 1) * u);
        }
    }
    return NULL;
}
