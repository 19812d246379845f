/*
 * Group normalisation with shift, SiLU and dropout or resampling, forward.  Statistics are taken relative to
 * each channel's first value, so a mean far from zero costs no digits.
 */
#include <math.h>
#include <string.h>
#include "kernels/cpu/group_norm.h"
#include "kernels/cpu/vector_math.h"

typedef struct workspace {
    double *sum, *square;         /* [c] of x - pivot and its square */
    float *pivot;                 /* [c], the image's first position */
    float *offset, *scale, *bias; /* [c]: y = act((x + offset) scale + bias) */
    float *random;                /* dropout factors of a chunk, or two lines that are to be resampled */
} workspace;

static size_t workspace_floats(const ts_group_norm_forward *a)
{
    const size_t c = (size_t)a->c, chunk = (size_t)ts_gn_chunk_rows(a->c) * c;
    const size_t lines = a->resample == TS_RESAMPLE_NONE ? 0 : 2 * (size_t)a->w * c;
    return 4 * c + 4 * c + (chunk > lines ? chunk : lines) + 64;
}

static workspace workspace_at(float *memory, int c)
{
    workspace w;
    w.sum = (double *)memory;
    w.square = w.sum + c;
    w.pivot = (float *)(w.square + c);
    w.offset = w.pivot + c;
    w.scale = w.offset + c;
    w.bias = w.scale + c;
    w.random = w.bias + c;
    return w;
}

static void add_chunk(const ts_gn_source *s, int rows, const workspace *w)
{
    const int c = s->width;
    for (int k = 0; k < c; k += TS_GN_LANES) {
        const ts_gn_vector p = ts_gn_load(w->pivot + s->first, k, c);
        ts_gn_vector sum = {0}, square = {0};
        for (int row = 0; row < rows; row++) {
            const ts_gn_vector d = ts_gn_load(s->x + (int64_t)row * c, k, c) - p;
            sum += d;
            square += d * d;
        }
        ts_gn_add(w->sum + s->first, k, c, sum);
        ts_gn_add(w->square + s->first, k, c, square);
    }
}

static int sources_at(const ts_group_norm_forward *a, int64_t row, ts_gn_source s[2])
{
    return ts_gn_sources(a->x, a->x2, a->c, a->c2, row, s);
}

/* Sums of one image, relative to its first position. */
static void add_image(const ts_group_norm_forward *a, int image, workspace *w)
{
    const int hw = a->hw, step = ts_gn_chunk_rows(a->c);
    const int64_t start = (int64_t)image * hw;
    ts_gn_source s[2];
    memset(w->sum, 0, 2 * (size_t)a->c * sizeof(double));
    for (int i = 0; i < sources_at(a, start, s); i++)
        memcpy(w->pivot + s[i].first, s[i].x, (size_t)s[i].width * sizeof(float));
    for (int row = 0; row < hw; row += step)
        for (int i = 0; i < sources_at(a, start + row, s); i++)
            add_chunk(&s[i], hw - row < step ? hw - row : step, w);
}

/* Statistics of one image, and from them what each channel is multiplied with. */
static void prepare(const ts_group_norm_forward *a, int image, workspace *w)
{
    const int c = a->c, hw = a->hw, width = c / a->groups;
    const float *const shift = a->shift ? (const float *)a->shift + (int64_t)image * c : NULL;
    add_image(a, image, w);
    for (int g = 0; g < a->groups; g++) {
        double mean = 0, spread = 0;
        for (int k = g * width; k < (g + 1) * width; k++) {
            w->sum[k] = w->sum[k] / hw;                          /* mean of x - pivot */
            spread += w->square[k] / hw - w->sum[k] * w->sum[k]; /* variance within the channel */
            w->sum[k] += (double)w->pivot[k] + (shift ? (double)shift[k] : 0.0); /* mean of x' */
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

/* `factor` and `y` are of all channels. */
static void apply(const ts_group_norm_forward *a, const ts_gn_source *s, const workspace *w,
                  const float *factor, int rows, float *restrict y)
{
    const int width = s->width;
    const float *restrict x = s->x;
    const float *const restrict offset = w->offset + s->first, *const restrict scale = w->scale + s->first;
    const float *const restrict bias = w->bias + s->first;
    y += s->first;
    for (int row = 0; row < rows; row++, x += width, y += a->c) {
        if (a->silu) {
#pragma omp simd simdlen(16)
            for (int k = 0; k < width; k++)
                y[k] = ts_silu_of((x[k] + offset[k]) * scale[k] + bias[k]);
        } else {
#pragma omp simd simdlen(16)
            for (int k = 0; k < width; k++)
                y[k] = (x[k] + offset[k]) * scale[k] + bias[k];
        }
        if (factor) {
            const float *const restrict f = factor + (int64_t)row * a->c + s->first;
            for (int k = 0; k < width; k++)
                y[k] *= f[k];
        }
    }
}

/* The output for some lines of one image; s->x is at the first of them, y and plain (the resampled input or
 * NULL) at the first that comes of them. */
static void resample_lines(const ts_group_norm_forward *a, const ts_gn_source *s, const workspace *w,
                           float *y, float *plain)
{
    const bool halve = a->resample == TS_RESAMPLE_HALVE;
    float *const lines = w->random + s->first;
    apply(a, s, w, NULL, halve ? 2 * a->w : a->w, w->random);
    y += s->first;
    if (plain)
        plain += s->first;
    if (halve) {
        ts_gn_halve_line(a->w / 2, s->width, 0.25f, lines, a->c, y, a->c);
        if (plain)
            ts_gn_halve_line(a->w / 2, s->width, 0.25f, s->x, s->width, plain, a->c);
        return;
    }
    for (int64_t i = 0, at = 0; i < 2; i++, at += (int64_t)2 * a->w * a->c) {
        ts_gn_double_line(a->w, s->width, 1.0f, lines, a->c, y + at, a->c);
        if (plain)
            ts_gn_double_line(a->w, s->width, 1.0f, s->x, s->width, plain + at, a->c);
    }
}

static void resample_image(const ts_group_norm_forward *a, int image, const workspace *w)
{
    const bool halve = a->resample == TS_RESAMPLE_HALVE;
    const int step = halve ? 2 * a->w : a->w, out = halve ? a->w / 2 : 4 * a->w;
    const int64_t steps = a->hw / step;
    for (int64_t i = image * steps; i < (image + 1) * steps; i++) {
        float *const y = (float *)a->y + i * out * a->c;
        float *const plain = a->x_resampled ? (float *)a->x_resampled + i * out * a->c : NULL;
        ts_gn_source s[2];
        for (int k = 0; k < sources_at(a, i * step, s); k++)
            resample_lines(a, &s[k], w, y, plain);
    }
}

static void image_forward(const ts_group_norm_forward *a, int image, workspace *w)
{
    const int step = ts_gn_chunk_rows(a->c);
    prepare(a, image, w);
    if (a->resample != TS_RESAMPLE_NONE) {
        resample_image(a, image, w);
        return;
    }
    for (int row = 0; row < a->hw; row += step) {
        const int rows = a->hw - row < step ? a->hw - row : step;
        const int64_t position = (int64_t)image * a->hw + row, first = position * a->c;
        const float *factor = a->dropout > 0 ? ts_gn_dropout(a->state, a->layer, a->dropout, (uint64_t)first,
                                                             (int64_t)rows * a->c, w->random)
                                             : NULL;
        ts_gn_source s[2];
        for (int i = 0; i < sources_at(a, position, s); i++)
            apply(a, &s[i], w, factor, rows, (float *)a->y + first);
    }
}

ts_status ts_cpu_group_norm_forward(ts_device *device, const ts_group_norm_forward *a)
{
    const int threads = device->threads;
    const size_t stride = (workspace_floats(a) + 15) / 16 * 16;
    void *memory = NULL;
    TS_TRY(ts_cpu_scratch(device, 0, (size_t)threads * stride * sizeof(float), &memory));
#pragma omp parallel for num_threads(threads)                                                                \
    schedule(static, 1) if (a->n * (int64_t)a->hw * a->c > TS_CPU_PARALLEL / 4)
    for (int t = 0; t < threads; t++) {
        workspace w = workspace_at((float *)memory + (size_t)t * stride, a->c);
        const int last = (int)((int64_t)a->n * (t + 1) / threads);
        for (int i = (int)((int64_t)a->n * t / threads); i < last; i++)
            image_forward(a, i, &w);
    }
    return NULL;
}
