/*
 * The CPU device with recordings: its table keeps what is queued between record_begin and record_end as a
 * list of operations with copies of their arguments, and a replay calls them again.  So an argument that is
 * passed by value and ought to change from call to call shows as another result.
 */
#ifndef TESTS_RECORDING_DEVICE_H
#define TESTS_RECORDING_DEVICE_H

#include "kernels/kernels.h"

typedef struct recording_counts {
    int recordings, alive, replays; /* made, not yet freed, run */
    int operations;                 /* called directly, outside of recordings and replays */
    int recorded;                   /* operations in the last recording */
    int announced;                  /* calls of weights_changed */
} recording_counts;

/* One at a time; ts_device_close closes it. */
ts_status recording_device_open(int threads, ts_device **device);
recording_counts *recording_device_counts(void);

#endif
