#include "kernels/cpu/cpu.h"
#include "kernels/cpu/rows.h"

/* Channel `channel` of pixel `pixel`. */
static inline float value(const ts_resize *a, int64_t pixel, int channel)
{
    const int64_t at = pixel * a->c + channel;
    return a->bytes ? (float)a->bytes[at] : a->floats[at];
}

ts_status ts_cpu_resize(ts_device *device, const ts_resize *a)
{
    const int64_t rows = (int64_t)a->n * a->oh, row = (int64_t)a->ow * a->oc;
    float *const y = a->y;
#pragma omp parallel for num_threads(ts_cpu_threads_for(device, rows *row))
    for (int64_t r = 0; r < rows; r++) {
        int above, below, left, right;
        const float down = ts_resize_place((int)(r % a->oh), a->h, a->oh, &above, &below);
        const int64_t image = r / a->oh * a->h;
        const int64_t upper = (image + above) * a->w, lower = (image + below) * a->w;
        for (int j = 0; j < a->ow; j++) {
            const float along = ts_resize_place(j, a->w, a->ow, &left, &right);
            for (int k = 0; k < a->oc; k++) {
                const int channel = a->c == 1 ? 0 : k;
                const float p = value(a, upper + left, channel), q = value(a, upper + right, channel);
                const float s = value(a, lower + left, channel), t = value(a, lower + right, channel);
                const float top = p + along * (q - p), bottom = s + along * (t - s);
                y[r * row + (int64_t)j * a->oc + k] =
                    a->scale[k] * (top + down * (bottom - top)) + a->offset[k];
            }
        }
    }
    return NULL;
}
