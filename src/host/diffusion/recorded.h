/*
 * A sequence of operations that is queued again and again with the same arguments: where the device can
 * record launches, it is queued once, recorded once and replayed from then on.
 */
#ifndef TS_DIFFUSION_RECORDED_H
#define TS_DIFFUSION_RECORDED_H

#include "kernels/kernels.h"

typedef struct ts_recorded {
    ts_device *device;
    bool warm;       /* it has been queued directly, so devices have made what they keep for later */
    void *recording; /* owned; NULL: not recorded (yet) */
} ts_recorded;

/* Queues operations of `device` and nothing else: no allocation, no transfer to or from the host, and no
 * argument that depends on the call. */
typedef ts_status ts_queue_fn(void *context);

/* What `queue` queues: the first time directly, the second time recorded, then replayed.  Where the device
 * fails to record (device->recording_error then says why), or shall not, always directly. */
ts_status ts_recorded_run(ts_recorded *recorded, ts_queue_fn *queue, void *context);

/* An argument changes, or an address: the sequence is recorded anew at the next run.  It stays warm. */
void ts_recorded_forget(ts_recorded *recorded);

#endif
