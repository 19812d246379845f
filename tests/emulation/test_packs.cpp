/*
 * Copies of weights on the emulated device: made, kept, made anew when weights changed, forgotten with the
 * memory they came from.
 */
#include <stdio.h>
#include <stdlib.h>
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/weights_pack.h"
#include "expect.hpp"

static void must(ts_status status)
{
    if (!status)
        return;
    printf("FAIL %s\n", ts_status_message(status));
    exit(1);
}

static float *weights(ts_device *device, int count, float first)
{
    void *memory = NULL;
    must(device->k->allocate(device, (size_t)count * sizeof(float), &memory));
    float *const w = static_cast<float *>(memory);
    for (int i = 0; i < count; i++)
        w[i] = first + (float)i;
    return w;
}

/* That a copy holds factor * weights, and zeros around them. */
static bool right(const void *copy, const ts_cuda_pack *p)
{
    const __nv_bfloat16 *const c = static_cast<const __nv_bfloat16 *>(copy);
    bool same = true;
    for (int i = 0; i < p->padded_rows * p->taps * p->padded_columns; i++) {
        const int line = i / p->padded_columns, column = i % p->padded_columns;
        const bool inside = line < p->rows * p->taps && column < p->columns && p->weight;
        const float want = inside ? p->scale * p->weight[line * p->columns + column] : 0.0f;
        same &= c[i].bits == __float2bfloat16_rn(want).bits;
    }
    return same;
}

static const void *packed(ts_device *device, const ts_cuda_pack *p)
{
    const void *copy = NULL;
    must(ts_cuda_packed(device, p, &copy));
    return copy;
}

static void check_copies(ts_device *device)
{
    float *const a = weights(device, 5 * 9 * 3, 1), *const b = weights(device, 16 * 40, -7);
    const ts_cuda_pack packs[] = {{a, 5, 9, 3, 8, 8, 1.0f},     {a, 5, 9, 3, 5, 3, 1.0f},
                                  {b, 16, 1, 40, 16, 40, 0.5f}, {b + 1, 13, 1, 7, 16, 8, 1.0f},
                                  {b, 12, 1, 40, 16, 40, 1.0f}, {NULL, 1, 1, 9, 1, 9, 1.0f}};
    const void *copies[6];
    bool all = true, kept = true, anew = true, stale = true;
    for (int i = 0; i < 6; i++) {
        copies[i] = packed(device, &packs[i]);
        all &= right(copies[i], &packs[i]);
    }
    expect(all, "copies of all kinds");
    for (int i = 0; i < 5 * 9 * 3; i++)
        a[i] += 100;
    for (int i = 0; i < 16 * 40; i++)
        b[i] *= 3;
    const uint64_t allocations = device->allocations, launches = device->launches;
    for (int i = 0; i < 6; i++) {
        kept &= packed(device, &packs[i]) == copies[i];
        stale &= i == 5 || !right(copies[i], &packs[i]);
    }
    expect(kept && stale && device->allocations == allocations && device->launches == launches,
           "kept as they are while nobody says that weights changed");
    device->k->weights_changed(device);
    for (int i = 0; i < 6; i++) {
        kept &= packed(device, &packs[i]) == copies[i];
        anew &= right(copies[i], &packs[i]);
    }
    expect(kept && anew && device->launches == launches + 1, "made anew in place, all by one launch");

    const size_t bytes = device->bytes;
    device->k->release(device, b);
    expect(device->bytes == bytes - 16 * 40 * 4 - (16 * 40 + 16 * 8 + 16 * 40) * 2,
           "forgotten with their weights, the others not");
    device->k->weights_changed(device);
    expect(right(packed(device, &packs[0]), &packs[0]), "the others are made anew");
    float *const c = weights(device, 16 * 40, 20);
    const ts_cuda_pack again = {c, 16, 1, 40, 16, 40, 1.0f};
    expect(right(packed(device, &again), &again), "a copy in a forgotten place");
    device->k->release(device, a);
    device->k->release(device, c);
}

/* More copies than a list of entries has room for. */
static void check_many(ts_device *device)
{
    enum { MANY = 1500 };
    float *const a = weights(device, MANY + 8, 0);
    bool all = true;
    for (int i = 0; i < MANY; i++) {
        const ts_cuda_pack p = {a + i, 1, 1, 8, 1, 8, 1.0f};
        packed(device, &p);
    }
    for (int i = 0; i < MANY + 8; i++)
        a[i] = -a[i];
    device->k->weights_changed(device);
    for (int i = 0; i < MANY; i++) {
        const ts_cuda_pack p = {a + i, 1, 1, 8, 1, 8, 1.0f};
        all &= right(packed(device, &p), &p);
    }
    expect(all, "many copies");
    device->k->release(device, a);
}

static void check_recorded(ts_device *device)
{
    ts_cuda_device *const d = ts_cuda(device);
    float *const a = weights(device, 64, 0);
    const ts_cuda_pack p = {a, 8, 1, 8, 8, 8, 1.0f};
    packed(device, &p);
    d->recording = true;
    d->recorded_packs = TS_CUDA_UNUSED;
    packed(device, &p);
    device->k->weights_changed(device);
    packed(device, &p);
    expect(d->recorded_packs == TS_CUDA_TAKEN, "a recording that begins with fresh copies takes them");
    device->k->weights_changed(device);
    d->recorded_packs = TS_CUDA_UNUSED;
    packed(device, &p);
    expect(d->recorded_packs == TS_CUDA_MADE, "one that begins with stale ones makes them");
    d->recording = false;
    device->k->release(device, a);
}

int main()
{
    const ts_device_options fast = {1, 0, true}, exact = {1, 0, false};
    ts_device *device = NULL;
    must(ts_device_open("emulated:shuffled", &fast, &device));
    check_copies(device);
    check_many(device);
    check_recorded(device);
    ts_device_close(device);
    must(ts_device_open("emulated:shuffled", &exact, &device));
    float *const a = weights(device, 64, 0);
    const ts_cuda_pack p = {a, 8, 1, 8, 8, 8, 1.0f};
    expect(packed(device, &p) == a, "float32 weights serve as they are");
    device->k->release(device, a);
    ts_device_close(device);
    return failures > 0;
}
