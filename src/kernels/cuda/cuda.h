/*
 * The CUDA device: what its operations share.  Every operation is one .cu file of this folder that defines
 * ts_cuda_NAME; the table in table.cu is made from the list in kernels.h.  A .cu file sees CUDA through
 * launch.cuh alone (files that call cuDNN or cuBLASLt excepted), so the same source also runs on the CPU
 * under the grid emulation of the tests.
 */
#ifndef TS_KERNELS_CUDA_H
#define TS_KERNELS_CUDA_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#endif

extern "C" {
#include "kernels/kernels.h"

#define X(name) ts_status ts_cuda_##name(ts_device *device, const ts_##name *a);
TS_OPERATIONS(X)
#undef X

/* The table's `ceiling`, by the library that computes dense layers. */
ts_status ts_cuda_ceiling(ts_device *device, double *flops);

/* The table's `libraries`. */
void ts_cuda_versions(char *text, size_t size);

/* The table's algorithms: those of the libraries. */
ts_status ts_cuda_algorithms_export(ts_device *device, char **text);
ts_status ts_cuda_algorithms_import(ts_device *device, const char *text);

/* The entry of the module. */
const ts_kernels *ts_cuda_kernels(void);
}

enum { TS_CUDA_SLOTS = 32, TS_CUDA_WARP = 32 };

/* cuDNN and cuBLASLt handles with their plan caches: made on first use, private to the files that
 * use them. */
typedef struct ts_cuda_libraries ts_cuda_libraries;

/* What a recording does about the copies of weights: nothing yet, makes them before their first use, takes
 * them as they are. */
typedef enum ts_cuda_recorded { TS_CUDA_UNUSED, TS_CUDA_MADE, TS_CUDA_TAKEN } ts_cuda_recorded;

typedef struct ts_cuda_allocation {
    void *memory;
    size_t bytes;
} ts_cuda_allocation;

typedef struct ts_cuda_device {
    ts_device base;
    cudaStream_t stream; /* the only one: operations run in order */
    int index, multiprocessors;
    int capability;      /* 90 for 9.0 */
    size_t block_shared; /* dynamic shared memory that one block may have */
    bool recording;      /* a launch sequence is being captured */
    int recordings;      /* captured and not yet freed: they hold addresses of scratch memory */
    uint64_t epoch;      /* counts up whenever weights may have changed */
    void *scratch[TS_CUDA_SLOTS];
    size_t scratch_bytes[TS_CUDA_SLOTS];
    ts_cuda_allocation *allocations; /* all memory handed out, scratch and retired scratch included */
    size_t allocation_count, allocation_room;
    void **retired; /* scratch that was outgrown while recordings were alive */
    size_t retired_count;
    ts_code latched; /* an error the card does not recover from: every later call returns it */
    char latched_message[224];
    ts_cuda_libraries *libraries;
    struct ts_cuda_packs *packs;     /* see weights_pack.h */
    ts_cuda_recorded recorded_packs; /* in the sequence that is being captured */
} ts_cuda_device;

static inline ts_cuda_device *ts_cuda(ts_device *device)
{
    return (ts_cuda_device *)device;
}

/* Scratch that grows to the largest request and stays, 256-byte aligned, valid until the next call with the
 * same slot; the stream orders its users.  Growing while a launch sequence is recorded is an error: every
 * operation runs once before.  Slot numbers are private to a file's operations within one call. */
ts_status ts_cuda_scratch(ts_device *device, int slot, size_t bytes, void **memory);

/* Frees the library handles and plans of a device; does nothing where there are none. */
void ts_cuda_libraries_free(ts_device *device);

#ifdef __CUDACC__
/* Success, or an error that says what failed and why; an error that the card does not recover from is kept
 * for every later call. */
ts_status ts_cuda_check(ts_device *device, cudaError_t error, const char *what);
#endif

/* Lets a kernel have that much dynamic shared memory. */
ts_status ts_cuda_allow_shared(ts_device *device, const void *kernel, size_t bytes);

/* After a launch: the latched error, or that of the launch. */
ts_status ts_cuda_launched(ts_device *device, const void *kernel);

#endif
