/*
 * What the Frechet distance between sets is computed on.  These are not Inception features, and the distance
 * is not FID.
 */
#ifndef TS_QUALITY_FEATURES_H
#define TS_QUALITY_FEATURES_H

#include <stdint.h>
#include "base/status.h"

/*
 * The kinds, in the order in which they are offered: data get the first that takes them.
 *
 *   kind, name, for people, most values of a datum, images or vectors, features (0: one a value),
 *   least training data
 */
#define TS_FEATURES(X)                                                                                       \
    X(COORDINATES, "coordinates", "the coordinates themselves", 256, false, 0, 2)                            \
    X(PIXELS, "pixels", "the pixels themselves", 256, true, 0, 2)                                            \
    X(PCA64, "pca64", "the 64 leading principal components of the training data", INT32_MAX, true, 64, 65)

typedef enum ts_features_kind {
#define X(kind, ...) TS_FEATURES_##kind,
    TS_FEATURES(X)
#undef X
} ts_features_kind;

typedef struct ts_features ts_features;

/* The kind that data [h,w,c] get, its name (as results and files have it), and in words. */
ts_features_kind ts_features_chosen(int h, int w, int c);
const char *ts_features_kind_name(ts_features_kind kind);
const char *ts_features_kind_words(ts_features_kind kind);
/* How many training data the kind needs at least: what a caller checks before a long run. */
int ts_features_kind_least(ts_features_kind kind);

/* Features for the data, principal components from the first images of `train` [n,h,w,c] (at most 2048 are
 * used).  Bitwise the same for any number of threads (0: OpenMP's default). */
ts_status ts_features_create(const float *train, int64_t n, int h, int w, int c, int threads,
                             ts_features **features);
void ts_features_free(ts_features *features); /* NULL is fine */

ts_features_kind ts_features_kind_of(const ts_features *features);
const char *ts_features_name(const ts_features *features);
int ts_features_count(const ts_features *features); /* of one datum */

/* Kept in a safetensors file, which names the data that they are of by their checksum
 * (ts_dataset_checksum). */
ts_status ts_features_save(const ts_features *features, uint64_t checksum, const char *path);
/* *features is NULL where there is no such file, or where it is of other data. */
ts_status ts_features_load(const char *path, uint64_t checksum, int h, int w, int c, ts_features **features);

/* rows [count][q] <- the features of `count` points; centred [count][d] is scratch. Runs on one thread. */
void ts_features_of(const ts_features *features, const float *points, int count, double *centred,
                    double *rows);
int ts_features_dimension(const ts_features *features); /* d, of the data */

#endif
