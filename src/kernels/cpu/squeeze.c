/* Space to depth and back (Dinh et al. 2017), channel order 4 c + 2 dy + dx. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/rows.h"

/* One row of 2x2 blocks: `top` and `bottom` are the two image rows [w,c], `deep` the row [w/2,4c]. */
static void row_to_depth(int w, int c, const float *top, const float *bottom, float *deep, bool accumulate)
{
    for (int j = 0; j < w / 2; j++, top += 2 * c, bottom += 2 * c, deep += 4 * c)
        for (int k = 0; k < c; k++) {
            const float v[4] = {top[k], top[c + k], bottom[k], bottom[c + k]};
            for (int q = 0; q < 4; q++)
                deep[4 * k + q] = accumulate ? deep[4 * k + q] + v[q] : v[q];
        }
}

static void row_from_depth(int w, int c, const float *deep, float *top, float *bottom, bool accumulate)
{
    for (int j = 0; j < w / 2; j++, top += 2 * c, bottom += 2 * c, deep += 4 * c)
        for (int k = 0; k < c; k++) {
            const float *v = deep + 4 * k;
            top[k] = accumulate ? top[k] + v[0] : v[0];
            top[c + k] = accumulate ? top[c + k] + v[1] : v[1];
            bottom[k] = accumulate ? bottom[k] + v[2] : v[2];
            bottom[c + k] = accumulate ? bottom[c + k] + v[3] : v[3];
        }
}

ts_status ts_cpu_squeeze(ts_device *device, const ts_squeeze *a)
{
    const int64_t row = (int64_t)a->w * a->c, pairs = (int64_t)a->n * (a->h / 2);
    const float *x = a->x;
    float *y = a->y;
#pragma omp parallel for num_threads(ts_cpu_threads_for(device, 2 * pairs * row))
    for (int64_t p = 0; p < pairs; p++) {
        const int64_t at = 2 * p * row; /* of the image's two rows, and of their one squeezed row */
        if (a->inverse)
            row_from_depth(a->w, a->c, x + at, y + at, y + at + row, a->accumulate);
        else
            row_to_depth(a->w, a->c, x + at, x + at + row, y + at, a->accumulate);
    }
    return NULL;
}
