/*
 * Networks of elsewhere and for elsewhere: a safetensors file with the tensors of a score network under the
 * public names (those of score_sde's state dicts), without what a checkpoint of this engine says about itself.
 *
 * What lives in this room: such a file as a run (import.*), a run as such a file (export.*), and what a run's
 * network gives for inputs in a file, to be compared with another program's (outputs.*).
 */
#ifndef TS_RUN_EXCHANGE_IMPORT_H
#define TS_RUN_EXCHANGE_IMPORT_H

#include "run/folder.h"

/* Makes the file's weights the run's network, values and averages alike, and stores them as the checkpoint of
 * step 0, which says that it was imported: a sweep takes such a network as it is, ts_trainer_run goes on from
 * it.  "module." in front of all names, as wrapped networks have it, is passed over, and so is "sigmas", a
 * buffer that such state dicts carry.  Errors: TS_INVALID or TS_FORMAT naming the first tensor that is missing,
 * of another shape, or none of this network's. */
ts_status ts_import(ts_run *run, const char *path);

#endif
