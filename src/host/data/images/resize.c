/*
 * Convolution resampling as Pillow does it for 8-bit images: along rows, then along columns, each a weighted
 * sum of the pixels below a filter that is as wide as an output pixel (antialiasing) or, where the image grows,
 * as an input pixel; weights and sums in integers of 22 bits of fraction, and 8 bits in between.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "data/images/picture.h"

/* 32 less 8 of a value, and 2 for weights beyond 1 and the sign. */
enum { FRACTION = 22 };

static double box(double x)
{
    return x > -0.5 && x <= 0.5 ? 1 : 0;
}

/* R. Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = -1/2. */
static double bicubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static const struct {
    double (*weight)(double x);
    double support; /* not zero in [-support, support] */
} filters[TS_FILTER_COUNT] = {[TS_FILTER_AREA] = {box, 0.5}, [TS_FILTER_BICUBIC] = {bicubic, 2}};

/* Along one axis: output i is the sum of weights[i * most + k] of inputs first[i] + k, k < count[i]. */
typedef struct taps {
    int most;
    int *first, *count;
    int32_t *weights;
} taps;

static void taps_release(taps *t)
{
    free(t->first);
    free(t->count);
    free(t->weights);
}

/* The weights of one output whose centre lies at `centre` of `from` inputs. */
static void fill(taps *t, int i, ts_filter_kind filter, int from, double centre, double scale,
                 double *weights)
{
    const double reach = filters[filter].support * scale;
    int first = (int)(centre - reach + 0.5), end = (int)(centre + reach + 0.5);
    double sum = 0;
    first = first < 0 ? 0 : first;
    end = end > from ? from : end;
    for (int k = 0; k < end - first; k++)
        sum += weights[k] = filters[filter].weight((k + first - centre + 0.5) * (1 / scale));
    for (int k = 0; k < end - first; k++) {
        const double weight = (sum != 0 ? weights[k] / sum : weights[k]) * (1 << FRACTION);
        t->weights[(size_t)i * (size_t)t->most + (size_t)k] =
            (int32_t)(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
    t->first[i] = first;
    t->count[i] = end - first;
}

static ts_status make_taps(const char *name, ts_filter_kind filter, int from, int to, taps *t)
{
    const double step = (double)from / to, scale = step > 1 ? step : 1;
    t->most = (int)ceil(filters[filter].support * scale) * 2 + 1;
    t->first = malloc((size_t)to * sizeof *t->first);
    t->count = malloc((size_t)to * sizeof *t->count);
    t->weights = malloc((size_t)to * (size_t)t->most * sizeof *t->weights);
    double *weights = malloc((size_t)t->most * sizeof *weights);
    const bool there = t->first && t->count && t->weights && weights;
    for (int i = 0; there && i < to; i++)
        fill(t, i, filter, from, (i + 0.5) * step, scale, weights);
    free(weights);
    return there ? NULL : ts_error(TS_NO_MEMORY, "%s: no memory to resize it", name);
}

static uint8_t round_off(int32_t sum)
{
    const int32_t value = sum >> FRACTION;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* to [h,to_w,c] <- from [h,w,c] */
static void along_rows(const taps *t, const uint8_t *from, int h, int w, int c, int to_w, uint8_t *to)
{
    for (int y = 0; y < h; y++)
        for (int x = 0; x < to_w; x++) {
            const int32_t *weights = t->weights + (size_t)x * (size_t)t->most;
            const uint8_t *pixels = from + ((size_t)y * (size_t)w + (size_t)t->first[x]) * (size_t)c;
            for (int k = 0; k < c; k++) {
                int32_t sum = 1 << (FRACTION - 1);
                for (int i = 0; i < t->count[x]; i++)
                    sum += pixels[i * c + k] * weights[i];
                *to++ = round_off(sum);
            }
        }
}

/* to [to_h,row] <- from [h,row], whole rows at a time; sums: room for a row. */
static void along_columns(const taps *t, const uint8_t *from, size_t row, int to_h, int32_t *sums,
                          uint8_t *to)
{
    for (int y = 0; y < to_h; y++, to += row) {
        const int32_t *weights = t->weights + (size_t)y * (size_t)t->most;
        for (size_t x = 0; x < row; x++)
            sums[x] = 1 << (FRACTION - 1);
        for (int i = 0; i < t->count[y]; i++) {
            const uint8_t *pixels = from + (size_t)(t->first[y] + i) * row;
            for (size_t x = 0; x < row; x++)
                sums[x] += pixels[x] * weights[i];
        }
        for (size_t x = 0; x < row; x++)
            to[x] = round_off(sums[x]);
    }
}

ts_status ts_resize(const char *name, ts_filter_kind filter, const uint8_t *from, int h, int w, int c,
                    int to_h, int to_w, uint8_t *to)
{
    taps rows = {.most = 0}, columns = {.most = 0};
    const size_t row = (size_t)to_w * (size_t)c;
    uint8_t *between = malloc((size_t)h * row);
    int32_t *sums = malloc(row * sizeof *sums);
    ts_status status = NULL;
    if (!between || !sums)
        status = ts_error(TS_NO_MEMORY, "%s: no memory to resize it", name);
    if (!status)
        status = make_taps(name, filter, w, to_w, &rows);
    if (!status)
        status = make_taps(name, filter, h, to_h, &columns);
    if (!status) {
        along_rows(&rows, from, h, w, c, to_w, between);
        along_columns(&columns, between, row, to_h, sums, to);
    }
    taps_release(&rows);
    taps_release(&columns);
    free(between);
    free(sums);
    return status;
}
