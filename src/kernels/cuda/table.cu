/*
 * The CUDA device: its table, its memory with exact accounting, its errors, recorded launch sequences.
 *
 * What lives in this folder: one operation a file, ts_cuda_NAME in NAME.cu, but for sums over rows, which
 * share row_sums.cu; headers of device code that several share (launch.cuh, which is all that a kernel sees
 * of CUDA; reduce.cuh, columns.cuh, row_sum.cuh, group_norm.cuh, random.cuh ...); weights_pack.cu, the
 * bfloat16 copies of weights; vendor/ for cuDNN and cuBLASLt.  Every file but vendor/ also runs on the CPU,
 * under the emulation of the tests.
 *
 * Invariants: one stream, so what is queued runs in order.  No atomics on floating-point numbers: sums have
 * one order, and the same bits come back.  The device owns scratch, packs, handles and plans.  While a
 * sequence is recorded nothing is allocated, waited for or timed; scratch that grows while recordings are
 * alive leaves the old memory in place until the last of them is freed, since they hold its address.
 */
#include <stdio.h>
#include <stdlib.h>
#if __has_include(<nvtx3/nvToolsExt.h>)
#include <nvtx3/nvToolsExt.h>
#define HAVE_NVTX
#endif
#include "base/amount.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/weights_pack.h"

/* ---- errors ---- */

/* Some errors end the context: everything afterwards fails.  Those show in the next query as well. */
static bool lasting(const ts_cuda_device *d)
{
    cudaGetLastError();
    if (d->recording) /* a query would spoil the capture; its end tells */
        return false;
    const cudaError_t now = cudaStreamQuery(d->stream);
    cudaGetLastError();
    return now != cudaSuccess && now != cudaErrorNotReady;
}

static ts_status latched(const ts_cuda_device *d)
{
    return d->latched == TS_OK ? NULL : ts_error(d->latched, "%s", d->latched_message);
}

static ts_status no_memory(const ts_cuda_device *d)
{
    size_t unused = 0, total = 0;
    cudaGetLastError();
    cudaMemGetInfo(&unused, &total);
    char free_text[32], total_text[32];
    ts_bytes_text((double)unused, free_text);
    ts_bytes_text((double)total, total_text);
    return ts_error(TS_NO_MEMORY, "not enough memory on %s: %s of %s are free", d->base.description,
                    free_text, total_text);
}

ts_status ts_cuda_check(ts_device *device, cudaError_t error, const char *what)
{
    ts_cuda_device *const d = ts_cuda(device);
    if (d->latched != TS_OK)
        return latched(d);
    if (error == cudaSuccess)
        return NULL;
    if (error == cudaErrorMemoryAllocation)
        return ts_context(no_memory(d), "%s", what);
    if (lasting(d)) {
        d->latched = TS_DEVICE;
        snprintf(d->latched_message, sizeof d->latched_message,
                 "%s: %s: %s (%s); the GPU is lost to this process", d->base.description, what,
                 cudaGetErrorString(error), cudaGetErrorName(error));
        return latched(d);
    }
    return ts_error(TS_DEVICE, "%s: %s: %s (%s)", d->base.description, what, cudaGetErrorString(error),
                    cudaGetErrorName(error));
}

ts_status ts_cuda_launched(ts_device *device, const void *kernel)
{
    const ts_cuda_device *const d = ts_cuda(device);
    const cudaError_t error = cudaGetLastError();
    if (error == cudaSuccess && d->latched == TS_OK)
        return NULL;
    const char *name = NULL;
    if (cudaFuncGetName(&name, kernel) != cudaSuccess)
        name = "kernel";
    return ts_cuda_check(device, error, name);
}

/* The limit belongs to the kernel, not to the launch.  It only grows: a recording may hold a launch that
 * needs more than the next one does. */
ts_status ts_cuda_allow_shared(ts_device *device, const void *kernel, size_t bytes)
{
    cudaFuncAttributes attributes;
    TS_TRY(ts_cuda_check(device, cudaFuncGetAttributes(&attributes, kernel), "shared memory"));
    if ((size_t)attributes.maxDynamicSharedSizeBytes >= bytes)
        return NULL;
    return ts_cuda_check(
        device, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes),
        "shared memory");
}

static ts_status not_recording(const ts_cuda_device *d, const char *what)
{
    return d->recording ? ts_error(TS_INVALID, "%s while a launch sequence is recorded", what) : NULL;
}

/* ---- memory ---- */

/* Room for one more entry of the list of allocations. */
static bool make_room(ts_cuda_device *d)
{
    if (d->allocation_count < d->allocation_room)
        return true;
    const size_t room = d->allocation_room ? 2 * d->allocation_room : 64;
    void *const list = realloc(d->allocations, room * sizeof *d->allocations);
    if (!list)
        return false;
    d->allocations = (ts_cuda_allocation *)list;
    d->allocation_room = room;
    return true;
}

static ts_status cuda_allocate(ts_device *device, size_t bytes, void **memory)
{
    ts_cuda_device *const d = ts_cuda(device);
    *memory = NULL;
    TS_TRY(latched(d));
    TS_TRY(not_recording(d, "memory is allocated"));
    if (!make_room(d))
        return ts_error(TS_NO_MEMORY, "cannot allocate a list entry");
    void *start = NULL;
    const cudaError_t error = cudaMalloc(&start, bytes ? bytes : 1);
    if (error) {
        char needed[32];
        ts_bytes_text((double)bytes, needed);
        return ts_context(ts_cuda_check(device, error, "allocating memory"), "%s are needed", needed);
    }
    ts_status status = ts_cuda_check(device, cudaMemsetAsync(start, 0, bytes, d->stream), "zeroing memory");
    if (status) {
        cudaFree(start);
        return status;
    }
    d->allocations[d->allocation_count++] = {start, bytes};
    device->bytes += bytes;
    if (device->peak_bytes < device->bytes)
        device->peak_bytes = device->bytes;
    device->allocations++;
    *memory = start;
    return NULL;
}

static void cuda_release(ts_device *device, void *memory)
{
    ts_cuda_device *const d = ts_cuda(device);
    for (size_t i = 0; memory && i < d->allocation_count; i++)
        if (d->allocations[i].memory == memory) {
            const size_t bytes = d->allocations[i].bytes;
            device->bytes -= bytes;
            d->allocations[i] = d->allocations[--d->allocation_count];
            /* The next allocation may get these addresses for other weights. */
            ts_cuda_packs_forget(device, memory, bytes);
            cudaFree(memory); /* waits for what uses it */
            return;
        }
}

static ts_status cuda_synchronize(ts_device *device)
{
    ts_cuda_device *const d = ts_cuda(device);
    TS_TRY(latched(d));
    TS_TRY(not_recording(d, "a wait"));
    return ts_cuda_check(device, cudaStreamSynchronize(d->stream), "waiting for the GPU");
}

static ts_status cuda_free_memory(ts_device *device, size_t *bytes)
{
    size_t total = 0;
    TS_TRY(latched(ts_cuda(device)));
    return ts_cuda_check(device, cudaMemGetInfo(bytes, &total), "asking for the card's memory");
}

/* Waits, so that the host's memory is free again: what moves by the step stays on the device. */
static ts_status transfer(ts_device *device, void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    ts_cuda_device *const d = ts_cuda(device);
    const char *const what = kind == cudaMemcpyHostToDevice ? "upload" : "download";
    TS_TRY(latched(d));
    TS_TRY(not_recording(d, what));
    if (bytes == 0)
        return NULL;
    device->launches++;
    TS_TRY(ts_cuda_check(device, cudaMemcpyAsync(to, from, bytes, kind, d->stream), what));
    return cuda_synchronize(device);
}

static ts_status cuda_upload(ts_device *device, void *to, const void *host, size_t bytes)
{
    return transfer(device, to, host, bytes, cudaMemcpyHostToDevice);
}

static ts_status cuda_download(ts_device *device, void *host, const void *from, size_t bytes)
{
    return transfer(device, host, from, bytes, cudaMemcpyDeviceToHost);
}

static ts_status cuda_copy(ts_device *device, void *to, const void *from, size_t bytes)
{
    ts_cuda_device *const d = ts_cuda(device);
    TS_TRY(latched(d));
    if (bytes == 0 || to == from)
        return NULL;
    device->launches++;
    return ts_cuda_check(device, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, d->stream),
                         "copy");
}

static ts_status cuda_zero(ts_device *device, void *memory, size_t bytes)
{
    ts_cuda_device *const d = ts_cuda(device);
    TS_TRY(latched(d));
    if (bytes == 0)
        return NULL;
    device->launches++;
    return ts_cuda_check(device, cudaMemsetAsync(memory, 0, bytes, d->stream), "zeroing memory");
}

static void cuda_weights_changed(ts_device *device)
{
    ts_cuda(device)->epoch++;
}

/* ---- scratch ---- */

static void free_retired(ts_device *device)
{
    ts_cuda_device *const d = ts_cuda(device);
    for (size_t i = 0; i < d->retired_count; i++)
        cuda_release(device, d->retired[i]);
    free(d->retired);
    d->retired = NULL;
    d->retired_count = 0;
}

/* Gives up the memory of a slot: at once, or when the last recording is gone. */
static ts_status outgrow(ts_device *device, int slot)
{
    ts_cuda_device *const d = ts_cuda(device);
    if (d->recordings > 0 && d->scratch[slot]) {
        void *const list = realloc(d->retired, (d->retired_count + 1) * sizeof *d->retired);
        if (!list)
            return ts_error(TS_NO_MEMORY, "cannot allocate a list entry");
        d->retired = (void **)list;
        d->retired[d->retired_count++] = d->scratch[slot];
    } else {
        cuda_release(device, d->scratch[slot]);
    }
    d->scratch[slot] = NULL;
    d->scratch_bytes[slot] = 0;
    return NULL;
}

ts_status ts_cuda_scratch(ts_device *device, int slot, size_t bytes, void **memory)
{
    ts_cuda_device *const d = ts_cuda(device);
    if (slot < 0 || slot >= TS_CUDA_SLOTS)
        return ts_error(TS_INVALID, "scratch slot %d: there are %d", slot, TS_CUDA_SLOTS);
    if (bytes > d->scratch_bytes[slot]) {
        TS_TRY(not_recording(d, "scratch grows"));
        TS_TRY(outgrow(device, slot));
        TS_TRY(ts_context(cuda_allocate(device, bytes, &d->scratch[slot]), "scratch"));
        d->scratch_bytes[slot] = bytes;
    }
    *memory = d->scratch[slot];
    return NULL;
}

/* ---- recorded launch sequences ---- */

/* The copies of weights that a recording uses are made by it, where they were stale when it began, or before
 * each replay. */
typedef struct recording {
    cudaGraphExec_t launches;
    bool packs;
} recording;

static ts_status cuda_record_begin(ts_device *device)
{
    ts_cuda_device *const d = ts_cuda(device);
    TS_TRY(latched(d));
    TS_TRY(not_recording(d, "another recording begins"));
    TS_TRY(ts_cuda_check(device, cudaStreamBeginCapture(d->stream, cudaStreamCaptureModeThreadLocal),
                         "recording launches"));
    d->recording = true;
    d->recorded_packs = TS_CUDA_UNUSED;
    return NULL;
}

static ts_status cuda_record_end(ts_device *device, void **made)
{
    ts_cuda_device *const d = ts_cuda(device);
    cudaGraph_t graph = NULL;
    cudaGraphExec_t executable = NULL;
    *made = NULL;
    if (!d->recording)
        return ts_error(TS_INVALID, "no launch sequence is being recorded");
    const cudaError_t error = cudaStreamEndCapture(d->stream, &graph);
    d->recording = false;
    d->epoch++; /* nothing has run: copies of weights that were recorded do not exist */
    ts_status status = ts_cuda_check(device, error, "recording launches");
    if (!status)
        status = ts_cuda_check(device, cudaGraphInstantiateWithFlags(&executable, graph, 0),
                               "preparing recorded launches");
    if (graph)
        cudaGraphDestroy(graph);
    if (status)
        return status;
    recording *const r = (recording *)malloc(sizeof *r);
    if (!r) {
        cudaGraphExecDestroy(executable);
        return ts_error(TS_NO_MEMORY, "cannot allocate a recording");
    }
    *r = {executable, d->recorded_packs == TS_CUDA_MADE};
    d->recordings++;
    *made = r;
    return NULL;
}

static ts_status cuda_replay(ts_device *device, void *made)
{
    ts_cuda_device *const d = ts_cuda(device);
    const recording *const r = (const recording *)made;
    TS_TRY(latched(d));
    TS_TRY(not_recording(d, "a replay"));
    if (!r->packs)
        TS_TRY(ts_cuda_packs_refresh(device));
    return ts_cuda_check(device, cudaGraphLaunch(r->launches, d->stream), "recorded launches");
}

static void cuda_recording_free(ts_device *device, void *made)
{
    ts_cuda_device *const d = ts_cuda(device);
    recording *const r = (recording *)made;
    if (!r)
        return;
    cudaStreamSynchronize(d->stream);
    cudaGraphExecDestroy(r->launches);
    free(r);
    if (--d->recordings == 0)
        free_retired(device);
}

/* ---- ranges for profilers ---- */

#ifdef HAVE_NVTX
static void cuda_range_push(ts_device *, const char *name)
{
    nvtxRangePushA(name);
}

static void cuda_range_pop(ts_device *)
{
    nvtxRangePop();
}
#endif

/* ---- opening and closing ---- */

static __global__ void probe() {}

static ts_status unsupported(cudaError_t error)
{
    int driver = 0;
    if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0)
        return ts_error(TS_UNSUPPORTED, "no NVIDIA driver on this machine");
    return ts_error(TS_UNSUPPORTED, "no usable NVIDIA GPU: %s (%s)", cudaGetErrorString(error),
                    cudaGetErrorName(error));
}

/* Which card it is, and whether this build runs on it. */
static ts_status examine(ts_cuda_device *d)
{
    cudaDeviceProp properties;
    cudaFuncAttributes attributes;
    cudaError_t error = cudaSetDevice(d->index);
    if (!error)
        error = cudaGetDeviceProperties(&properties, d->index);
    if (error)
        return unsupported(error);
    d->capability = 10 * properties.major + properties.minor;
    d->multiprocessors = properties.multiProcessorCount;
    d->block_shared = properties.sharedMemPerBlockOptin;
    snprintf(d->base.description, sizeof d->base.description, "%.80s, %.0f GiB", properties.name,
             (double)properties.totalGlobalMem / 0x1p30);
    if (d->capability < 80)
        return ts_error(TS_UNSUPPORTED, "%s has compute capability %d.%d; 8.0 or newer is needed",
                        d->base.description, properties.major, properties.minor);
    error = cudaFuncGetAttributes(&attributes, probe);
    if (error == cudaErrorNoKernelImageForDevice)
        return ts_error(TS_UNSUPPORTED,
                        "this build has no code for %s (compute capability %d.%d): name it in "
                        "TSTAR_CUDA_ARCHITECTURES",
                        d->base.description, properties.major, properties.minor);
    return error ? unsupported(error) : NULL;
}

static void cuda_close(ts_device *device)
{
    ts_cuda_device *const d = ts_cuda(device);
    if (d->stream)
        cudaStreamSynchronize(d->stream);
    ts_cuda_libraries_free(device);
    ts_cuda_packs_free(device);
    while (d->allocation_count > 0)
        cuda_release(device, d->allocations[d->allocation_count - 1].memory);
    if (d->stream)
        cudaStreamDestroy(d->stream);
    free(d->retired);
    free(d->allocations);
    free(d);
}

static ts_status cuda_open(const ts_device_options *options, ts_device **device)
{
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error)
        return unsupported(error);
    if (options->index >= count)
        return ts_error(TS_UNSUPPORTED, "there is no GPU %d: this machine has %d", options->index, count);
    ts_cuda_device *const d = (ts_cuda_device *)calloc(1, sizeof *d);
    if (!d)
        return ts_error(TS_NO_MEMORY, "cannot allocate a device");
    d->base.k = ts_cuda_kernels();
    d->base.activation = options->fast ? TS_BF16 : TS_F32;
    d->base.threads = 1;
    d->index = options->index;
    d->epoch = 1;
    ts_status status = examine(d);
    if (!status)
        status = ts_cuda_check(&d->base, cudaStreamCreateWithFlags(&d->stream, cudaStreamNonBlocking),
                               "making a stream");
    if (status) {
        cuda_close(&d->base);
        return status;
    }
    *device = &d->base;
    return NULL;
}

/* ---- the table ---- */

static ts_kernels make_table(void)
{
    ts_kernels k = {};
    k.name = "cuda";
    k.open = cuda_open;
    k.close = cuda_close;
    k.libraries = ts_cuda_versions;
    k.allocate = cuda_allocate;
    k.release = cuda_release;
    k.upload = cuda_upload;
    k.download = cuda_download;
    k.copy = cuda_copy;
    k.zero = cuda_zero;
    k.synchronize = cuda_synchronize;
    k.free_memory = cuda_free_memory;
    k.weights_changed = cuda_weights_changed;
    k.ceiling = ts_cuda_ceiling;
    k.algorithms_export = ts_cuda_algorithms_export;
    k.algorithms_import = ts_cuda_algorithms_import;
    k.record_begin = cuda_record_begin;
    k.record_end = cuda_record_end;
    k.replay = cuda_replay;
    k.recording_free = cuda_recording_free;
#ifdef HAVE_NVTX
    k.range_push = cuda_range_push;
    k.range_pop = cuda_range_pop;
#endif
#define X(name) k.name = ts_cuda_##name;
    TS_OPERATIONS(X)
#undef X
    return k;
}

__attribute__((visibility("default"))) const ts_kernels *ts_cuda_kernels(void)
{
    static const ts_kernels table = make_table();
    return &table;
}
