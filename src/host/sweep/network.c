/* The score networks of a sweep: trained once for all T, or for each. */
#include "sweep/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "run/checkpoint.h"
#include "run/scores.h"
#include "run/trainer.h"

ts_status ts_sweep_train(ts_sweep *s, ts_run *run, const char *name)
{
    double seconds;
    bool found;
    ts_part_begin(s, "%s", name);
    const ts_part part = {"parts", name, "model train", name};
    const ts_part_tensor tensor = {"seconds", TS_ST_F64, 0, {0}, &seconds};
    TS_TRY(ts_part_load(s, &part, &tensor, 1, &found));
    if (!found) {
        ts_trainer_result result;
        const ts_trainer_options options = {.resume = true, .progress = &s->progress};
        TS_TRY(ts_trainer_run(run, &options, &result));
        seconds = result.seconds;
        TS_TRY(ts_part_save(s, &part, &tensor, 1));
    }
    s->seconds[TS_SWEEP_TRAIN] += seconds;
    ts_checkpoint checkpoint = {0};
    ts_status status = ts_checkpoint_load_weights(run, true, &checkpoint);
    ts_checkpoint_release(&checkpoint);
    return status;
}

/* The run of its own that a network for one T has. */
static ts_status open_own(ts_sweep *s, double T)
{
    char text[32], setting[64], name[64], *dir = NULL, *path = NULL;
    ts_config *config = NULL;
    ts_T_text(T, text);
    snprintf(setting, sizeof setting, "train.T=%.17g", T);
    snprintf(name, sizeof name, "train_T%s", text);
    const char *overrides[] = {setting};
    if (asprintf(&dir, "%s/T%s", s->dir, text) < 0)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    path = ts_run_path(s->run, "config.yaml");
    ts_status status =
        path ? ts_config_load(path, overrides, 1, &config) : ts_error(TS_NO_MEMORY, "sweep: no memory");
    const ts_run_options options = {.borrowed_device = s->run->device, .borrowed_dataset = s->run->dataset};
    ts_run_close(s->own);
    s->own = NULL;
    if (!status)
        status = ts_run_create(dir, config, true, &options, &s->own);
    if (!status) {
        s->own_T = T;
        status = ts_sweep_train(s, s->own, name);
    }
    free(path);
    free(dir);
    return status;
}

bool ts_sweep_is_per_T(const ts_sweep *s, int score)
{
    return s->config->sweep.network == TS_NETWORK_PER_T && ts_scores[s->results->scores[score]].trained;
}

ts_status ts_sweep_view(ts_sweep *s, int score, double T, ts_run *view)
{
    *view = *s->run;
    if (!ts_scores[s->results->scores[score]].trained) {
        view->config = &s->exact_config;
        if (s->exact)
            view->model = s->exact;
        return NULL;
    }
    if (!ts_sweep_is_per_T(s, score))
        return NULL;
    if (!s->own || s->own_T != T) {
        char phase[sizeof s->phase];
        strcpy(phase, s->phase);
        TS_TRY(open_own(s, T));
        strcpy(s->phase, phase);
    }
    view->model = s->own->model;
    return NULL;
}
