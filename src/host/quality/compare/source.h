/*
 * What `tstar quality` and programs compare: data from wherever they lie, as pictures and numbers.
 *
 * What lives in this folder, which unlike the room above it knows runs and configurations: reading what is compared
 * (source.c), and comparing two of them by all measures that are asked for (compare.h).
 */
#ifndef TS_QUALITY_COMPARE_SOURCE_H
#define TS_QUALITY_COMPARE_SOURCE_H

#include "base/progress.h"
#include "run/run.h"

typedef struct ts_source_options {
    const char *const *overrides; /* of configurations */
    int override_count;
    ts_device *device; /* where data sets are put */
    int threads;
    ts_progress *progress;
    void (*warn)(void *context, const char *line); /* as ts_images_options has it */
    void *context;
} ts_source_options;

/* Data, or the moments of their features alone. */
typedef struct ts_source {
    char name[256]; /* the path, for messages */
    int64_t n;      /* 0: of moments, unknown */
    int h, w, c;
    uint8_t *bytes; /* [n,h,w,c], or NULL; and */
    float *points;  /* [n,h,w,c] in [-1, 1], vectors as they are, or NULL; of moments both are */
    int features;   /* those that the moments are of, 0: none: */
    double *mean, *covariance;
    float *train; /* [train_count,h,w,c]: training data of a data set; NULL: there are none */
    int64_t train_count;
} ts_source;

/*
 * path: a run (a folder with config.yaml): its samples, as sweeps keep them, if there is one set; a folder of pictures;
 * FILE.safetensors: samples as `tstar sample` and sweeps store them; FILE.npy, FILE.npz: pictures, uint8 [n,h,w,c];
 * FILE.npz with members mu and sigma: moments, as pytorch-fid writes them; any other file: a configuration, whose held-out
 * data are meant.  Errors name the file and what would be right.
 */
ts_status ts_source_open(const char *path, const ts_source_options *options, ts_source *source);
void ts_source_release(ts_source *source);

/* All of it as floats [n,h,w,c] in [-1, 1], or as bytes, made once and the source's. */
ts_status ts_source_points(ts_source *source, const float **points);
ts_status ts_source_bytes(ts_source *source, const uint8_t **bytes);
/* Floats in [-1, 1] as bytes, rounded. */
void ts_source_to_bytes(const float *points, int64_t count, uint8_t *bytes);

#endif
