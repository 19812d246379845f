/*
 * Sets of pictures from folders and arrays, and what was noted while they were read.  Private to data/.
 */
#ifndef TS_DATA_IMAGES_SETS_H
#define TS_DATA_IMAGES_SETS_H

#include "base/npy.h"
#include "base/text.h"
#include "data/images/listing.h"
#include "data/images/picture.h"

/* How many pictures were converted, and how. */
typedef struct ts_conversion_counts {
    int64_t of[TS_CONVERSION_COUNT];
} ts_conversion_counts;

void ts_conversions_count(unsigned conversions, ts_conversion_counts *counts);
/* A line each of those that there were. */
void ts_conversions_note(const char *name, const ts_conversion_counts *counts, int64_t of, FILE *notes);

/* A set of `count` pictures in the shape of this one, its bytes not set. */
ts_status ts_image_set_make(const char *name, int64_t count, int h, int w, int c, ts_image_set *set);

static inline size_t ts_image_bytes(const ts_image_set *set)
{
    return (size_t)set->h * (size_t)set->w * (size_t)set->c;
}

/* Grey if the options ask for it, crop and resize. */
ts_status ts_picture_prepare(const char *name, const ts_images_options *options, ts_picture *picture);

/* As ts_images_read; of an .npz this member (NULL: the only one of pictures). */
ts_status ts_images_read_member(const char *path, const char *member, const ts_images_options *options,
                                ts_image_set *set);

/* The pictures of a list, decoded; `notes` gets lines for the options' warn. */
ts_status ts_folder_decode(const char *folder, const ts_listing *listing, const ts_images_options *options,
                           FILE *notes, ts_image_set *set);

/* The array of a .npy, or of a .npz the member of that name (NULL: the only one that is of pictures), and the
 * labels that an .npz has for it. */
ts_status ts_array_read(const char *path, const char *member, const ts_images_options *options, FILE *notes,
                        ts_image_set *set);

/* Whole numbers [n] or [n,1], the least of which is `first`, as the set's labels from 0. */
ts_status ts_array_labels(const char *path, const ts_npy *array, int first, ts_image_set *set);

bool ts_ends_with(const char *path, const char *end);

/*
 * Decoded bytes kept in a file of safetensors: "images" [n,h,w,c] and "labels" [n], with what they are of and a
 * check sum.  The file's name holds a check sum of the folder's path and the options.
 */
ts_status ts_cache_path(const char *folder, const ts_images_options *options, char **path);
/* TS_NOT_FOUND: there is none; TS_INVALID: of other files; others: damaged. */
ts_status ts_cache_load(const char *path, const char *folder, uint64_t listing, ts_image_set *set,
                        FILE *notes);
ts_status ts_cache_store(const char *path, uint64_t listing, const ts_image_set *set, const char *notes);

#endif
