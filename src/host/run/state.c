#include "run/state.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/decimal.h"

/* What a state is made of, and what stands before a parameter's name. */
static const struct {
    ts_param_buffer buffer;
    const char *prefix;
} parts[] = {{TS_BUFFER_VALUE, ""},
             {TS_BUFFER_EMA, "ema."},
             {TS_BUFFER_FIRST, "adam.first."},
             {TS_BUFFER_SECOND, "adam.second."}};
enum { PARTS = sizeof parts / sizeof *parts };

static bool has_part(const ts_param_info *info, int part)
{
    return info->trained || parts[part].buffer == TS_BUFFER_VALUE;
}

static void name_of(const ts_param_info *info, const char *prefix, char name[TS_STATE_NAME])
{
    snprintf(name, TS_STATE_NAME, "%s%s", prefix, info->name);
}

/* ---- writing ---- */

void ts_state_declare(ts_safetensors_writer *writer, const ts_params *params, bool training)
{
    char name[TS_STATE_NAME];
    for (int part = 0; part < (training ? PARTS : 1); part++)
        for (int p = 0; p < ts_params_table_size(params); p++) {
            const ts_param_info *info = ts_params_info(params, p);
            if (!has_part(info, part))
                continue;
            name_of(info, parts[part].prefix, name);
            ts_safetensors_declare(writer, name, TS_ST_F32, info->rank, info->shape);
        }
}

static ts_status append(ts_safetensors_writer *writer, const ts_params *params, int p, ts_param_buffer buffer,
                        float *scratch)
{
    const size_t bytes = (size_t)ts_param_elements(ts_params_info(params, p)) * sizeof *scratch;
    TS_TRY(ts_params_get(params, p, buffer, scratch));
    return ts_safetensors_append(writer, scratch, bytes);
}

ts_status ts_state_append(ts_safetensors_writer *writer, const ts_params *params)
{
    float *scratch;
    TS_TRY(ts_params_scratch(params, &scratch));
    ts_status status = NULL;
    for (int part = 0; part < PARTS; part++)
        for (int p = 0; p < ts_params_table_size(params); p++)
            if (has_part(ts_params_info(params, p), part))
                TS_GOTO(append(writer, params, p, parts[part].buffer, scratch), done);
done:
    free(scratch);
    return status;
}

/* One buffer of what is trained, and the constants. */
static ts_status append_buffer(ts_safetensors_writer *writer, const ts_params *params, ts_param_buffer buffer)
{
    float *scratch;
    TS_TRY(ts_params_scratch(params, &scratch));
    ts_status status = NULL;
    for (int p = 0; p < ts_params_table_size(params); p++) {
        const bool trained = ts_params_info(params, p)->trained;
        TS_GOTO(append(writer, params, p, trained ? buffer : TS_BUFFER_VALUE, scratch), done);
    }
done:
    free(scratch);
    return status;
}

ts_status ts_state_append_average(ts_safetensors_writer *writer, const ts_params *params)
{
    return append_buffer(writer, params, TS_BUFFER_EMA);
}

ts_status ts_state_append_values(ts_safetensors_writer *writer, const ts_params *params)
{
    return append_buffer(writer, params, TS_BUFFER_VALUE);
}

/* ---- reading ---- */

static bool same_shape(const ts_safetensors_info *stored, const ts_param_info *info)
{
    if (stored->type != TS_ST_F32 || stored->rank != info->rank)
        return false;
    for (int i = 0; i < info->rank; i++)
        if (stored->shape[i] != info->shape[i])
            return false;
    return true;
}

void ts_state_look(const ts_safetensors *file, const ts_params *params, char missing[TS_STATE_NAME],
                   int *found)
{
    *found = 0;
    for (int part = 0; part < PARTS; part++)
        for (int p = 0; p < ts_params_table_size(params); p++) {
            const ts_param_info *info = ts_params_info(params, p);
            if (!has_part(info, part))
                continue;
            name_of(info, parts[part].prefix, missing);
            const int index = ts_safetensors_find(file, missing);
            if (index < 0 || !same_shape(ts_safetensors_at(file, index), info))
                return;
            ++*found;
        }
    *missing = '\0';
}

/* The tensors `prefix`NAME into one buffer of every parameter that has it. */
static ts_status read_part(ts_safetensors *file, ts_params *params, const char *prefix, ts_param_buffer to,
                           float *scratch)
{
    char name[TS_STATE_NAME];
    for (int p = 0; p < ts_params_table_size(params); p++) {
        const ts_param_info *info = ts_params_info(params, p);
        if (!info->trained && to != TS_BUFFER_VALUE)
            continue;
        name_of(info, info->trained ? prefix : "", name);
        TS_TRY(ts_safetensors_read(file, name, TS_ST_F32, info->rank, info->shape, scratch));
        TS_TRY(ts_params_set(params, p, to, scratch));
    }
    return NULL;
}

ts_status ts_state_read(ts_safetensors *file, ts_params *params)
{
    float *scratch;
    TS_TRY(ts_params_scratch(params, &scratch));
    ts_status status = NULL;
    for (int part = 0; part < PARTS; part++)
        TS_GOTO(read_part(file, params, parts[part].prefix, parts[part].buffer, scratch), done);
done:
    free(scratch);
    return status;
}

ts_status ts_state_read_weights(ts_safetensors *file, ts_params *params, bool averaged)
{
    float *scratch;
    TS_TRY(ts_params_scratch(params, &scratch));
    ts_status status = read_part(file, params, averaged ? "ema." : "", TS_BUFFER_VALUE, scratch);
    free(scratch);
    return status;
}

/* ---- metadata ---- */

void ts_state_declare_integer(ts_safetensors_writer *writer, const char *key, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    ts_safetensors_declare_metadata(writer, key, text);
}

void ts_state_declare_real(ts_safetensors_writer *writer, const char *key, double value)
{
    char text[32];
    ts_T_text(value, text);
    ts_safetensors_declare_metadata(writer, key, text);
}

ts_status ts_state_integer(const ts_safetensors *file, const char *key, int64_t *value)
{
    const char *text = ts_safetensors_metadata(file, key);
    char *end = NULL;
    errno = 0;
    *value = text ? strtoll(text, &end, 10) : -1;
    if (!text || end == text || *end || errno || *value < 0)
        return ts_error(TS_FORMAT, "%s: its metadata lack a valid \"%s\"", ts_safetensors_path(file), key);
    return NULL;
}

double ts_state_real(const ts_safetensors *file, const char *key)
{
    const char *text = ts_safetensors_metadata(file, key);
    char *end = NULL;
    const double value = text ? strtod(text, &end) : NAN;
    return text && end != text && !*end ? value : NAN;
}

void ts_state_data_text(const ts_dataset *dataset, char text[17])
{
    snprintf(text, 17, "%016" PRIx64, ts_dataset_checksum(dataset));
}

void ts_state_declare_data(ts_safetensors_writer *writer, const ts_dataset *dataset)
{
    char text[17];
    ts_state_data_text(dataset, text);
    ts_safetensors_declare_metadata(writer, "data", text);
}

const char *ts_state_other_data(const ts_safetensors *file, const ts_dataset *dataset)
{
    char text[17];
    const char *stored = ts_safetensors_metadata(file, "data");
    ts_state_data_text(dataset, text);
    /* the configuration says all of a mixture, and how many draws of it an evaluation takes may change */
    return stored && !dataset->mixture && strcmp(stored, text) ? stored : NULL;
}
