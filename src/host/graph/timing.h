/*
 * Timing of short work on a device.
 */
#ifndef TS_GRAPH_TIMING_H
#define TS_GRAPH_TIMING_H

#include "kernels/kernels.h"

/* Queues the work that is timed: operations alone, which may be repeated. */
typedef ts_status ts_timed_fn(void *context);

/* Seconds of one call, by the host's clock with the device idle before and after.  The call is made once;
 * where the device records launches it is then recorded several times over and replayed, about a millisecond
 * long, so that neither the host's part nor the wait is in the figure. */
ts_status ts_time_call(ts_device *device, ts_timed_fn *call, void *context, double *seconds);

#endif
