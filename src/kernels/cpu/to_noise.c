#include "kernels/cpu/cpu.h"

ts_status ts_cpu_to_noise(ts_device *device, const ts_to_noise *a)
{
    const int64_t d = a->d;
#pragma omp parallel for num_threads(device->threads) schedule(static) if (a->n * d > TS_CPU_PARALLEL)
    for (int i = 0; i < a->n; i++) {
        const ts_sde_mix mix = ts_sde_noise(&a->sde, a->predicts, (double)a->t[i]);
        const float of_x = (float)mix.of_x, of_net = (float)mix.of_other;
        const float *const restrict xt = a->xt ? (const float *)a->xt + i * d : NULL;
        const float *const restrict net = a->net ? (const float *)a->net + i * d : NULL;
        float *const restrict y = (float *)a->y + i * d;
        for (int64_t k = 0; k < d; k++) {
            float sum = a->accumulate ? y[k] : 0.0f;
            if (xt)
                sum += of_x * xt[k];
            if (net)
                sum += of_net * net[k];
            y[k] = sum;
        }
    }
    return NULL;
}
