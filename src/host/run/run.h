/*
 * Making, opening and closing a run; what one is says folder.h.
 */
#ifndef TS_RUN_RUN_H
#define TS_RUN_RUN_H

#include "run/folder.h"

/* What a run is opened for. */
typedef enum ts_work { TS_WORK_ANY, TS_WORK_TRAIN, TS_WORK_FIT, TS_WORK_SAMPLE, TS_WORK_BOUND } ts_work;

typedef struct ts_run_options {
    const char *device; /* "cpu", "cuda", "cuda:1", "auto"; NULL: "auto" */
    ts_device_options device_options;
    ts_work work; /* where device_options.threads is 0: the CPU takes as many threads as this is worth
                     (threads.h); TS_WORK_ANY: all */
    /* Told of a run with a device of its own once it is open; NULL: nobody. */
    void (*opened)(void *context, const ts_run *run);
    /* Told, a line each, what is to be known of the files that the data come from, such as those that cannot be
     * read; NULL: nobody. */
    void (*on_data)(void *context, const char *line);
    ts_progress *progress; /* of reading them; NULL: nobody looks */
    void *context;         /* handed to opened and on_data */
    const char *command;   /* recorded in command.txt, the device behind it; NULL: nothing */
    void (*on_fallback)(
        const char *why); /* told why "auto" did not take the GPU that seems there; NULL: nobody */
    void (*on_recording_error)(
        const char *why);       /* told at the end why the run's device did not record; NULL: nobody */
    ts_device *borrowed_device; /* use this device and this data set instead of opening them: the runs of a */
    ts_dataset *borrowed_dataset; /* sweep share theirs; NULL: open */
    bool without_model;           /* config and data only; model stays NULL */
    bool published; /* the configuration is of a network of score_sde's: see ts_model_forget_attention */
} ts_run_options;

/* A run to be written in `dir` (created if need be; NULL: without a directory), locked until it is closed.
 * Takes over `config`, also when it fails.  A directory with a checkpoint is refused unless `resume` is set,
 * and then unless `config` is the run's but for keys that may change (config.h); config.yaml is written anew.
 * Errors: TS_BUSY when another process holds the lock. */
ts_status ts_run_create(const char *dir, ts_config *config, bool resume, const ts_run_options *options,
                        ts_run **run);

/* The run in `dir` with its own configuration and `overrides` on top, of keys that may change (config.h);
 * config.yaml stays as it is.  With `write` the directory is locked as above; without, it may be in use
 * (files appear there atomically). */
ts_status ts_run_open(const char *dir, const char *const *overrides, int count, bool write,
                      const ts_run_options *options, ts_run **run);

void ts_run_close(ts_run *run); /* NULL is fine */

/* Whether `dir` is a directory with a config.yaml. */
bool ts_run_exists(const char *dir);

#endif
