#include "run/exchange/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "run/checkpoint.h"
#include "run/state.h"

#define WRAPPED "module."

static void name_of(const ts_param_info *info, const char *prefix, char name[TS_STATE_NAME])
{
    snprintf(name, TS_STATE_NAME, "%s%s", prefix, info->name);
}

/* What stands in front of the file's names: WRAPPED or nothing. */
static const char *prefix_of(const ts_safetensors *file, const ts_params *params)
{
    char name[TS_STATE_NAME];
    name_of(ts_params_info(params, 0), WRAPPED, name);
    return ts_safetensors_find(file, name) >= 0 ? WRAPPED : "";
}

static ts_status read_weights(ts_safetensors *file, ts_params *params, const char *prefix)
{
    char name[TS_STATE_NAME];
    float *scratch;
    ts_status status = NULL;
    TS_TRY(ts_params_scratch(params, &scratch));
    for (ts_param p = 0; p < ts_params_table_size(params); p++) {
        const ts_param_info *info = ts_params_info(params, p);
        name_of(info, prefix, name);
        TS_GOTO(ts_safetensors_read(file, name, TS_ST_F32, info->rank, info->shape, scratch), done);
        TS_GOTO(ts_params_set(params, p, TS_BUFFER_VALUE, scratch), done);
    }
done:
    free(scratch);
    return status;
}

static ts_status nothing_left(const ts_safetensors *file, const char *prefix)
{
    for (int i = 0; i < ts_safetensors_count(file); i++) {
        const ts_safetensors_info *info = ts_safetensors_at(file, i);
        const size_t length = strlen(prefix);
        const bool sigmas = !strncmp(info->name, prefix, length) && !strcmp(info->name + length, "sigmas");
        if (!info->read && !sigmas)
            return ts_error(TS_INVALID, "%s: tensor %s is none of this network's: does CONFIG describe it?",
                            ts_safetensors_path(file), info->name);
    }
    return NULL;
}

static ts_status read_file(ts_safetensors *file, ts_params *params)
{
    const char *prefix = prefix_of(file, params);
    TS_TRY(read_weights(file, params, prefix));
    return nothing_left(file, prefix);
}

ts_status ts_import(ts_run *run, const char *path)
{
    ts_safetensors *file;
    if (!run->model->params)
        return ts_error(TS_INVALID, "model.kind %s has no weights to import",
                        ts_model_kind_words.word[run->config->model.kind]);
    if (ts_file_kind_of(path) == TS_FILE_PYTORCH)
        return ts_error(TS_INVALID,
                        "%s: a file of PyTorch's: tools/import_checkpoint.py %s CONFIG --out RUN imports it",
                        path, path);
    TS_TRY(ts_safetensors_open(path, &file));
    ts_status status = read_file(file, run->model->params);
    ts_safetensors_close(file);
    TS_TRY(status);
    TS_TRY(ts_params_enable_training(run->model->params)); /* averages begin as the values */
    const ts_checkpoint checkpoint = {.T = run->reach, .t_min = run->config->train.eps, .imported = true};
    return ts_checkpoint_save(run, &checkpoint);
}
