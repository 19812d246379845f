/*
 * ImageNet downsampled to 32x32 or 64x64 (P. Chrabaszcz, I. Loshchilov, F. Hutter, arXiv 1707.08819), as NumPy
 * files: train_data_batch_1.npz .. train_data_batch_10.npz and val_data.npz, each with `data`, uint8 [n, 3 h h]
 * of planes of red, green and blue, and `labels`, 1 .. 1000.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/npy.h"
#include "data/files.h"
#include "data/images/sets.h"

enum { BATCHES = 10, CHANNELS = 3, LARGEST_SIDE = 256 };

/* ---- which files ---- */

static void batch_path(const char *folder, int number, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/train_data_batch_%d.npz", folder, number);
}

/* How many batches there are, one behind the other from the first. */
static ts_status count_batches(const char *folder, int *count)
{
    char path[PATH_MAX], missing[PATH_MAX];
    *count = 0;
    for (int number = 1; number <= BATCHES; number++) {
        batch_path(folder, number, path);
        if (access(path, F_OK))
            continue;
        if (number > *count + 1) {
            batch_path(folder, *count + 1, missing);
            return ts_error(TS_NOT_FOUND, "data.path: there is no %s, but %s", missing, path);
        }
        *count = number;
    }
    return *count ? NULL
                  : ts_error(
                        TS_NOT_FOUND,
                        "data.path: %s holds no train_data_batch_1.npz; tools/fetch_data.sh imagenet32 takes "
                        "the files from a folder",
                        folder);
}

/* ---- one file ---- */

static ts_status check_shape(const char *path, const ts_npy *data, int *side)
{
    char shape[256];
    *side = 0;
    ts_npy_text(data, shape);
    if (data->type == TS_NPY_U8 && data->rank == 2 && data->shape[0] > 0)
        for (int s = 1; s <= LARGEST_SIDE; s++)
            if (data->shape[1] == (int64_t)CHANNELS * s * s)
                *side = s;
    return *side ? NULL
                 : ts_error(TS_FORMAT, "%s: data: %s, where ImageNet has u1 [n,3*h*h], h up to %d", path,
                            shape, LARGEST_SIDE);
}

/* The number and the side of a file's images, without reading them. */
static ts_status look(const char *path, int64_t *count, int *side)
{
    int members;
    ts_npz_member *list;
    const ts_npy *data = NULL;
    ts_status status = ts_npz_list(path, &members, &list);
    for (int i = 0; !status && i < members; i++)
        if (!strcmp(list[i].name, "data"))
            data = &list[i].array;
    if (!status && !data)
        status = ts_error(TS_FORMAT, "%s: it has no array data, u1 [n,3*h*h]", path);
    if (!status)
        status = check_shape(path, data, side);
    if (!status)
        *count = data->shape[0];
    free(list);
    return status;
}

/* planes [3,pixels] to pixels [pixels,3] */
static void interleave(const uint8_t *planes, int64_t pixels, uint8_t *to)
{
    for (int64_t p = 0; p < pixels; p++)
        for (int c = 0; c < CHANNELS; c++)
            to[p * CHANNELS + c] = planes[c * pixels + p];
}

/* A file's labels behind the `first` that the set has already. */
static ts_status add_labels(const char *path, int64_t first, int64_t count, ts_image_set *set)
{
    ts_npy labels;
    ts_image_set part = {.count = count};
    ts_status status = ts_npz_load(path, "labels", &labels);
    if (!status)
        status = ts_array_labels(path, &labels, 1, &part);
    if (!status) {
        memcpy(set->labels + first, part.labels, (size_t)count * sizeof *part.labels);
        set->classes = part.classes > set->classes ? part.classes : set->classes;
    }
    ts_npy_release(&labels);
    free(part.labels);
    return status;
}

/* A file's images behind the `*first` that the set has already. */
static ts_status add_file(const char *path, int64_t *first, ts_image_set *set)
{
    ts_npy data;
    int side;
    TS_TRY(ts_npz_load(path, "data", &data));
    const int64_t count = data.shape[0], pixels = (int64_t)set->h * set->w;
    ts_status status = check_shape(path, &data, &side);
    if (!status && (side != set->h || *first + count > set->count))
        status = ts_error(TS_FORMAT, "%s: changed while it was read", path);
    for (int64_t i = 0; !status && i < count; i++)
        interleave((const uint8_t *)data.values + i * CHANNELS * pixels, pixels,
                   set->bytes + (*first + i) * CHANNELS * pixels);
    ts_npy_release(&data);
    if (!status)
        status = add_labels(path, *first, count, set);
    *first += count;
    return status;
}

/* ---- a set of files ---- */

static ts_status read_files(const char *folder, char (*paths)[PATH_MAX], int files, ts_image_set *set)
{
    int64_t total = 0, count, done = 0;
    int side, first_side = 0;
    for (int i = 0; i < files; i++) {
        TS_TRY(look(paths[i], &count, &side));
        if (first_side && side != first_side)
            return ts_error(TS_FORMAT, "%s: images of %dx%d where %s has %dx%d", paths[i], side, side,
                            paths[0], first_side, first_side);
        first_side = side;
        total += count;
    }
    TS_TRY(ts_image_set_make(folder, total, first_side, first_side, CHANNELS, set));
    set->labels = malloc((size_t)total * sizeof *set->labels);
    if (!set->labels)
        return ts_error(TS_NO_MEMORY, "%s: no memory for labels", folder);
    for (int i = 0; i < files; i++)
        TS_TRY(add_file(paths[i], &done, set));
    return NULL;
}

ts_status ts_imagenet_read(const char *folder, ts_image_set *train, ts_image_set *test)
{
    char paths[BATCHES][PATH_MAX];
    int batches;
    TS_TRY(count_batches(folder, &batches));
    for (int i = 0; i < batches; i++)
        batch_path(folder, i + 1, paths[i]);
    TS_TRY(read_files(folder, paths, batches, train));
    snprintf(paths[0], PATH_MAX, "%s/val_data.npz", folder);
    TS_TRY(read_files(folder, paths, 1, test));
    if (train->h != test->h)
        return ts_error(TS_FORMAT, "%s: images of %dx%d where the training batches have %dx%d", paths[0],
                        test->h, test->w, train->h, train->w);
    return NULL;
}
