/*
 * CIFAR-10 in its binary version (A. Krizhevsky, "Learning multiple layers of features from tiny images",
 * 2009): records of one label byte 0 .. 9 and 32x32 bytes each of red, green, blue; 10000 a file.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/file.h"
#include "data/files.h"

enum {
    SIDE = 32,
    PLANE = SIDE * SIDE,
    CHANNELS = 3,
    RECORD = 1 + CHANNELS * PLANE,
    CLASSES = 10,
    FILES = 5,
    PER_FILE = 10000
};

/* One record's planes to interleaved pixels. */
static void interleave(const uint8_t *planes, uint8_t *pixels)
{
    for (int p = 0; p < PLANE; p++)
        for (int c = 0; c < CHANNELS; c++)
            pixels[p * CHANNELS + c] = planes[c * PLANE + p];
}

static ts_status not_there(const char *folder, const char *name)
{
    char packed[PATH_MAX];
    snprintf(packed, sizeof packed, "%s/%s.xz", folder, name);
    if (!access(packed, F_OK))
        return ts_error(TS_NOT_FOUND, "data.path: %s is packed: unpack it with xz -dk", packed);
    return ts_error(TS_NOT_FOUND, "data.path: %s holds no %s; tools/fetch_data.sh cifar10 brings it", folder,
                    name);
}

/* Reads `count` records of FOLDER/NAME as the images first, first + 1, ... of a set. */
static ts_status read_file(const char *folder, const char *name, int64_t first, int64_t count,
                           ts_image_set *set)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (access(path, F_OK))
        return not_there(folder, name);
    const size_t expected = (size_t)count * RECORD;
    char *content;
    size_t bytes;
    TS_TRY(ts_file_read(path, (size_t)PER_FILE * RECORD, &content, &bytes));
    ts_status status = NULL;
    if (bytes != expected)
        status = ts_error(TS_FORMAT, "%s: %s: %zu bytes where %lld images of CIFAR-10 take %zu", path,
                          bytes < expected ? "cut short" : "too long", bytes, (long long)count, expected);
    for (int64_t i = 0; !status && i < count; i++) {
        const uint8_t *record = (const uint8_t *)content + (size_t)i * RECORD;
        if (record[0] >= CLASSES)
            status = ts_error(TS_FORMAT, "%s: not a CIFAR-10 file: image %lld has label %d, not 0 to 9", path,
                              (long long)i, record[0]);
        else {
            set->labels[first + i] = record[0];
            interleave(record + 1, set->bytes + (size_t)(first + i) * CHANNELS * PLANE);
        }
    }
    free(content);
    return status;
}

static ts_status make_set(const char *name, int64_t count, ts_image_set *set)
{
    *set = (ts_image_set){.h = SIDE, .w = SIDE, .c = CHANNELS, .count = count, .classes = CLASSES};
    snprintf(set->name, sizeof set->name, "%s", name);
    set->bytes = malloc((size_t)count * CHANNELS * PLANE);
    set->labels = malloc((size_t)count * sizeof *set->labels);
    return set->bytes && set->labels
               ? NULL
               : ts_error(TS_NO_MEMORY, "%s: no memory for %lld images", name, (long long)count);
}

ts_status ts_cifar10_read(const char *folder, ts_image_set *train, ts_image_set *test)
{
    char name[PATH_MAX];
    TS_TRY(make_set(folder, (int64_t)FILES * PER_FILE, train));
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "data_batch_%d.bin", i + 1);
        TS_TRY(read_file(folder, name, (int64_t)i * PER_FILE, PER_FILE, train));
    }
    snprintf(name, sizeof name, "%s/test_batch_first1000.bin", folder);
    const bool part = !access(name, F_OK);
    snprintf(name, sizeof name, "%s/test_batch.bin", folder);
    const bool whole = !part || !access(name, F_OK);
    const int64_t count = whole ? PER_FILE : 1000;
    TS_TRY(make_set(folder, count, test));
    return read_file(folder, whole ? "test_batch.bin" : "test_batch_first1000.bin", 0, count, test);
}
