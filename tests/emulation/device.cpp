/*
 * The emulated CUDA device: memory is the CPU's, the operations are the kernels of src/kernels/cuda on the
 * emulated grid.  "emulated:reversed" and "emulated:shuffled" run lanes, warps and blocks forward and in that
 * order by turns, changing whenever the host says that weights changed, which the operation test does before
 * each of its two calls of an operation: both must give the same bits.  The second has little shared memory,
 * so kernels that keep what fits take their other path.
 */
#include <stdlib.h>
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/weights_pack.h"
#include "libraries.hpp"

namespace
{
struct emulated {
    ts_cuda_device cuda;
    simt::order other;
    bool turned;
};

/* Stands before every allocation. */
struct alignas(64) header {
    size_t bytes;
};

ts_status allocate(ts_device *device, size_t bytes, void **memory)
{
    void *start = nullptr;
    if (posix_memalign(&start, 64, sizeof(header) + bytes) != 0)
        return ts_error(TS_NO_MEMORY, "cannot allocate %zu bytes", bytes);
    static_cast<header *>(start)->bytes = bytes;
    *memory = static_cast<header *>(start) + 1;
    memset(*memory, 0, bytes);
    device->bytes += bytes;
    device->peak_bytes = max(device->peak_bytes, device->bytes);
    device->allocations++;
    return NULL;
}

void release(ts_device *device, void *memory)
{
    if (!memory)
        return;
    header *const start = static_cast<header *>(memory) - 1;
    ts_cuda_packs_forget(device, memory, start->bytes);
    device->bytes -= start->bytes;
    free(start);
}

ts_status copy(ts_device *, void *to, const void *from, size_t bytes)
{
    memmove(to, from, bytes);
    return NULL;
}

ts_status zero(ts_device *, void *memory, size_t bytes)
{
    memset(memory, 0, bytes);
    return NULL;
}

ts_status synchronize(ts_device *)
{
    return NULL;
}

void weights_changed(ts_device *device)
{
    emulated *const e = reinterpret_cast<emulated *>(device);
    e->turned = !e->turned;
    simt::set_order(e->turned ? e->other : simt::FORWARD);
    e->cuda.epoch++;
}

void close(ts_device *device)
{
    ts_cuda_packs_free(device);
    for (void *memory : ts_cuda(device)->scratch)
        release(device, memory);
    delete reinterpret_cast<emulated *>(device);
}

const ts_kernels *table()
{
    static ts_kernels k;
    k.name = "emulated";
    k.close = close;
    k.allocate = allocate;
    k.release = release;
    k.upload = k.download = k.copy = copy;
    k.zero = zero;
    k.synchronize = synchronize;
    k.weights_changed = weights_changed;
#define X(name) k.name = ts_cuda_##name;
    TS_OPERATIONS(X)
#undef X
    return &k;
}
} // namespace

/* What was in scratch does not outlive a call, so each starts as NaN. */
ts_status ts_cuda_scratch(ts_device *device, int slot, size_t bytes, void **memory)
{
    ts_cuda_device *const d = ts_cuda(device);
    if (slot < 0 || slot >= TS_CUDA_SLOTS)
        return ts_error(TS_INVALID, "scratch slot %d: there are %d", slot, TS_CUDA_SLOTS);
    if (bytes > d->scratch_bytes[slot]) {
        release(device, d->scratch[slot]);
        d->scratch[slot] = NULL;
        TS_TRY(allocate(device, bytes, &d->scratch[slot]));
        d->scratch_bytes[slot] = bytes;
    }
    *memory = d->scratch[slot];
    if (bytes)
        memset(*memory, 0xFF, d->scratch_bytes[slot]);
    return NULL;
}

ts_status ts_cuda_launched(ts_device *, const void *)
{
    return NULL;
}

void simt::queue(std::function<void()> work)
{
    work();
}

ts_status emulated_choose(ts_device *, const char *)
{
    return NULL;
}

extern "C" ts_status ts_device_open(const char *name, const ts_device_options *options, ts_device **device)
{
    emulated *const e = new emulated();
    if (strcmp(name, "emulated:reversed") == 0)
        e->other = simt::REVERSED;
    else if (strcmp(name, "emulated:shuffled") == 0)
        e->other = simt::SHUFFLED;
    else
        return delete e,
               ts_error(TS_INVALID, "device %s: expected emulated:reversed or emulated:shuffled", name);
    ts_device *const base = &e->cuda.base;
    base->k = table();
    base->activation = options->fast ? TS_BF16 : TS_F32;
    base->threads = 1;
    e->cuda.multiprocessors = 3;
    e->cuda.capability = 90;
    e->cuda.block_shared = e->other == simt::SHUFFLED ? 4 << 10 : 227 << 10;
    strcpy(base->description, name);
    *device = base;
    return NULL;
}

extern "C" void ts_device_close(ts_device *device)
{
    if (device)
        device->k->close(device);
}
