/* NumPy arrays of pictures. */
#include <limits.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include "base/npy.h"
#include "data/images/sets.h"

enum { MOST_CLASSES = 1 << 20 };

/* Members of an .npz that hold pictures, and their labels, as they are usually called. */
static const char *const usual_names[][2] = {{"images", "labels"},   {"x", "y"},
                                             {"data", "labels"},     {"arr_0", "arr_1"},
                                             {"x_train", "y_train"}, {"train_images", "train_labels"},
                                             {"x_test", "y_test"},   {"test_images", "test_labels"}};

bool ts_ends_with(const char *path, const char *end)
{
    const size_t length = strlen(path), tail = strlen(end);
    return length >= tail && !strcmp(path + length - tail, end);
}

/* uint8 [n,h,w] or [n,h,w,c], c = 1 or 3. */
static bool is_pictures(const ts_npy *array)
{
    return array->type == TS_NPY_U8 &&
           (array->rank == 3 || (array->rank == 4 && (array->shape[3] == 1 || array->shape[3] == 3)));
}

/* ---- which member ---- */

static ts_status choose(const char *path, const ts_npz_member *members, int count, const char **name)
{
    const char *found = NULL;
    for (int i = 0; i < count; i++) {
        if (!is_pictures(&members[i].array))
            continue;
        if (found)
            return ts_error(TS_INVALID, "%s: has several arrays of pictures, %s and %s; one is read", path,
                            found, members[i].name);
        found = members[i].name;
    }
    *name = found;
    if (found)
        return NULL;
    char shape[256] = "nothing that is an array";
    if (count)
        ts_npy_text(&members[0].array, shape);
    return ts_error(TS_FORMAT,
                    "%s: has no array of pictures, u1 [n,h,w] or [n,h,w,c] with c = 1 or 3, but %s", path,
                    shape);
}

/* The labels' name that goes with the pictures'; NULL: none. */
static const char *labels_of(const char *name, const ts_npz_member *members, int count)
{
    for (size_t k = 0; k < sizeof usual_names / sizeof *usual_names; k++)
        for (int i = 0; i < count; i++)
            if (!strcmp(usual_names[k][0], name) && !strcmp(usual_names[k][1], members[i].name) &&
                members[i].array.type <= TS_NPY_I64)
                return members[i].name;
    return NULL;
}

/* ---- labels ---- */

static int64_t whole_number(const ts_npy *array, int64_t i)
{
    switch (array->type) {
    case TS_NPY_U8:
        return ((const uint8_t *)array->values)[i];
    case TS_NPY_I8:
        return ((const int8_t *)array->values)[i];
    case TS_NPY_I16:
        return ((const int16_t *)array->values)[i];
    case TS_NPY_I32:
        return ((const int32_t *)array->values)[i];
    default:
        return ((const int64_t *)array->values)[i];
    }
}

ts_status ts_array_labels(const char *path, const ts_npy *array, int first, ts_image_set *set)
{
    char shape[256];
    ts_npy_text(array, shape);
    const bool column = array->rank == 1 || (array->rank == 2 && array->shape[1] == 1);
    if (array->type > TS_NPY_I64 || !column || array->shape[0] != set->count)
        return ts_error(TS_FORMAT, "%s: labels are %s for %lld images; whole numbers [%lld] would do", path,
                        shape, (long long)set->count, (long long)set->count);
    set->labels = malloc((size_t)set->count * sizeof *set->labels);
    if (!set->labels)
        return ts_error(TS_NO_MEMORY, "%s: no memory for labels", path);
    for (int64_t i = 0; i < set->count; i++) {
        const int64_t label = whole_number(array, i);
        if (label < first || label >= first + MOST_CLASSES)
            return ts_error(TS_FORMAT,
                            "%s: image %lld has label %lld; labels are %d and above, up to %d of them", path,
                            (long long)i, (long long)label, first, MOST_CLASSES);
        set->labels[i] = (int32_t)(label - first);
        if (set->labels[i] >= set->classes)
            set->classes = set->labels[i] + 1;
    }
    return NULL;
}

/* ---- pictures ---- */

static ts_status take_array(const char *path, ts_npy *array, ts_image_set *set)
{
    char shape[256];
    ts_npy_text(array, shape);
    if (!is_pictures(array))
        return ts_error(TS_FORMAT, "%s: %s, where pictures are u1 [n,h,w] or [n,h,w,c] with c = 1 or 3", path,
                        shape);
    if (!ts_npy_count(array) || array->shape[1] > INT32_MAX || array->shape[2] > INT32_MAX ||
        array->shape[1] * array->shape[2] > INT32_MAX / 3)
        return ts_error(TS_FORMAT, "%s: %s: no pictures, or too large ones", path, shape);
    *set = (ts_image_set){.count = array->shape[0],
                          .h = (int)array->shape[1],
                          .w = (int)array->shape[2],
                          .c = array->rank == 4 ? (int)array->shape[3] : 1,
                          .bytes = array->values};
    snprintf(set->name, sizeof set->name, "%s", path);
    array->values = NULL;
    return NULL;
}

/* Image i of `from` into its place in `to`; of none where `to` is NULL: what it becomes. */
static ts_status fit_one(const ts_image_set *from, const ts_images_options *options, int64_t i,
                         const ts_image_set *to, ts_picture *picture)
{
    TS_TRY(ts_picture_make(from->name, from->h, from->w, from->c, picture));
    memcpy(picture->pixels, from->bytes + (size_t)i * ts_image_bytes(from), ts_image_bytes(from));
    TS_TRY(ts_picture_prepare(from->name, options, picture));
    TS_TRY(ts_picture_channels(from->name, options->channels ? options->channels : picture->c, picture));
    if (to)
        memcpy(to->bytes + (size_t)i * ts_image_bytes(to), picture->pixels, ts_image_bytes(to));
    return NULL;
}

static ts_status fit_all(const ts_image_set *from, const ts_images_options *options, const ts_image_set *to)
{
    const int threads = options->threads ? options->threads : omp_get_num_procs();
    ts_status failure = NULL;
    bool failed = false;
#pragma omp parallel for schedule(dynamic, 64) num_threads(threads)
    for (int64_t i = 0; i < from->count; i++) {
        ts_picture picture = {.c = 0};
        if (__atomic_load_n(&failed, __ATOMIC_RELAXED))
            continue;
        ts_status status = fit_one(from, options, i, to, &picture);
        ts_picture_release(&picture);
        if (!status)
            continue;
#pragma omp critical(ts_array_fail)
        if (failed)
            ts_status_free(status);
        else {
            failure = status;
            __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
        }
    }
    return failure;
}

static ts_status fit(const ts_images_options *options, FILE *notes, ts_image_set *set)
{
    ts_picture first = {.c = 0};
    ts_image_set fitted = {.count = 0};
    ts_conversion_counts counts = {{0}};
    ts_status status = fit_one(set, options, 0, NULL, &first);
    if (!status)
        status = ts_image_set_make(set->name, set->count, first.h, first.w, first.c, &fitted);
    if (!status)
        status = fit_all(set, options, &fitted);
    ts_conversions_count(first.conversions, &counts);
    for (int i = 0; i < TS_CONVERSION_COUNT; i++)
        counts.of[i] *= set->count;
    ts_conversions_note(set->name, &counts, set->count, notes);
    ts_picture_release(&first);
    if (status) {
        ts_image_set_release(&fitted);
        return status;
    }
    free(set->bytes);
    set->bytes = fitted.bytes;
    set->h = fitted.h;
    set->w = fitted.w;
    set->c = fitted.c;
    return NULL;
}

/* ---- files ---- */

/* Member `name`, or the only one of pictures, with its labels. */
static ts_status read_archive(const char *path, const char *name, ts_npy *array, ts_image_set *set)
{
    int count;
    ts_npz_member *members;
    ts_npy labels = {.rank = 0};
    ts_status status = ts_npz_list(path, &count, &members);
    if (!status && !name)
        status = choose(path, members, count, &name);
    if (!status)
        status = ts_npz_load(path, name, array);
    if (!status)
        status = take_array(path, array, set);
    const char *labelled = status ? NULL : labels_of(name, members, count);
    if (labelled)
        status = ts_npz_load(path, labelled, &labels);
    if (!status && labelled)
        status = ts_array_labels(path, &labels, 0, set);
    ts_npy_release(&labels);
    free(members);
    return status;
}

ts_status ts_array_read(const char *path, const char *member, const ts_images_options *options, FILE *notes,
                        ts_image_set *set)
{
    ts_npy array = {.rank = 0};
    ts_status status;
    if (ts_ends_with(path, ".npz"))
        status = read_archive(path, member, &array, set);
    else {
        status = ts_npy_load(path, &array);
        if (!status)
            status = take_array(path, &array, set);
    }
    ts_npy_release(&array);
    const bool other = options->channels && options->channels != set->c;
    return status || !(options->crop || options->resize || other) ? status : fit(options, notes, set);
}
