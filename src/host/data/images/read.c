/* A path to pictures, whatever is there. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "data/images/sets.h"

void ts_image_set_release(ts_image_set *set)
{
    free(set->bytes);
    free(set->labels);
    *set = (ts_image_set){.count = 0};
}

ts_status ts_image_set_make(const char *name, int64_t count, int h, int w, int c, ts_image_set *set)
{
    *set = (ts_image_set){.h = h, .w = w, .c = c, .count = count};
    snprintf(set->name, sizeof set->name, "%s", name);
    size_t bytes;
    if (__builtin_mul_overflow((size_t)count, ts_image_bytes(set), &bytes) || !(set->bytes = malloc(bytes)))
        return ts_error(TS_NO_MEMORY, "%s: no memory for %lld images %dx%dx%d", name, (long long)count, h, w,
                        c);
    return NULL;
}

/* ---- what was converted ---- */

void ts_conversions_count(unsigned conversions, ts_conversion_counts *counts)
{
    for (int i = 0; i < TS_CONVERSION_COUNT; i++)
        counts->of[i] += conversions >> i & 1;
}

void ts_conversions_note(const char *name, const ts_conversion_counts *counts, int64_t of, FILE *notes)
{
    static const char *const texts[] = {
#define X(conversion, text) [conversion] = text,
        TS_CONVERSIONS(X)
#undef X
    };
    for (int i = 0; i < TS_CONVERSION_COUNT; i++)
        if (counts->of[i])
            fprintf(notes, "%s: %lld of %lld pictures %s %s\n", name, (long long)counts->of[i], (long long)of,
                    counts->of[i] == 1 ? "is" : "are", texts[i]);
}

ts_status ts_picture_prepare(const char *name, const ts_images_options *options, ts_picture *picture)
{
    if (options->channels == 1)
        TS_TRY(ts_picture_channels(name, 1, picture));
    return ts_picture_fit(name, options, picture);
}

/* ---- with a cache ---- */

/* The cache, if it is of these files; a damaged one is told of. */
static ts_status from_cache(const char *path, const char *folder, uint64_t listing, FILE *notes,
                            ts_image_set *set, bool *found)
{
    ts_status status = ts_cache_load(path, folder, listing, set, notes);
    *found = !status;
    if (ts_status_code(status) == TS_NO_MEMORY)
        return status;
    if (status && ts_status_code(status) != TS_NOT_FOUND)
        fprintf(notes, "%s; it is made anew\n", ts_status_message(status));
    ts_status_free(status);
    return NULL;
}

/* Decodes, and keeps what came out; where it cannot be kept, goes on without. */
static ts_status decode_and_keep(const char *cache, const char *folder, const ts_listing *listing,
                                 uint64_t files, const ts_images_options *options, FILE *notes,
                                 ts_image_set *set)
{
    ts_text text;
    char *said;
    TS_TRY(ts_text_open(&text));
    ts_status status = ts_folder_decode(folder, listing, options, text.out, set);
    if (status) {
        ts_text_abandon(&text);
        return status;
    }
    TS_TRY(ts_text_finish(&text, &said, NULL));
    fputs(said, notes);
    status = ts_cache_store(cache, files, set, said);
    if (status)
        fprintf(notes, "%s; the pictures are decoded again next time\n", ts_status_message(status));
    ts_status_free(status);
    free(said);
    return NULL;
}

static ts_status read_listed(const char *folder, const ts_listing *listing, const ts_images_options *options,
                             FILE *notes, ts_image_set *set)
{
    if (!options->cache)
        return ts_folder_decode(folder, listing, options, notes, set);
    char *cache;
    bool found;
    const uint64_t files = ts_listing_checksum(listing);
    TS_TRY(ts_cache_path(folder, options, &cache));
    ts_status status = from_cache(cache, folder, files, notes, set, &found);
    if (!status && !found)
        status = decode_and_keep(cache, folder, listing, files, options, notes, set);
    free(cache);
    return status;
}

static ts_status read_folder(const char *folder, const ts_images_options *options, FILE *notes,
                             ts_image_set *set)
{
    ts_listing listing;
    TS_TRY(ts_listing_make(folder, &listing));
    ts_status status = read_listed(folder, &listing, options, notes, set);
    ts_listing_release(&listing);
    return status;
}

/* ---- any path ---- */

static ts_status read_path(const char *path, const char *member, const ts_images_options *options,
                           FILE *notes, ts_image_set *set)
{
    struct stat about;
    if (stat(path, &about))
        return ts_error(errno == ENOENT ? TS_NOT_FOUND : TS_IO, "%s: %s", path, strerror(errno));
    if (S_ISDIR(about.st_mode))
        return read_folder(path, options, notes, set);
    if (ts_ends_with(path, ".npy") || ts_ends_with(path, ".npz"))
        return ts_array_read(path, member, options, notes, set);
    return ts_error(TS_INVALID, "%s: neither a folder of pictures nor a file .npy or .npz", path);
}

/* Names of files, and what a cache says, do nothing to a terminal. */
static void tell(const ts_images_options *options, char *said)
{
    char *rest = NULL;
    for (char *line = strtok_r(said, "\n", &rest); line && options->warn;
         line = strtok_r(NULL, "\n", &rest)) {
        for (char *c = line; *c; c++)
            if ((unsigned char)*c < ' ' || *c == 0x7f)
                *c = ' ';
        options->warn(options->context, line);
    }
}

ts_status ts_images_read_member(const char *path, const char *member, const ts_images_options *options,
                                ts_image_set *set)
{
    ts_text text;
    char *said;
    *set = (ts_image_set){.count = 0};
    TS_TRY(ts_text_open(&text));
    ts_status status = read_path(path, member, options, text.out, set);
    if (status) {
        ts_text_abandon(&text);
        ts_image_set_release(set);
        return status;
    }
    TS_TRY(ts_text_finish(&text, &said, NULL));
    tell(options, said);
    free(said);
    return NULL;
}

ts_status ts_images_read(const char *path, const ts_images_options *options, ts_image_set *set)
{
    return ts_images_read_member(path, NULL, options, set);
}
