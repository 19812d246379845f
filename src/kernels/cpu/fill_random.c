/* Random vectors: standard normals, scaled, or signs. */
#include "kernels/cpu/cpu.h"

enum { SHARE = 16384 }; /* elements a thread takes at a time: a multiple of what random.c draws at once */

ts_status ts_cpu_fill_random(ts_device *device, const ts_fill_random *a)
{
    float *out = a->out;
#pragma omp parallel for schedule(static) num_threads(device->threads) if (a->count > SHARE)
    for (int64_t i = 0; i < a->count; i += SHARE) {
        int64_t count = a->count - i < SHARE ? a->count - i : SHARE;
        if (a->rademacher) {
            ts_cpu_uniforms(a->state, a->stream, a->element + (uint64_t)i, count, out + i);
            for (int64_t j = i; j < i + count; j++)
                out[j] = out[j] > 0.5f ? 1.0f : -1.0f;
        } else {
            ts_cpu_normals(a->state, a->stream, a->element + (uint64_t)i, count, out + i);
            for (int64_t j = i; j < i + count; j++)
                out[j] *= a->scale;
        }
    }
    return NULL;
}
