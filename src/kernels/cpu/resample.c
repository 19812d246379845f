/*
 * Halving by the mean of 2x2 and doubling by nearest neighbour.  Both walk the coarse image: one of its rows
 * goes with two rows of the fine one.
 */
#include "kernels/cpu/cpu.h"

/* coarse [rows,w,c] = factor * (sum of 2x2 of fine [2 rows,2w,c]) */
static void reduce(const ts_device *device, int64_t rows, int w, int c, float factor, bool accumulate,
                   const float *fine, float *coarse)
{
#pragma omp parallel for num_threads(device->threads) schedule(static) if (rows * w * c > TS_CPU_PARALLEL)
    for (int64_t row = 0; row < rows; row++)
        for (int column = 0; column < w; column++) {
            const float *const restrict top = fine + ((2 * row * w + column) * 2) * c;
            const float *const restrict bottom = top + (int64_t)2 * w * c;
            float *const restrict out = coarse + (row * w + column) * c;
            if (accumulate) {
                for (int k = 0; k < c; k++)
                    out[k] += factor * (top[k] + top[c + k] + bottom[k] + bottom[c + k]);
            } else {
                for (int k = 0; k < c; k++)
                    out[k] = factor * (top[k] + top[c + k] + bottom[k] + bottom[c + k]);
            }
        }
}

/* Every one of 2x2 of fine [2 rows,2w,c] = factor * coarse [rows,w,c] */
static void spread(const ts_device *device, int64_t rows, int w, int c, float factor, bool accumulate,
                   const float *coarse, float *fine)
{
#pragma omp parallel for num_threads(device->threads) schedule(static) if (rows * w * c > TS_CPU_PARALLEL)
    for (int64_t row = 0; row < 2 * rows; row++)
        for (int column = 0; column < 2 * w; column++) {
            const float *const restrict in = coarse + (row / 2 * w + column / 2) * c;
            float *const restrict out = fine + (row * 2 * w + column) * c;
            if (accumulate) {
                for (int k = 0; k < c; k++)
                    out[k] += factor * in[k];
            } else {
                for (int k = 0; k < c; k++)
                    out[k] = factor * in[k];
            }
        }
}

ts_status ts_cpu_resample_forward(ts_device *device, const ts_resample_forward *a)
{
    if (a->up)
        spread(device, (int64_t)a->n * a->h, a->w, a->c, 1.0f, false, a->x, a->y);
    else
        reduce(device, (int64_t)a->n * (a->h / 2), a->w / 2, a->c, 0.25f, false, a->x, a->y);
    return NULL;
}

ts_status ts_cpu_resample_backward(ts_device *device, const ts_resample_backward *a)
{
    if (a->up)
        reduce(device, (int64_t)a->n * a->h, a->w, a->c, 1.0f, a->accumulate, a->dy, a->dx);
    else
        spread(device, (int64_t)a->n * (a->h / 2), a->w / 2, a->c, 0.25f, a->accumulate, a->dy, a->dx);
    return NULL;
}
