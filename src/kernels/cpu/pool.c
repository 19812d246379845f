#include <float.h>
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/rows.h"

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

/* y [c], place (i, j) of an image x [h,w,c]. */
static void pool_place(const ts_pool *a, const float *x, int i, int j, float *y)
{
    const ts_window *const w = &a->window;
    const bool max = a->kind == TS_POOL_MAX;
    int top, bottom, left, right;
    inside(i, a->h, w->h, w->stride_h, w->pad_h, &top, &bottom);
    inside(j, a->w, w->w, w->stride_w, w->pad_w, &left, &right);
    for (int k = 0; k < a->c; k++)
        y[k] = max ? -FLT_MAX : 0;
    for (int p = top; p < bottom; p++)
        for (int q = left; q < right; q++) {
            const float *const pixel = x + ((int64_t)p * a->w + q) * a->c;
            if (max)
                greater(a->c, pixel, y);
            else
                add(a->c, pixel, y);
        }
    const float count = (float)(a->count_padding ? w->h * w->w : (bottom - top) * (right - left));
    for (int k = 0; k < a->c && !max; k++)
        y[k] /= count;
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
