/*
 * What the tests of runs share.  FOLDER, which the including file defines, is theirs alone.
 */
#ifndef TS_TESTS_RUN_TEST_H
#define TS_TESTS_RUN_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "run/training/trainer.h"
#include "must.h"

static const ts_run_options cpu = {.device = "cpu", .device_options = {.threads = 1}};

/* A network so small that a step takes no time, on a mixture and on the digits. */
static const char *const on_mixture[] = {
    "data={kind: mixture, mixture: {weights: [1, 1], means: [-1, 1], stds: [.3, .2], count: 64}}",
    "model={kind: mlp, hidden: 8, blocks: 1}",
    "train={batch: 16, log_every: 4, checkpoint_every: 5, steps: 20, warmup: 3, lr: 1e-2}", "sweep.T=[1, .5]",
    "bound={draws: 8, prior_draws: 8}"};
static const char *const on_digits[] = {
    "data.kind=digits", "model={nf: 8, ch_mult: [1, 1], num_res_blocks: 1, dropout: 0.1}",
    "train={batch: 4, log_every: 4, checkpoint_every: 5, steps: 8, warmup: 3}",
    "glow={levels: 1, steps_per_level: 1, hidden: 8, steps: 6, batch: 8}",
    "bound={draws: 1, prior_draws: 1, count: 16, batch: 16}"};
enum { KEYS = 5 };

/* ---- helpers ---- */

static inline int start_clean(void **state)
{
    (void)state;
    return system("rm -rf " FOLDER);
}

static inline ts_config *config_of(const char *const *keys, const char *extra)
{
    const char *overrides[KEYS + 1];
    ts_config *config;
    memcpy(overrides, keys, KEYS * sizeof *keys);
    overrides[KEYS] = extra ? extra : "seed=1";
    must(ts_config_load(NULL, overrides, KEYS + 1, &config));
    return config;
}

static inline ts_run *create(const char *dir, const char *const *keys, const char *extra, bool resume)
{
    ts_run *run;
    must(ts_run_create(dir, config_of(keys, extra), resume, &cpu, &run));
    return run;
}

static inline ts_run *reopen(const char *dir, const char *override)
{
    ts_run *run;
    must(ts_run_open(dir, &override, override != NULL, false, &cpu, &run));
    return run;
}

static inline void train(const char *dir, const char *const *keys, const char *extra, bool resume)
{
    ts_run *run = create(dir, keys, extra, resume);
    must(ts_trainer_run(run, &(ts_trainer_options){.resume = resume}, NULL));
    ts_run_close(run);
}

#endif
