/*
 * The log-density of N(0, sigma^2 I), row by row, in double.
 */
#include <math.h>
#include "kernels/cpu/cpu.h"

ts_status ts_cpu_normal_log_prob(ts_device *device, const ts_normal_log_prob *a)
{
    const double precision = 1.0 / (a->sigma * a->sigma);
    const double constant = -0.5 * a->d * log(2.0 * M_PI * a->sigma * a->sigma);
#pragma omp parallel for schedule(static) num_threads(device->threads) if ((int64_t)a->n * a->d > 16384)
    for (int i = 0; i < a->n; i++) {
        const float *x = a->x + (size_t)i * a->d;
        double sum = 0.0;
#pragma omp simd reduction(+ : sum)
        for (int j = 0; j < a->d; j++)
            sum += (double)x[j] * (double)x[j];
        a->out[i] = constant - 0.5 * precision * sum;
    }
    return NULL;
}
