/* Finished parts of a sweep on disk. */
#include "sweep/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "run/state.h"

/* ---- what a part depends on ---- */

enum { MOST_SECTIONS = 1024 }; /* far more than all of them, once for each start, take */

static void sections_of(const ts_part_file *part, char sections[MOST_SECTIONS])
{
    snprintf(sections, MOST_SECTIONS, "run data sde %s", part->sections);
}

static bool says(const ts_safetensors *file, const char *key, const char *text)
{
    const char *stored = ts_safetensors_metadata(file, key);
    return stored && !strcmp(stored, text);
}

static ts_status is_same(const ts_sweep *sweep, const ts_part_file *part, const ts_safetensors *file,
                         bool *same)
{
    char checksum[17], sections[MOST_SECTIONS];
    const char *text = ts_safetensors_metadata(file, "config");
    ts_config *config;
    ts_config_difference difference;
    ts_state_data_text(sweep->run->dataset, checksum);
    sections_of(part, sections);
    *same = false;
    if (!text || !says(file, "data", checksum) || !says(file, "inputs", part->inputs))
        return NULL;
    TS_TRY(ts_config_parse(text, ts_safetensors_path(file), &config));
    ts_status status = ts_config_compare(config, sweep->config, TS_USE_RESULT, sections, &difference);
    ts_config_free(config);
    *same = !status && !difference.key;
    return status;
}

static ts_status declare(const ts_sweep *sweep, const ts_part_file *part, ts_safetensors_writer *writer)
{
    char sections[MOST_SECTIONS], *config;
    sections_of(part, sections);
    TS_TRY(ts_config_print(sweep->config, sections, &config));
    ts_safetensors_declare_metadata(writer, "config", config);
    ts_state_declare_data(writer, sweep->run->dataset);
    ts_safetensors_declare_metadata(writer, "inputs", part->inputs);
    free(config);
    return NULL;
}

/* ---- files ---- */

static ts_status path_of(const ts_sweep *sweep, const ts_part_file *part, char **path)
{
    if (asprintf(path, "%s/%s/%s.safetensors", sweep->dir, part->folder, part->name) < 0)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    return NULL;
}

static ts_status read_tensors(ts_safetensors *file, const ts_part_tensor *tensors, int count)
{
    for (int i = 0; i < count; i++)
        TS_TRY(ts_safetensors_read(file, tensors[i].name, tensors[i].type, tensors[i].rank, tensors[i].shape,
                                   tensors[i].values));
    return NULL;
}

ts_status ts_part_load(const ts_sweep *sweep, const ts_part_file *part, const ts_part_tensor *tensors,
                       int count, bool *found)
{
    char *path;
    ts_safetensors *file = NULL;
    bool same = false;
    TS_TRY(path_of(sweep, part, &path));
    ts_status status = ts_safetensors_open(path, &file);
    if (!status)
        status = is_same(sweep, part, file, &same);
    if (!status && same)
        status = read_tensors(file, tensors, count);
    *found = !status && same;
    ts_safetensors_close(file);
    free(path);
    /* a part that is not there, or is not what is wanted, is made again; what else failed is an error */
    const ts_code code = ts_status_code(status);
    if (code == TS_NOT_FOUND || code == TS_FORMAT || code == TS_INVALID) {
        ts_status_free(status);
        return NULL;
    }
    return status;
}

static ts_status write_tensors(ts_safetensors_writer *writer, const ts_part_tensor *tensors, int count)
{
    for (int i = 0; i < count; i++)
        ts_safetensors_declare(writer, tensors[i].name, tensors[i].type, tensors[i].rank, tensors[i].shape);
    for (int i = 0; i < count; i++) {
        size_t bytes = tensors[i].type == TS_ST_F32 ? sizeof(float) : sizeof(double);
        for (int k = 0; k < tensors[i].rank; k++)
            bytes *= (size_t)tensors[i].shape[k];
        TS_TRY(ts_safetensors_append(writer, tensors[i].values, bytes));
    }
    return NULL;
}

ts_status ts_part_save(const ts_sweep *sweep, const ts_part_file *part, const ts_part_tensor *tensors,
                       int count)
{
    char *path;
    ts_safetensors_writer *writer = NULL;
    ts_status status;
    TS_TRY(path_of(sweep, part, &path));
    TS_GOTO(ts_safetensors_create(path, &writer), done);
    TS_GOTO(declare(sweep, part, writer), done);
    TS_GOTO(write_tensors(writer, tensors, count), done);
    status = ts_safetensors_commit(writer);
    writer = NULL;
done:
    ts_safetensors_abandon(writer);
    free(path);
    return status;
}
