/*
 * The data sets: read, checked, and put on the device once.
 *
 * What lives in this folder: a reader a format (idx.c, cifar10.c, digits.c, imagenet.c, pictures.c) behind
 * files.h, pictures of any path (images.h), how a set is split that is not (split.c), and the table of kinds
 * with what is done to all of them (dataset.c).
 *
 * Invariants: readers know files and bytes, no device and no configuration; what they give has passed every
 * check of sizes.  A set has at least two data.  What depends on data depends on their checksum, never on a
 * path.
 *
 *   digits   the UCI optical digits inside the program: 1500 + 297 images 8x8x1, 17 levels, split
 *            by a rule of its own (digits.h)
 *   idx      IDX files, plain or gzip, in the folder data.path: train-images-idx3-ubyte[.gz] and
 *            t10k-images-idx3-ubyte[.gz] or test-images-idx3-ubyte[.gz], grey images [n,h,w]; or the same
 *            names with idx4, images [n,h,w,c] of 1 to 4 channels; label files beside them must agree in
 *            number
 *   cifar10  data_batch_1.bin .. data_batch_5.bin and test_batch.bin (or test_batch_first1000.bin)
 *   imagenet train_data_batch_1.npz .. train_data_batch_10.npz and val_data.npz of ImageNet downsampled
 *   folder   PNG and JPEG files in the folder data.path and below (images.h), cropped and resized; what is in
 *            the folders train and test, or train and val, is so split
 *   array    uint8 [n,h,w] or [n,h,w,c] in a file .npy or .npz
 *   mixture  a Gaussian mixture from data.mixture, drawn fresh
 *
 * An image's bytes are values of data.levels equally spaced grey levels, level k stored as
 * round(255 k / (levels - 1)); on the device they are level indices.  A byte that is none of the levels is an
 * error.  So is a set of one image: nothing can be said of its spread, which every distance needs.
 */
#ifndef TS_DATA_DATASET_H
#define TS_DATA_DATASET_H

#include "base/progress.h"
#include "config/config.h"
#include "diffusion/data.h"
#include "diffusion/mixture.h"

/* What is known of a kind of data before any is read. */
typedef struct ts_data_row {
    bool vectors;     /* a mixture's points; else images */
    bool from_files;  /* in data.path */
    const char *file; /* what data.path is; NULL: a folder with the files */
    bool
        pictures; /* of any size and without a split: data.crop, data.resize and data.held_out are for them */
    int levels;   /* grey levels where data.levels is 0 */
    int h, w, c;  /* usual shape: of what stands in for missing files in benchmarks */
} ts_data_row;

extern const ts_data_row ts_data_rows[TS_DATA_COUNT];

typedef struct ts_dataset {
    ts_data train, test;                 /* test: never trained on */
    ts_mixture *mixture;                 /* NULL unless the data are a mixture */
    int classes;                         /* 0: without labels */
    int32_t *train_labels, *test_labels; /* 0 .. classes - 1, an example each, on the host; NULL: none */
    uint64_t checksum;
    char description[160];
    bool shares; /* the images are another's */
} ts_dataset;

/* How files are read; NULL for all of it: on all cores, with nobody looking. */
typedef struct ts_dataset_options {
    int threads; /* that decode pictures; 0: as many as there are processors */
    ts_progress *progress;
    void (*warn)(void *context, const char *line); /* see ts_images_options */
    void *context;
} ts_dataset_options;

/* Errors: TS_NOT_FOUND, TS_FORMAT, TS_INVALID, TS_NO_MEMORY, TS_INTERRUPTED; each names the file and what would
 * be right. */
ts_status ts_dataset_open(const ts_config *config, ts_device *device, const ts_dataset_options *options,
                          ts_dataset **dataset);
void ts_dataset_close(ts_dataset *dataset); /* NULL is fine */

/* The same data for another device that has its memory in common with theirs, as CPU devices do: images are
 * not copied, and `dataset` is to outlive the result. */
ts_status ts_dataset_share(const ts_config *config, const ts_dataset *dataset, ts_device *device,
                           ts_dataset **shared);

/* What the data are, wherever their files lie: CRC-32 of the training set above CRC-32 of the held-out one,
 * each over shape, count, levels and level indices; of mixtures over their numbers as configured.  Labels,
 * names, paths and flips are not in it.  Made once, when the set is opened. */
uint64_t ts_dataset_checksum(const ts_dataset *dataset);

/* Examples start .. start + n - 1 of a set, wrapped around, as host floats [n,h,w,c], images in [-1, 1].
 * Mixtures: draws of those numbers under `seed`. */
ts_status ts_dataset_read(const ts_data *data, uint64_t seed, int64_t start, int64_t n, float *x);

#endif
