/* Batches of data: which examples, as float32 in model scale, perhaps mirrored. */
#include <string.h>
#include "kernels/cpu/cpu.h"

static int64_t example_of(const ts_gather *a, int i)
{
    if (!a->shuffle)
        return (int64_t)(((uint64_t)a->start + (uint64_t)i) % (uint64_t)a->count);
    /* A batch may straddle epochs: each of its positions belongs to an epoch of its own. */
    uint64_t position = (uint64_t)a->state->step * (uint64_t)a->n + (uint64_t)i;
    uint32_t epoch = (uint32_t)(position / (uint64_t)a->count);
    return ts_shuffle_index(a->state, epoch, (int64_t)(position % (uint64_t)a->count), a->count);
}

static void copy_row(const ts_gather *a, int64_t from, int64_t elements, float *restrict to)
{
    if (a->floats) {
        memcpy(to, a->floats + from, (size_t)elements * sizeof *to);
        return;
    }
    const uint8_t *restrict bytes = a->bytes + from;
    for (int64_t j = 0; j < elements; j++)
        to[j] = (float)bytes[j] * a->scale + a->offset;
}

static void copy_image(const ts_gather *a, int64_t example, bool mirror, float *to)
{
    int64_t from = example * a->h * a->w * a->c;
    if (!mirror) {
        copy_row(a, from, (int64_t)a->h * a->w * a->c, to);
        return;
    }
    for (int y = 0; y < a->h; y++)
        for (int x = 0; x < a->w; x++)
            copy_row(a, from + ((int64_t)y * a->w + x) * a->c, a->c,
                     to + ((int64_t)y * a->w + (a->w - 1 - x)) * a->c);
}

ts_status ts_cpu_gather(ts_device *device, const ts_gather *a)
{
    const int64_t d = (int64_t)a->h * a->w * a->c;
#pragma omp parallel for schedule(static) num_threads(device->threads) if (a->n * d > 65536)
    for (int i = 0; i < a->n; i++) {
        bool mirror = false;
        if (a->flip) {
            ts_philox_words words = ts_random_words(a->state, TS_STREAM_FLIP, (uint32_t)i / 4);
            mirror = ts_uniform_from(words.v[i % 4]) > 0.5f;
        }
        copy_image(a, example_of(a, i), mirror, a->x0 + i * d);
    }
    return NULL;
}
