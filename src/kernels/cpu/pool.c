#include <float.h>
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/rows.h"

enum { CHUNK = 64 };

static inline void greater(int c, const float *restrict x, float *restrict y)
{
    for (int k = 0; k < c; k++)
        y[k] = x[k] > y[k] ? x[k] : y[k];
}

static inline void add(int c, const float *restrict x, float *restrict y)
{
    for (int k = 0; k < c; k++)
        y[k] += x[k];
}

/* The part of the window at place i that lies within an axis of `size`. */
static inline void inside(int i, int size, int window, int stride, int pad, int *first, int *last)
{
    *first = i * stride - pad;
    *last = *first + window < size ? *first + window : size;
    *first = *first > 0 ? *first : 0;
}

/* The pixels of a window that lie in an image. */
typedef struct part {
    int top, bottom, left, right;
} part;

static void pool_max(const ts_pool *a, part w, const float *x, float *y)
{
    for (int k = 0; k < a->c; k++)
        y[k] = -FLT_MAX;
    for (int p = w.top; p < w.bottom; p++)
        for (int q = w.left; q < w.right; q++)
            greater(a->c, x + ((int64_t)p * a->w + q) * a->c, y);
}

/* By rows of the window: the error of a sum over a whole image does not grow with all its pixels. */
static void pool_average(const ts_pool *a, part w, int count, const float *x, float *y)
{
    for (int k = 0; k < a->c; k += CHUNK) {
        const int c = a->c - k < CHUNK ? a->c - k : CHUNK;
        float sum[CHUNK] = {0};
        for (int p = w.top; p < w.bottom; p++) {
            float row[CHUNK] = {0};
            for (int q = w.left; q < w.right; q++)
                add(c, x + ((int64_t)p * a->w + q) * a->c + k, row);
            add(c, row, sum);
        }
        for (int i = 0; i < c; i++)
            y[k + i] = sum[i] / (float)count;
    }
}

/* y [c], place (i, j) of an image x [h,w,c]. */
static void pool_place(const ts_pool *a, const float *x, int i, int j, float *y)
{
    const ts_window *const w = &a->window;
    part p;
    inside(i, a->h, w->h, w->stride_h, w->pad_h, &p.top, &p.bottom);
    inside(j, a->w, w->w, w->stride_w, w->pad_w, &p.left, &p.right);
    if (a->kind == TS_POOL_MAX)
        pool_max(a, p, x, y);
    else
        pool_average(a, p, a->count_padding ? w->h * w->w : (p.bottom - p.top) * (p.right - p.left), x, y);
}

ts_status ts_cpu_pool(ts_device *device, const ts_pool *a)
{
    const ts_window *const w = &a->window;
    const int oh = ts_window_places(a->h, w->h, w->stride_h, w->pad_h);
    const int ow = ts_window_places(a->w, w->w, w->stride_w, w->pad_w);
    const int64_t in = (int64_t)a->h * a->w * a->c, places = (int64_t)a->n * oh * ow;
    const float *const x = a->x;
    float *const y = a->y;
#pragma omp parallel for num_threads(ts_cpu_threads_for(device, places * a->c))
    for (int64_t p = 0; p < places; p++)
        pool_place(a, x + p / ow / oh * in, (int)(p / ow % oh), (int)(p % ow), y + p * a->c);
    return NULL;
}
