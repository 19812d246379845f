/* The score networks of a sweep: trained once for all T, or for each. */
#include "sweep/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/decimal.h"
#include "run/checkpoint.h"
#include "run/training/trainer.h"

/* The part of the network for all T. */
static const char shared[] = "train";

/* Trains the network of `run` as the part `name`, or takes it over, and sees what its checkpoint holds. */
static ts_status train(const ts_sweep *s, ts_progress *progress, ts_part *part, ts_run *run, const char *name)
{
    bool found;
    const ts_part_file file = {"parts", name, "model train", name};
    const ts_part_tensor tensors[] = {{"seconds", TS_ST_F64, 0, {0}, &part->seconds},
                                      {"step_seconds", TS_ST_F64, 0, {0}, &part->step_seconds}};
    TS_TRY(ts_part_load(s, &file, tensors, 2, &found));
    part->reused = found;
    if (!found) {
        ts_trainer_result result;
        const ts_trainer_options options = {.resume = true, .imported_suffices = true, .progress = progress};
        TS_TRY(ts_trainer_run(run, &options, &result));
        part->seconds = result.seconds;
        part->step_seconds = run->config->train.batch / result.images_per_second;
        part->reused = !isfinite(result.images_per_second); /* no step: an imported network */
        TS_TRY(ts_part_save(s, &file, tensors, 2));
    }
    ts_checkpoint checkpoint = {0};
    ts_status status = ts_checkpoint_load_weights(run, true, &checkpoint);
    part->steps = checkpoint.step;
    ts_checkpoint_release(&checkpoint);
    return status;
}

/* The run of its own that a network for one T has. */
static ts_status train_own(ts_worker *w, ts_part *part, double T)
{
    char text[32], setting[64], name[64], *dir = NULL, *path = NULL;
    ts_config *config = NULL;
    ts_run *own = NULL;
    ts_T_text(T, text);
    snprintf(setting, sizeof setting, "train.T=%s", text);
    snprintf(name, sizeof name, "train_T%s", text);
    const char *overrides[] = {setting};
    if (asprintf(&dir, "%s/T%s", w->sweep->dir, text) < 0)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    path = ts_run_path(&w->run, "config.yaml");
    ts_status status =
        path ? ts_config_load(path, overrides, 1, &config) : ts_error(TS_NO_MEMORY, "sweep: no memory");
    const ts_run_options options = {.borrowed_device = w->run.device, .borrowed_dataset = w->run.dataset};
    if (!status)
        status = ts_run_create(dir, config, true, &options, &own);
    if (!status)
        status = train(w->sweep, &w->progress, part, own, name);
    ts_run_close(own);
    free(path);
    free(dir);
    return status;
}

ts_status ts_part_train(ts_worker *w, ts_part *part)
{
    ts_worker_watch(w, part);
    if (part->T >= 0)
        return train_own(w, part, w->sweep->results->T[part->T]);
    TS_TRY(train(w->sweep, &w->progress, part, &w->run, shared));
    w->has_weights = true;
    return NULL;
}

ts_status ts_sweep_train_first(ts_sweep *s)
{
    ts_part part = {.T = -1};
    return train(s, s->options->progress, &part, s->run, shared);
}
