/* The CPU device with memory out of the host's reach, and with recordings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "foreign_device.h"

/* ---- memory ---- */

/* Addresses are used once, so one that outlives its memory never points to something else. */
enum { PAGE = 4096 };
static const size_t arena_bytes = (size_t)1 << 38;
static char *arena;
static size_t arena_used;
static int unlocked; /* depth */

static void protect(int protection)
{
    if (arena_used && mprotect(arena, arena_used, protection)) {
        perror("mprotect");
        abort();
    }
}

static void unlock(void)
{
    if (unlocked++ == 0)
        protect(PROT_READ | PROT_WRITE);
}

static void lock(void)
{
    if (--unlocked == 0)
        protect(PROT_NONE);
}

static bool on_device(const void *address, size_t bytes)
{
    const char *a = address;
    return arena && a >= arena && a + bytes <= arena + arena_used;
}

static bool on_host(const void *address)
{
    const char *a = address;
    return a && !(arena && a >= arena && a < arena + arena_bytes);
}

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

static foreign_counts counts;

/* Where the innermost range is, and every such place so far, each between two newlines. */
static char place[512], places[1 << 20];
static recording *open_recording;
static bool spoilt; /* the open recording saw what a recording may not hold */

static ts_status run_unlocked(ts_device *device, ts_status (*run)(ts_device *, const void *),
                              const void *arguments)
{
    unlock();
    ts_status status = run(device, arguments);
    lock();
    return status;
}

static ts_status queue(ts_device *device, ts_status (*run)(ts_device *, const void *), const void *arguments,
                       size_t size)
{
    recording *r = open_recording;
    if (counts.fail_in > 0 && --counts.fail_in == 0)
        return ts_error(TS_DEVICE, "as asked");
    if (!r) {
        counts.operations++;
        return run_unlocked(device, run, arguments);
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
    if (!on_device(to, bytes) || !on_device(from, bytes))
        return ts_error(TS_INVALID, "copy: an address is not the device's");
    return queue(device, run_transfer, &t, sizeof t);
}

static ts_status queue_zero(ts_device *device, void *to, size_t bytes)
{
    const transfer_call t = {to, NULL, bytes};
    if (!on_device(to, bytes))
        return ts_error(TS_INVALID, "zero: the address is not the device's");
    return queue(device, run_transfer, &t, sizeof t);
}

/* ---- what a recording may not hold ---- */

static ts_status transfer(ts_device *device, void *to, const void *from, size_t bytes, bool right)
{
    spoilt = spoilt || open_recording;
    counts.transfers++;
    if (!right)
        return ts_error(TS_INVALID, "a transfer has host and device the wrong way round");
    unlock();
    ts_status status = ts_cpu_kernels.copy(device, to, from, bytes);
    lock();
    return status;
}

static ts_status upload(ts_device *device, void *to, const void *host, size_t bytes)
{
    return transfer(device, to, host, bytes, on_device(to, bytes) && on_host(host));
}

static ts_status download(ts_device *device, void *host, const void *from, size_t bytes)
{
    return transfer(device, host, from, bytes, on_host(host) && on_device(from, bytes));
}

/* The size stands before what is handed out. */
static ts_status allocate(ts_device *device, size_t bytes, void **memory)
{
    spoilt = spoilt || open_recording;
    if (!arena) {
        arena = mmap(NULL, arena_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (arena == MAP_FAILED)
            return arena = NULL, ts_error(TS_NO_MEMORY, "no addresses for device memory");
    }
    if (bytes > arena_bytes - arena_used - 2 * PAGE)
        return ts_error(TS_NO_MEMORY, "%zu bytes of device memory are not there", bytes);
    unlock();
    char *start = arena + arena_used;
    const size_t whole = (bytes + 64 + PAGE - 1) / PAGE * PAGE;
    if (mprotect(start, whole, PROT_READ | PROT_WRITE))
        abort();
    arena_used += whole;
    memcpy(start, &bytes, sizeof bytes);
    *memory = start + 64;
    lock();
    device->bytes += bytes;
    if (device->peak_bytes < device->bytes)
        device->peak_bytes = device->bytes;
    device->allocations++;
    return NULL;
}

static void release(ts_device *device, void *memory)
{
    size_t bytes;
    spoilt = spoilt || open_recording;
    if (!memory)
        return;
    char *start = (char *)memory - 64;
    unlock();
    memcpy(&bytes, start, sizeof bytes);
    madvise(start, (bytes + 64 + PAGE - 1) / PAGE * PAGE, MADV_DONTNEED);
    lock();
    device->bytes -= bytes;
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
        TS_TRY(run_unlocked(device, r->calls[i].run, &r->calls[i].a));
    return NULL;
}

static void recording_free(ts_device *device, void *made)
{
    (void)device;
    counts.alive--;
    discard(made);
}

/* ---- ranges ---- */

static const char between[] = " > ";

static void range_push(ts_device *device, const char *name)
{
    (void)device;
    char line[sizeof place + 2];
    const size_t length = strlen(place);
    snprintf(place + length, sizeof place - length, "%s%s", length ? between : "", name);
    counts.depth++;
    snprintf(line, sizeof line, "%s\n", place);
    if (!foreign_device_range(place) && strlen(places) + strlen(line) < sizeof places)
        strcat(places, line);
}

static void range_pop(ts_device *device)
{
    (void)device;
    char *last = place;
    for (char *next = place; (next = strstr(next, between)); next += strlen(between))
        last = next;
    *last = '\0';
    counts.depth--;
    if (counts.least_depth > counts.depth)
        counts.least_depth = counts.depth;
}

bool foreign_device_range(const char *path)
{
    char line[sizeof place + 2];
    snprintf(line, sizeof line, "\n%s\n", path);
    return strstr(places, line) != NULL;
}

static const ts_kernels table = {.name = "foreign",
                                 .allocate = allocate,
                                 .release = release,
                                 .upload = upload,
                                 .download = download,
                                 .copy = queue_copy,
                                 .zero = queue_zero,
                                 .synchronize = synchronize,
                                 .weights_changed = weights_changed,
                                 .record_begin = record_begin,
                                 .record_end = record_end,
                                 .replay = replay,
                                 .recording_free = recording_free,
                                 .range_push = range_push,
                                 .range_pop = range_pop,
#define X(name) .name = queue_##name,
                                 TS_OPERATIONS(X)
#undef X
};

static ts_kernels complete;

ts_status foreign_device_open(const ts_device_options *options, ts_device **device)
{
    counts = (foreign_counts){0};
    *place = '\0';
    strcpy(places, "\n");
    TS_TRY(ts_cpu_kernels.open(options, device));
    complete = table;
    complete.close = ts_cpu_kernels.close;
    complete.ceiling = ts_cpu_kernels.ceiling;
    (*device)->k = &complete;
    return NULL;
}

foreign_counts *foreign_device_counts(void)
{
    return &counts;
}
