/* Queue, record, replay. */
#include <stdio.h>
#include "diffusion/recorded.h"

static ts_status record(ts_recorded *r, ts_queue_fn *queue, void *context)
{
    const ts_kernels *k = r->device->k;
    TS_TRY(k->record_begin(r->device));
    ts_status status = queue(context), ended = k->record_end(r->device, &r->recording);
    if (!status)
        return ended;
    ts_status_free(ended); /* of two errors the first is the cause */
    ts_recorded_forget(r);
    return status;
}

/* What ends half-way has not all run, so it is not warm. */
static ts_status queue_directly(ts_recorded *r, ts_queue_fn *queue, void *context)
{
    ts_status status = queue(context);
    r->warm = !status;
    return status;
}

/* What a device or its memory refuses to record it may still run: nothing of it has run yet. */
static bool may_run_directly(const ts_status status)
{
    return ts_status_code(status) == TS_DEVICE || ts_status_code(status) == TS_NO_MEMORY;
}

ts_status ts_recorded_run(ts_recorded *recorded, ts_queue_fn *queue, void *context)
{
    ts_recorded *r = recorded;
    ts_device *device = r->device;
    if (!device->k->record_begin || device->recording_off || !r->warm)
        return queue_directly(r, queue, context);
    ts_status status = r->recording ? NULL : record(r, queue, context);
    if (may_run_directly(status)) {
        snprintf(device->recording_error, sizeof device->recording_error, "%s", ts_status_message(status));
        device->recording_off = true;
        ts_status_free(status);
        return queue_directly(r, queue, context);
    }
    return status ? ts_context(status, "recording launches") : device->k->replay(device, r->recording);
}

void ts_recorded_forget(ts_recorded *recorded)
{
    if (recorded->recording)
        recorded->device->k->recording_free(recorded->device, recorded->recording);
    recorded->recording = NULL;
}
