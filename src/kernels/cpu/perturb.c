/* The forward process: x_t = a(t) x0 + s(t) z, and what is to be predicted of it. */
#include "kernels/cpu/cpu.h"

enum { SHARE = 16384 }; /* elements a task; a multiple of what ts_cpu_normals asks for */

/* What an image multiplies with: x_t = mean x0 + std z, and what is predicted is of_x x0 + of_z z. */
typedef struct coefficients {
    float mean, std, of_x, of_z;
} coefficients;

/* Elements first .. first + count of the flattened batch, which need not begin or end with an image. */
static void perturb_range(const ts_perturb *a, const coefficients *images, int64_t first, int64_t count)
{
    const float *restrict x0 = a->x0;
    float *restrict xt = a->xt, *restrict z = a->z;
    ts_cpu_normals(a->state, TS_STREAM_NOISE, (uint64_t)first, count, z + first);
    int64_t j = first;
    while (j < first + count) {
        int64_t i = j / a->d, end = (i + 1) * a->d;
        if (end > first + count)
            end = first + count;
        const coefficients c = images[i];
        for (int64_t k = j; k < end; k++)
            xt[k] = c.mean * x0[k] + c.std * z[k];
        if (a->predicts != TS_PREDICTS_NOISE)
            for (int64_t k = j; k < end; k++)
                z[k] = c.of_x * x0[k] + c.of_z * z[k];
        j = end;
    }
}

ts_status ts_cpu_perturb(ts_device *device, const ts_perturb *a)
{
    const int64_t count = (int64_t)a->n * a->d;
    void *memory;
    TS_TRY(ts_cpu_scratch(device, 0, (size_t)a->n * sizeof(coefficients), &memory));
    coefficients *images = memory;
#pragma omp parallel num_threads(device->threads) if (count > SHARE)
    {
#pragma omp for schedule(static)
        for (int i = 0; i < a->n; i++) {
            const ts_sde_mix target = ts_sde_target(&a->sde, a->predicts, a->t[i]);
            images[i] =
                (coefficients){(float)ts_sde_mean(&a->sde, a->t[i]), (float)ts_sde_std(&a->sde, a->t[i]),
                               (float)target.of_x, (float)target.of_other};
        }
#pragma omp for schedule(static)
        for (int64_t i = 0; i < count; i += SHARE)
            perturb_range(a, images, i, count - i < SHARE ? count - i : SHARE);
    }
    return NULL;
}
