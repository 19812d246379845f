#include <stdlib.h>
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/weights_pack.h"

enum { THREADS = 256, BLOCKS = 32, CHUNK = 1024 };

/* What the kernel knows of a copy. */
typedef struct entry {
    ts_cuda_pack pack; /* weight NULL: none, or one that never changes */
    void *copy;
} entry;

/* Entries never move: recorded launches hold their addresses. */
typedef struct chunk {
    entry host[CHUNK];
    entry *device;
    int count;
    struct chunk *next;
} chunk;

struct ts_cuda_packs {
    uint64_t epoch; /* of all copies */
    chunk *chunks;  /* the latest first */
};

/* Block (x, y) copies part x of entry first + y. */
template <class T> static __global__ void pack(const entry *entries, int first)
{
    enum { N = ts_wide<T>::size };
    const entry e = entries[first + (int)blockIdx.y];
    const ts_cuda_pack p = e.pack;
    if (!p.weight)
        return;
    T *const copy = static_cast<T *>(e.copy);
    const int64_t used = (int64_t)p.rows * p.taps * p.columns;
    const int64_t count = (int64_t)p.padded_rows * p.taps * p.padded_columns;
    /* Without padded columns it is one stretch, of which only the end is padding, already zero. */
    const bool plain = p.columns == p.padded_columns;
    const int64_t wide = plain && reinterpret_cast<uintptr_t>(p.weight) % 16 == 0 ? used / N : 0;
    for (int64_t i = ts_thread(); i < wide; i += ts_threads()) {
        float v[N];
#pragma unroll
        for (int k = 0; k < N; k += 4) {
            float part[4];
            ts_load(p.weight + i * N + k, part);
#pragma unroll
            for (int j = 0; j < 4; j++)
                v[k + j] = p.scale * part[j];
        }
        ts_store(copy + i * N, v);
    }
    for (int64_t i = wide * N + ts_thread(); i < (plain ? used : count); i += ts_threads()) {
        const int64_t line = i / p.padded_columns, column = i - line * p.padded_columns;
        if (line < (int64_t)p.rows * p.taps && column < p.columns)
            copy[i] = ts_cast<T>(p.scale * p.weight[line * p.columns + column]);
    }
}

static ts_status launch(ts_device *device, const chunk *c, int first, int count)
{
    if (count == 0)
        return NULL;
    TS_DISPATCH(device, T, {
        return ts_launch(device, pack<T>, dim3(BLOCKS, (unsigned)count), THREADS, 0, (const entry *)c->device,
                         first);
    });
}

static bool same(const ts_cuda_pack *a, const ts_cuda_pack *b)
{
    return a->weight == b->weight && a->rows == b->rows && a->taps == b->taps && a->columns == b->columns &&
           a->padded_rows == b->padded_rows && a->padded_columns == b->padded_columns && a->scale == b->scale;
}

static ts_status add_chunk(ts_device *device, struct ts_cuda_packs *packs)
{
    chunk *const c = static_cast<chunk *>(calloc(1, sizeof *c));
    if (!c)
        return ts_error(TS_NO_MEMORY, "cannot allocate the list of packed weights");
    void *memory = NULL;
    ts_status status = device->k->allocate(device, sizeof c->host, &memory);
    if (status) {
        free(c);
        return status;
    }
    c->device = static_cast<entry *>(memory);
    c->next = packs->chunks;
    packs->chunks = c;
    return NULL;
}

/* A new copy, in the place of a forgotten one if there is one. */
static ts_status add(ts_device *device, struct ts_cuda_packs *packs, const ts_cuda_pack *wanted, void **copy)
{
    chunk *c = packs->chunks;
    int at = CHUNK;
    for (; c; c = c->next) {
        for (at = 0; at < c->count && c->host[at].copy;)
            at++;
        if (at < CHUNK)
            break;
    }
    if (!c) {
        TS_TRY(add_chunk(device, packs));
        c = packs->chunks;
        at = 0;
    }
    const size_t count = (size_t)wanted->padded_rows * (size_t)wanted->taps * (size_t)wanted->padded_columns;
    entry *const e = &c->host[at];
    TS_TRY(ts_context(device->k->allocate(device, count * ts_dtype_size(device->activation), copy),
                      "packed weights"));
    e->pack = *wanted;
    e->copy = *copy;
    ts_status status = device->k->upload(device, c->device + at, e, sizeof *e);
    if (!status && wanted->weight)
        status = launch(device, c, at, 1);
    if (status) {
        device->k->release(device, *copy);
        memset(e, 0, sizeof *e);
        return status;
    }
    c->count = c->count > at ? c->count : at + 1;
    return NULL;
}

ts_status ts_cuda_packs_refresh(ts_device *device)
{
    struct ts_cuda_packs *const packs = ts_cuda(device)->packs;
    if (!packs || packs->epoch == ts_cuda(device)->epoch)
        return NULL;
    for (const chunk *c = packs->chunks; c; c = c->next)
        TS_TRY(launch(device, c, 0, c->count));
    packs->epoch = ts_cuda(device)->epoch;
    return NULL;
}

ts_status ts_cuda_packed(ts_device *device, const ts_cuda_pack *wanted, const void **packed)
{
    ts_cuda_device *const d = ts_cuda(device);
    if (wanted->weight && ts_aligned(wanted->weight) && device->activation == TS_F32 &&
        wanted->rows == wanted->padded_rows && wanted->columns == wanted->padded_columns &&
        wanted->scale == 1.0f) {
        *packed = wanted->weight;
        return NULL;
    }
    if (!d->packs) {
        d->packs = static_cast<struct ts_cuda_packs *>(calloc(1, sizeof *d->packs));
        if (!d->packs)
            return ts_error(TS_NO_MEMORY, "cannot allocate the list of packed weights");
        d->packs->epoch = d->epoch;
    }
    if (d->recording && d->recorded_packs == TS_CUDA_UNUSED)
        d->recorded_packs = d->packs->epoch == d->epoch ? TS_CUDA_TAKEN : TS_CUDA_MADE;
    TS_TRY(ts_cuda_packs_refresh(device));
    for (const chunk *c = d->packs->chunks; c; c = c->next)
        for (int i = 0; i < c->count; i++)
            if (c->host[i].copy && same(&c->host[i].pack, wanted)) {
                *packed = c->host[i].copy;
                return NULL;
            }
    void *copy = NULL;
    TS_TRY(add(device, d->packs, wanted, &copy));
    *packed = copy;
    return NULL;
}

void ts_cuda_packs_forget(ts_device *device, const void *memory, size_t bytes)
{
    struct ts_cuda_packs *const packs = ts_cuda(device)->packs;
    const uintptr_t first = reinterpret_cast<uintptr_t>(memory);
    for (chunk *c = packs ? packs->chunks : NULL; c; c = c->next)
        for (int i = 0; i < c->count; i++) {
            entry *const e = &c->host[i];
            if (!e->pack.weight || reinterpret_cast<uintptr_t>(e->pack.weight) - first >= bytes)
                continue;
            void *const copy = e->copy;
            memset(e, 0, sizeof *e);
            /* Should this fail, so does everything after it. */
            ts_status_free(device->k->upload(device, c->device + i, e, sizeof *e));
            device->k->release(device, copy);
        }
}

void ts_cuda_packs_free(ts_device *device)
{
    struct ts_cuda_packs *const packs = ts_cuda(device)->packs;
    ts_cuda(device)->packs = NULL;
    for (chunk *c = packs ? packs->chunks : NULL; c;) {
        chunk *const next = c->next;
        for (int i = 0; i < c->count; i++)
            device->k->release(device, c->host[i].copy);
        device->k->release(device, c->device);
        free(c);
        c = next;
    }
    free(packs);
}
