/* Opening what samples and bounds are made of. */
#ifndef TS_RUN_TRAINED_H
#define TS_RUN_TRAINED_H

#include "run/run.h"

/* The run that `path` names, to be read: a run directory, with the weights of its checkpoint loaded (with
 * `averaged` their average), or a configuration whose score is exact and needs no training.  Overrides as for
 * ts_run_open. */
ts_status ts_trained_open(const char *path, const char *const *overrides, int count, bool averaged,
                          const ts_run_options *options, ts_run **run);

#endif
