/*
 * The table of operations: everything a device can do, as one struct of function pointers.  Host code knows
 * devices through this header alone.  A NULL entry means that the device lacks the operation; the graph
 * builder turns that into an error before anything runs.  What the operations are, and the conventions they
 * share, is in operations.h and operations_glow.h.
 *
 * What lives in this folder: the table and the list of operations; what host and kernels compute alike
 * (philox.h, sde.h); device.c, which opens a device by its name; cpu/ and cuda/, which fill the table, one
 * operation a file of its name.  Device libraries are known below here and nowhere else.
 *
 * Invariants
 *   Memory belongs to whoever allocated it and is released by the same device; an operation allocates nothing
 *   but scratch of the device's own, and none of that once it has run with the same shapes.
 *   Operations are queued in order; only upload, download and synchronize wait.
 *   Parameter gradients accumulate (+=); activation gradients assign (=) unless `accumulate` says otherwise.
 *   Activations are NHWC, dense.
 *   The same seed, device, options and thread count give the same bits; random numbers are those of every
 *   device (philox.h).
 *   A recording holds arguments and addresses: what changes from step to step is read from device memory.
 */
#ifndef TS_KERNELS_H
#define TS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/status.h"
#include "kernels/operations.h"

/* ---- devices ------------------------------------------------------------------------------------------- */

typedef struct ts_device ts_device;

typedef struct ts_device_options {
    int threads; /* CPU threads; 0: all */
    int index;   /* which GPU */
    bool fast;   /* reduced precision activations where the device has them */
} ts_device_options;

typedef struct ts_kernels {
    const char *name; /* "cpu", "cuda" */
    ts_status (*open)(const ts_device_options *options, ts_device **device);
    void (*close)(ts_device *device);
    /* The names and versions of the libraries underneath, such as "oneDNN 2.6.3, OpenBLAS 0.3.21"; needs no
     * open device.  NULL where there are none. */
    void (*libraries)(char *text, size_t size);
    /* Memory from `allocate` is 64-byte aligned and zeroed.  Failure is TS_NO_MEMORY and says how much was
     * asked. */
    ts_status (*allocate)(ts_device *device, size_t bytes, void **memory);
    void (*release)(ts_device *device, void *memory);
    /* Both return when the bytes have arrived. */
    ts_status (*upload)(ts_device *device, void *to, const void *host, size_t bytes);
    ts_status (*download)(ts_device *device, void *host, const void *from, size_t bytes);
    ts_status (*copy)(ts_device *device, void *to, const void *from, size_t bytes);
    ts_status (*zero)(ts_device *device, void *memory, size_t bytes);
    ts_status (*synchronize)(ts_device *device);
    /* Bytes that can still be allocated, about; SIZE_MAX where that is not known.  NULL: never known. */
    ts_status (*free_memory)(ts_device *device, size_t *bytes);
    /* Takes that many threads from now on; to be called before the first operation.  NULL where threads are
     * not the device's own. */
    void (*set_threads)(ts_device *device, int threads);
    /* Parameters changed behind the device's back (an upload, a load): packed copies of weights are stale.
     * optimizer_step implies it. */
    void (*weights_changed)(ts_device *device);
    /* *flops = floating point operations a second of the device's own product of large matrices of
     * activations (on a CPU 1536 x 1536, with the device's threads), median of several: what benchmarks
     * measure themselves against. */
    ts_status (*ceiling)(ts_device *device, double *flops);
    /* Launch sequences: what is queued between record_begin and record_end is not run but kept, and runs
     * again, with the same arguments, at every replay.  Every operation of it has run once before, with the
     * same shapes; between the two there are no uploads, downloads or allocations.  An error in between ends
     * in record_end all the same, which then returns an error and no recording.  Memory that a recording
     * uses outlives it.  All four are NULL where the device has no such thing. */
    ts_status (*record_begin)(ts_device *device);
    ts_status (*record_end)(ts_device *device, void **recording);
    ts_status (*replay)(ts_device *device, void *recording);
    void (*recording_free)(ts_device *device, void *recording);
    /* Names what is queued until range_pop for a profiler that looks on; ranges nest.  NULL where there is
     * none. */
    void (*range_push)(ts_device *device, const char *name);
    void (*range_pop)(ts_device *device);
    /* What the device chose by timing so far (algorithms that round differently), as text of lines for
     * itself: a device that gets it by algorithms_import before it runs operations chooses the same and
     * computes the same bits.  Text of another card or library version changes nothing.  The caller frees
     * *text.  Both are NULL where nothing is chosen. */
    ts_status (*algorithms_export)(ts_device *device, char **text);
    ts_status (*algorithms_import)(ts_device *device, const char *text);
#define X(name) ts_status (*name)(ts_device *, const ts_##name *);
    TS_OPERATIONS(X)
#undef X
} ts_kernels;

/* What every device begins with. */
struct ts_device {
    const ts_kernels *k;
    ts_dtype activation;
    int threads;
    char description[128]; /* for people: model name, threads or memory */
    /* "auto" alone: why this is not the GPU that seems to be there; else empty. */
    char fallback_reason[256];
    /* Allocated now and at most, the device's own caches included. */
    size_t bytes, peak_bytes;
    /* Calls of allocate and growths of own caches so far: constant after the first step. */
    uint64_t allocations;
    /* What could be recorded is queued anew every time, so that profilers see its ranges; set by the user of
     * the device before the first recording, or when one fails. */
    bool recording_off;
    /* Why that failed; empty: it did not. */
    char recording_error[192];
    /* Kernels, copies and library calls queued or recorded so far, where a device counts them; a replay adds
     * nothing. */
    uint64_t launches;
};

/* A named range for profilers, where the device has such a thing. */
static inline void ts_range_push(ts_device *device, const char *name)
{
    if (device->k->range_push)
        device->k->range_push(device, name);
}

static inline void ts_range_pop(ts_device *device)
{
    if (device->k->range_pop)
        device->k->range_pop(device);
}

static inline size_t ts_dtype_size(ts_dtype type)
{
    return type == TS_F64 ? 8 : type == TS_U8 ? 1 : type == TS_BF16 ? 2 : 4;
}

/* The position i of a shuffled pass over `count` examples: a permutation of 0 .. count-1 for every (seed,
 * epoch), by a four-round Feistel network with cycle walking (Black and Rogaway 2002), so no index table is
 * stored. */
TS_FN int64_t ts_shuffle_index(const ts_step_state *s, uint32_t epoch, int64_t i, int64_t count)
{
    uint32_t bits = 1;
    while (((uint64_t)1 << (2 * bits)) < (uint64_t)count)
        bits++;
    const uint32_t mask = (uint32_t)(((uint64_t)1 << bits) - 1);
    uint64_t v = (uint64_t)i;
    do {
        uint32_t left = (uint32_t)(v >> bits), right = (uint32_t)v & mask;
        for (uint32_t round = 0; round < 4; round++) {
            uint32_t mixed =
                ts_philox(s->seed, right, epoch, TS_STREAM_SHUFFLE, s->instance ^ round << 24).v[0] & mask;
            uint32_t next = left ^ mixed;
            left = right;
            right = next;
        }
        v = (uint64_t)left << bits | right;
    } while (v >= (uint64_t)count);
    return (int64_t)v;
}

/* The device that `name` asks for: "cpu", "cuda", "cuda:1" or "auto" (a GPU if there is one, else
 * the CPU). */
ts_status ts_device_open(const char *name, const ts_device_options *options, ts_device **device);
/* The libraries under the devices called "cpu" or "cuda", of which none need be there; errors as for opening
 * one. */
ts_status ts_device_libraries(const char *name, char *text, size_t size);
void ts_device_close(ts_device *device);

extern const ts_kernels ts_cpu_kernels;

#endif
