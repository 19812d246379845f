/*
 * A run: its directory, configuration, device, data and model.
 *
 *   DIR/config.yaml              the resolved configuration
 *   DIR/command.txt              the command lines that made the run, one a line, each with its device
 *   DIR/lock                     held (flock) by the process that writes here
 *   DIR/log.jsonl                one JSON object a log line of training
 *   DIR/checkpoint.safetensors   weights, averaged weights, optimiser state (checkpoint.h)
 *   DIR/choices.txt              what the device chose by timing, where it does (algorithms.h)
 *   DIR/glow_T0.4.safetensors    the density fitted at T = 0.4 (starts/glow.h); .partial.safetensors: on the way
 *   DIR/glow_T0.4.jsonl          one JSON object a log line of its fit
 *   DIR/gaussian.safetensors     the Gaussian of the data, for every T (starts/gaussian.h)
 *   DIR/dpmixture.safetensors    a mixture fitted to the data, for every T; _T0.4: at T (starts/dpmixture.h)
 *
 * What lives in this room: what is done with one run.  Opening and closing it (run.c, trained.c), its model
 * (model.c), training (trainer.c, log.c), networks of others (exchange/), what is stored (state.c,
 * checkpoint.c), start densities that are fitted (starts/), the bound and samples (evaluate.c, samples.c), the
 * tables of start densities and scores (starts.c, scores.c), and what to do about memory, threads and the
 * device's choices (memory.c, threads.c, algorithms.c).
 *
 * Invariants: who writes holds the lock.  A file is complete at any moment: written beside, synced, renamed.
 * Data, SDE, network and range of t of a trained run never change (but with train.T auto, while it trains).  A run stopped anywhere and continued ends
 * with the bits of one that was not.  What is stored names the configuration and data that it depends on, and
 * is refused by others.
 */
#ifndef TS_RUN_FOLDER_H
#define TS_RUN_FOLDER_H

#include "config/config.h"
#include "data/dataset.h"
#include "run/model.h"

#define TS_CHECKPOINT_FILE "checkpoint.safetensors"

typedef struct ts_run {
    char *dir;                  /* NULL: a run without a directory; nothing is stored */
    ts_config *config, *stored; /* stored: as it stands in the directory; config: with what overrides it */
    ts_device *device;
    ts_dataset *dataset;
    ts_model *model;
    double
        reach; /* the largest t that the network is trained on: train.T, or what that of its checkpoint is */
    const struct ts_score_choice
        *choice; /* the score that evaluations take; NULL: the model's own (scores.h) */
    int lock;    /* file descriptor; -1: none */
    bool owns_device, owns_dataset;
    int threads_at_hand; /* where the device was given fewer than these, as many as a pass of pass_flops is */
    double pass_flops;   /* worth (threads.h); 0: it was not */
    void (*on_recording_error)(const char *why);
    bool open; /* nothing was refused: what the device chooses is kept when the run is closed */
} ts_run;

/* "DIR/name"; the caller frees it.  NULL when memory is short. */
char *ts_run_path(const ts_run *run, const char *name);

/* TS_INVALID: `path` is a file in the run's folder, where those that are there are the run's own; for commands that write
 * where they are told. */
ts_status ts_run_spare(const ts_run *run, const char *path);

#endif
