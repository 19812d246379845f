/*
 * Group normalisation, backward.  With u = gamma xhat + beta and du = dy dropout act'(u), the sums over an
 * image's group of gamma du and gamma du xhat are A and B, m elements each:
 *   dx = rstd (gamma du - A/m - xhat B/m).
 * Where the output is resampled, dy stands for what comes back through the resampling, and what comes back
 * from the resampled input is added to dx.  The first walk through an image computes du, which stays in
 * cache, and all sums; the second dx.
 */
#include <math.h>
#include <string.h>
#include "kernels/cpu/group_norm.h"
#include "kernels/cpu/vector_math.h"

typedef struct workspace {
    double *dgamma, *dbeta;         /* [c] of all the images of this thread */
    double *sum, *product, *input;  /* [c] of one image: du, du (x' - mean), x' - mean */
    float *offset, *scale, *beta;   /* [c]: x' - mean = x + offset; u = (x + offset) scale + beta */
    float *slope, *pull, *constant; /* [c]: dx = slope du + pull (x + offset) + constant */
    float *random;                  /* dropout factors of a chunk, or what comes back to a line */
    float *du;                      /* one image */
} workspace;

/* Positions that go together: with resampling a line. */
static int buffer_rows(const ts_group_norm_backward *a)
{
    return a->resample == TS_RESAMPLE_NONE ? ts_gn_chunk_rows(a->c) : a->w;
}

static size_t workspace_floats(const ts_group_norm_backward *a)
{
    const size_t c = (size_t)a->c;
    return 2 * 5 * c + 6 * c + (size_t)buffer_rows(a) * c + 64 + (size_t)a->hw * c;
}

static workspace workspace_at(const ts_group_norm_backward *a, float *memory)
{
    const int c = a->c;
    workspace w;
    w.dgamma = (double *)memory;
    w.dbeta = w.dgamma + c;
    w.sum = w.dbeta + c;
    w.product = w.sum + c;
    w.input = w.product + c;
    w.offset = (float *)(w.input + c);
    w.scale = w.offset + c;
    w.beta = w.scale + c;
    w.slope = w.beta + c;
    w.pull = w.slope + c;
    w.constant = w.pull + c;
    w.random = w.constant + c;
    w.du = w.random + (size_t)buffer_rows(a) * (size_t)c + 64;
    return w;
}

/* du of some rows; `dy`, `factor` and `du` are of all channels. */
static void differentiate(const ts_group_norm_backward *a, const ts_gn_source *s, const float *restrict dy,
                          const workspace *w, const float *factor, int rows, float *restrict du)
{
    const int width = s->width;
    const float *restrict x = s->x;
    const float *const restrict offset = w->offset + s->first, *const restrict scale = w->scale + s->first;
    const float *const restrict beta = w->beta + s->first;
    dy += s->first;
    du += s->first;
    for (int row = 0; row < rows; row++, x += width, dy += a->c, du += a->c) {
        if (a->silu) {
#pragma omp simd simdlen(16)
            for (int k = 0; k < width; k++)
                du[k] = dy[k] * ts_silu_slope((x[k] + offset[k]) * scale[k] + beta[k]);
        } else {
            memcpy(du, dy, (size_t)width * sizeof *du);
        }
        if (factor) {
            const float *const restrict f = factor + (int64_t)row * a->c + s->first;
            for (int k = 0; k < width; k++)
                du[k] *= f[k];
        }
    }
}

static void add_chunk(const ts_group_norm_backward *a, const ts_gn_source *s, const float *du, int rows,
                      const workspace *w)
{
    const int c = s->width;
    du += s->first;
    for (int k = 0; k < c; k += TS_GN_LANES) {
        const ts_gn_vector offset = ts_gn_load(w->offset + s->first, k, c);
        ts_gn_vector sum = {0}, product = {0}, input = {0};
        for (int row = 0; row < rows; row++) {
            const ts_gn_vector d = ts_gn_load(du + (int64_t)row * a->c, k, c);
            const ts_gn_vector centred = ts_gn_load(s->x + (int64_t)row * c, k, c) + offset;
            sum += d;
            product += d * centred;
            input += centred;
        }
        ts_gn_add(w->sum + s->first, k, c, sum);
        ts_gn_add(w->product + s->first, k, c, product);
        ts_gn_add(w->input + s->first, k, c, input);
    }
}

static void load_image(const ts_group_norm_backward *a, int image, workspace *w)
{
    const int width = a->c / a->groups;
    const float *const shift = a->shift ? (const float *)a->shift + (int64_t)image * a->c : NULL;
    for (int k = 0; k < a->c; k++) {
        const int group = image * a->groups + k / width;
        w->offset[k] = (shift ? shift[k] : 0.0f) - a->mean[group];
        w->scale[k] = a->rstd[group] * a->gamma[k];
        w->beta[k] = a->beta[k];
    }
    memset(w->sum, 0, 3 * (size_t)a->c * sizeof(double));
}

/* From the sums of an image: the constants of dx, the gradient of the shift, the image's part of dgamma. */
static void finish_sums(const ts_group_norm_backward *a, int image, workspace *w)
{
    const int width = a->c / a->groups;
    const double m = (double)a->hw * width;
    for (int g = 0; g < a->groups; g++) {
        const double rstd = (double)a->rstd[image * a->groups + g];
        double sum = 0, product = 0;
        for (int k = g * width; k < (g + 1) * width; k++) {
            sum += (double)a->gamma[k] * w->sum[k];
            product += (double)a->gamma[k] * w->product[k];
        }
        const double pull = -rstd * rstd * rstd * product / m, constant = -rstd * sum / m;
        for (int k = g * width; k < (g + 1) * width; k++) {
            w->slope[k] = (float)(rstd * (double)a->gamma[k]);
            w->pull[k] = (float)pull;
            w->constant[k] = (float)constant;
            w->dgamma[k] += rstd * w->product[k];
            w->dbeta[k] += w->sum[k];
            if (a->dshift)
                ((float *)a->dshift)[(int64_t)image * a->c + k] =
                    (float)(rstd * (double)a->gamma[k] * w->sum[k] + pull * w->input[k] + constant * a->hw);
        }
    }
}

/* The gradient of one source in one image. */
static void write_dx(const ts_group_norm_backward *a, const ts_gn_source *s, bool accumulate,
                     const workspace *w, float *restrict dx)
{
    const int width = s->width;
    const float *restrict x = s->x, *restrict du = w->du + s->first;
    const float *const restrict slope = w->slope + s->first, *const restrict pull = w->pull + s->first;
    const float *const restrict constant = w->constant + s->first, *const restrict offset =
                                                                       w->offset + s->first;
    for (int row = 0; row < a->hw; row++, x += width, du += a->c, dx += width) {
        if (accumulate) {
#pragma omp simd simdlen(16)
            for (int k = 0; k < width; k++)
                dx[k] += slope[k] * du[k] + (pull[k] * (x[k] + offset[k]) + constant[k]);
        } else {
#pragma omp simd simdlen(16)
            for (int k = 0; k < width; k++)
                dx[k] = slope[k] * du[k] + (pull[k] * (x[k] + offset[k]) + constant[k]);
        }
    }
}

/* What comes back to line `line` of an image of the input, [w,c], of a gradient of the resampled output. */
static const float *line_back(const ts_group_norm_backward *a, int image, int line, const float *g,
                              float *back)
{
    const int w = a->w;
    if (a->resample == TS_RESAMPLE_HALVE) {
        g += ((int64_t)image * a->hw / 4 + (int64_t)(line / 2) * (w / 2)) * a->c;
        ts_gn_double_line(w / 2, a->c, 0.25f, g, a->c, back, a->c);
    } else {
        g += ((int64_t)image * a->hw * 4 + (int64_t)line * 4 * w) * a->c;
        ts_gn_halve_line(w, a->c, 1.0f, g, a->c, back, a->c);
    }
    return back;
}

/* Adds to the gradient of one source in one image what comes back of the resampled input. */
static void add_resampled(const ts_group_norm_backward *a, int image, const ts_gn_source *s,
                          const workspace *w, float *restrict dx)
{
    for (int line = 0; line < a->hw / a->w; line++) {
        const float *restrict back = line_back(a, image, line, a->dx_resampled, w->random);
        back += s->first;
        for (int column = 0; column < a->w; column++, back += a->c, dx += s->width)
            for (int k = 0; k < s->width; k++)
                dx[k] += back[k];
    }
}

static void finish_dx(const ts_group_norm_backward *a, int image, const ts_gn_source *s, bool accumulate,
                      const workspace *w, void *dx)
{
    if (!dx)
        return;
    float *const to = (float *)dx + (int64_t)image * a->hw * s->width;
    write_dx(a, s, accumulate, w, to);
    if (a->dx_resampled)
        add_resampled(a, image, s, w, to);
}

static void image_backward(const ts_group_norm_backward *a, int image, workspace *w)
{
    const int step = buffer_rows(a);
    const int64_t start = (int64_t)image * a->hw;
    ts_gn_source s[2];
    load_image(a, image, w);
    for (int row = 0; row < a->hw; row += step) {
        const int rows = a->hw - row < step ? a->hw - row : step;
        const int64_t first = (start + row) * a->c;
        float *const du = w->du + (int64_t)row * a->c;
        const float *factor = a->dropout > 0 ? ts_gn_dropout(a->state, a->layer, a->dropout, (uint64_t)first,
                                                             (int64_t)rows * a->c, w->random)
                                             : NULL;
        const float *const dy = a->resample == TS_RESAMPLE_NONE
                                    ? (const float *)a->dy + first
                                    : line_back(a, image, row / a->w, a->dy, w->random);
        for (int i = 0; i < ts_gn_sources(a->x, a->x2, a->c, a->c2, start + row, s); i++) {
            differentiate(a, &s[i], dy, w, factor, rows, du);
            add_chunk(a, &s[i], du, rows, w);
        }
    }
    finish_sums(a, image, w);
    ts_gn_sources(a->x, a->x2, a->c, a->c2, start, s);
    finish_dx(a, image, &s[0], a->accumulate, w, a->dx);
    finish_dx(a, image, &s[1], a->accumulate2, w, a->dx2);
}

/* The threads' parts in their order. */
static void add_parameters(const ts_group_norm_backward *a, float *memory, size_t stride, int threads)
{
    for (int k = 0; k < a->c; k++) {
        double dgamma = 0, dbeta = 0;
        for (int t = 0; t < threads; t++) {
            const workspace w = workspace_at(a, memory + (size_t)t * stride);
            dgamma += w.dgamma[k];
            dbeta += w.dbeta[k];
        }
        if (a->dgamma)
            a->dgamma[k] += (float)dgamma;
        if (a->dbeta)
            a->dbeta[k] += (float)dbeta;
    }
}

ts_status ts_cpu_group_norm_backward(ts_device *device, const ts_group_norm_backward *a)
{
    const int threads = device->threads;
    const size_t stride = (workspace_floats(a) + 15) / 16 * 16;
    void *memory = NULL;
    TS_TRY(ts_cpu_scratch(device, 0, (size_t)threads * stride * sizeof(float), &memory));
#pragma omp parallel for num_threads(threads)                                                                \
    schedule(static, 1) if (a->n * (int64_t)a->hw * a->c > TS_CPU_PARALLEL / 4)
    for (int t = 0; t < threads; t++) {
        workspace w = workspace_at(a, (float *)memory + (size_t)t * stride);
        memset(w.dgamma, 0, 2 * (size_t)a->c * sizeof(double));
        const int last = (int)((int64_t)a->n * (t + 1) / threads);
        for (int i = (int)((int64_t)a->n * t / threads); i < last; i++)
            image_backward(a, i, &w);
    }
    add_parameters(a, memory, stride, threads);
    return NULL;
}
