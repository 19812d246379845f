/*
 * What a device chose by timing (see kernels.h), kept with a run in DIR/choices.txt, so that the run
 * continued, or its evaluation repeated, is the same to the bit; or in a file of one's own for benchmarks.
 */
#ifndef TS_RUN_ALGORITHMS_H
#define TS_RUN_ALGORITHMS_H

#include "base/progress.h"
#include "run/folder.h"

/* Tells the device what the file holds, and stores what it has chosen so far beside that, which other
 * processes may have added to by now; the file is replaced at once.  A file that is not there, or is none of
 * this card's, says nothing.  Does nothing for devices that choose nothing. */
ts_status ts_algorithms_write(ts_device *device, const char *path);

/* The first half, and the whole, of the same for a run's own file; nothing for runs without a directory. */
ts_status ts_algorithms_load(const ts_run *run);
ts_status ts_algorithms_save(const ts_run *run);

/* Tells whoever looks on that the next step may take a while because of it. */
void ts_algorithms_announce(const ts_device *device, ts_progress *progress);

#endif
