/* The CPU device with recordings. */
#include <stdlib.h>
#include <string.h>
#include "recording_device.h"

typedef struct transfer_call {
    void *to;
    const void *from; /* NULL: zeros */
    size_t bytes;
} transfer_call;

typedef struct call {
    ts_status (*run)(ts_device *device, const void *arguments);
    union {
        transfer_call transfer;
#define X(name) ts_##name name;
        TS_OPERATIONS(X)
#undef X
    } a;
} call;

typedef struct recording {
    int count, room;
    call *calls;
} recording;

static recording_counts counts;
static recording *open_recording;
static bool spoilt; /* the open recording saw what a recording may not hold */

static ts_status queue(ts_device *device, ts_status (*run)(ts_device *, const void *), const void *arguments,
                       size_t size)
{
    recording *r = open_recording;
    if (!r) {
        counts.operations++;
        return run(device, arguments);
    }
    if (r->count == r->room) {
        r->room = r->room ? 2 * r->room : 64;
        r->calls = realloc(r->calls, (size_t)r->room * sizeof *r->calls);
        if (!r->calls)
            abort();
    }
    r->calls[r->count] = (call){.run = run};
    memcpy(&r->calls[r->count++].a, arguments, size);
    return NULL;
}

#define X(name)                                                                                              \
    static ts_status run_##name(ts_device *device, const void *a)                                            \
    {                                                                                                        \
        return ts_cpu_kernels.name(device, a);                                                               \
    }                                                                                                        \
    static ts_status queue_##name(ts_device *device, const ts_##name *a)                                     \
    {                                                                                                        \
        return queue(device, run_##name, a, sizeof *a);                                                      \
    }
TS_OPERATIONS(X)
#undef X

static ts_status run_transfer(ts_device *device, const void *arguments)
{
    const transfer_call *t = arguments;
    return t->from ? ts_cpu_kernels.copy(device, t->to, t->from, t->bytes)
                   : ts_cpu_kernels.zero(device, t->to, t->bytes);
}

static ts_status queue_copy(ts_device *device, void *to, const void *from, size_t bytes)
{
    const transfer_call t = {to, from, bytes};
    return queue(device, run_transfer, &t, sizeof t);
}

static ts_status queue_zero(ts_device *device, void *to, size_t bytes)
{
    const transfer_call t = {to, NULL, bytes};
    return queue(device, run_transfer, &t, sizeof t);
}

/* ---- what a recording may not hold ---- */

static ts_status transfer(ts_device *device, void *to, const void *from, size_t bytes)
{
    spoilt = spoilt || open_recording;
    return ts_cpu_kernels.copy(device, to, from, bytes);
}

static ts_status allocate(ts_device *device, size_t bytes, void **memory)
{
    spoilt = spoilt || open_recording;
    return ts_cpu_kernels.allocate(device, bytes, memory);
}

static void release(ts_device *device, void *memory)
{
    spoilt = spoilt || open_recording;
    ts_cpu_kernels.release(device, memory);
}

static ts_status synchronize(ts_device *device)
{
    spoilt = spoilt || open_recording;
    return ts_cpu_kernels.synchronize(device);
}

static void weights_changed(ts_device *device)
{
    counts.announced++;
    ts_cpu_kernels.weights_changed(device);
}

/* ---- recordings ---- */

static ts_status record_begin(ts_device *device)
{
    (void)device;
    if (open_recording)
        return ts_error(TS_INVALID, "a recording within a recording");
    open_recording = calloc(1, sizeof *open_recording);
    spoilt = false;
    return open_recording ? NULL : ts_error(TS_NO_MEMORY, "no recording");
}

static void discard(recording *r)
{
    free(r->calls);
    free(r);
}

static ts_status record_end(ts_device *device, void **made)
{
    (void)device;
    recording *r = open_recording;
    *made = NULL;
    open_recording = NULL;
    if (spoilt || !r) {
        if (r)
            discard(r);
        return ts_error(TS_INVALID, "what was queued is not operations alone");
    }
    counts.recordings++;
    counts.alive++;
    counts.recorded = r->count;
    *made = r;
    return NULL;
}

static ts_status replay(ts_device *device, void *made)
{
    const recording *r = made;
    counts.replays++;
    for (int i = 0; i < r->count; i++)
        TS_TRY(r->calls[i].run(device, &r->calls[i].a));
    return NULL;
}

static void recording_free(ts_device *device, void *made)
{
    (void)device;
    counts.alive--;
    discard(made);
}

static const ts_kernels table = {.name = "recording",
                                 .allocate = allocate,
                                 .release = release,
                                 .upload = transfer,
                                 .download = transfer,
                                 .copy = queue_copy,
                                 .zero = queue_zero,
                                 .synchronize = synchronize,
                                 .weights_changed = weights_changed,
                                 .record_begin = record_begin,
                                 .record_end = record_end,
                                 .replay = replay,
                                 .recording_free = recording_free,
#define X(name) .name = queue_##name,
                                 TS_OPERATIONS(X)
#undef X
};

static ts_kernels complete;

ts_status recording_device_open(int threads, ts_device **device)
{
    counts = (recording_counts){0};
    TS_TRY(ts_cpu_kernels.open(&(ts_device_options){.threads = threads}, device));
    complete = table;
    complete.close = ts_cpu_kernels.close;
    (*device)->k = &complete;
    return NULL;
}

recording_counts *recording_device_counts(void)
{
    return &counts;
}
