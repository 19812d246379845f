/*
 * The squared distance between predicted and true noise, row by row, in double: the integrand of the bound.
 */
#include "kernels/cpu/cpu.h"

ts_status ts_cpu_squared_error(ts_device *device, const ts_squared_error *a)
{
#pragma omp parallel for schedule(static) num_threads(device->threads) if ((int64_t)a->n * a->d > 16384)
    for (int i = 0; i < a->n; i++) {
        const float *net = a->net + (size_t)i * a->d, *z = a->z + (size_t)i * a->d;
        double sum = 0.0;
#pragma omp simd reduction(+ : sum)
        for (int j = 0; j < a->d; j++) {
            double e = (double)net[j] - (double)z[j];
            sum += e * e;
        }
        a->out[i] = sum;
    }
    return NULL;
}
