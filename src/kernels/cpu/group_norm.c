/*
 * Group normalisation with shift, SiLU and dropout, forward.  Statistics are taken relative to each channel's
 * first value, so a mean far from zero costs no digits.
 */
#include <math.h>
#include <string.h>
#include "kernels/cpu/group_norm.h"
#include "kernels/cpu/vector_math.h"

typedef struct workspace {
    double *sum, *square;         /* [c] of x - pivot and its square */
    float *offset, *scale, *bias; /* [c]: y = act((x + offset) scale + bias) */
    float *random;                /* dropout factors of a chunk */
} workspace;

static size_t workspace_floats(int c)
{
    return 4 * (size_t)c + 3 * (size_t)c + (size_t)ts_gn_chunk_rows(c) * (size_t)c + 64;
}

static workspace workspace_at(float *memory, int c)
{
    workspace w;
    w.sum = (double *)memory;
    w.square = w.sum + c;
    w.offset = (float *)(w.square + c);
    w.scale = w.offset + c;
    w.bias = w.scale + c;
    w.random = w.bias + c;
    return w;
}

static void add_chunk(const float *x, const float *pivot, int rows, int c, workspace *w)
{
    for (int k = 0; k < c; k += TS_GN_LANES) {
        const ts_gn_vector p = ts_gn_load(pivot, k, c);
        ts_gn_vector sum = {0}, square = {0};
        for (int row = 0; row < rows; row++) {
            const ts_gn_vector d = ts_gn_load(x + (int64_t)row * c, k, c) - p;
            sum += d;
            square += d * d;
        }
        ts_gn_add(w->sum, k, c, sum);
        ts_gn_add(w->square, k, c, square);
    }
}

/* Statistics of one image, and from them what each channel is multiplied with. */
static void prepare(const ts_group_norm_forward *a, int image, const float *x, workspace *w)
{
    const int c = a->c, hw = a->hw, width = c / a->groups, step = ts_gn_chunk_rows(c);
    const float *const shift = a->shift ? (const float *)a->shift + (int64_t)image * c : NULL;
    memset(w->sum, 0, 2 * (size_t)c * sizeof(double));
    for (int row = 0; row < hw; row += step)
        add_chunk(x + (int64_t)row * c, x, hw - row < step ? hw - row : step, c, w);
    for (int g = 0; g < a->groups; g++) {
        double mean = 0, spread = 0;
        for (int k = g * width; k < (g + 1) * width; k++) {
            w->sum[k] = w->sum[k] / hw;                                   /* mean of x - pivot */
            spread += w->square[k] / hw - w->sum[k] * w->sum[k];          /* variance within the channel */
            w->sum[k] += (double)x[k] + (shift ? (double)shift[k] : 0.0); /* mean of x' */
            mean += w->sum[k] / width;
        }
        for (int k = g * width; k < (g + 1) * width; k++)
            spread += (w->sum[k] - mean) * (w->sum[k] - mean);
        const double rstd = 1.0 / sqrt(fmax(spread / width, 0.0) + (double)a->epsilon);
        a->mean[image * a->groups + g] = (float)mean;
        a->rstd[image * a->groups + g] = (float)rstd;
        for (int k = g * width; k < (g + 1) * width; k++) {
            const double offset = (shift ? (double)shift[k] : 0.0) - mean;
            const double scale = rstd * (double)a->gamma[k];
            w->offset[k] = (float)offset;
            w->scale[k] = (float)scale;
            /* What rounding took from the offset goes into the bias. */
            w->bias[k] = (float)((double)a->beta[k] + (offset - (double)w->offset[k]) * scale);
        }
    }
}

static void apply(const ts_group_norm_forward *a, const float *restrict x, const workspace *w,
                  const float *factor, int rows, float *restrict y)
{
    const int c = a->c;
    const float *const restrict offset = w->offset, *const restrict scale = w->scale;
    const float *const restrict bias = w->bias;
    for (int row = 0; row < rows; row++, x += c, y += c) {
        if (a->silu) {
#pragma omp simd simdlen(16)
            for (int k = 0; k < c; k++)
                y[k] = ts_silu_of((x[k] + offset[k]) * scale[k] + bias[k]);
        } else {
#pragma omp simd simdlen(16)
            for (int k = 0; k < c; k++)
                y[k] = (x[k] + offset[k]) * scale[k] + bias[k];
        }
        if (factor) {
            const float *const restrict f = factor + (int64_t)row * c;
            for (int k = 0; k < c; k++)
                y[k] *= f[k];
        }
    }
}

ts_status ts_cpu_group_norm_forward(ts_device *device, const ts_group_norm_forward *a)
{
    const int step = ts_gn_chunk_rows(a->c), threads = device->threads;
    const int64_t image_size = (int64_t)a->hw * a->c;
    const size_t stride = (workspace_floats(a->c) + 15) / 16 * 16;
    void *memory = NULL;
    TS_TRY(ts_cpu_scratch(device, 0, (size_t)threads * stride * sizeof(float), &memory));
#pragma omp parallel for num_threads(threads)                                                                \
    schedule(static, 1) if (a->n * (int64_t)a->hw * a->c > TS_CPU_PARALLEL / 4)
    for (int t = 0; t < threads; t++) {
        workspace w = workspace_at((float *)memory + (size_t)t * stride, a->c);
        const int last = (int)((int64_t)a->n * (t + 1) / threads);
        for (int i = (int)((int64_t)a->n * t / threads); i < last; i++) {
            const float *const x = (const float *)a->x + i * image_size;
            prepare(a, i, x, &w);
            for (int row = 0; row < a->hw; row += step) {
                const int rows = a->hw - row < step ? a->hw - row : step;
                const int64_t first = i * image_size + (int64_t)row * a->c;
                const float *factor = a->dropout > 0
                                          ? ts_gn_dropout(a->state, a->layer, a->dropout, (uint64_t)first,
                                                          (int64_t)rows * a->c, w.random)
                                          : NULL;
                apply(a, (const float *)a->x + first, &w, factor, rows, (float *)a->y + first);
            }
        }
    }
    return NULL;
}
