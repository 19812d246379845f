#include <math.h>
#include "kernels/cpu/cpu.h"

ts_status ts_cpu_lambda_embedding(ts_device *device, const ts_lambda_embedding *a)
{
    const int waves = a->waves;
#pragma omp parallel for num_threads(device->threads)                                                        \
    schedule(static) if (waves * (int64_t)a->n > TS_CPU_PARALLEL / 8)
    for (int i = 0; i < a->n; i++) {
        const double u = (ts_sde_lambda(&a->sde, (double)a->t[i]) - a->low) * a->scale;
        float *const y = (float *)a->y + (int64_t)i * (1 + 2 * waves);
        y[0] = (float)ts_sde_log_share(&a->sde, (double)a->t[i]);
        for (int j = 1; j <= waves; j++) {
            y[j] = (float)sin(j * u);
            y[waves + j] = (float)cos(j * u);
        }
    }
    return NULL;
}
