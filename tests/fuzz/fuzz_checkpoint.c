/* Checkpoints, with their metadata, and what a run says of them. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "run/checkpoint.h"
#include "run/training/trainer.h"

static ts_run *run;

void fuzz_begin(void)
{
    static const char *const overrides[] = {
        "data={kind: mixture, mixture: {weights: [1, 1], means: [-1, 1], stds: [.3, .2], count: 64}}",
        "model={kind: mlp, hidden: 4, blocks: 1}", "train={batch: 4, steps: 2}"};
    char dir[128];
    ts_config *config;
    snprintf(dir, sizeof dir, "%s", fuzz_folder());
    fuzz_must(ts_config_load(NULL, overrides, 3, &config));
    fuzz_must(ts_run_create(dir, config, false,
                            &(ts_run_options){.device = "cpu", .device_options = {.threads = 1}}, &run));
    fuzz_must(ts_trainer_run(run, &(ts_trainer_options){0}, NULL));
    char *path = ts_run_path(run, TS_CHECKPOINT_FILE);
    fuzz_seed_file(path);
    free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ts_checkpoint checkpoint;
    fuzz_file(TS_CHECKPOINT_FILE, data, size);
    fuzz_status(ts_checkpoint_check(run));
    ts_status status = ts_checkpoint_load(run, &checkpoint);
    if (!status)
        ts_checkpoint_release(&checkpoint);
    fuzz_status(status);
    status = ts_checkpoint_load_weights(run, true, &checkpoint);
    if (!status)
        ts_checkpoint_release(&checkpoint);
    fuzz_status(status);
    return 0;
}
