/* The speed of a large matrix product, to measure the rest against. */
#include <cblas.h>
#include <stdlib.h>
#include "base/clock.h"
#include "kernels/cpu/cpu.h"

enum { SIZE = 1536, REPEATS = 7 };

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double product_seconds(const float *a, const float *b, float *c)
{
    double times[REPEATS];
    for (int i = -1; i < REPEATS; i++) { /* the first warms up */
        const double start = ts_seconds();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, SIZE, SIZE, SIZE, 1, a, SIZE, b, SIZE, 0, c,
                    SIZE);
        if (i >= 0)
            times[i] = ts_seconds() - start;
    }
    qsort(times, REPEATS, sizeof *times, compare);
    return times[REPEATS / 2];
}

ts_status ts_cpu_ceiling(ts_device *device, double *flops)
{
    const size_t count = (size_t)SIZE * SIZE;
    float *matrices = malloc(3 * count * sizeof *matrices);
    if (!matrices)
        return ts_error(TS_NO_MEMORY, "cannot allocate %zu bytes for a matrix product",
                        3 * count * sizeof *matrices);
    const ts_step_state state = {.seed = 1};
    ts_cpu_normals(&state, TS_STREAM_TEST, 0, (int64_t)(2 * count), matrices);
    const int threads = openblas_get_num_threads();
    openblas_set_num_threads(device->threads);
    *flops = 2.0 * SIZE * SIZE * SIZE / product_seconds(matrices, matrices + count, matrices + 2 * count);
    openblas_set_num_threads(threads);
    free(matrices);
    return NULL;
}
