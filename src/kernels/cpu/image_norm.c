/*
 * An affine map per image and channel: an actnorm that is told what differs from image to image.  Factors and
 * offsets are repeated over the rows of a tile, so that the inner loops are long however few the channels.
 */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/vector_math.h"

/* Some channels of an image: their factors exp(logs) and offsets, repeated over `rows` rows. */
typedef struct tile {
    int width, rows;
    float factor[TS_CPU_BLOCK], bias[TS_CPU_BLOCK];
} tile;

/* h: bias and logs [2c] of the image. */
static tile tile_of(const float *h, int c, int first, int hw)
{
    tile t;
    t.width = c - first < TS_CPU_BLOCK ? c - first : TS_CPU_BLOCK;
    t.rows = c > TS_CPU_BLOCK / 2 ? 1 : TS_CPU_BLOCK / c; /* only whole rows follow one another */
    t.rows = t.rows < hw ? t.rows : hw;
#pragma omp simd
    for (int j = 0; j < t.width; j++) {
        t.bias[j] = h[first + j];
        t.factor[j] = ts_exp(h[c + first + j]);
    }
    for (int j = t.width; j < t.rows * t.width; j++) {
        t.bias[j] = t.bias[j - t.width];
        t.factor[j] = t.factor[j - t.width];
    }
    return t;
}

/* Elements of the tile that lie at or behind row q. */
static int elements(const tile *t, int q, int hw)
{
    return (hw - q < t->rows ? hw - q : t->rows) * t->width;
}

/* ---- forward and inverse ---- */

static void apply(const tile *t, bool inverse, int count, const float *restrict x, float *restrict y)
{
    if (inverse)
#pragma omp simd
        for (int i = 0; i < count; i++)
            y[i] = x[i] / t->factor[i] - t->bias[i];
    else
#pragma omp simd
        for (int i = 0; i < count; i++)
            y[i] = (x[i] + t->bias[i]) * t->factor[i];
}

static void forward_image(const ts_image_norm_forward *a, int64_t image)
{
    const int c = a->c, hw = a->hw;
    const float *h = (const float *)a->h + image * 2 * c, *x = (const float *)a->x + image * hw * c;
    float *y = (float *)a->y + image * hw * c;
    for (int first = 0; first < c; first += TS_CPU_BLOCK) {
        const tile t = tile_of(h, c, first, hw);
        for (int q = 0; q < hw; q += t.rows)
            apply(&t, a->inverse, elements(&t, q, hw), x + (int64_t)q * c + first,
                  y + (int64_t)q * c + first);
    }
    double sum = 0;
    for (int j = 0; j < c; j++)
        sum += (double)h[c + j];
    if (a->logdet)
        a->logdet[image] = (float)(hw * sum);
}

ts_status ts_cpu_image_norm_forward(ts_device *device, const ts_image_norm_forward *a)
{
#pragma omp parallel for num_threads(ts_cpu_threads_for(device, (int64_t)a->n * a->hw * a->c))
    for (int i = 0; i < a->n; i++)
        forward_image(a, i);
    return NULL;
}

/* ---- backward ---- */

/* dx = dy factor, and by element of the tile the sums of dy and dy y. */
static void differentiate(const tile *t, int count, bool accumulate, const float *restrict y,
                          const float *restrict dy, float *restrict dx, float *restrict sum,
                          float *restrict product)
{
#pragma omp simd
    for (int i = 0; i < count; i++) {
        sum[i] += dy[i];
        product[i] += dy[i] * y[i];
    }
    if (dx && accumulate)
#pragma omp simd
        for (int i = 0; i < count; i++)
            dx[i] += dy[i] * t->factor[i];
    else if (dx)
#pragma omp simd
        for (int i = 0; i < count; i++)
            dx[i] = dy[i] * t->factor[i];
}

/* dbias = factor sum dy, dlogs = sum dy y + hw dlogdet. */
static void fold(const tile *t, double dlogdet, const float *sum, const float *product, float *dbias,
                 float *dlogs)
{
    for (int j = 0; j < t->width; j++) {
        double s = 0, p = dlogdet;
        for (int i = j; i < t->rows * t->width; i += t->width) {
            s += (double)sum[i];
            p += (double)product[i];
        }
        dbias[j] = (float)((double)t->factor[j] * s);
        dlogs[j] = (float)p;
    }
}

static void backward_image(const ts_image_norm_backward *a, int64_t image)
{
    const int c = a->c, hw = a->hw;
    const int64_t at = image * hw * c;
    const float *h = (const float *)a->h + image * 2 * c;
    float *dh = a->dh ? (float *)a->dh + image * 2 * c : NULL;
    for (int first = 0; first < c; first += TS_CPU_BLOCK) {
        const tile t = tile_of(h, c, first, hw);
        float sum[TS_CPU_BLOCK] = {0}, product[TS_CPU_BLOCK] = {0};
        for (int q = 0; q < hw; q += t.rows) {
            const int64_t place = at + (int64_t)q * c + first;
            differentiate(&t, elements(&t, q, hw), a->accumulate, (const float *)a->y + place,
                          (const float *)a->dy + place, a->dx ? (float *)a->dx + place : NULL, sum, product);
        }
        if (dh)
            fold(&t, a->dlogdet ? (double)hw * (double)a->dlogdet[image] : 0, sum, product, dh + first,
                 dh + c + first);
    }
}

ts_status ts_cpu_image_norm_backward(ts_device *device, const ts_image_norm_backward *a)
{
#pragma omp parallel for num_threads(ts_cpu_threads_for(device, (int64_t)a->n * a->hw * a->c))
    for (int i = 0; i < a->n; i++)
        backward_image(a, i);
    return NULL;
}
