#include <math.h>
#include "kernels/cpu/cpu.h"

/* In double: the angles reach hundreds, where float32 leaves a sine with five digits. */
ts_status ts_cpu_fourier_embedding(ts_device *device, const ts_fourier_embedding *a)
{
    float *const y = a->y;
    const int half = a->c / 2;
#pragma omp parallel for num_threads(device->threads)                                                        \
    schedule(static) if (half * (int64_t)a->n > TS_CPU_PARALLEL / 8)
    for (int i = 0; i < a->n; i++) {
        const double turns = 2.0 * M_PI * ts_sde_log_condition(&a->sde, a->input, (double)a->t[i]);
        float *const row = y + (int64_t)i * a->c;
        for (int j = 0; j < half; j++) {
            const double angle = turns * (double)a->frequencies[j];
            row[j] = (float)sin(angle);
            row[half + j] = (float)cos(angle);
        }
    }
    return NULL;
}
