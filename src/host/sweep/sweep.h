/*
 * The sweep over the diffusion time: trains the score network, fits the auxiliary density at each T, measures
 * the bound and draws samples for every T, start density and sampler, and writes what it found.
 *
 *   DIR/config.yaml, checkpoint.safetensors, glow_T0.4.safetensors ...   a run (run.h); with sweep.network
 * per_T the networks lie in runs of their own, DIR/T0.4 DIR/parts/NAME.safetensors   finished parts, each
 * with the fingerprint of what it depends on DIR/samples/NAME.safetensors samples (report.h) DIR/sweep.csv,
 * sweep.json    the results (results.h) DIR/charts, grids, report.html
 *
 * Every part is written atomically, and skipped where it is there already and was made from the same
 * configuration; so a sweep that ended at any moment continues, and ends with the same numbers.
 */
#ifndef TS_SWEEP_SWEEP_H
#define TS_SWEEP_SWEEP_H

#include "base/progress.h"
#include "report/report.h"
#include "run/run.h"

typedef struct ts_sweep_options {
    const ts_run_options *run; /* device and command line */
    ts_progress *progress;     /* may be NULL */
} ts_sweep_options;

/* Takes over `config`, also when it fails.  A folder that holds a run of other data, SDE, model, training or
 * seed is refused (TS_INVALID). */
ts_status ts_sweep_run(const char *dir, ts_config *config, const ts_sweep_options *options,
                       ts_report_result *report);

#endif
