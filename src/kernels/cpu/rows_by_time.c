/* Rows of one of two arrays, by their time. */
#include <string.h>
#include "kernels/cpu/cpu.h"

ts_status ts_cpu_rows_by_time(ts_device *device, const ts_rows_by_time *a)
{
    const size_t d = (size_t)a->d;
#pragma omp parallel for schedule(static)                                                                    \
    num_threads(device->threads) if ((int64_t)a->n * a->d > TS_CPU_PARALLEL)
    for (int i = 0; i < a->n; i++) {
        const size_t at = (size_t)i * d;
        memcpy(a->y + at, (a->t[i] > a->T ? a->above : a->below) + at, d * sizeof *a->y);
    }
    return NULL;
}
