/*
 * Affine coupling with a sigmoid scale (Dinh et al. 2017; Kingma and Dhariwal 2018):
 * x2 -> (x2 + u) sigmoid(v + 2).  The interleaved channels are taken apart into short contiguous blocks, so that
 * the mathematics is vectors of full length however few the channels.
 */
#include <math.h>
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/vector_math.h"

/* One block of the second half of the channels. */
typedef struct block {
    float x[TS_CPU_BLOCK], u[TS_CPU_BLOCK], a[TS_CPU_BLOCK]; /* x2, shift, v + 2 */
    float s[TS_CPU_BLOCK], r[TS_CPU_BLOCK];                  /* sigmoid(a), sigmoid(-a) */
    float e[TS_CPU_BLOCK];                                   /* exp(-|a|) */
    float g[TS_CPU_BLOCK], dv[TS_CPU_BLOCK];                 /* dy2 and then du; dv */
} block;

/* Where a block's elements lie in x, y and in h. */
typedef struct places {
    int32_t x[TS_CPU_BLOCK], h[TS_CPU_BLOCK];
} places;

static void find_places(int c, places *p)
{
    ts_cpu_block_places(c / 2, c, 1, p->x);
    ts_cpu_block_places(c / 2, c, 2, p->h);
}

/* Offsets of a block's first element. */
static int64_t x_offset(const ts_cpu_block *w)
{
    return w->row * 2 * w->c + w->c + w->channel;
}

static int64_t h_offset(const ts_cpu_block *w)
{
    return w->row * 2 * w->c + 2 * w->channel;
}

static void take(const ts_cpu_block *w, const places *p, const float *x, const float *h, block *b)
{
    const float lowest = -60; /* a smaller scale would lose the inverse, and soon leave float32's range */
    ts_cpu_block_gather(w->count, x + x_offset(w), p->x, b->x);
    ts_cpu_block_gather(w->count, h + h_offset(w), p->h, b->u);
    ts_cpu_block_gather(w->count, h + h_offset(w) + 1, p->h, b->a);
#pragma omp simd
    for (int i = 0; i < w->count; i++) {
        const float v = b->a[i] + 2, a = v < lowest ? lowest : v;
        const float e = ts_exp(a < 0 ? a : -a), large = 1 / (1 + e), small = e * large;
        b->a[i] = a;
        b->e[i] = e;
        b->s[i] = a < 0 ? small : large;
        b->r[i] = a < 0 ? large : small;
    }
}

/* The first half of the channels goes through. */
static void copy_first_half(int64_t first, int64_t last, int c, const float *x, float *y, bool accumulate)
{
    const int half = c / 2;
    for (int64_t row = first; row < last; row++)
        for (int j = 0; j < half; j++)
            y[row * c + j] = accumulate ? y[row * c + j] + x[row * c + j] : x[row * c + j];
}

/* ---- forward and inverse ---- */

static void transform(bool inverse, int count, block *b)
{
    if (inverse)
#pragma omp simd
        for (int i = 0; i < count; i++)
            b->x[i] = b->x[i] / b->s[i] - b->u[i];
    else
#pragma omp simd
        for (int i = 0; i < count; i++)
            b->x[i] = (b->x[i] + b->u[i]) * b->s[i];
}

/* logdet of each image += sum ln sigmoid(a) = sum min(a, 0) - ln prod (1 + exp(-|a|)); each factor is at most
 * 2, so that a block's product stays within double's range and one logarithm serves many elements. */
static void add_logdet(const ts_cpu_block *w, const block *b, int hw, float *logdet)
{
    for (int first = 0; first < w->count;) {
        const ts_cpu_run run = ts_cpu_block_run(w, first, hw);
        double sum = 0, product = 1;
#pragma omp simd reduction(+ : sum) reduction(* : product)
        for (int i = run.first; i < run.last; i++) {
            sum += b->a[i] < 0 ? b->a[i] : 0;
            product *= 1 + (double)b->e[i];
        }
        logdet[run.image] += (float)(sum - log(product));
        first = run.last;
    }
}

static void forward_images(const ts_coupling_forward *a, const places *p, int64_t first, int64_t last)
{
    block b;
    copy_first_half(first * a->hw, last * a->hw, a->c, a->x, a->y, false);
    for (int64_t n = first; n < last && a->logdet; n++)
        a->logdet[n] = 0;
    for (ts_cpu_block w = ts_cpu_block_first(first * a->hw, last * a->hw, a->c / 2); ts_cpu_block_more(&w);
         ts_cpu_block_next(&w)) {
        take(&w, p, a->x, a->h, &b);
        transform(a->inverse, w.count, &b);
        ts_cpu_block_scatter(w.count, b.x, p->x, (float *)a->y + x_offset(&w), false);
        if (a->logdet)
            add_logdet(&w, &b, a->hw, a->logdet);
    }
}

ts_status ts_cpu_coupling_forward(ts_device *device, const ts_coupling_forward *a)
{
    const int threads = ts_cpu_threads_for(device, (int64_t)a->n * a->hw * a->c);
    places p;
    find_places(a->c, &p);
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int t = 0; t < threads; t++) {
        int64_t first, last;
        ts_cpu_share(a->n, t, threads, &first, &last);
        forward_images(a, &p, first, last);
    }
    return NULL;
}

/* ---- backward ---- */

/* dv of every element <- its image's dlogdet. */
static void spread(const ts_cpu_block *w, const float *dlogdet, int hw, float *dv)
{
    for (int first = 0; first < w->count;) {
        const ts_cpu_run run = ts_cpu_block_run(w, first, hw);
        for (int i = run.first; i < run.last; i++)
            dv[i] = dlogdet ? dlogdet[run.image] : 0;
        first = run.last;
    }
}

/* dx2 = du = dy2 s, dv = (dy2 (x2 + u) s + dlogdet) sigmoid(-a); dv comes as dlogdet. */
static void differentiate(int count, block *b)
{
#pragma omp simd
    for (int i = 0; i < count; i++) {
        b->g[i] *= b->s[i];
        b->dv[i] = (b->g[i] * (b->x[i] + b->u[i]) + b->dv[i]) * b->r[i];
    }
}

static void backward_images(const ts_coupling_backward *a, const places *p, int64_t first, int64_t last)
{
    float *dx = a->dx, *dh = a->dh;
    block b;
    if (dx)
        copy_first_half(first * a->hw, last * a->hw, a->c, a->dy, dx, a->accumulate);
    for (ts_cpu_block w = ts_cpu_block_first(first * a->hw, last * a->hw, a->c / 2); ts_cpu_block_more(&w);
         ts_cpu_block_next(&w)) {
        take(&w, p, a->x, a->h, &b);
        ts_cpu_block_gather(w.count, (const float *)a->dy + x_offset(&w), p->x, b.g);
        spread(&w, a->dlogdet, a->hw, b.dv);
        differentiate(w.count, &b);
        if (dx)
            ts_cpu_block_scatter(w.count, b.g, p->x, dx + x_offset(&w), a->accumulate);
        if (dh) {
            ts_cpu_block_scatter(w.count, b.g, p->h, dh + h_offset(&w), false);
            ts_cpu_block_scatter(w.count, b.dv, p->h, dh + h_offset(&w) + 1, false);
        }
    }
}

ts_status ts_cpu_coupling_backward(ts_device *device, const ts_coupling_backward *a)
{
    const int threads = ts_cpu_threads_for(device, (int64_t)a->n * a->hw * a->c);
    places p;
    find_places(a->c, &p);
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int t = 0; t < threads; t++) {
        int64_t first, last;
        ts_cpu_share(a->n, t, threads, &first, &last);
        backward_images(a, &p, first, last);
    }
    return NULL;
}
