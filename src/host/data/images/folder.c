/* A folder of pictures, decoded on all cores. */
#include <limits.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "data/images/sets.h"

enum { MOST_FILE_BYTES = 1 << 30, MOST_NAMED = 10, LEAST_REPORTED = 500 };

typedef struct job {
    const char *folder;
    const ts_listing *listing;
    const ts_images_options *options;
    ts_image_set *set;    /* of pictures in colour, unless grey is asked for */
    char first[PATH_MAX]; /* whose size the set has */
    /* a file each */
    char **problems; /* why it cannot be decoded; NULL: it can */
    bool *grey;
    unsigned *conversions;
    /* shared by the threads */
    ts_status failure; /* of the first file with one that ends the work */
    int64_t failed;    /* its number */
    int64_t done;
} job;

static void path_of(const job *j, int64_t i, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s", j->folder, j->listing->files[i].path);
}

/* What cannot be decoded, apart from what ends the work. */
static bool is_unreadable(ts_status status)
{
    const ts_code code = ts_status_code(status);
    return code == TS_FORMAT || code == TS_NOT_FOUND || code == TS_IO;
}

/* File i as one of the set. */
static ts_status read_picture(const job *j, int64_t i, ts_picture *picture)
{
    char path[PATH_MAX], *content;
    size_t bytes;
    *picture = (ts_picture){.c = 0};
    path_of(j, i, path);
    TS_TRY(ts_file_read(path, MOST_FILE_BYTES, &content, &bytes));
    ts_status status = ts_picture_decode(path, (const uint8_t *)content, bytes, picture);
    free(content);
    if (!status)
        status = ts_picture_prepare(path, j->options, picture);
    if (status)
        ts_picture_release(picture);
    return status;
}

/* The picture into its place. */
static ts_status take(job *j, int64_t i, ts_picture *picture)
{
    const ts_image_set *set = j->set;
    char path[PATH_MAX];
    path_of(j, i, path);
    if (picture->h != set->h || picture->w != set->w)
        return ts_error(
            TS_INVALID,
            "%s: %dx%d pixels where %s has %dx%d: data.crop and data.resize make one size of them", path,
            picture->w, picture->h, j->first, set->w, set->h);
    j->grey[i] = picture->c == 1;
    j->conversions[i] = picture->conversions;
    TS_TRY(ts_picture_channels(path, set->c, picture));
    memcpy(set->bytes + (size_t)i * ts_image_bytes(set), picture->pixels, ts_image_bytes(set));
    return NULL;
}

static ts_status decode_one(job *j, int64_t i)
{
    ts_picture picture;
    ts_status status = read_picture(j, i, &picture);
    if (!status)
        status = take(j, i, &picture);
    ts_picture_release(&picture);
    if (!is_unreadable(status))
        return status;
    j->problems[i] = strdup(ts_status_message(status));
    ts_status_free(status);
    return j->problems[i] ? NULL : ts_error(TS_NO_MEMORY, "%s: no memory", j->folder);
}

static void fail(job *j, int64_t i, ts_status status)
{
#pragma omp critical(ts_folder_fail)
    if (i < j->failed) {
        ts_status_free(j->failure);
        j->failure = status;
        __atomic_store_n(&j->failed, i, __ATOMIC_RELAXED);
    } else
        ts_status_free(status);
}

/* A few are read before anyone looks. */
static void report(const job *j, int64_t done)
{
    const int64_t count = j->listing->count;
    if (count >= LEAST_REPORTED)
        ts_progress_report(j->options->progress, "read pictures", (double)done, (double)count, "images",
                           NULL);
}

static void decode_all(job *j)
{
    const int64_t count = j->listing->count;
    const int threads = j->options->threads ? j->options->threads : omp_get_num_procs();
    j->failed = count;
#pragma omp parallel for schedule(dynamic, 4) num_threads(threads)
    for (int64_t i = 0; i < count; i++) {
        if (i > __atomic_load_n(&j->failed, __ATOMIC_RELAXED))
            continue;
        ts_status status = ts_progress_stopped(j->options->progress)
                               ? ts_error(TS_INTERRUPTED, "%s: interrupted", j->folder)
                               : decode_one(j, i);
        if (status)
            fail(j, i, status);
        const int64_t done = __atomic_add_fetch(&j->done, 1, __ATOMIC_RELAXED);
        if (!omp_get_thread_num() && done < count)
            report(j, done);
    }
    if (!j->failure)
        report(j, count);
}

/* ---- what became of them ---- */

/* Closes the gaps of files that cannot be decoded, and of the colour of a set without any. */
static void compact(job *j, bool grey)
{
    ts_image_set *set = j->set;
    const size_t from = ts_image_bytes(set), pixels = (size_t)set->h * (size_t)set->w;
    int64_t kept = 0;
    if (grey)
        set->c = 1;
    for (int64_t i = 0; i < j->listing->count; i++) {
        if (j->problems[i])
            continue;
        uint8_t *to = set->bytes + (size_t)kept * ts_image_bytes(set);
        const uint8_t *image = set->bytes + (size_t)i * from;
        if (from == ts_image_bytes(set))
            memmove(to, image, from);
        else
            for (size_t p = 0; p < pixels; p++)
                to[p] = image[3 * p];
        if (set->labels)
            set->labels[kept] = j->listing->files[i].label;
        kept++;
    }
    set->count = kept;
    uint8_t *smaller = realloc(set->bytes, (size_t)kept * ts_image_bytes(set));
    set->bytes = smaller ? smaller : set->bytes;
}

static void note_unreadable(const job *j, FILE *notes)
{
    int64_t count = 0;
    for (int64_t i = 0; i < j->listing->count; i++)
        if (j->problems[i] && count++ < MOST_NAMED)
            fprintf(notes, "%s\n", j->problems[i]);
    if (count)
        fprintf(notes, "%s: %lld of %lld files cannot be read and %s left out\n", j->folder, (long long)count,
                (long long)j->listing->count, count == 1 ? "is" : "are");
}

static void finish(job *j, FILE *notes)
{
    ts_conversion_counts counts = {{0}};
    int64_t readable = 0, grey = 0;
    for (int64_t i = 0; i < j->listing->count; i++) {
        readable += !j->problems[i];
        grey += !j->problems[i] && j->grey[i];
    }
    const bool all_grey = !j->options->channels && grey == readable;
    for (int64_t i = 0; i < j->listing->count; i++)
        if (!j->problems[i])
            ts_conversions_count(j->conversions[i], &counts);
    counts.of[TS_TO_COLOUR] = all_grey || j->options->channels == 1 ? 0 : grey;
    note_unreadable(j, notes);
    ts_conversions_note(j->folder, &counts, readable, notes);
    compact(j, all_grey && j->set->c == 3);
}

/* The first picture that can be decoded: the others must have its size. */
static ts_status make_set(job *j)
{
    for (int64_t i = 0; i < j->listing->count; i++) {
        ts_picture picture;
        ts_status status = read_picture(j, i, &picture);
        if (is_unreadable(status) && i + 1 < j->listing->count) {
            ts_status_free(status);
            continue;
        }
        if (is_unreadable(status))
            return ts_context(status, "%s: none of its %lld files can be read; the last", j->folder,
                              (long long)j->listing->count);
        TS_TRY(status);
        path_of(j, i, j->first);
        status = ts_image_set_make(j->folder, j->listing->count, picture.h, picture.w,
                                   j->options->channels == 1 ? 1 : 3, j->set);
        ts_picture_release(&picture);
        TS_TRY(status);
        break;
    }
    if (!j->listing->classes)
        return NULL;
    j->set->classes = j->listing->classes;
    j->set->names = j->listing->names;
    j->set->labels = malloc((size_t)j->listing->count * sizeof *j->set->labels);
    return j->set->labels ? NULL : ts_error(TS_NO_MEMORY, "%s: no memory for labels", j->folder);
}

ts_status ts_folder_decode(const char *folder, const ts_listing *listing, const ts_images_options *options,
                           FILE *notes, ts_image_set *set)
{
    const size_t count = (size_t)listing->count;
    job j = {.folder = folder, .listing = listing, .options = options, .set = set};
    j.problems = calloc(count, sizeof *j.problems);
    j.grey = calloc(count, sizeof *j.grey);
    j.conversions = calloc(count, sizeof *j.conversions);
    ts_status status = j.problems && j.grey && j.conversions
                           ? make_set(&j)
                           : ts_error(TS_NO_MEMORY, "%s: no memory for %zu files", folder, count);
    if (!status) {
        decode_all(&j);
        status = j.failure;
    }
    if (!status)
        finish(&j, notes);
    for (size_t i = 0; j.problems && i < count; i++)
        free(j.problems[i]);
    free(j.problems);
    free(j.grey);
    free(j.conversions);
    return status;
}
