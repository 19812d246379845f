/* Per-channel affine layers of Glow with optional ReLU, and their data-dependent initialisation. */
#include <math.h>
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/rows.h"

/* A row of per-channel factors and offsets, repeated over the rows of a tile: y = x factor + offset. */
static ts_status tile_affine(ts_device *device, const ts_actnorm_forward *a, float **factor, float **offset)
{
    const int64_t rows = ts_cpu_tile_rows(a->c), length = rows * a->c;
    void *memory;
    TS_TRY(ts_cpu_scratch(device, 0, sizeof(float) * 2 * length, &memory));
    *factor = memory;
    *offset = *factor + length;
    for (int j = 0; j < a->c; j++) {
        const double bias = a->bias ? a->bias[j] : 0, scale = exp((double)a->factor * a->logs[j]);
        (*factor)[j] = (float)(a->inverse ? 1 / scale : scale);
        (*offset)[j] = (float)(a->inverse ? -bias : bias);
    }
    for (int64_t i = a->c; i < length; i++) {
        (*factor)[i] = (*factor)[i - a->c];
        (*offset)[i] = (*offset)[i - a->c];
    }
    return NULL;
}

ts_status ts_cpu_actnorm_forward(ts_device *device, const ts_actnorm_forward *a)
{
    float *factor, *offset;
    TS_TRY(tile_affine(device, a, &factor, &offset));
    const int64_t length = ts_cpu_tile_rows(a->c) * a->c, total = a->rows * a->c;
    const float *x = a->x;
    float *y = a->y;
#pragma omp parallel for num_threads(ts_cpu_threads_for(device, total))
    for (int64_t at = 0; at < total; at += length) {
        const int64_t count = total - at < length ? total - at : length;
        if (a->inverse)
            for (int64_t i = 0; i < count; i++)
                y[at + i] = x[at + i] * factor[i] + offset[i];
        else if (a->relu)
            for (int64_t i = 0; i < count; i++) {
                const float v = (x[at + i] + offset[i]) * factor[i];
                y[at + i] = v < 0 ? 0 : v; /* keeps a NaN */
            }
        else
            for (int64_t i = 0; i < count; i++)
                y[at + i] = (x[at + i] + offset[i]) * factor[i];
    }
    return NULL;
}

/* One tile of the backward pass: dx, and the sums of dy' and dy' y by tile element, dy' = dy where the ReLU
 * let it through. */
static void tile_backward(const ts_actnorm_backward *a, int64_t at, int64_t count,
                          const float *restrict factor, float *restrict sum, float *restrict product)
{
    const float *restrict y = (const float *)a->y + at, *restrict dy = (const float *)a->dy + at;
    float *dx = a->dx ? (float *)a->dx + at : NULL;
    for (int64_t i = 0; i < count; i++) {
        const float g = a->relu && !(y[i] > 0) ? 0 : dy[i];
        sum[i] += g;
        product[i] += g * y[i];
    }
    if (!dx)
        return;
    for (int64_t i = 0; i < count; i++) {
        const float g = (a->relu && !(y[i] > 0) ? 0 : dy[i]) * factor[i];
        dx[i] = a->accumulate ? dx[i] + g : g;
    }
}

/* Folds the tile sums of all threads to channels: dbias = scale sum dy', dlogs = factor sum dy' y. */
static void fold(const ts_actnorm_backward *a, int threads, int64_t length, const float *scale,
                 const float *partial)
{
    for (int j = 0; j < a->c; j++) {
        double sum = 0, product = 0;
        for (int t = 0; t < threads; t++)
            for (int64_t i = j; i < length; i += a->c) {
                sum += partial[2 * t * length + i];
                product += partial[(2 * t + 1) * length + i];
            }
        if (a->dbias)
            a->dbias[j] += (float)(scale[j] * sum);
        if (a->dlogs)
            a->dlogs[j] += (float)(a->factor * product);
    }
}

ts_status ts_cpu_actnorm_backward(ts_device *device, const ts_actnorm_backward *a)
{
    const int64_t length = ts_cpu_tile_rows(a->c) * a->c, total = a->rows * a->c;
    const int64_t tiles = (total + length - 1) / length;
    const int threads = ts_cpu_threads_for(device, total);
    void *memory;
    TS_TRY(ts_cpu_scratch(device, 0, sizeof(float) * length * (1 + 2 * (int64_t)threads), &memory));
    float *scale = memory, *partial = scale + length;
    for (int64_t i = 0; i < length; i++)
        scale[i] = i < a->c ? (float)exp((double)a->factor * a->logs[i]) : scale[i - a->c];
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int t = 0; t < threads; t++) {
        float *sum = partial + 2 * t * length, *product = sum + length;
        for (int64_t i = 0; i < 2 * length; i++)
            sum[i] = 0;
        int64_t first, last;
        ts_cpu_share(tiles, t, threads, &first, &last);
        for (int64_t tile = first; tile < last; tile++) {
            const int64_t at = tile * length;
            tile_backward(a, at, total - at < length ? total - at : length, scale, sum, product);
        }
    }
    fold(a, threads, length, scale, partial);
    return NULL;
}

ts_status ts_cpu_actnorm_initialize(ts_device *device, const ts_actnorm_initialize *a)
{
    const float *x = a->x;
#pragma omp parallel for num_threads(ts_cpu_threads_for(device, a->rows * a->c))
    for (int j = 0; j < a->c; j++) {
        double sum = 0, square = 0;
        for (int64_t i = 0; i < a->rows; i++)
            sum += x[i * a->c + j];
        const double mean = sum / (double)a->rows;
        for (int64_t i = 0; i < a->rows; i++) {
            const double d = x[i * a->c + j] - mean;
            square += d * d;
        }
        if (a->bias)
            a->bias[j] = (float)-mean;
        a->logs[j] = (float)(-log(sqrt(square / (double)a->rows) + 1e-6) / a->factor);
    }
    return NULL;
}
