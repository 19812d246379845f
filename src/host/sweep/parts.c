/* Finished parts of a sweep on disk. */
#include "sweep/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ts_sweep_part_begin(ts_sweep *sweep, const char *format, ...)
{
    const int length =
        snprintf(sweep->phase, sizeof sweep->phase, "[%d/%d] ",
                 sweep->part < sweep->part_count ? sweep->part + 1 : sweep->part_count, sweep->part_count);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sweep->phase + length, sizeof sweep->phase - (size_t)length, format, arguments);
    va_end(arguments);
    sweep->part++;
}

/* ---- fingerprints ---- */

/* FNV-1a: tells configurations apart; nobody tries to make two collide. */
static void mix(uint64_t *hash, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        *hash = (*hash ^ (unsigned char)text[i]) * 0x100000001B3u;
}

/* A section of the resolved configuration: from "NAME:" at the start of a line to the next line that begins
 * with neither a space nor a comment. */
static void mix_section(uint64_t *hash, const char *text, const char *name, size_t length)
{
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += line != text; /* past the newline */
        if (strncmp(line, name, length) != 0 || line[length] != ':')
            continue;
        const char *end = strchr(line, '\n');
        while (end && (end[1] == ' ' || end[1] == '#'))
            end = strchr(end + 1, '\n');
        mix(hash, line, end ? (size_t)(end - line) : strlen(line));
        return;
    }
}

void ts_sweep_fingerprint(const ts_sweep *sweep, const char *sections, const char *more, char fingerprint[17])
{
    uint64_t hash = 0xCBF29CE484222325u;
    char seed[32];
    for (const char *name = sections; *name;) {
        const size_t length = strcspn(name, " ");
        mix_section(&hash, sweep->config_text, name, length);
        name += length + strspn(name + length, " ");
    }
    snprintf(seed, sizeof seed, "seed %d ", sweep->config->run.seed);
    mix(&hash, seed, strlen(seed));
    mix(&hash, more, strlen(more));
    snprintf(fingerprint, 17, "%016llx", (unsigned long long)hash);
}

/* ---- files ---- */

static ts_status path_of(const ts_sweep *sweep, const char *folder, const char *name, char **path)
{
    if (asprintf(path, "%s/%s/%s.safetensors", sweep->dir, folder, name) < 0)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    return NULL;
}

static ts_status read_tensors(ts_safetensors *file, const char *fingerprint, const ts_part_tensor *tensors,
                              int count, bool *found)
{
    const char *stored = ts_safetensors_metadata(file, "fingerprint");
    if (!stored || strcmp(stored, fingerprint) != 0)
        return NULL;
    for (int i = 0; i < count; i++)
        TS_TRY(ts_safetensors_read(file, tensors[i].name, tensors[i].type, tensors[i].rank, tensors[i].shape,
                                   tensors[i].values));
    *found = true;
    return NULL;
}

ts_status ts_sweep_part_load(const ts_sweep *sweep, const char *folder, const char *name,
                             const char *fingerprint, const ts_part_tensor *tensors, int count, bool *found)
{
    char *path;
    ts_safetensors *file = NULL;
    *found = false;
    TS_TRY(path_of(sweep, folder, name, &path));
    ts_status status = ts_safetensors_open(path, &file);
    if (!status)
        status = read_tensors(file, fingerprint, tensors, count, found);
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

ts_status ts_sweep_part_save(const ts_sweep *sweep, const char *folder, const char *name,
                             const char *fingerprint, const ts_part_tensor *tensors, int count)
{
    char *path;
    ts_safetensors_writer *writer = NULL;
    TS_TRY(path_of(sweep, folder, name, &path));
    ts_status status = ts_safetensors_create(path, &writer);
    if (!status) {
        ts_safetensors_declare_metadata(writer, "fingerprint", fingerprint);
        for (int i = 0; i < count; i++)
            ts_safetensors_declare(writer, tensors[i].name, tensors[i].type, tensors[i].rank,
                                   tensors[i].shape);
    }
    for (int i = 0; i < count && !status; i++) {
        size_t bytes = tensors[i].type == TS_ST_F32 ? 4 : 8;
        for (int k = 0; k < tensors[i].rank; k++)
            bytes *= (size_t)tensors[i].shape[k];
        status = ts_safetensors_append(writer, tensors[i].values, bytes);
    }
    if (!status)
        status = ts_safetensors_commit(writer);
    else
        ts_safetensors_abandon(writer);
    free(path);
    return status;
}
