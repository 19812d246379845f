#include "run/checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/decimal.h"
#include "base/file.h"
#include "base/safetensors.h"

#define FORMAT_NAME  "tstar-score"
#define PROFILE_NAME "loss_profile"

/* The buffers of a checkpoint, and what stands before a parameter's name. */
static const struct {
    ts_param_buffer buffer;
    const char *prefix;
} parts[] = {{TS_BUFFER_VALUE, ""},
             {TS_BUFFER_EMA, "ema."},
             {TS_BUFFER_FIRST, "adam.first."},
             {TS_BUFFER_SECOND, "adam.second."}};
enum { PARTS = sizeof parts / sizeof *parts, NAME_LENGTH = 128 };

/* Constants exist as values alone. */
static bool has_part(const ts_param_info *info, int part)
{
    return info->trained || parts[part].buffer == TS_BUFFER_VALUE;
}

static ts_status need_network(const ts_run *run)
{
    if (run->model && run->model->params)
        return NULL;
    return ts_error(TS_INVALID, "model.kind %s has nothing to train or to load",
                    ts_model_kind_words.word[run->config->model.kind]);
}

/* ---- saving ---- */

static void declare_integer(ts_safetensors_writer *writer, const char *key, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    ts_safetensors_declare_metadata(writer, key, text);
}

static void declare_real(ts_safetensors_writer *writer, const char *key, double value)
{
    char text[32];
    ts_T_text(value, text);
    ts_safetensors_declare_metadata(writer, key, text);
}

static ts_status declare(ts_safetensors_writer *writer, const ts_run *run, const ts_checkpoint *checkpoint)
{
    const ts_params *params = run->model->params;
    char *config, name[NAME_LENGTH];
    TS_TRY(ts_config_print(run->config, NULL, &config));
    ts_safetensors_declare_metadata(writer, "format", FORMAT_NAME);
    ts_safetensors_declare_metadata(writer, "version", TSTAR_VERSION);
    ts_safetensors_declare_metadata(writer, "kind", ts_model_kind_words.word[run->config->model.kind]);
    ts_safetensors_declare_metadata(writer, "config", config);
    declare_integer(writer, "step", checkpoint->step);
    declare_integer(writer, "skipped", checkpoint->skipped);
    declare_integer(writer, "seed", run->config->run.seed);
    declare_real(writer, "T", checkpoint->T);
    declare_real(writer, "t_min", checkpoint->t_min);
    free(config);
    for (int part = 0; part < PARTS; part++)
        for (int p = 0; p < ts_params_table_size(params); p++) {
            const ts_param_info *info = ts_params_info(params, p);
            if (!has_part(info, part))
                continue;
            snprintf(name, sizeof name, "%s%s", parts[part].prefix, info->name);
            ts_safetensors_declare(writer, name, TS_ST_F32, info->rank, info->shape);
        }
    if (checkpoint->profile)
        ts_safetensors_declare(writer, PROFILE_NAME, TS_ST_F64, 2, (int64_t[]){checkpoint->bins, 2});
    return NULL;
}

static ts_status append(ts_safetensors_writer *writer, const ts_run *run, const ts_checkpoint *checkpoint,
                        float *scratch)
{
    const ts_params *params = run->model->params;
    for (int part = 0; part < PARTS; part++)
        for (int p = 0; p < ts_params_table_size(params); p++) {
            const ts_param_info *info = ts_params_info(params, p);
            if (!has_part(info, part))
                continue;
            TS_TRY(ts_params_get(params, p, parts[part].buffer, scratch));
            TS_TRY(ts_safetensors_append(writer, scratch, (size_t)ts_param_elements(info) * sizeof(float)));
        }
    if (!checkpoint->profile)
        return NULL;
    return ts_safetensors_append(writer, checkpoint->profile,
                                 2 * (size_t)checkpoint->bins * sizeof *checkpoint->profile);
}

ts_status ts_checkpoint_save(const ts_run *run, const ts_checkpoint *checkpoint)
{
    TS_TRY(need_network(run));
    ts_safetensors_writer *writer = NULL;
    float *scratch = NULL;
    ts_status status;
    char *path = ts_run_path(run, TS_CHECKPOINT_FILE);
    if (!path)
        return ts_error(TS_NO_MEMORY, "no memory for a path");
    TS_GOTO(ts_params_scratch(run->model->params, &scratch), done);
    TS_GOTO(ts_safetensors_create(path, &writer), done);
    TS_GOTO(declare(writer, run, checkpoint), done);
    TS_GOTO(append(writer, run, checkpoint, scratch), done);
    status = ts_safetensors_commit(writer);
    writer = NULL;
done:
    ts_safetensors_abandon(writer);
    free(scratch);
    free(path);
    return status;
}

/* ---- loading ---- */

bool ts_checkpoint_exists(const ts_run *run)
{
    char *path = run->dir ? ts_run_path(run, TS_CHECKPOINT_FILE) : NULL;
    const bool exists = path && !access(path, F_OK);
    free(path);
    return exists;
}

static ts_status open_checkpoint(const ts_run *run, ts_safetensors **file)
{
    TS_TRY(need_network(run));
    char *path = run->dir ? ts_run_path(run, TS_CHECKPOINT_FILE) : NULL;
    if (!path)
        return run->dir ? ts_error(TS_NO_MEMORY, "no memory for a path")
                        : ts_error(TS_NOT_FOUND, "a trained network is needed: give a run directory, not a "
                                                 "configuration (tstar train makes one)");
    ts_status status = access(path, F_OK)
                           ? ts_error(TS_NOT_FOUND, "%s: no checkpoint; tstar train makes one", path)
                           : ts_safetensors_open(path, file);
    free(path);
    return status;
}

static ts_status read_integer(const ts_safetensors *file, const char *key, int64_t *value)
{
    const char *text = ts_safetensors_metadata(file, key);
    char *end = NULL;
    errno = 0;
    *value = text ? strtoll(text, &end, 10) : -1;
    if (!text || end == text || *end || errno || *value < 0)
        return ts_error(TS_FORMAT, "%s: not a checkpoint: its metadata lack a valid \"%s\"",
                        ts_safetensors_path(file), key);
    return NULL;
}

static ts_status read_real(const ts_safetensors *file, const char *key, double *value)
{
    const char *text = ts_safetensors_metadata(file, key);
    char *end = NULL;
    *value = text ? strtod(text, &end) : -1;
    if (!text || end == text || *end || !(*value > 0 && *value <= 1))
        return ts_error(TS_FORMAT, "%s: not a checkpoint: its metadata lack a valid \"%s\"",
                        ts_safetensors_path(file), key);
    return NULL;
}

ts_status ts_checkpoint_same_config(const ts_run *run, const ts_safetensors *file, const char *sections)
{
    const char *text = ts_safetensors_metadata(file, "config"),
               *version = ts_safetensors_metadata(file, "version"), *name = ts_safetensors_path(file);
    ts_config *config;
    ts_config_difference d;
    if (!text || !version)
        return ts_error(TS_FORMAT, "%s: its metadata lack \"%s\"", name, text ? "version" : "config");
    TS_TRY(ts_context(ts_config_parse(text, name, &config), "the configuration in the metadata, of tstar %s",
                      version));
    ts_status status = ts_config_compare(config, run->stored, TS_USE_WRITE, sections, &d);
    ts_config_free(config);
    if (!status && d.key)
        status = ts_error(TS_INVALID, "%s: is of another configuration: %s is %s there, %s in this run", name,
                          d.key, d.a, d.b);
    return status;
}

static ts_status read_header(const ts_run *run, const ts_safetensors *file, ts_checkpoint *checkpoint)
{
    const char *format = ts_safetensors_metadata(file, "format");
    if (!format || strcmp(format, FORMAT_NAME))
        return ts_error(TS_FORMAT, "%s: not a checkpoint of a score network: its metadata say format \"%s\"",
                        ts_safetensors_path(file), format ? format : "");
    int64_t seed;
    TS_TRY(ts_checkpoint_same_config(run, file, NULL));
    TS_TRY(read_integer(file, "seed", &seed));
    if (seed != run->stored->run.seed)
        return ts_error(TS_FORMAT, "%s: its metadata say seed %" PRId64 " and, in the configuration, %d",
                        ts_safetensors_path(file), seed, run->stored->run.seed);
    TS_TRY(read_integer(file, "step", &checkpoint->step));
    TS_TRY(read_real(file, "T", &checkpoint->T));
    TS_TRY(read_real(file, "t_min", &checkpoint->t_min));
    return read_integer(file, "skipped", &checkpoint->skipped);
}

/* The tensors `from`.NAME into the buffer `to` of every parameter. */
static ts_status read_part(ts_run *run, ts_safetensors *file, const char *from, ts_param_buffer to,
                           float *scratch)
{
    ts_params *params = run->model->params;
    char name[NAME_LENGTH];
    for (int p = 0; p < ts_params_table_size(params); p++) {
        const ts_param_info *info = ts_params_info(params, p);
        if (!info->trained && to != TS_BUFFER_VALUE)
            continue;
        snprintf(name, sizeof name, "%s%s", info->trained ? from : "", info->name);
        ts_status status = ts_safetensors_read(file, name, TS_ST_F32, info->rank, info->shape, scratch);
        if (status)
            return ts_context(status, "a checkpoint of another architecture");
        TS_TRY(ts_params_set(params, p, to, scratch));
    }
    return NULL;
}

/* After everything asked for has been read: what is left belongs to a larger model. */
static ts_status nothing_left(const ts_safetensors *file)
{
    for (int i = 0; i < ts_safetensors_count(file); i++)
        if (!ts_safetensors_at(file, i)->read)
            return ts_error(TS_INVALID,
                            "a checkpoint of another architecture: %s: tensor %s is not one of this model",
                            ts_safetensors_path(file), ts_safetensors_at(file, i)->name);
    return NULL;
}

static ts_status read_profile(ts_safetensors *file, ts_checkpoint *checkpoint)
{
    const int index = ts_safetensors_find(file, PROFILE_NAME);
    if (index < 0)
        return NULL;
    const ts_safetensors_info *info = ts_safetensors_at(file, index);
    if (info->rank != 2 || info->shape[0] < 1 || info->shape[0] > 1 << 20)
        return ts_error(TS_FORMAT, "%s: tensor %s is not [bins,2]", ts_safetensors_path(file), PROFILE_NAME);
    checkpoint->bins = (int)info->shape[0];
    checkpoint->profile = malloc(2 * (size_t)checkpoint->bins * sizeof(double));
    if (!checkpoint->profile)
        return ts_error(TS_NO_MEMORY, "no memory for the loss profile");
    return ts_safetensors_read(file, PROFILE_NAME, TS_ST_F64, 2, (int64_t[]){checkpoint->bins, 2},
                               checkpoint->profile);
}

static bool same_shape(const ts_safetensors_info *stored, const ts_param_info *info)
{
    if (stored->type != TS_ST_F32 || stored->rank != info->rank)
        return false;
    for (int i = 0; i < info->rank; i++)
        if (stored->shape[i] != info->shape[i])
            return false;
    return true;
}

static ts_status check_tensors(const ts_run *run, const ts_safetensors *file)
{
    const ts_params *params = run->model->params;
    char name[NAME_LENGTH];
    int known = ts_safetensors_find(file, PROFILE_NAME) >= 0;
    for (int part = 0; part < PARTS; part++)
        for (int p = 0; p < ts_params_table_size(params); p++) {
            const ts_param_info *info = ts_params_info(params, p);
            if (!has_part(info, part))
                continue;
            snprintf(name, sizeof name, "%s%s", parts[part].prefix, info->name);
            const int index = ts_safetensors_find(file, name);
            if (index < 0 || !same_shape(ts_safetensors_at(file, index), info))
                return ts_error(TS_INVALID,
                                "a checkpoint of another architecture: %s: tensor %s is missing or of "
                                "another shape",
                                ts_safetensors_path(file), name);
            known++;
        }
    if (known != ts_safetensors_count(file))
        return ts_error(TS_INVALID,
                        "a checkpoint of another architecture: %s: %d tensors are not of this model",
                        ts_safetensors_path(file), ts_safetensors_count(file) - known);
    return NULL;
}

ts_status ts_checkpoint_check(const ts_run *run)
{
    ts_checkpoint header;
    ts_safetensors *file;
    TS_TRY(open_checkpoint(run, &file));
    ts_status status = read_header(run, file, &header);
    if (!status)
        status = check_tensors(run, file);
    ts_safetensors_close(file);
    return status;
}

ts_status ts_checkpoint_load(ts_run *run, ts_checkpoint *checkpoint)
{
    *checkpoint = (ts_checkpoint){0};
    ts_safetensors *file;
    float *scratch = NULL;
    TS_TRY(open_checkpoint(run, &file));
    ts_status status;
    TS_GOTO(read_header(run, file, checkpoint), done);
    TS_GOTO(ts_params_enable_training(run->model->params), done);
    TS_GOTO(ts_params_scratch(run->model->params, &scratch), done);
    for (int part = 0; part < PARTS; part++)
        TS_GOTO(read_part(run, file, parts[part].prefix, parts[part].buffer, scratch), done);
    TS_GOTO(read_profile(file, checkpoint), done);
    status = nothing_left(file);
done:
    if (status)
        ts_checkpoint_release(checkpoint);
    free(scratch);
    ts_safetensors_close(file);
    return status;
}

ts_status ts_checkpoint_load_weights(ts_run *run, bool ema, ts_checkpoint *checkpoint)
{
    *checkpoint = (ts_checkpoint){0};
    ts_safetensors *file;
    float *scratch = NULL;
    TS_TRY(open_checkpoint(run, &file));
    ts_status status;
    TS_GOTO(read_header(run, file, checkpoint), done);
    TS_GOTO(ts_params_scratch(run->model->params, &scratch), done);
    TS_GOTO(read_part(run, file, ema ? "ema." : "", TS_BUFFER_VALUE, scratch), done);
    status = read_profile(file, checkpoint);
done:
    if (status)
        ts_checkpoint_release(checkpoint);
    free(scratch);
    ts_safetensors_close(file);
    return status;
}

void ts_checkpoint_release(ts_checkpoint *checkpoint)
{
    free(checkpoint->profile);
    *checkpoint = (ts_checkpoint){0};
}
