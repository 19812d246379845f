/*
 * Affine coupling with a sigmoid scale (Dinh et al. 2017; Kingma and Dhariwal 2018): x2 -> (x2 + u) sigmoid(v
 * + 2). The interleaved channels are taken apart into short contiguous blocks, so that the mathematics is
 * vectors of full length however few the channels.
 */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/vector_math.h"

enum { BLOCK = 256 }; /* elements of the second half worked on at once */

/* One block, taken apart. */
typedef struct block {
    int count;
    float x[BLOCK], u[BLOCK], a[BLOCK]; /* x2, shift, v + 2 */
    float s[BLOCK], r[BLOCK];           /* sigmoid(a), sigmoid(-a) */
} block;

/* Below this the scale would leave float32's range and the inverse be lost. */
static const float lowest = -60;

/* Takes elements first .. of image rows x and h [hw,c]; element e is channel c/2 + e mod c/2 of position
 * e / (c/2). */
static void take(block *b, const float *x, const float *h, int c, int64_t first, int count)
{
    const int half = c / 2;
    int64_t row = first / half;
    int j = (int)(first % half);
    b->count = count;
    for (int i = 0; i < count; row++, j = 0)
        for (; j < half && i < count; i++, j++) {
            b->x[i] = x[row * c + half + j];
            b->u[i] = h[row * c + 2 * j];
            b->a[i] = h[row * c + 2 * j + 1] + 2;
        }
#pragma omp simd
    for (int i = 0; i < count; i++) {
        const float a = b->a[i] < lowest ? lowest : b->a[i];
        const float e = ts_exp(a < 0 ? a : -a), large = 1 / (1 + e), small = e * large;
        b->a[i] = a;
        b->s[i] = a < 0 ? small : large;
        b->r[i] = a < 0 ? large : small;
    }
}

static float log_sigmoid(const block *b)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < b->count; i++)
        sum += ts_log_sigmoid(b->a[i]);
    return sum;
}

/* Puts values into the second half of the channels of y [hw,c]. */
static void put(float *y, const float *values, int c, int64_t first, int count, bool accumulate)
{
    const int half = c / 2;
    int64_t row = first / half;
    int j = (int)(first % half);
    for (int i = 0; i < count; row++, j = 0)
        for (; j < half && i < count; i++, j++) {
            float *to = y + row * c + half + j;
            *to = accumulate ? *to + values[i] : values[i];
        }
}

static void copy_first_half(float *y, const float *x, int hw, int c, bool accumulate)
{
    const int half = c / 2;
    for (int64_t row = 0; row < hw; row++)
        for (int j = 0; j < half; j++)
            y[row * c + j] = accumulate ? y[row * c + j] + x[row * c + j] : x[row * c + j];
}

static float forward_image(const ts_coupling_forward *a, const float *x, const float *h, float *y)
{
    const int64_t count = (int64_t)a->hw * (a->c / 2);
    block b;
    double logdet = 0;
    copy_first_half(y, x, a->hw, a->c, false);
    for (int64_t first = 0; first < count; first += BLOCK) {
        take(&b, x, h, a->c, first, count - first < BLOCK ? (int)(count - first) : BLOCK);
        if (a->inverse)
            for (int i = 0; i < b.count; i++)
                b.x[i] = b.x[i] / b.s[i] - b.u[i];
        else
            for (int i = 0; i < b.count; i++)
                b.x[i] = (b.x[i] + b.u[i]) * b.s[i];
        put(y, b.x, a->c, first, b.count, false);
        if (a->logdet)
            logdet += log_sigmoid(&b);
    }
    return (float)logdet;
}

ts_status ts_cpu_coupling_forward(ts_device *device, const ts_coupling_forward *a)
{
    const int64_t size = (int64_t)a->hw * a->c;
#pragma omp parallel for num_threads(ts_cpu_threads_for(device, a->n *size))
    for (int n = 0; n < a->n; n++) {
        const float logdet = forward_image(a, (const float *)a->x + n * size, (const float *)a->h + n * size,
                                           (float *)a->y + n * size);
        if (a->logdet)
            a->logdet[n] = logdet;
    }
    return NULL;
}

/* dx2 = du = dy2 s, dv = (dy2 (x2 + u) s + dlogdet) sigmoid(-a). */
static void backward_image(const ts_coupling_backward *a, int64_t at, float dlogdet)
{
    const float *x = (const float *)a->x + at, *h = (const float *)a->h + at, *dy = (const float *)a->dy + at;
    const int half = a->c / 2;
    const int64_t count = (int64_t)a->hw * half;
    block b;
    float g[BLOCK], dv[BLOCK]; /* dy2 and then du, dv */
    if (a->dx)
        copy_first_half((float *)a->dx + at, dy, a->hw, a->c, a->accumulate);
    for (int64_t first = 0; first < count; first += BLOCK) {
        take(&b, x, h, a->c, first, count - first < BLOCK ? (int)(count - first) : BLOCK);
        int64_t row = first / half;
        int j = (int)(first % half);
        for (int i = 0; i < b.count; row++, j = 0)
            for (; j < half && i < b.count; i++, j++)
                g[i] = dy[row * a->c + half + j];
        for (int i = 0; i < b.count; i++) {
            g[i] *= b.s[i];
            dv[i] = (g[i] * (b.x[i] + b.u[i]) + dlogdet) * b.r[i];
        }
        if (a->dx)
            put((float *)a->dx + at, g, a->c, first, b.count, a->accumulate);
        if (!a->dh)
            continue;
        float *dh = (float *)a->dh + at;
        row = first / half;
        j = (int)(first % half);
        for (int i = 0; i < b.count; row++, j = 0)
            for (; j < half && i < b.count; i++, j++) {
                dh[row * a->c + 2 * j] = g[i];
                dh[row * a->c + 2 * j + 1] = dv[i];
            }
    }
}

ts_status ts_cpu_coupling_backward(ts_device *device, const ts_coupling_backward *a)
{
    const int64_t size = (int64_t)a->hw * a->c;
#pragma omp parallel for num_threads(ts_cpu_threads_for(device, a->n *size))
    for (int n = 0; n < a->n; n++)
        backward_image(a, n * size, a->dlogdet ? a->dlogdet[n] : 0);
    return NULL;
}
