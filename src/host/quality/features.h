/*
 * What the Frechet distance between sets is computed on.  These are not Inception features, and the distance
 * is not FID.
 */
#ifndef TS_QUALITY_FEATURES_H
#define TS_QUALITY_FEATURES_H

#include <stdint.h>
#include "base/kinds.h"
#include "base/status.h"

/* A kind (base/kinds.h); data get the first that takes them. */
typedef struct ts_features_row {
    const char *text; /* for people */
    int most_values;  /* of a datum */
    bool images;      /* or of vectors */
    int count;        /* of features; 0: one a value */
    int least;        /* training data that it needs at least: what a caller checks before a long run */
} ts_features_row;

extern const ts_features_row ts_features_rows[TS_FEATURES_COUNT];

typedef struct ts_features ts_features;

/* The kind that data [h,w,c] get. */
ts_features_kind ts_features_chosen(int h, int w, int c);

/* Features for the data, principal components from the first images of `train` [n,h,w,c] (at most 2048 are
 * used).  Bitwise the same for any number of threads (0: OpenMP's default). */
ts_status ts_features_create(const float *train, int64_t n, int h, int w, int c, int threads,
                             ts_features **features);
void ts_features_free(ts_features *features); /* NULL is fine */

ts_features_kind ts_features_kind_of(const ts_features *features);
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
