/* Addresses without memory, kernels that do not run. */
#include <stdlib.h>
#include <sys/mman.h>
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/weights_pack.h"
#include "plans.h"

namespace
{
constexpr size_t ROOM = (size_t)1 << 42;
char *room;
size_t used;

ts_status allocate(ts_device *, size_t bytes, void **memory)
{
    *memory = room + used;
    used += (bytes + 255) / 256 * 256;
    return used <= ROOM ? NULL : ts_error(TS_NO_MEMORY, "no more addresses");
}

void release(ts_device *, void *) {}

ts_status transfer(ts_device *, void *, const void *, size_t)
{
    return NULL;
}

ts_status zero(ts_device *, void *, size_t)
{
    return NULL;
}

void weights_changed(ts_device *device)
{
    ts_cuda(device)->epoch++;
}

template <class A> ts_status nothing(ts_device *, const A *)
{
    return NULL;
}

const ts_kernels *table()
{
    static ts_kernels k;
    k.name = "plans";
    k.allocate = allocate;
    k.release = release;
    k.upload = k.download = k.copy = transfer;
    k.zero = zero;
    k.weights_changed = weights_changed;
#define X(name) k.name = nothing<ts_##name>;
    TS_OPERATIONS(X)
#undef X
    k.conv_forward = ts_cuda_conv_forward;
    k.conv_backward = ts_cuda_conv_backward;
    k.conv2d = ts_cuda_conv2d;
    k.attention_forward = ts_cuda_attention_forward;
    k.attention_backward = ts_cuda_attention_backward;
    return &k;
}
} // namespace

namespace simt
{
place here;
void queue(std::function<void()>) {}
void run_grid(dim3, dim3, size_t, void (*)(void *), void *) {}
void *shared_memory(const void *, size_t)
{
    abort();
}
void *dynamic_shared()
{
    abort();
}
void block_barrier(const char *, int) {}
uint32_t warp_operation(operation, uint32_t, unsigned, void *, size_t, const char *, int)
{
    abort();
}
} // namespace simt

ts_status ts_cuda_launched(ts_device *, const void *)
{
    return NULL;
}

ts_status ts_cuda_scratch(ts_device *device, int slot, size_t bytes, void **memory)
{
    ts_cuda_device *const d = ts_cuda(device);
    if (bytes > d->scratch_bytes[slot]) {
        TS_TRY(allocate(device, bytes, &d->scratch[slot]));
        d->scratch_bytes[slot] = bytes;
    }
    *memory = d->scratch[slot];
    return NULL;
}

ts_device *plans_device_open(ts_dtype activation)
{
    void *const start = mmap(NULL, ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED)
        return NULL;
    room = static_cast<char *>(start);
    used = 0;
    ts_cuda_device *const d = static_cast<ts_cuda_device *>(calloc(1, sizeof *d));
    d->base.k = table();
    d->base.activation = activation;
    d->base.threads = 1;
    d->multiprocessors = 132;
    d->capability = 90;
    d->epoch = 1;
    return &d->base;
}

void plans_device_close(ts_device *device)
{
    ts_cuda_packs_free(device);
    free(ts_cuda(device));
    munmap(room, ROOM);
}
