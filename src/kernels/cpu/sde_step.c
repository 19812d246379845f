/* One step of a reverse SDE, its noise included. */
#include "kernels/cpu/cpu.h"

enum { SHARE = 2048 }; /* elements a task: their noise stays in the first-level cache */

static void step(const ts_sde_step *a, const float c[3], int64_t first, int64_t count)
{
    float z[SHARE];
    const float *restrict net = a->net + first;
    float *restrict x = a->x + first;
    const float c0 = c[0], c1 = c[1], c2 = c[2];
    ts_cpu_normals(a->state, TS_STREAM_SAMPLER, (uint64_t)first, count, z);
    for (int64_t j = 0; j < count; j++)
        x[j] = c0 * x[j] + c1 * net[j] + c2 * z[j];
}

ts_status ts_cpu_sde_step(ts_device *device, const ts_sde_step *a)
{
    const float *c = a->coefficients + 3 * (int64_t)a->state->step;
#pragma omp parallel for schedule(static) num_threads(device->threads) if (a->count > 8 * SHARE)
    for (int64_t i = 0; i < a->count; i += SHARE)
        step(a, c, i, a->count - i < SHARE ? a->count - i : SHARE);
    return NULL;
}
