/*
 * The sweep over the diffusion time: trains the score network, fits the start densities that are to be fitted
 * at each T, measures the bound and draws samples for every T, start density and sampler, and writes what it
 * found.
 *
 *   DIR/config.yaml, checkpoint.safetensors, glow_T0.4.safetensors ...   a run (run.h)
 *   DIR/T0.4                                with sweep.network per_T or both that of T = 0.4, a run of its own
 *   DIR/seed2, seed3 ...                    with sweep.seeds the trainings from further seeds: runs with parts of their
 *                                           own, which end with the bound (on the data and by the draws of the first)
 *   DIR/parts/NAME.safetensors              finished parts, each with what it depends on (parts.c)
 *   DIR/samples/NAME.safetensors            samples (results.h)
 *   DIR/neighbours/NAME.safetensors         with sweep.neighbours the training data nearest to them (results.h)
 *   DIR/bound.csv, samples.csv, sweep.csv, sweep.json                    the results (results.h)
 *
 * A sweep is a list of parts (plan.c): training, fits, bounds, prior terms, likelihoods, samples, distances.  Workers take
 * them, threads with a device each, as what a part needs is there; the rows of the results are made first, and
 * parts fill them by index, so that the numbers are bitwise those of one worker with as many threads as each of
 * these has.  Every part but the distances is written atomically, and taken over where it is there already
 * and was made of the same data and configuration, as far as it depends on them; so a sweep that ended at any
 * moment continues, and ends with the same numbers.  When all of that is done, the seconds that samples take
 * are measured alone.
 */
#ifndef TS_SWEEP_SWEEP_H
#define TS_SWEEP_SWEEP_H

#include "base/amount.h"
#include "base/progress.h"
#include "run/run.h"

typedef struct ts_sweep_options {
    const ts_run_options *run; /* device and command line */
    ts_progress *progress;     /* may be NULL */

    /* How many parts are done at once; 0: as many as help.  They share the threads that the run's device_options
     * give, or those of the machine; TS_INVALID where those are too few, or parts, or where the device takes one
     * worker alone. */
    int workers;
    uint64_t order; /* not 0: parts are taken in an order at random, which changes no number (for tests) */

    /* Told how many workers and threads of each there are; and, once a few seconds have shown how fast all is,
     * how many seconds the whole will take from its beginning, and of what: worker seconds of each phase.  The
     * second under a lock.  NULL: nobody. */
    void (*began)(void *context, int workers, int threads);
    void (*estimated)(void *context, double seconds, const ts_cost *phases, int count);
    /* With train.T auto: told to which T the training came, where that is below the largest of sweep.T; the rows of those
     * that are beyond are of this T.  NULL: nobody. */
    void (*shortened)(void *context, double T);
    void *context;
} ts_sweep_options;

/* Takes over `config`, also when it fails.  A folder that holds a run of other data, SDE, model, training or
 * seed is refused (TS_INVALID). */
ts_status ts_sweep_run(const char *dir, ts_config *config, const ts_sweep_options *options);

#endif
