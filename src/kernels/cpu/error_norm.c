/* The error that steers an adaptive step, in double precision. */
#include <math.h>
#include "kernels/cpu/cpu.h"

enum { SHARE = 2048 }; /* elements a task: fixed, so that the sum does not depend on the thread count */

static double sum_of_squares(const ts_error_norm *a, const float *coefficient, int64_t first, int64_t count)
{
    double error[SHARE], sum = 0.0;
    for (int64_t j = 0; j < count; j++)
        error[j] = 0.0;
    for (int k = 0; k < a->terms; k++) {
        const float *x = a->x[k] + first;
        const double c = (double)coefficient[k];
        for (int64_t j = 0; j < count; j++)
            error[j] += c * (double)x[j];
    }
    const float *y0 = a->y0 + first, *y1 = a->y1 + first;
    const double rtol = a->rtol, atol = a->atol;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < count; j++) {
        double size0 = fabs((double)y0[j]), size1 = fabs((double)y1[j]);
        double scaled = error[j] / (atol + rtol * (size0 > size1 ? size0 : size1));
        sum += scaled * scaled;
    }
    return sum;
}

ts_status ts_cpu_error_norm(ts_device *device, const ts_error_norm *a)
{
    const int64_t tasks = (a->count + SHARE - 1) / SHARE;
    void *memory;
    TS_TRY(ts_cpu_scratch(device, 0, (size_t)tasks * sizeof(double), &memory));
    double *partial = memory, sum = 0.0;
    const float *row = ts_coefficient_row(&a->c), *c = row ? row : a->c.value;
#pragma omp parallel for schedule(static) num_threads(device->threads) if (tasks > 8)
    for (int64_t i = 0; i < tasks; i++) {
        int64_t first = i * SHARE;
        partial[i] = sum_of_squares(a, c, first, a->count - first < SHARE ? a->count - first : SHARE);
    }
    for (int64_t i = 0; i < tasks; i++)
        sum += partial[i];
    *a->error = sqrt(sum / (double)a->count);
    return NULL;
}
