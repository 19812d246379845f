/*
 * The auxiliary density at T: a Glow fitted by maximum likelihood to forward samples x_T.
 */
#ifndef TS_RUN_FIT_H
#define TS_RUN_FIT_H

#include "diffusion/densities/density.h"
#include "base/progress.h"
#include "run/run.h"

typedef struct ts_fit_result {
    int64_t steps, skipped, rollbacks;
    double loss; /* -log nu(x_T) / d, nats, of the last log line */
    double seconds;
    bool reused; /* DIR held a finished fit of the same configuration: the numbers are that one's */
} ts_fit_result;

/* Whether the run's data and section glow suit each other; worth knowing before a long training.  TS_INVALID.
 */
ts_status ts_fit_check(const ts_run *run);

/* Fits at T and writes DIR/glow_T<T>.safetensors: averaged weights under the public names, metadata T, the
 * result's numbers, and the configuration it depends on (data, sde, glow, seed).  Nothing is done where that
 * file is there and its configuration is the run's.  result may be NULL. */
ts_status ts_fit_glow(ts_run *run, double T, ts_progress *progress, ts_fit_result *result);

/* A fitted Glow and its density for batches of n.  Errors: TS_NOT_FOUND says how to fit. */
typedef struct ts_fit {
    ts_params *params;
    ts_glow *glow;
    ts_density *density;
} ts_fit;
ts_status ts_fit_load(ts_run *run, double T, int n, ts_fit *fit);
void ts_fit_release(ts_fit *fit);

#endif
