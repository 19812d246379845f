/*
 * The sweep over the diffusion time: trains the score network, fits the start densities that are to be fitted
 * at each T, measures the bound and draws samples for every T, start density and sampler, and writes what it
 * found.
 *
 *   DIR/config.yaml, checkpoint.safetensors, glow_T0.4.safetensors ...   a run (run.h)
 *   DIR/T0.4                                with sweep.network per_T the network of T = 0.4, a run of its own
 *   DIR/parts/NAME.safetensors              finished parts, each with what it depends on (parts.c)
 *   DIR/samples/NAME.safetensors            samples (results.h)
 *   DIR/bound.csv, samples.csv, sweep.csv, sweep.json                    the results (results.h)
 *
 * A sweep is a list of parts: training, fits, bounds, prior terms, samples.  The rows of the results are made
 * first, parts fill them by index.  Every part is written atomically, and taken over where it is there already
 * and was made of the same data and configuration, as far as it depends on them; so a sweep that ended at any
 * moment continues, and ends with the same numbers.
 */
#ifndef TS_SWEEP_SWEEP_H
#define TS_SWEEP_SWEEP_H

#include "base/progress.h"
#include "run/run.h"

typedef struct ts_sweep_options {
    const ts_run_options *run; /* device and command line */
    ts_progress *progress;     /* may be NULL */
} ts_sweep_options;

/* Takes over `config`, also when it fails.  A folder that holds a run of other data, SDE, model, training or
 * seed is refused (TS_INVALID). */
ts_status ts_sweep_run(const char *dir, ts_config *config, const ts_sweep_options *options);

#endif
