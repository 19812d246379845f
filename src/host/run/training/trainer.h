/*
 * Training of a run's score network: steps, log, checkpoints, resume.
 *
 * trainer.c is the loop as the host sees it, crossing.c measures T* on its way, shorten.c says what train.T auto makes of
 * that; what a step computes stands in one function, queue_step of
 * diffusion/training_score.c, and runs on the device alone: the host only counts, and waits where it reads
 * for a log line or a checkpoint.  trainer_config.c turns a configuration into the loop's arguments.
 *
 * Invariants: what is saved is finite; a checkpoint holds all that the next step depends on (parameters,
 * moments, averages, step, seed, algorithms), so a resumed run ends with the bits of one that was never
 * stopped; one checkpoint is complete at any time.
 */
#ifndef TS_RUN_TRAINER_H
#define TS_RUN_TRAINER_H

#include "diffusion/training.h"
#include "base/progress.h"
#include "run/run.h"
#include "run/training/crossing.h"

typedef struct ts_trainer_options {
    bool resume;            /* continue from the checkpoint if there is one */
    bool imported_suffices; /* and if it is of an imported network (import.h), take that as it is */
    ts_progress *progress;
} ts_trainer_options;

typedef struct ts_trainer_result {
    int64_t step, skipped;
    /* of this call's steps; NaN if there were none */
    double loss, gradient_norm; /* of the last log line */
    double images_per_second;
    double seconds;
    double T; /* up to which t is drawn; with train.T auto what it came to */
    int64_t parameters;
    size_t plan_bytes, no_reuse_bytes;
    ts_crossing_T stars[TS_CROSSING_COUNT]; /* the last measured; T 0: none was */
} ts_trainer_result;

/* Trains up to train.steps, a log line (log.jsonl) every train.log_every steps, a checkpoint every
 * train.checkpoint_every, at the end, and when progress asks to stop (TS_INTERRUPTED then).  Stopped and
 * resumed runs end bitwise like uninterrupted ones.  A loss or gradient that is not finite ends the run with
 * TS_NOT_FINITE, its step and its term; the last checkpoint stays.  TS_NO_MEMORY, before the first step,
 * says how much the plan needs.  result may be NULL. */
ts_status ts_trainer_run(ts_run *run, const ts_trainer_options *options, ts_trainer_result *result);

/* What sections run, sde and train say to the training loop. */
ts_score_training_config ts_trainer_config(const ts_config *config);

/* The bins of the loss profile over [t_min, t_max]. */
enum { TS_TRAINER_PROFILE_BINS = 64 };

#endif
