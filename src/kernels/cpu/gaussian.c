/*
 * Gaussians whose mean and log-deviation a network gives: what splits off in a Glow, and its top.  As in
 * coupling.c, channels are taken apart into contiguous blocks.
 */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/vector_math.h"

/* Which channels are meant, and where a block's elements lie in x and h. */
typedef struct layout {
    int c, stride, first;
    int step, logs; /* in h: between channels, from a mean to its log-deviation */
    int32_t x[TS_CPU_BLOCK], h[TS_CPU_BLOCK];
} layout;

typedef struct block {
    float x[TS_CPU_BLOCK], mean[TS_CPU_BLOCK], logs[TS_CPU_BLOCK], g[TS_CPU_BLOCK];
} block;

static void lay_out(layout *l, int c, int stride, int first, bool interleaved)
{
    l->c = c;
    l->stride = stride;
    l->first = first;
    l->step = interleaved ? 2 : 1;
    l->logs = interleaved ? 1 : c;
    ts_cpu_block_places(c, stride, 1, l->x);
    ts_cpu_block_places(c, 2 * c, l->step, l->h);
}

static int64_t x_offset(const layout *l, const ts_cpu_block *w)
{
    return w->row * l->stride + l->first + w->channel;
}

static int64_t h_offset(const layout *l, const ts_cpu_block *w)
{
    return w->row * 2 * l->c + w->channel * l->step;
}

static void take_moments(const layout *l, const ts_cpu_block *w, const float *h, block *b)
{
    ts_cpu_block_gather(w->count, h + h_offset(l, w), l->h, b->mean);
    ts_cpu_block_gather(w->count, h + h_offset(l, w) + l->logs, l->h, b->logs);
}

/* ---- log-density ---- */

/* x <- ln N(x; mean, exp(logs)) */
static void log_density(int count, block *b)
{
    const float ln_2pi = 1.8378770664093453f;
#pragma omp simd
    for (int i = 0; i < count; i++) {
        const float d = (b->x[i] - b->mean[i]) * ts_exp(-b->logs[i]);
        b->x[i] = -0.5f * (d * d + ln_2pi) - b->logs[i];
    }
}

/* logp of each image += its terms. */
static void add_terms(const ts_cpu_block *w, const float *terms, int hw, float *logp)
{
    for (int first = 0; first < w->count;) {
        const ts_cpu_run run = ts_cpu_block_run(w, first, hw);
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int i = run.first; i < run.last; i++)
            sum += terms[i];
        logp[run.image] += sum;
        first = run.last;
    }
}

static void forward_images(const ts_gaussian_forward *a, const layout *l, int64_t first, int64_t last)
{
    const float *x = a->x;
    block b;
    for (int64_t n = first; n < last; n++)
        a->logp[n] = 0;
    for (ts_cpu_block w = ts_cpu_block_first(first * a->hw, last * a->hw, l->c); ts_cpu_block_more(&w);
         ts_cpu_block_next(&w)) {
        ts_cpu_block_gather(w.count, x + x_offset(l, &w), l->x, b.x);
        take_moments(l, &w, a->h, &b);
        log_density(w.count, &b);
        add_terms(&w, b.x, a->hw, a->logp);
    }
}

ts_status ts_cpu_gaussian_forward(ts_device *device, const ts_gaussian_forward *a)
{
    const int threads = ts_cpu_threads_for(device, (int64_t)a->n * a->hw * a->c);
    layout l;
    lay_out(&l, a->c, a->stride, a->first, a->interleaved);
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int t = 0; t < threads; t++) {
        int64_t first, last;
        ts_cpu_share(a->n, t, threads, &first, &last);
        forward_images(a, &l, first, last);
    }
    return NULL;
}

/* g of every element is its image's cotangent. */
static void spread(const ts_cpu_block *w, const float *dlogp, int hw, float *g)
{
    for (int first = 0; first < w->count;) {
        const ts_cpu_run run = ts_cpu_block_run(w, first, hw);
        for (int i = run.first; i < run.last; i++)
            g[i] = dlogp[run.image];
        first = run.last;
    }
}

/* x <- dlogp/dx, mean <- dlogp/dmean = -dlogp/dx, logs <- dlogp/dlogs, all times g. */
static void differentiate(int count, block *b)
{
#pragma omp simd
    for (int i = 0; i < count; i++) {
        const float r = ts_exp(-b->logs[i]), d = (b->x[i] - b->mean[i]) * r, g = b->g[i];
        b->x[i] = -g * d * r;
        b->mean[i] = g * d * r;
        b->logs[i] = g * (d * d - 1);
    }
}

static void backward_images(const ts_gaussian_backward *a, const layout *l, int64_t first, int64_t last)
{
    const float *x = a->x;
    float *dx = a->dx, *dh = a->dh;
    block b;
    if (dx && !a->accumulate && a->c < a->stride)
        for (int64_t i = first * a->hw * a->stride; i < last * a->hw * a->stride; i++)
            dx[i] = 0;
    for (ts_cpu_block w = ts_cpu_block_first(first * a->hw, last * a->hw, l->c); ts_cpu_block_more(&w);
         ts_cpu_block_next(&w)) {
        ts_cpu_block_gather(w.count, x + x_offset(l, &w), l->x, b.x);
        take_moments(l, &w, a->h, &b);
        spread(&w, a->dlogp, a->hw, b.g);
        differentiate(w.count, &b);
        if (dx)
            ts_cpu_block_scatter(w.count, b.x, l->x, dx + x_offset(l, &w), a->accumulate);
        if (dh) {
            ts_cpu_block_scatter(w.count, b.mean, l->h, dh + h_offset(l, &w), false);
            ts_cpu_block_scatter(w.count, b.logs, l->h, dh + h_offset(l, &w) + l->logs, false);
        }
    }
}

ts_status ts_cpu_gaussian_backward(ts_device *device, const ts_gaussian_backward *a)
{
    const int threads = ts_cpu_threads_for(device, (int64_t)a->n * a->hw * a->c);
    layout l;
    lay_out(&l, a->c, a->stride, a->first, a->interleaved);
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int t = 0; t < threads; t++) {
        int64_t first, last;
        ts_cpu_share(a->n, t, threads, &first, &last);
        backward_images(a, &l, first, last);
    }
    return NULL;
}

/* ---- samples ---- */

/* mean <- mean + temperature exp(logs) z, z the normals of elements first .. */
static void draw(const ts_gaussian_sample *a, uint64_t first, int count, block *b)
{
    float z[TS_CPU_BLOCK + 4];
    const int before = (int)(first % 4); /* normals come in fours */
    ts_cpu_normals(a->state, a->stream, a->element + first - (uint64_t)before, count + before, z);
#pragma omp simd
    for (int i = 0; i < count; i++)
        b->mean[i] += a->temperature * ts_exp(b->logs[i]) * z[i + before];
}

static void sample_rows(const ts_gaussian_sample *a, const layout *l, int64_t first, int64_t last)
{
    block b;
    for (ts_cpu_block w = ts_cpu_block_first(first, last, l->c); ts_cpu_block_more(&w);
         ts_cpu_block_next(&w)) {
        take_moments(l, &w, a->h, &b);
        if (a->temperature != 0) /* at 0 an overflowing deviation must not matter */
            draw(a, (uint64_t)(w.row * l->c + w.channel), w.count, &b);
        ts_cpu_block_scatter(w.count, b.mean, l->x, (float *)a->x + x_offset(l, &w), false);
    }
}

ts_status ts_cpu_gaussian_sample(ts_device *device, const ts_gaussian_sample *a)
{
    const int64_t rows = (int64_t)a->n * a->hw;
    const int threads = ts_cpu_threads_for(device, rows * a->c);
    layout l;
    lay_out(&l, a->c, a->stride, a->first, a->interleaved);
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int t = 0; t < threads; t++) {
        int64_t first, last;
        ts_cpu_share(rows, t, threads, &first, &last);
        sample_rows(a, &l, first, last);
    }
    return NULL;
}
