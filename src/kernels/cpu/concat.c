#include <string.h>
#include "kernels/cpu/cpu.h"

ts_status ts_cpu_concat_forward(ts_device *device, const ts_concat_forward *a)
{
    const float *const in_a = a->a, *const in_b = a->b;
    float *const y = a->y;
    const int64_t ca = a->ca, cb = a->cb;
#pragma omp parallel for num_threads(device->threads)                                                        \
    schedule(static) if (a->rows * (ca + cb) > TS_CPU_PARALLEL)
    for (int64_t row = 0; row < a->rows; row++) {
        memcpy(y + row * (ca + cb), in_a + row * ca, (size_t)ca * sizeof *y);
        memcpy(y + row * (ca + cb) + ca, in_b + row * cb, (size_t)cb * sizeof *y);
    }
    return NULL;
}

/* d [rows,c] = or += columns first .. first + c of dy [rows,width] */
static void take(const ts_device *device, int64_t rows, int width, int first, int c, const float *dy,
                 float *d, bool accumulate)
{
#pragma omp parallel for num_threads(device->threads) schedule(static) if (rows * c > TS_CPU_PARALLEL)
    for (int64_t row = 0; row < rows; row++) {
        const float *const restrict in = dy + row * width + first;
        float *const restrict out = d + row * c;
        if (accumulate) {
            for (int k = 0; k < c; k++)
                out[k] += in[k];
        } else {
            memcpy(out, in, (size_t)c * sizeof *out);
        }
    }
}

ts_status ts_cpu_concat_backward(ts_device *device, const ts_concat_backward *a)
{
    if (a->da)
        take(device, a->rows, a->ca + a->cb, 0, a->ca, a->dy, a->da, a->accumulate_a);
    if (a->db)
        take(device, a->rows, a->ca + a->cb, a->ca, a->cb, a->dy, a->db, a->accumulate_b);
    return NULL;
}
