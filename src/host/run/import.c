#include "run/import.h"

#include <string.h>

#include "run/checkpoint.h"
#include "run/state.h"

static ts_status nothing_left(const ts_safetensors *file)
{
    for (int i = 0; i < ts_safetensors_count(file); i++) {
        const ts_safetensors_info *info = ts_safetensors_at(file, i);
        if (!info->read && strcmp(info->name, "sigmas"))
            return ts_error(TS_INVALID, "%s: tensor %s is none of this network's: does CONFIG describe it?",
                            ts_safetensors_path(file), info->name);
    }
    return NULL;
}

ts_status ts_import(ts_run *run, const char *path)
{
    ts_safetensors *file;
    if (!run->model->params)
        return ts_error(TS_INVALID, "model.kind %s has no weights to import",
                        ts_model_kind_words.word[run->config->model.kind]);
    TS_TRY(ts_safetensors_open(path, &file));
    ts_status status = ts_state_read_weights(file, run->model->params, false);
    if (!status)
        status = nothing_left(file);
    ts_safetensors_close(file);
    TS_TRY(status);
    TS_TRY(ts_params_enable_training(run->model->params)); /* averages begin as the values */
    const ts_checkpoint checkpoint = {.T = run->config->train.T, .t_min = run->config->train.eps};
    return ts_checkpoint_save(run, &checkpoint);
}
