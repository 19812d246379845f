#include <string.h>
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/rows.h"

/* The pixel of the input that tap `tap` of output pixel `i` meets along one axis of `size`; -1: a zero. */
static inline int met(const ts_fir *a, int i, int tap, int size)
{
    const int at = a->down * i + tap - a->pad;
    return at >= 0 && at % a->up == 0 && at / a->up < size ? at / a->up : -1;
}

static inline void add_row(int c, float factor, const float *restrict x, float *restrict y)
{
    for (int k = 0; k < c; k++)
        y[k] += factor * x[k];
}

/* y [ow,c], row i of an image x [h,w,c], and of the residual. */
static void filter_row(const ts_fir *a, const float *x, int i, const float *residual, float *y)
{
    const int c = a->c;
    const size_t row_bytes = (size_t)a->ow * (size_t)c * sizeof *y;
    if (residual && !a->accumulate)
        memcpy(y, residual, row_bytes);
    else if (residual)
        add_row(a->ow * c, a->scale, residual, y);
    else if (!a->accumulate)
        memset(y, 0, row_bytes);
    /* the taps hold the scale where y is added to, else it comes last */
    const float factor = a->accumulate ? a->scale : 1.0f;
    for (int p = 0; p < a->taps; p++) {
        const int row = met(a, i, p, a->h);
        if (row < 0)
            continue;
        for (int j = 0; j < a->ow; j++)
            for (int q = 0; q < a->taps; q++) {
                const int column = met(a, j, q, a->w);
                if (column >= 0)
                    add_row(c, factor * a->k[p] * a->k[q], x + ((int64_t)row * a->w + column) * c,
                            y + (int64_t)j * c);
            }
    }
    if (!a->accumulate && a->scale != 1.0f)
        for (int k = 0; k < a->ow * c; k++)
            y[k] *= a->scale;
}

ts_status ts_cpu_fir(ts_device *device, const ts_fir *a)
{
    const int64_t in = (int64_t)a->h * a->w * a->c, out = (int64_t)a->ow * a->c;
    const int64_t rows = (int64_t)a->n * a->oh;
    const float *const x = a->x, *const residual = a->residual;
    float *y = a->y;
#pragma omp parallel for num_threads(ts_cpu_threads_for(device, rows *out))
    for (int64_t r = 0; r < rows; r++)
        filter_row(a, x + r / a->oh * in, (int)(r % a->oh), residual ? residual + r * out : NULL,
                   y + r * out);
    return NULL;
}
