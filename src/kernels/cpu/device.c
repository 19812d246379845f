/*
 * The CPU device: its table, its memory with exact accounting, its scratch.
 *
 * What lives in this folder: one operation a file, ts_cpu_NAME in NAME.c (both directions of a layer in one
 * but for group normalisation, whose backward pass is long); conv/ for convolutions; headers for what
 * several share (rows.h: sums over rows and columns, group_norm.h, vector_math.h: exp and sigmoids in
 * loops that the compiler vectorises, reduce.h, random.c).
 *
 * Invariants: an operation has finished when it returns.  Sums are taken in an order that the thread count
 * fixes, never in the order in which threads happen to end; random numbers and element-wise results do not
 * depend on it at all.  The device owns its scratch and the cache of convolutions; both stop growing once
 * every shape has been seen.  Packed copies of weights carry the epoch that they were made in.
 */
#include <omp.h>
#include <cblas.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/amount.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/conv/convolution.h"

enum { SCRATCH_SLOTS = 16, ALIGNMENT = 64, HUGE_PAGE = 2 << 20, LARGE = 64 << 20 };

struct ts_cpu_device {
    ts_device base;
    uint64_t epoch;
    void *scratch[SCRATCH_SLOTS];
    size_t scratch_bytes[SCRATCH_SLOTS];
    ts_cpu_convolutions *convolutions;
};

static ts_cpu_device *cpu(ts_device *device)
{
    return (ts_cpu_device *)device;
}

/* ---- memory ---- */

/* Stands before every allocation, so that release knows what it gives back. */
typedef struct block {
    size_t bytes;
    char padding[ALIGNMENT - sizeof(size_t)];
} block;

/* What the machine can still give, or the whole limit of the container around the process (what is used of
 * that counts caches that would yield); SIZE_MAX where neither tells. */
static size_t available_bytes(void)
{
    char line[128];
    size_t available = SIZE_MAX, kibibytes, limit;
    FILE *file = fopen("/proc/meminfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %zu kB", &kibibytes) == 1)
            available = kibibytes << 10;
    if (file)
        fclose(file);
    file = fopen("/sys/fs/cgroup/memory.max", "r");
    if (file && fscanf(file, "%zu", &limit) == 1 && limit < available)
        available = limit;
    if (file)
        fclose(file);
    return available;
}

static ts_status cpu_free_memory(ts_device *device, size_t *bytes)
{
    (void)device;
    *bytes = available_bytes();
    return NULL;
}

/* `format` takes both amounts as text. */
static ts_status no_memory(const char *format, size_t wanted, size_t other)
{
    char first[32], second[32];
    ts_bytes_text((double)wanted, first);
    ts_bytes_text((double)other, second);
    return ts_error(TS_NO_MEMORY, format, first, second);
}

static ts_status cpu_allocate(ts_device *device, size_t bytes, void **memory)
{
    *memory = NULL;
    block *b = NULL;
    /* Large blocks start on a huge page: activations are walked from end to end again and again. */
    const size_t alignment = bytes >= 2 * (size_t)HUGE_PAGE ? HUGE_PAGE : ALIGNMENT;
    /* Linux promises more memory than there is and ends the process later, so a large request asks first. */
    if (bytes >= LARGE && bytes > available_bytes())
        return no_memory("not enough memory: %s are needed, %s are free", bytes, available_bytes());
    if (bytes <= SIZE_MAX / 2) {
        const size_t whole = (bytes + sizeof(block) + alignment - 1) / alignment * alignment;
        b = aligned_alloc(alignment, whole);
        if (b && alignment == HUGE_PAGE)
            madvise(b, whole, MADV_HUGEPAGE);
    }
    if (!b)
        return no_memory("cannot allocate %s on top of %s in use", bytes, device->bytes);
    b->bytes = bytes;
    memset(b + 1, 0, bytes);
    device->bytes += bytes;
    if (device->peak_bytes < device->bytes)
        device->peak_bytes = device->bytes;
    device->allocations++;
    *memory = b + 1;
    return NULL;
}

static void cpu_release(ts_device *device, void *memory)
{
    if (!memory)
        return;
    block *b = (block *)memory - 1;
    /* The next allocation may get these addresses for other weights. */
    ts_cpu_convolutions_forget(device, memory, b->bytes);
    device->bytes -= b->bytes;
    free(b);
}

static ts_status cpu_copy(ts_device *device, void *to, const void *from, size_t bytes)
{
    (void)device;
    memmove(to, from, bytes);
    return NULL;
}

static ts_status cpu_zero(ts_device *device, void *memory, size_t bytes)
{
    (void)device;
    memset(memory, 0, bytes);
    return NULL;
}

static ts_status cpu_synchronize(ts_device *device)
{
    (void)device;
    return NULL;
}

static void cpu_weights_changed(ts_device *device)
{
    cpu(device)->epoch++;
}

uint64_t ts_cpu_weights_epoch(const ts_device *device)
{
    return ((const ts_cpu_device *)device)->epoch;
}

ts_cpu_convolutions **ts_cpu_convolution_cache(ts_device *device)
{
    return &cpu(device)->convolutions;
}

ts_status ts_cpu_scratch(ts_device *device, int slot, size_t bytes, void **memory)
{
    ts_cpu_device *d = cpu(device);
    if (slot < 0 || slot >= SCRATCH_SLOTS)
        return ts_error(TS_INVALID, "scratch slot %d: there are %d", slot, SCRATCH_SLOTS);
    if (bytes > d->scratch_bytes[slot]) {
        cpu_release(device, d->scratch[slot]);
        d->scratch[slot] = NULL;
        d->scratch_bytes[slot] = 0;
        TS_TRY(ts_context(cpu_allocate(device, bytes, &d->scratch[slot]), "scratch"));
        d->scratch_bytes[slot] = bytes;
    }
    *memory = d->scratch[slot];
    return NULL;
}

/* ---- opening and closing ---- */

static void describe(ts_device *device)
{
    char line[256], model[96] = "CPU";
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "model name : %95[^\n]", model) == 1)
            break;
    if (file)
        fclose(file);
    snprintf(device->description, sizeof device->description, "%s, %d thread%s", model, device->threads,
             device->threads == 1 ? "" : "s");
}

/* oneDNN and plain parallel loops take the calling thread's OpenMP setting. */
static void cpu_set_threads(ts_device *device, int threads)
{
    device->threads = threads;
    omp_set_num_threads(threads);
    describe(device);
}

static ts_status cpu_open(const ts_device_options *options, ts_device **device)
{
    ts_cpu_device *d = calloc(1, sizeof *d);
    if (!d)
        return ts_error(TS_NO_MEMORY, "cannot allocate a device");
    d->base.k = &ts_cpu_kernels;
    d->base.activation = TS_F32;
    d->epoch = 1;
    if (openblas_get_num_threads() != 1) /* its threads would compete with OpenMP's */
        openblas_set_num_threads(1);
    cpu_set_threads(&d->base, options->threads > 0 ? options->threads : omp_get_num_procs());
    *device = &d->base;
    return NULL;
}

static void cpu_close(ts_device *device)
{
    ts_cpu_device *d = cpu(device);
    ts_cpu_convolutions_free(device);
    for (int i = 0; i < SCRATCH_SLOTS; i++)
        cpu_release(device, d->scratch[i]);
    free(d);
}

/* OpenBLAS begins the text about itself with its name and version. */
static void cpu_libraries(char *text, size_t size)
{
    const dnnl_version_t *v = dnnl_version();
    const char *blas = openblas_get_config();
    const size_t name = strcspn(blas, " ");
    const size_t length = blas[name] ? name + 1 + strcspn(blas + name + 1, " ") : name;
    snprintf(text, size, "oneDNN %d.%d.%d, %.*s", v->major, v->minor, v->patch, (int)length, blas);
}

/* ---- the table ---- */

const ts_kernels ts_cpu_kernels = {.name = "cpu",
                                   .open = cpu_open,
                                   .close = cpu_close,
                                   .libraries = cpu_libraries,
                                   .allocate = cpu_allocate,
                                   .release = cpu_release,
                                   .upload = cpu_copy,
                                   .download = cpu_copy,
                                   .copy = cpu_copy,
                                   .zero = cpu_zero,
                                   .synchronize = cpu_synchronize,
                                   .free_memory = cpu_free_memory,
                                   .set_threads = cpu_set_threads,
                                   .weights_changed = cpu_weights_changed,
                                   .ceiling = ts_cpu_ceiling,
#define X(name) .name = ts_cpu_##name,
                                   TS_OPERATIONS(X)
#undef X
};
