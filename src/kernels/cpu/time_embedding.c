#include <math.h>
#include "kernels/cpu/cpu.h"

/* In double: the arguments reach 999, where float32 leaves a sine with four digits. */
ts_status ts_cpu_time_embedding(ts_device *device, const ts_time_embedding *a)
{
    float *const y = a->y;
    const int half = a->c / 2;
    const double step = half > 1 ? -log(10000.0) / (half - 1) : 0.0;
#pragma omp parallel for num_threads(device->threads)                                                        \
    schedule(static) if (half * (int64_t)a->n > TS_CPU_PARALLEL / 8)
    for (int j = 0; j < half; j++) {
        const double frequency = exp(step * j);
        for (int i = 0; i < a->n; i++) {
            const double angle = ts_sde_condition(&a->sde, a->input, (double)a->t[i]) * frequency;
            y[(int64_t)i * a->c + j] = (float)sin(angle);
            y[(int64_t)i * a->c + half + j] = (float)cos(angle);
        }
    }
    return NULL;
}
