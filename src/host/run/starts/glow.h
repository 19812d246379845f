/*
 * The auxiliary density at T: a Glow fitted by maximum likelihood to forward samples x_T.
 */
#ifndef TS_RUN_STARTS_GLOW_H
#define TS_RUN_STARTS_GLOW_H

#include "diffusion/densities/whitening.h"
#include "base/progress.h"
#include "run/run.h"

typedef struct ts_fit_result {
    int64_t steps, skipped, rollbacks;
    double loss; /* -log nu(x_T) / d, nats, of the last log line */
    double seconds;
    bool reused; /* DIR held a finished fit of the same configuration: the numbers are that one's */
} ts_fit_result;

typedef struct ts_fit_options {
    ts_progress *progress;
    bool replace; /* a finished fit of other settings or data; else it is TS_INVALID to ask for this one */
} ts_fit_options;

/* What a look at a finished fit says of it, but NULL where there is none: no file, one that is no fit, or, with
 * `replace`, one of other settings or data (TS_INVALID). */
ts_status ts_fit_or_none(ts_status status, bool replace);

/* Whether the run's data and section glow suit each other; worth knowing before a long training.
 * TS_INVALID. */
ts_status ts_fit_check(const ts_run *run);

/*
 * Fits at T and writes DIR/glow_T<T>.safetensors: averaged weights under the public names, the Gaussian of the data
 * (as in gaussian.safetensors, all d eigenvectors) under "whitening." where the flow is one of x_T whitened, metadata T,
 * "whiten", which tells, the result's numbers, the configuration it depends on (data, sde, glow, seed) and the data's
 * checksum.  Nothing is done where that file is there and is of the run's configuration and data.
 *
 * On the way there, every train.checkpoint_every steps and when progress asks to stop (TS_INTERRUPTED then),
 * the state of the fit is kept in DIR/glow_T<T>.partial.safetensors: that of the parameters (state.h), and
 * what the training remembers as "guard.NAME".  The next fit of the same configuration and data goes on from
 * there and ends bitwise like one that was never interrupted; a state of another one is removed.  The log,
 * DIR/glow_T<T>.jsonl, goes on likewise.
 *
 * A fit that diverges, or of whose steps hardly any stood, is TS_NOT_FINITE, and neither file is kept.
 * options and result may be NULL.
 */
ts_status ts_fit_glow(ts_run *run, double T, const ts_fit_options *options, ts_fit_result *result);

/*
 * One flow for all T from the smallest to the largest of sweep.T, conditional on T: as above, but as glow_all.*, in
 * glow_all.steps steps; the metadata also hold T_low and T_high.  T, which may be NaN, must lie among them: TS_INVALID.
 * result->loss is of all T, and NaN where one is asked for.
 */
ts_status ts_fit_glow_all(ts_run *run, double T, const ts_fit_options *options, ts_fit_result *result);
int64_t ts_glow_all_steps(const ts_config *config);
void ts_glow_all_inputs(const ts_config *config, char text[96]); /* " of T from 0.1 to 1.0" */

/* A fitted Glow and its density for batches of n; the file says whether it is whitened, and by what.  Errors: TS_NOT_FOUND says how to fit. */
typedef struct ts_fit {
    ts_params *params;
    ts_glow *glow;
    ts_whitening *whitening; /* or NULL */
    ts_density *density;
} ts_fit;
ts_status ts_fit_load(ts_run *run, double T, int n, ts_fit *fit);
/* The one for all T, at T, which must lie among those that it was fitted for: TS_INVALID. */
ts_status ts_fit_load_all(ts_run *run, double T, int n, ts_fit *fit);
void ts_fit_release(ts_fit *fit);

#endif
