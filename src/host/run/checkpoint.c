#include "run/checkpoint.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "run/state.h"

#define FORMAT_NAME  "tstar-score"
#define PROFILE_NAME "loss_profile"

static ts_status need_network(const ts_run *run)
{
    if (run->model && run->model->params)
        return NULL;
    return ts_error(TS_INVALID, "model.kind %s has nothing to train or to load",
                    ts_model_kind_words.word[run->config->model.kind]);
}

/* ---- saving ---- */

static ts_status declare(ts_safetensors_writer *writer, const ts_run *run, const ts_checkpoint *checkpoint)
{
    char *config;
    TS_TRY(ts_config_print(run->config, NULL, &config));
    ts_safetensors_declare_metadata(writer, "format", FORMAT_NAME);
    ts_safetensors_declare_metadata(writer, "version", TSTAR_VERSION);
    ts_safetensors_declare_metadata(writer, "kind", ts_model_kind_words.word[run->config->model.kind]);
    ts_safetensors_declare_metadata(writer, "config", config);
    ts_state_declare_data(writer, run->dataset);
    ts_state_declare_integer(writer, "step", checkpoint->step);
    ts_state_declare_integer(writer, "skipped", checkpoint->skipped);
    ts_state_declare_integer(writer, "seed", run->config->run.seed);
    if (checkpoint->imported)
        ts_safetensors_declare_metadata(writer, "imported", "yes");
    ts_state_declare_real(writer, "T", checkpoint->T);
    ts_state_declare_real(writer, "t_min", checkpoint->t_min);
    if (!(run->config->train.T > 0)) {
        ts_state_declare_real(writer, "T_high", checkpoint->shortening.high);
        ts_state_declare_integer(writer, "T_below", checkpoint->shortening.below);
    }
    free(config);
    ts_state_declare(writer, run->model->params, true);
    if (checkpoint->profile)
        ts_safetensors_declare(writer, PROFILE_NAME, TS_ST_F64, 2, (int64_t[]){checkpoint->bins, 2});
    return NULL;
}

ts_status ts_checkpoint_save(const ts_run *run, const ts_checkpoint *checkpoint)
{
    TS_TRY(need_network(run));
    ts_safetensors_writer *writer = NULL;
    ts_status status;
    char *path = ts_run_path(run, TS_CHECKPOINT_FILE);
    if (!path)
        return ts_error(TS_NO_MEMORY, "no memory for a path");
    TS_GOTO(ts_safetensors_create(path, &writer), done);
    TS_GOTO(declare(writer, run, checkpoint), done);
    TS_GOTO(ts_state_append(writer, run->model->params), done);
    if (checkpoint->profile)
        TS_GOTO(ts_safetensors_append(writer, checkpoint->profile,
                                      2 * (size_t)checkpoint->bins * sizeof *checkpoint->profile),
                done);
    status = ts_safetensors_commit(writer);
    writer = NULL;
done:
    ts_safetensors_abandon(writer);
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
    *file = NULL;
    if (!run->dir)
        return ts_error(TS_NOT_FOUND,
                        "a trained network is needed: give a run directory, not a configuration "
                        "(tstar train makes one)");
    char *path = ts_run_path(run, TS_CHECKPOINT_FILE);
    if (!path)
        return ts_error(TS_NO_MEMORY, "no memory for a path");
    ts_status status = access(path, F_OK)
                           ? ts_error(TS_NOT_FOUND, "%s: no checkpoint; tstar train makes one", path)
                           : ts_safetensors_open(path, file);
    free(path);
    return status;
}

/* T or t_min. */
static ts_status read_time(const ts_safetensors *file, const char *key, double *value)
{
    *value = ts_state_real(file, key);
    if (!(*value > 0 && *value <= 1))
        return ts_error(TS_FORMAT, "%s: its metadata lack a valid \"%s\"", ts_safetensors_path(file), key);
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

/* What there is with train.T auto alone. */
static ts_status read_shortening(const ts_run *run, const ts_safetensors *file, ts_checkpoint *checkpoint)
{
    ts_shortening *s = &checkpoint->shortening;
    if (run->stored->train.T > 0)
        return NULL;
    TS_TRY(ts_state_integer(file, "T_below", &s->below));
    s->high = ts_state_real(file, "T_high");
    if (!(s->high >= 0 && s->high <= 1))
        return ts_error(TS_FORMAT, "%s: its metadata lack a valid \"T_high\"", ts_safetensors_path(file));
    return NULL;
}

static ts_status read_header(const ts_run *run, const ts_safetensors *file, ts_checkpoint *checkpoint)
{
    const char *format = ts_safetensors_metadata(file, "format");
    if (!format || strcmp(format, FORMAT_NAME))
        return ts_error(
            TS_FORMAT,
            "%s: not a checkpoint of a score network: its metadata say format \"%s\" (weights of elsewhere become a run by tstar import)",
            ts_safetensors_path(file), format ? format : "");
    int64_t seed;
    TS_TRY(ts_checkpoint_same_config(run, file, NULL));
    TS_TRY(ts_state_integer(file, "seed", &seed));
    if (seed != run->stored->run.seed)
        return ts_error(TS_FORMAT, "%s: its metadata say seed %" PRId64 " and, in the configuration, %d",
                        ts_safetensors_path(file), seed, run->stored->run.seed);
    checkpoint->imported = ts_safetensors_metadata(file, "imported") != NULL;
    TS_TRY(ts_state_integer(file, "step", &checkpoint->step));
    TS_TRY(read_time(file, "T", &checkpoint->T));
    TS_TRY(read_time(file, "t_min", &checkpoint->t_min));
    TS_TRY(read_shortening(run, file, checkpoint));
    return ts_state_integer(file, "skipped", &checkpoint->skipped);
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

static ts_status check_tensors(const ts_run *run, const ts_safetensors *file)
{
    char missing[TS_STATE_NAME];
    int known;
    ts_state_look(file, run->model->params, missing, &known);
    if (*missing)
        return ts_error(TS_INVALID,
                        "a checkpoint of another architecture: %s: tensor %s is missing or of another shape",
                        ts_safetensors_path(file), missing);
    known += ts_safetensors_find(file, PROFILE_NAME) >= 0;
    if (known != ts_safetensors_count(file))
        return ts_error(TS_INVALID,
                        "a checkpoint of another architecture: %s: %d tensors are not of this model",
                        ts_safetensors_path(file), ts_safetensors_count(file) - known);
    return NULL;
}

static ts_status check_data(const ts_run *run, const ts_safetensors *file)
{
    char own[17];
    const char *stored = ts_state_other_data(file, run->dataset);
    if (!stored)
        return NULL;
    ts_state_data_text(run->dataset, own);
    return ts_error(TS_INVALID,
                    "%s: was trained on other data (checksum %s) than this run now has (%s): "
                    "bring those back, or make another run",
                    ts_safetensors_path(file), stored, own);
}

ts_status ts_checkpoint_check_data(const ts_run *run)
{
    ts_safetensors *file;
    if (!ts_checkpoint_exists(run))
        return NULL;
    ts_status status = open_checkpoint(run, &file);
    if (ts_status_code(status) == TS_FORMAT) { /* whoever needs what is damaged there will say so */
        ts_status_free(status);
        return NULL;
    }
    TS_TRY(status);
    status = check_data(run, file);
    ts_safetensors_close(file);
    return status;
}

ts_status ts_checkpoint_check(const ts_run *run)
{
    ts_checkpoint header;
    ts_safetensors *file;
    ts_status status;
    TS_TRY(need_network(run));
    TS_TRY(open_checkpoint(run, &file));
    TS_GOTO(read_header(run, file, &header), done);
    TS_GOTO(check_data(run, file), done);
    status = check_tensors(run, file);
done:
    ts_safetensors_close(file);
    return status;
}

ts_status ts_checkpoint_load(ts_run *run, ts_checkpoint *checkpoint)
{
    *checkpoint = (ts_checkpoint){0};
    ts_safetensors *file;
    ts_status status;
    TS_TRY(need_network(run));
    TS_TRY(open_checkpoint(run, &file));
    TS_GOTO(read_header(run, file, checkpoint), done);
    TS_GOTO(check_data(run, file), done);
    TS_GOTO(ts_params_enable_training(run->model->params), done);
    TS_GOTO(ts_context(ts_state_read(file, run->model->params), "a checkpoint of another architecture"),
            done);
    TS_GOTO(read_profile(file, checkpoint), done);
    TS_GOTO(nothing_left(file), done);
    run->reach = checkpoint->T;
done:
    if (status)
        ts_checkpoint_release(checkpoint);
    ts_safetensors_close(file);
    return status;
}

ts_status ts_checkpoint_load_weights(ts_run *run, bool ema, ts_checkpoint *checkpoint)
{
    *checkpoint = (ts_checkpoint){0};
    ts_safetensors *file;
    ts_status status;
    TS_TRY(need_network(run));
    TS_TRY(open_checkpoint(run, &file));
    TS_GOTO(read_header(run, file, checkpoint), done);
    TS_GOTO(ts_context(ts_state_read_weights(file, run->model->params, ema),
                       "a checkpoint of another architecture"),
            done);
    TS_GOTO(read_profile(file, checkpoint), done);
    run->reach = checkpoint->T;
done:
    if (status)
        ts_checkpoint_release(checkpoint);
    ts_safetensors_close(file);
    return status;
}

void ts_checkpoint_release(ts_checkpoint *checkpoint)
{
    free(checkpoint->profile);
    *checkpoint = (ts_checkpoint){0};
}
