#include "data/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "base/utf8.h"
#include "data/files.h"

/* ---- grey values to level indices ---- */

/* Level k of `levels` is stored as round(255 k / (levels - 1)). */
static ts_status to_levels(ts_image_set *set, int levels)
{
    int level_of[256];
    for (int v = 0; v < 256; v++)
        level_of[v] = -1;
    for (int k = 0; k < levels; k++)
        level_of[(2 * 255 * k + levels - 1) / (2 * (levels - 1))] = k;
    const int64_t size = (int64_t)set->h * set->w * set->c, total = set->count * size;
    for (int64_t i = 0; i < total; i++) {
        int level = level_of[set->bytes[i]];
        if (level < 0)
            return ts_error(TS_FORMAT,
                            "%s: image %lld holds grey value %d, which is none of %d levels (data.levels)",
                            set->name, (long long)(i / size), set->bytes[i], levels);
        set->bytes[i] = (uint8_t)level;
    }
    return NULL;
}

static ts_status upload(ts_device *device, const ts_image_set *set, int levels, bool unit, ts_data *data)
{
    const size_t bytes = (size_t)set->count * (size_t)set->h * (size_t)set->w * (size_t)set->c;
    *data = (ts_data){.device = device,
                      .h = set->h,
                      .w = set->w,
                      .c = set->c,
                      .count = set->count,
                      .levels = levels,
                      .unit = unit};
    TS_TRY(ts_context(device->k->allocate(device, bytes, (void **)&data->bytes), "%s", set->name));
    return device->k->upload(device, data->bytes, set->bytes, bytes);
}

/* ---- checksums ---- */

static uint32_t checksum_of(const void *bytes, size_t count, uint32_t checksum)
{
    return (uint32_t)crc32_z(checksum, bytes, count);
}

static uint32_t checksum_of_images(const ts_image_set *set, int levels)
{
    const int64_t shape[] = {set->count, set->h, set->w, set->c, levels};
    const size_t bytes = (size_t)set->count * (size_t)set->h * (size_t)set->w * (size_t)set->c;
    return checksum_of(set->bytes, bytes, checksum_of(shape, sizeof shape, 0));
}

static uint32_t checksum_of_matrix(const ts_matrix *m, uint32_t checksum)
{
    return checksum_of(m->v, sizeof *m->v * (size_t)m->rows * (size_t)m->columns, checksum);
}

/* Weights and means above covariances (or their square roots). */
static uint64_t checksum_of_mixture(const ts_config *config)
{
    const ts_matrix *means = &config->data.mixture.means, *stds = &config->data.mixture.stds;
    const int64_t shape[] = {config->data.mixture.count, means->rows, means->columns, stds->rows > 0};
    const uint32_t start = checksum_of(shape, sizeof shape, 0);
    const uint32_t weights =
        checksum_of(config->data.mixture.weights.v, sizeof(double) * (size_t)means->rows, start);
    return (uint64_t)checksum_of_matrix(means, weights) << 32 |
           checksum_of_matrix(stds->rows ? stds : &config->data.mixture.covariances, start);
}

uint64_t ts_dataset_checksum(const ts_dataset *dataset)
{
    return dataset->checksum;
}

/* ---- the kinds ---- */

/* Where files are, and how they are read. */
typedef struct source {
    const char *path;
    ts_images_options options;
    int64_t held_out;
} source;

static ts_status read_digits(const source *from, ts_image_set *train, ts_image_set *test)
{
    (void)from; /* they are in the program */
    return ts_digits_read(train, test);
}

static ts_status read_idx(const source *from, ts_image_set *train, ts_image_set *test)
{
    return ts_idx_read(from->path, train, test);
}

static ts_status read_cifar10(const source *from, ts_image_set *train, ts_image_set *test)
{
    return ts_cifar10_read(from->path, train, test);
}

static ts_status read_imagenet(const source *from, ts_image_set *train, ts_image_set *test)
{
    return ts_imagenet_read(from->path, train, test);
}

static ts_status read_pictures(const source *from, ts_image_set *train, ts_image_set *test)
{
    return ts_pictures_read(from->path, &from->options, from->held_out, train, test);
}

const ts_data_row ts_data_rows[TS_DATA_COUNT] = {
    [TS_DATA_DIGITS] = {.levels = 17, .h = 8, .w = 8, .c = 1},
    [TS_DATA_IDX] = {.from_files = true, .levels = 256, .h = 28, .w = 28, .c = 1},
    [TS_DATA_CIFAR10] = {.from_files = true, .levels = 256, .h = 32, .w = 32, .c = 3},
    [TS_DATA_IMAGENET] = {.from_files = true, .levels = 256, .h = 32, .w = 32, .c = 3},
    [TS_DATA_FOLDER] = {.from_files = true,
                        .file = "folder with the pictures",
                        .pictures = true,
                        .levels = 256,
                        .h = 64,
                        .w = 64,
                        .c = 3},
    [TS_DATA_ARRAY] = {.from_files = true,
                       .file = "file .npy or .npz",
                       .pictures = true,
                       .levels = 256,
                       .h = 32,
                       .w = 32,
                       .c = 3},
    [TS_DATA_MIXTURE] = {.vectors = true},
};

/* Both sets of images. */
static ts_status (*const readers[TS_DATA_COUNT])(const source *from, ts_image_set *train,
                                                 ts_image_set *test) = {
    [TS_DATA_DIGITS] = read_digits,     [TS_DATA_IDX] = read_idx,         [TS_DATA_CIFAR10] = read_cifar10,
    [TS_DATA_IMAGENET] = read_imagenet, [TS_DATA_FOLDER] = read_pictures, [TS_DATA_ARRAY] = read_pictures,
};

/* The least that distances and their intervals can be computed of. */
enum { LEAST_IMAGES = 2 };

static ts_status check_counts(const ts_config *config, const ts_image_set *train, const ts_image_set *test)
{
    if (config->data.limit && config->data.limit < LEAST_IMAGES)
        return ts_error(TS_INVALID, "data.limit: %lld training image; quality needs at least %d",
                        (long long)config->data.limit, LEAST_IMAGES);
    if (train->count < LEAST_IMAGES)
        return ts_error(TS_FORMAT, "%s: %lld training image; quality needs at least %d", train->name,
                        (long long)train->count, LEAST_IMAGES);
    if (test->count < LEAST_IMAGES)
        return ts_error(TS_FORMAT, "%s: %lld held-out image; quality needs at least %d", test->name,
                        (long long)test->count, LEAST_IMAGES);
    return NULL;
}

/* Reads both sets as the configuration says. */
static ts_status read_sets(const ts_config *config, const ts_dataset_options *options, ts_image_set *train,
                           ts_image_set *test)
{
    const source from = {.path = config->data.path,
                         .options = {.crop = config->data.crop,
                                     .resize = config->data.resize,
                                     .filter = config->data.filter,
                                     .threads = options->threads,
                                     .cache = config->data.cache,
                                     .progress = options->progress,
                                     .warn = options->warn,
                                     .context = options->context},
                         .held_out = config->data.held_out};
    return readers[config->data.kind](&from, train, test);
}

/* The labels, which stay on the host. */
static void keep_labels(ts_image_set *train, ts_image_set *test, ts_dataset *dataset)
{
    dataset->classes = train->classes > test->classes ? train->classes : test->classes;
    dataset->train_labels = train->labels;
    dataset->test_labels = test->labels;
    train->labels = test->labels = NULL;
}

static ts_status open_images(const ts_config *config, ts_device *device, const ts_dataset_options *options,
                             ts_dataset *dataset)
{
    ts_image_set train = {.count = 0}, test = {.count = 0};
    const int levels = config->data.levels ? config->data.levels : ts_data_rows[config->data.kind].levels;
    const bool unit = config->sde.kind == TS_SDE_VE;
    ts_status status;
    TS_GOTO(read_sets(config, options, &train, &test), done);
    TS_GOTO(check_counts(config, &train, &test), done);
    if (config->data.limit && config->data.limit < train.count)
        train.count = config->data.limit;
    TS_GOTO(to_levels(&train, levels), done);
    TS_GOTO(to_levels(&test, levels), done);
    TS_GOTO(upload(device, &train, levels, unit, &dataset->train), done);
    TS_GOTO(upload(device, &test, levels, unit, &dataset->test), done);
    dataset->train.flip = config->data.flip;
    keep_labels(&train, &test, dataset);
    dataset->checksum =
        (uint64_t)checksum_of_images(&train, levels) << 32 | checksum_of_images(&test, levels);
    snprintf(dataset->description, sizeof dataset->description,
             "%s: %lld + %lld images %dx%dx%d, %d grey levels", ts_data_kind_words.word[config->data.kind],
             (long long)train.count, (long long)test.count, train.h, train.w, train.c, levels);
done:
    ts_image_set_release(&train);
    ts_image_set_release(&test);
    return status;
}

static ts_status open_mixture(const ts_config *config, ts_device *device, ts_dataset *dataset)
{
    const ts_matrix *means = &config->data.mixture.means;
    const bool diagonal = config->data.mixture.stds.rows > 0;
    TS_TRY(ts_mixture_create(device, means->rows, means->columns, config->data.mixture.weights.v, means->v,
                             diagonal ? config->data.mixture.stds.v : NULL,
                             diagonal ? NULL : config->data.mixture.covariances.v, &dataset->mixture));
    dataset->train = (ts_data){.device = device,
                               .h = 1,
                               .w = 1,
                               .c = means->columns,
                               .count = config->data.mixture.count,
                               .mixture = dataset->mixture};
    dataset->test = dataset->train;
    dataset->checksum = checksum_of_mixture(config);
    snprintf(dataset->description, sizeof dataset->description,
             "mixture of %d Gaussian%s in %d dimension%s, %s covariances", means->rows,
             means->rows == 1 ? "" : "s", means->columns, means->columns == 1 ? "" : "s",
             diagonal ? "diagonal" : "full");
    return NULL;
}

ts_status ts_dataset_open(const ts_config *config, ts_device *device, const ts_dataset_options *options,
                          ts_dataset **dataset)
{
    static const ts_dataset_options alone = {.threads = 0};
    *dataset = NULL;
    if (!ts_is_utf8(config->data.path))
        return ts_error(TS_INVALID, "data.path: the folder's name is not UTF-8, which checkpoints need; "
                                    "rename it, or give a link to it");
    ts_dataset *d = calloc(1, sizeof *d);
    if (!d)
        return ts_error(TS_NO_MEMORY, "no memory for the data set");
    ts_status status = ts_data_rows[config->data.kind].vectors
                           ? open_mixture(config, device, d)
                           : open_images(config, device, options ? options : &alone, d);
    if (status)
        ts_dataset_close(d);
    else
        *dataset = d;
    return status;
}

void ts_dataset_close(ts_dataset *dataset)
{
    if (!dataset)
        return;
    if (dataset->train.device && !dataset->shares)
        ts_data_release(&dataset->train);
    if (dataset->test.device && !dataset->shares)
        ts_data_release(&dataset->test);
    if (!dataset->shares) {
        free(dataset->train_labels);
        free(dataset->test_labels);
    }
    ts_mixture_destroy(dataset->mixture);
    free(dataset);
}

ts_status ts_dataset_share(const ts_config *config, const ts_dataset *dataset, ts_device *device,
                           ts_dataset **shared)
{
    if (dataset->mixture) /* a few numbers */
        return ts_dataset_open(config, device, NULL, shared);
    ts_dataset *d = *shared = malloc(sizeof *d);
    if (!d)
        return ts_error(TS_NO_MEMORY, "no memory for the data set");
    *d = *dataset;
    d->train.device = d->test.device = device;
    d->shares = true;
    return NULL;
}

/* ---- reading back ---- */

enum { READ_BATCH = 1024 };

static ts_status read_batches(const ts_data *data, const ts_step_state *state, int64_t start, int64_t n,
                              float *device_x, float *x)
{
    ts_device *device = data->device;
    const size_t d = (size_t)ts_data_dim(data);
    for (int64_t done = 0; done < n; done += READ_BATCH) {
        const int batch = n - done < READ_BATCH ? (int)(n - done) : READ_BATCH;
        TS_TRY(ts_data_eval_batch(data, batch, start + done, state, device_x));
        TS_TRY(
            device->k->download(device, x + (size_t)done * d, device_x, (size_t)batch * d * sizeof(float)));
    }
    return NULL;
}

ts_status ts_dataset_read(const ts_data *data, uint64_t seed, int64_t start, int64_t n, float *x)
{
    ts_device *device = data->device;
    const ts_step_state host = {.seed = seed};
    void *state = NULL, *batch = NULL;
    const size_t rows = n < READ_BATCH ? (size_t)n : READ_BATCH;
    ts_status status;
    TS_GOTO(device->k->allocate(device, sizeof host, &state), done);
    TS_GOTO(device->k->allocate(device, rows * (size_t)ts_data_dim(data) * sizeof(float), &batch), done);
    TS_GOTO(device->k->upload(device, state, &host, sizeof host), done);
    status = read_batches(data, state, start, n, batch, x);
    ts_data_to_symmetric(data, n * ts_data_dim(data), x);
done:
    device->k->release(device, batch);
    device->k->release(device, state);
    return status;
}
