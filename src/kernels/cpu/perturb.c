/* The forward process: x_t = a(t) x0 + s(t) z. */
#include "kernels/cpu/cpu.h"

enum { SHARE = 16384 }; /* elements a task; a multiple of what ts_cpu_normals asks for */

/* Elements first .. first + count of the flattened batch, which need not begin or end with an image. */
static void perturb_range(const ts_perturb *a, const float *restrict mean, const float *restrict std,
                          int64_t first, int64_t count)
{
    const float *restrict x0 = a->x0;
    float *restrict xt = a->xt, *restrict z = a->z;
    ts_cpu_normals(a->state, TS_STREAM_NOISE, (uint64_t)first, count, z + first);
    int64_t j = first;
    while (j < first + count) {
        int64_t i = j / a->d, end = (i + 1) * a->d;
        if (end > first + count)
            end = first + count;
        const float m = mean[i], s = std[i];
        for (; j < end; j++)
            xt[j] = m * x0[j] + s * z[j];
    }
}

ts_status ts_cpu_perturb(ts_device *device, const ts_perturb *a)
{
    const int64_t count = (int64_t)a->n * a->d;
    void *memory;
    TS_TRY(ts_cpu_scratch(device, 0, 2 * (size_t)a->n * sizeof(float), &memory));
    float *mean = memory, *std = mean + a->n;
#pragma omp parallel num_threads(device->threads) if (count > SHARE)
    {
#pragma omp for schedule(static)
        for (int i = 0; i < a->n; i++) {
            mean[i] = (float)ts_sde_mean(&a->sde, a->t[i]);
            std[i] = (float)ts_sde_std(&a->sde, a->t[i]);
        }
#pragma omp for schedule(static)
        for (int64_t i = 0; i < count; i += SHARE)
            perturb_range(a, mean, std, i, count - i < SHARE ? count - i : SHARE);
    }
    return NULL;
}
