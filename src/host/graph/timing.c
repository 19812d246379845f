#include "graph/timing.h"

#include <math.h>

#include "base/clock.h"

static const double enough = 1e-3; /* seconds: long against a launch and a wait */
enum { MOST = 20 };

/* How often something that takes `seconds` goes into what is enough. */
static int times(double seconds)
{
    return (int)fmin(fmax(ceil(enough / fmax(seconds, 1e-9)), 1), MOST);
}

static ts_status record(ts_device *device, ts_timed_fn *call, void *context, int calls, void **recording)
{
    TS_TRY(device->k->record_begin(device));
    ts_status status = NULL;
    for (int i = 0; i < calls && !status; i++)
        status = call(context);
    ts_status ended = device->k->record_end(device, recording);
    if (!status)
        return ended;
    ts_status_free(ended); /* of two errors the first is the cause */
    device->k->recording_free(device, *recording);
    *recording = NULL;
    return status;
}

static ts_status time_replays(ts_device *device, void *recording, int count, double *seconds)
{
    const double start = ts_seconds();
    for (int i = 0; i < count; i++)
        TS_TRY(device->k->replay(device, recording));
    TS_TRY(device->k->synchronize(device));
    *seconds = (ts_seconds() - start) / count;
    return NULL;
}

ts_status ts_time_call(ts_device *device, ts_timed_fn *call, void *context, double *seconds)
{
    const ts_kernels *k = device->k;
    TS_TRY(k->synchronize(device));
    const double start = ts_seconds();
    TS_TRY(call(context));
    TS_TRY(k->synchronize(device));
    *seconds = ts_seconds() - start;
    if (!k->record_begin || device->recording_off)
        return NULL;
    const int calls = times(*seconds);
    void *recording = NULL;
    ts_status status = record(device, call, context, calls, &recording);
    if (ts_status_code(status) == TS_DEVICE) { /* what cannot be recorded has its one time */
        ts_status_free(status);
        return NULL;
    }
    TS_TRY(status);
    status = time_replays(device, recording, 1, seconds); /* makes it ready */
    if (!status)
        status = time_replays(device, recording, 1, seconds);
    if (!status && *seconds < enough)
        status = time_replays(device, recording, times(*seconds), seconds);
    *seconds /= calls;
    k->recording_free(device, recording);
    return status;
}
