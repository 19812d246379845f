/* Linear combinations of states: the stages of the ODE integrators. */
#include "kernels/cpu/cpu.h"

enum { SHARE = 2048 }; /* elements a task: the sum stays in the first-level cache until it is whole */

static void combine(const ts_linear_combine *a, const float *coefficient, int64_t first, int64_t count)
{
    float sum[SHARE]; /* y may be one of the x: nothing is written before all are read */
    for (int64_t j = 0; j < count; j++)
        sum[j] = 0.0f;
    for (int k = 0; k < a->terms; k++) {
        const float *x = a->x[k] + first, c = coefficient[k];
        for (int64_t j = 0; j < count; j++)
            sum[j] += c * x[j];
    }
    for (int64_t j = 0; j < count; j++)
        a->y[first + j] = sum[j];
}

ts_status ts_cpu_linear_combine(ts_device *device, const ts_linear_combine *a)
{
    const float *row = ts_coefficient_row(&a->c), *c = row ? row : a->c.value;
#pragma omp parallel for schedule(static) num_threads(device->threads) if (a->count > 16 * SHARE)
    for (int64_t i = 0; i < a->count; i += SHARE)
        combine(a, c, i, a->count - i < SHARE ? a->count - i : SHARE);
    return NULL;
}
