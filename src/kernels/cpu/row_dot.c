/*
 * The scalar product of corresponding rows, in double.
 */
#include "kernels/cpu/cpu.h"

ts_status ts_cpu_row_dot(ts_device *device, const ts_row_dot *a)
{
#pragma omp parallel for schedule(static) num_threads(device->threads) if ((int64_t)a->n * a->d > 16384)
    for (int i = 0; i < a->n; i++) {
        const float *x = a->x + (size_t)i * a->d, *y = a->y + (size_t)i * a->d;
        double sum = 0.0;
#pragma omp simd reduction(+ : sum)
        for (int j = 0; j < a->d; j++)
            sum += (double)x[j] * (double)y[j];
        a->out[i] = a->affine ? a->affine[0] + a->affine[1] * sum : sum;
        if (a->rounded)
            a->rounded[i] = (float)a->out[i];
    }
    return NULL;
}
