/*
 * The CPU device made to look like a GPU to the host.
 *
 * Its memory is out of reach: pages that only operations and transfers may touch, so that host code which
 * reads or writes through a device address ends with a segmentation fault; and transfers check which side
 * their addresses are on.
 *
 * It records: what is queued between record_begin and record_end is kept as a list of operations with copies
 * of their arguments, and a replay calls them again.  So an argument that is passed by value and ought to
 * change from call to call shows as another result.
 */
#ifndef TESTS_FOREIGN_DEVICE_H
#define TESTS_FOREIGN_DEVICE_H

#include "kernels/kernels.h"

typedef struct foreign_counts {
    int recordings, alive, replays; /* made, not yet freed, run */
    int operations;                 /* called directly, outside of recordings and replays */
    int transfers;                  /* uploads and downloads */
    int recorded;                   /* operations in the last recording */
    int announced;                  /* calls of weights_changed */
    int depth, least_depth;         /* of ranges: now, and at least so far */
    int fail_in; /* the operation that many calls ahead fails, direct or recorded; 0: none */
} foreign_counts;

ts_status foreign_device_open(const ts_device_options *options, ts_device **device);
/* Whether there was a range at this place, "train step > forward". */
bool foreign_device_range(const char *path);
/* Of all such devices since the last was opened. */
foreign_counts *foreign_device_counts(void);

#endif
