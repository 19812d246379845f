#include "data/images/listing.h"

#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <zlib.h>

void ts_listing_release(ts_listing *listing)
{
    for (int64_t i = 0; i < listing->count; i++)
        free(listing->files[i].path);
    free(listing->files);
    *listing = (ts_listing){.count = 0};
}

/* The length of a path without its end; 0 where the end is not that of a picture. */
static size_t stem(const char *path)
{
    static const char *const ends[] = {".png", ".jpg", ".jpeg"};
    const size_t length = strlen(path);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const size_t end = strlen(ends[i]);
        if (length > end && !strcasecmp(path + length - end, ends[i]))
            return length - end;
    }
    return 0;
}

static ts_status append(ts_listing *listing, int64_t *room, const char *path, const struct stat *about)
{
    if (listing->count == *room) {
        const int64_t larger = *room ? 2 * *room : 1024;
        ts_picture_file *files = realloc(listing->files, (size_t)larger * sizeof *files);
        if (!files)
            return ts_error(TS_NO_MEMORY, "no memory for a list of %lld files", (long long)larger);
        listing->files = files;
        *room = larger;
    }
    ts_picture_file *file = &listing->files[listing->count];
    *file =
        (ts_picture_file){.path = strdup(path),
                          .bytes = about->st_size,
                          .changed = about->st_mtim.tv_sec * INT64_C(1000000000) + about->st_mtim.tv_nsec};
    if (!file->path)
        return ts_error(TS_NO_MEMORY, "no memory for a list of files");
    listing->count++;
    return NULL;
}

/* All entries; their paths begin `root` characters behind the beginning.  A link to nothing is a file that
 * cannot be read. */
static ts_status walk(FTS *tree, size_t root, ts_listing *listing)
{
    int64_t room = 0;
    FTSENT *entry;
    while ((errno = 0, entry = fts_read(tree))) {
        const bool file = entry->fts_info == FTS_F || entry->fts_info == FTS_SLNONE;
        if (entry->fts_info == FTS_D && entry->fts_level > 0 && *entry->fts_name == '.')
            fts_set(tree, entry, FTS_SKIP);
        else if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS)
            return ts_error(TS_IO, "%s: %s", entry->fts_path, strerror(entry->fts_errno));
        else if (entry->fts_info == FTS_DC)
            return ts_error(TS_INVALID, "%s: a link to a folder that it lies in", entry->fts_path);
        else if (file && *entry->fts_name != '.' && stem(entry->fts_name))
            TS_TRY(append(listing, &room, entry->fts_path + root, entry->fts_statp));
    }
    return errno ? ts_error(errno == ENOMEM ? TS_NO_MEMORY : TS_IO, "cannot list the folder: %s",
                            strerror(errno))
                 : NULL;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const ts_picture_file *)a)->path, ((const ts_picture_file *)b)->path);
}

/* Names that differ in their ends alone stand beside each other, or others of that beginning between them. */
static ts_status check_names(const char *folder, const ts_listing *listing)
{
    for (int64_t i = 0; i < listing->count; i++) {
        const char *path = listing->files[i].path;
        const size_t length = stem(path);
        for (int64_t j = i + 1; j < listing->count; j++) {
            const char *other = listing->files[j].path;
            if (strncmp(path, other, length + 1) != 0) /* with the point */
                break;
            if (stem(other) == length)
                return ts_error(TS_INVALID, "%s: %s and %s: one picture twice by its name; remove one",
                                folder, path, other);
        }
    }
    return NULL;
}

/* Labels, where every file lies in a folder of its class. */
static void find_classes(ts_listing *listing)
{
    int classes = 0;
    uLong names = 0;
    for (int64_t i = 0; i < listing->count; i++) {
        ts_picture_file *file = &listing->files[i];
        const char *slash = strchr(file->path, '/');
        if (!slash || strchr(slash + 1, '/'))
            return;
        const size_t length = (size_t)(slash - file->path) + 1;
        if (!i || strncmp(file->path, listing->files[i - 1].path, length) != 0) {
            names = crc32_z(names, (const Bytef *)file->path, length);
            classes++;
        }
        file->label = classes - 1;
    }
    listing->classes = classes > 1 ? classes : 0;
    listing->names = classes > 1 ? (uint32_t)names : 0;
}

ts_status ts_listing_make(const char *folder, ts_listing *listing)
{
    *listing = (ts_listing){.count = 0};
    const size_t length = strlen(folder);
    char *const roots[] = {(char *)folder, NULL};
    FTS *tree = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, NULL);
    if (!tree)
        return ts_error(errno == ENOMEM ? TS_NO_MEMORY : TS_IO, "%s: %s", folder, strerror(errno));
    ts_status status = walk(tree, length + (folder[length - 1] != '/'), listing);
    fts_close(tree);
    if (!status && !listing->count)
        status =
            ts_error(TS_NOT_FOUND, "%s: holds no pictures: no file named *.png, *.jpg or *.jpeg", folder);
    if (!status) {
        qsort(listing->files, (size_t)listing->count, sizeof *listing->files, by_path);
        status = check_names(folder, listing);
        find_classes(listing);
    }
    if (status)
        ts_listing_release(listing);
    return status;
}

uint64_t ts_listing_checksum(const ts_listing *listing)
{
    uLong names = 0, states = 0;
    for (int64_t i = 0; i < listing->count; i++) {
        const ts_picture_file *file = &listing->files[i];
        const int64_t state[] = {file->bytes, file->changed};
        names = crc32_z(names, (const Bytef *)file->path, strlen(file->path) + 1);
        states = crc32_z(states, (const Bytef *)state, sizeof state);
    }
    return (uint64_t)names << 32 | states;
}
