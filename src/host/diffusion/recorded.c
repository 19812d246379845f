/* Queue, record, replay. */
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

ts_status ts_recorded_run(ts_recorded *recorded, ts_queue_fn *queue, void *context)
{
    ts_recorded *r = recorded;
    const ts_kernels *k = r->device->k;
    if (!k->record_begin || r->device->unrecorded || !r->warm) {
        r->warm = true;
        return queue(context);
    }
    if (!r->recording)
        TS_TRY(ts_context(record(r, queue, context), "recording launches"));
    return k->replay(r->device, r->recording);
}

void ts_recorded_forget(ts_recorded *recorded)
{
    if (recorded->recording)
        recorded->device->k->recording_free(recorded->device, recorded->recording);
    recorded->recording = NULL;
}
