#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "base/safetensors.h"
#include "base/utf8.h"
#include "data/images/sets.h"

/* What decoding makes of a picture has changed when this does. */
#define DECODER "1"

ts_status ts_cache_path(const char *folder, const ts_images_options *options, char **path)
{
    char *whole = realpath(folder, NULL);
    if (!whole)
        return ts_error(TS_NO_MEMORY, "%s: no memory for its path", folder);
    const int parameters[] = {options->crop, options->resize, options->filter, options->channels};
    const uLong checksum = crc32_z(crc32_z(0, (const Bytef *)whole, strlen(whole)), (const Bytef *)parameters,
                                   sizeof parameters);
    char *slash = strrchr(whole, '/');
    const char *const name = slash[1] ? slash + 1 : "root";
    const char *const within = *options->cache ? options->cache : whole;
    *slash = 0; /* `whole` is the folder above */
    const int length = asprintf(path, "%s/%s-%08lx.pictures.safetensors", within, name, checksum);
    free(whole);
    return length < 0 ? ts_error(TS_NO_MEMORY, "%s: no memory for a path", folder) : NULL;
}

static void checksum_text(uint64_t checksum, char text[17])
{
    snprintf(text, 17, "%016" PRIx64, checksum);
}

/* Over what the file must give back: shape, classes, bytes, labels. */
static uint64_t checksum_of(const ts_image_set *set)
{
    const int64_t shape[] = {set->count, set->h, set->w, set->c, set->classes, set->names};
    uLong checksum = crc32_z(0, (const Bytef *)shape, sizeof shape);
    checksum = crc32_z(checksum, set->bytes, (size_t)set->count * ts_image_bytes(set));
    if (set->labels)
        checksum = crc32_z(checksum, (const Bytef *)set->labels, (size_t)set->count * sizeof *set->labels);
    return checksum;
}

/* ---- reading ---- */

static ts_status damaged(const ts_safetensors *file, const char *what)
{
    return ts_error(TS_FORMAT, "%s: damaged: %s", ts_safetensors_path(file), what);
}

static ts_status read_images(ts_safetensors *file, const char *folder, ts_image_set *set)
{
    const int index = ts_safetensors_find(file, "images");
    const ts_safetensors_info *info = index < 0 ? NULL : ts_safetensors_at(file, index);
    if (!info || info->type != TS_ST_U8 || info->rank != 4 || !info->count || info->shape[1] > INT_MAX ||
        info->shape[2] > INT_MAX || info->shape[3] > 3)
        return damaged(file, "it has no images [n,h,w,c]");
    TS_TRY(ts_image_set_make(folder, info->shape[0], (int)info->shape[1], (int)info->shape[2],
                             (int)info->shape[3], set));
    return ts_safetensors_read(file, "images", TS_ST_U8, 4, info->shape, set->bytes);
}

static ts_status read_labels(ts_safetensors *file, ts_image_set *set)
{
    const char *classes = ts_safetensors_metadata(file, "classes");
    if (!classes || sscanf(classes, "%d %" SCNu32, &set->classes, &set->names) != 2 || set->classes < 0)
        return damaged(file, "it does not say how many classes there are");
    if (!set->classes)
        return NULL;
    int64_t *labels = malloc((size_t)set->count * sizeof *labels);
    set->labels = malloc((size_t)set->count * sizeof *set->labels);
    ts_status status = labels && set->labels
                           ? ts_safetensors_read(file, "labels", TS_ST_I64, 1, &set->count, labels)
                           : ts_error(TS_NO_MEMORY, "%s: no memory for labels", set->name);
    for (int64_t i = 0; !status && i < set->count; i++)
        set->labels[i] = (int32_t)labels[i]; /* the check sum knows them */
    free(labels);
    return status;
}

static ts_status read_set(ts_safetensors *file, const char *folder, uint64_t listing, ts_image_set *set,
                          FILE *notes)
{
    char text[17];
    const char *of = ts_safetensors_metadata(file, "files"),
               *decoder = ts_safetensors_metadata(file, "decoder");
    const char *checksum = ts_safetensors_metadata(file, "checksum"),
               *said = ts_safetensors_metadata(file, "notes");
    checksum_text(listing, text);
    if (!of || !decoder || !checksum || !said)
        return damaged(file, "it does not say what it is of");
    if (strcmp(of, text) != 0 || strcmp(decoder, DECODER) != 0)
        return ts_error(TS_INVALID, "%s: of other files than %s has now", ts_safetensors_path(file), folder);
    TS_TRY(read_images(file, folder, set));
    TS_TRY(read_labels(file, set));
    checksum_text(checksum_of(set), text);
    if (strcmp(checksum, text) != 0)
        return damaged(file, "its check sum is wrong");
    fputs(said, notes);
    return NULL;
}

ts_status ts_cache_load(const char *path, const char *folder, uint64_t listing, ts_image_set *set,
                        FILE *notes)
{
    ts_safetensors *file;
    TS_TRY(ts_safetensors_open(path, &file));
    ts_status status = read_set(file, folder, listing, set, notes);
    ts_safetensors_close(file);
    if (status)
        ts_image_set_release(set);
    return status;
}

/* ---- writing ---- */

static ts_status append_labels(ts_safetensors_writer *writer, const ts_image_set *set)
{
    int64_t *labels = malloc((size_t)set->count * sizeof *labels);
    if (!labels)
        return ts_error(TS_NO_MEMORY, "%s: no memory for labels", set->name);
    for (int64_t i = 0; i < set->count; i++)
        labels[i] = set->labels[i];
    ts_status status = ts_safetensors_append(writer, labels, (size_t)set->count * sizeof *labels);
    free(labels);
    return status;
}

/* Names that are not UTF-8 cannot stand in the file. */
static char *in_utf8(const char *notes)
{
    char *text = strdup(notes);
    if (text && !ts_is_utf8(text))
        for (char *c = text; *c; c++)
            if (*c & 0x80)
                *c = '?';
    return text;
}

static ts_status append(ts_safetensors_writer *writer, const ts_image_set *set)
{
    TS_TRY(ts_safetensors_append(writer, set->bytes, (size_t)set->count * ts_image_bytes(set)));
    return set->labels ? append_labels(writer, set) : NULL;
}

ts_status ts_cache_store(const char *path, uint64_t listing, const ts_image_set *set, const char *notes)
{
    char files[17], checksum[17], classes[32];
    char *said = in_utf8(notes);
    ts_safetensors_writer *writer;
    if (!said)
        return ts_error(TS_NO_MEMORY, "%s: no memory", path);
    ts_status status = ts_safetensors_create(path, &writer);
    if (!status) {
        checksum_text(listing, files);
        checksum_text(checksum_of(set), checksum);
        snprintf(classes, sizeof classes, "%d %" PRIu32, set->classes, set->names);
        ts_safetensors_declare_metadata(writer, "files", files);
        ts_safetensors_declare_metadata(writer, "decoder", DECODER);
        ts_safetensors_declare_metadata(writer, "checksum", checksum);
        ts_safetensors_declare_metadata(writer, "classes", classes);
        ts_safetensors_declare_metadata(writer, "notes", said);
        ts_safetensors_declare(writer, "images", TS_ST_U8, 4,
                               (int64_t[]){set->count, set->h, set->w, set->c});
        if (set->labels)
            ts_safetensors_declare(writer, "labels", TS_ST_I64, 1, &set->count);
        status = append(writer, set);
        if (status)
            ts_safetensors_abandon(writer);
        else
            status = ts_safetensors_commit(writer);
    }
    free(said);
    return status;
}
