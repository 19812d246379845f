/*
 * Gaussians whose mean and log-deviation a network gives: what splits off in a Glow, and its top.  As in
 * coupling.c, channels are taken apart into contiguous blocks.
 */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/vector_math.h"

enum { BLOCK = 256 };

static const float ln_2pi = 1.8378770664093453f;

/* Which channels are meant: of x, `first` .. first + c of rows of `stride`; of h, by `interleaved`. */
typedef struct layout {
    int c, stride, first;
    bool interleaved;
} layout;

typedef struct block {
    int count;
    int64_t row; /* of the first element, and its channel */
    int channel;
    float x[BLOCK], mean[BLOCK], logs[BLOCK];
} block;

/* The block of elements first .. of rows of c. */
static void locate(block *b, const layout *l, int64_t first, int64_t end)
{
    b->count = end - first < BLOCK ? (int)(end - first) : BLOCK;
    b->row = first / l->c;
    b->channel = (int)(first % l->c);
}

/* Copies between a block's array and channels offset + step j of rows of `stride`. */
static void gather(const block *b, int c, const float *from, int stride, int offset, int step, float *to)
{
    const float *row = from + b->row * stride + offset;
    for (int i = 0, j = b->channel; i < b->count; row += stride, j = 0)
        for (; j < c && i < b->count; i++, j++)
            to[i] = row[j * step];
}

static void scatter(const block *b, int c, const float *from, float *to, int stride, int offset, int step,
                    bool accumulate)
{
    float *row = to + b->row * stride + offset;
    for (int i = 0, j = b->channel; i < b->count; row += stride, j = 0)
        for (; j < c && i < b->count; i++, j++)
            row[j * step] = accumulate ? row[j * step] + from[i] : from[i];
}

/* Where logs begin in a row of h, and the distance between channels. */
static int logs_offset(const layout *l)
{
    return l->interleaved ? 1 : l->c;
}

static int step_of(const layout *l)
{
    return l->interleaved ? 2 : 1;
}

static void gather_h(block *b, const layout *l, const float *h)
{
    gather(b, l->c, h, 2 * l->c, 0, step_of(l), b->mean);
    gather(b, l->c, h, 2 * l->c, logs_offset(l), step_of(l), b->logs);
}

static float log_density(const block *b)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < b->count; i++) {
        const float d = (b->x[i] - b->mean[i]) * ts_exp(-b->logs[i]);
        sum += d * d + 2 * b->logs[i] + ln_2pi;
    }
    return -0.5f * sum;
}

ts_status ts_cpu_gaussian_forward(ts_device *device, const ts_gaussian_forward *a)
{
    const layout l = {a->c, a->stride, a->first, a->interleaved};
    const int64_t count = (int64_t)a->hw * a->c;
#pragma omp parallel for num_threads(ts_cpu_threads_for(device, a->n *count))
    for (int n = 0; n < a->n; n++) {
        const float *x = (const float *)a->x + (int64_t)n * a->hw * a->stride;
        const float *h = (const float *)a->h + 2 * n * count;
        block b;
        double sum = 0;
        for (int64_t first = 0; first < count; first += BLOCK) {
            locate(&b, &l, first, count);
            gather(&b, l.c, x, l.stride, l.first, 1, b.x);
            gather_h(&b, &l, h);
            sum += log_density(&b);
        }
        a->logp[n] = (float)sum;
    }
    return NULL;
}

/* x <- dlogp/dx, mean <- dlogp/dmean = -dlogp/dx, logs <- dlogp/dlogs, all times g. */
static void differentiate(block *b, float g)
{
#pragma omp simd
    for (int i = 0; i < b->count; i++) {
        const float r = ts_exp(-b->logs[i]), d = (b->x[i] - b->mean[i]) * r;
        b->x[i] = -g * d * r;
        b->mean[i] = g * d * r;
        b->logs[i] = g * (d * d - 1);
    }
}

static void backward_image(const ts_gaussian_backward *a, const layout *l, int n)
{
    const int64_t count = (int64_t)a->hw * a->c, at = (int64_t)n * a->hw * a->stride;
    const float *x = (const float *)a->x + at, *h = (const float *)a->h + 2 * n * count;
    float *dx = a->dx ? (float *)a->dx + at : NULL, *dh = a->dh ? (float *)a->dh + 2 * n * count : NULL;
    block b;
    if (dx && !a->accumulate && a->c < a->stride)
        for (int64_t i = 0; i < (int64_t)a->hw * a->stride; i++)
            dx[i] = 0;
    for (int64_t first = 0; first < count; first += BLOCK) {
        locate(&b, l, first, count);
        gather(&b, l->c, x, l->stride, l->first, 1, b.x);
        gather_h(&b, l, h);
        differentiate(&b, a->dlogp[n]);
        if (dx)
            scatter(&b, l->c, b.x, dx, l->stride, l->first, 1, a->accumulate);
        if (dh) {
            scatter(&b, l->c, b.mean, dh, 2 * l->c, 0, step_of(l), false);
            scatter(&b, l->c, b.logs, dh, 2 * l->c, logs_offset(l), step_of(l), false);
        }
    }
}

ts_status ts_cpu_gaussian_backward(ts_device *device, const ts_gaussian_backward *a)
{
    const layout l = {a->c, a->stride, a->first, a->interleaved};
#pragma omp parallel for num_threads(ts_cpu_threads_for(device, (int64_t)a->n * a->hw * a->c))
    for (int n = 0; n < a->n; n++)
        backward_image(a, &l, n);
    return NULL;
}

ts_status ts_cpu_gaussian_sample(ts_device *device, const ts_gaussian_sample *a)
{
    const layout l = {a->c, a->stride, a->first, a->interleaved};
    const int64_t total = (int64_t)a->n * a->hw * a->c;
#pragma omp parallel for num_threads(ts_cpu_threads_for(device, total))
    for (int64_t first = 0; first < total; first += BLOCK) {
        block b;
        locate(&b, &l, first, total);
        gather_h(&b, &l, a->h);
        if (a->temperature != 0) { /* at 0 an overflowing deviation must not matter */
            ts_cpu_normals(a->state, a->stream, (uint64_t)a->element + (uint64_t)first, b.count, b.x);
#pragma omp simd
            for (int i = 0; i < b.count; i++)
                b.mean[i] += a->temperature * ts_exp(b.logs[i]) * b.x[i];
        }
        scatter(&b, l.c, b.mean, a->x, l.stride, l.first, 1, false);
    }
    return NULL;
}
