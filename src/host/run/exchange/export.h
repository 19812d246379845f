/*
 * A run's network as a state dict: what score_sde's classes load by name.
 */
#ifndef TS_RUN_EXCHANGE_EXPORT_H
#define TS_RUN_EXCHANGE_EXPORT_H

#include "run/folder.h"

/* Writes the weights that are loaded now to `path`, under the public names and in the public layouts; for a
 * U-Net also "sigmas" [1000] (float64), the buffer that score_sde's networks have: the noise levels from
 * sde.sigma_max down to sde.sigma_min.  Metadata: format, version, kind, weights (`averaged`: "ema" or "raw")
 * and config (YAML).  Errors: TS_INVALID where the score is exact or `path` is a file in
 * the run's folder. */
ts_status ts_export(const ts_run *run, bool averaged, const char *path);

#endif
