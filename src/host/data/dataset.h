/*
 * The data sets: read, checked, and put on the device once.
 *
 * What lives in this folder: a reader a format (idx.c, cifar10.c, digits.c), all with one signature
 * (files.h), and the table of kinds with what is done to all of them (dataset.c).
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
 *   mixture  a Gaussian mixture from data.mixture, drawn fresh
 *
 * An image's bytes are values of data.levels equally spaced grey levels, level k stored as
 * round(255 k / (levels - 1)); on the device they are level indices.  A byte that is none of the levels is an
 * error.  So is a set of one image: nothing can be said of its spread, which every distance needs.
 */
#ifndef TS_DATA_DATASET_H
#define TS_DATA_DATASET_H

#include "diffusion/data.h"
#include "diffusion/mixture.h"
#include "config/config.h"

/* What is known of a kind of data before any is read. */
typedef struct ts_data_row {
    bool vectors;    /* a mixture's points; else images */
    bool from_files; /* in data.path */
    int levels;      /* grey levels where data.levels is 0 */
    int h, w, c;     /* usual shape: of what stands in for missing files in benchmarks */
} ts_data_row;

extern const ts_data_row ts_data_rows[TS_DATA_COUNT];

typedef struct ts_dataset {
    ts_data train, test; /* test: never trained on */
    ts_mixture *mixture; /* NULL unless the data are a mixture */
    uint64_t checksum;
    char description[160];
} ts_dataset;

/* Errors: TS_NOT_FOUND, TS_FORMAT, TS_INVALID, TS_NO_MEMORY; each names the file and what would be right. */
ts_status ts_dataset_open(const ts_config *config, ts_device *device, ts_dataset **dataset);
void ts_dataset_close(ts_dataset *dataset); /* NULL is fine */

/* What the data are, wherever their files lie: CRC-32 of the training set above CRC-32 of the held-out one,
 * each over shape, count, levels and level indices; of mixtures over their numbers as configured.  Labels,
 * names, paths and flips are not in it.  Made once, when the set is opened. */
uint64_t ts_dataset_checksum(const ts_dataset *dataset);

/* Examples start .. start + n - 1 of a set, wrapped around, as host floats [n,h,w,c], images in [-1, 1].
 * Mixtures: draws of those numbers under `seed`. */
ts_status ts_dataset_read(const ts_data *data, uint64_t seed, int64_t start, int64_t n, float *x);

#endif
