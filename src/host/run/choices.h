/*
 * What a device chose by timing (see kernels.h), kept with a run in DIR/choices.txt, so that the run
 * continued, or its evaluation repeated, is the same to the bit.
 */
#ifndef TS_RUN_CHOICES_H
#define TS_RUN_CHOICES_H

#include "run/run.h"

/* Tells the run's device what it chose before, if the directory holds that. */
ts_status ts_choices_load(const ts_run *run);

/* Stores what it has chosen so far; does nothing for runs without a directory and devices that choose
 * nothing.
 */
ts_status ts_choices_save(const ts_run *run);

#endif
