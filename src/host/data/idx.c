/*
 * IDX files (Y. LeCun, "The MNIST database"): big-endian magic 0 0 TYPE RANK, RANK sizes, the values.  Only
 * 8-bit values are read: rank 3 for images, rank 1 for labels.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include "data/files.h"

enum { IMAGES_MAGIC = 0x803, LABELS_MAGIC = 0x801, IMAGES_HEADER = 16, LABELS_HEADER = 8 };
enum { LARGEST_SIDE = 65535, CHUNK = 1 << 20 };

static uint32_t big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* ---- parsing ---- */

/* Checks magic and sizes of a header; *total gets the whole file's bytes that it asks for. */
static ts_status check_header(const char *name, const uint8_t *content, size_t bytes, bool images,
                              uint64_t *total)
{
    const size_t header = images ? IMAGES_HEADER : LABELS_HEADER;
    const uint32_t magic = images ? IMAGES_MAGIC : LABELS_MAGIC;
    if (bytes < header)
        return ts_error(TS_FORMAT, "%s: cut short: %zu bytes, fewer than the %zu of an IDX header", name,
                        bytes, header);
    if (big_endian(content) != magic)
        return ts_error(TS_FORMAT, "%s: not an IDX file of %s: its first four bytes are %08x instead of %08x",
                        name, images ? "images" : "labels", big_endian(content), magic);
    uint32_t count = big_endian(content + 4), h = 1, w = 1;
    if (images) {
        h = big_endian(content + 8);
        w = big_endian(content + 12);
    }
    if (!count || !h || !w || h > LARGEST_SIDE || w > LARGEST_SIDE)
        return ts_error(TS_FORMAT, "%s: its header asks for %u images of %ux%u", name, count, h, w);
    *total = header + (uint64_t)count * ((uint64_t)h * w);
    return NULL;
}

static ts_status check_size(const char *name, const uint8_t *content, size_t bytes, bool images)
{
    uint64_t total;
    TS_TRY(check_header(name, content, bytes, images, &total));
    if (bytes == total)
        return NULL;
    uint32_t count = big_endian(content + 4);
    const char *what = images ? "images" : "labels";
    if (bytes < total)
        return ts_error(TS_FORMAT, "%s: cut short: %zu bytes where its header of %u %s asks for %llu", name,
                        bytes, count, what, (unsigned long long)total);
    return ts_error(TS_FORMAT, "%s: too long: more than the %llu bytes that its header of %u %s asks for",
                    name, (unsigned long long)total, count, what);
}

ts_status ts_idx_parse_images(const char *name, const uint8_t *content, size_t bytes, ts_image_set *set)
{
    TS_TRY(check_size(name, content, bytes, true));
    uint8_t *copy = malloc(bytes - IMAGES_HEADER);
    if (!copy)
        return ts_error(TS_NO_MEMORY, "%s: no memory for %zu bytes", name, bytes - IMAGES_HEADER);
    memcpy(copy, content + IMAGES_HEADER, bytes - IMAGES_HEADER);
    *set = (ts_image_set){.h = (int)big_endian(content + 8),
                          .w = (int)big_endian(content + 12),
                          .c = 1,
                          .count = big_endian(content + 4),
                          .bytes = copy};
    snprintf(set->name, sizeof set->name, "%s", name);
    return NULL;
}

ts_status ts_idx_parse_labels(const char *name, const uint8_t *content, size_t bytes, int64_t expected)
{
    TS_TRY(check_size(name, content, bytes, false));
    int64_t count = big_endian(content + 4);
    if (count != expected)
        return ts_error(TS_FORMAT, "%s: %lld labels for %lld images", name, (long long)count,
                        (long long)expected);
    return NULL;
}

/* ---- reading ---- */

/* Reads up to `limit` bytes into a buffer that grows with what is really there. */
static ts_status read_some(gzFile file, const char *name, uint8_t **buffer, size_t *bytes, uint64_t limit)
{
    while (*bytes < limit) {
        size_t chunk = limit - *bytes < CHUNK ? (size_t)(limit - *bytes) : CHUNK;
        uint8_t *larger = realloc(*buffer, *bytes + chunk);
        if (!larger)
            return ts_error(TS_NO_MEMORY, "%s: no memory for %llu bytes", name, (unsigned long long)limit);
        *buffer = larger;
        int got = gzread(file, larger + *bytes, (unsigned)chunk);
        if (got < 0) {
            int code;
            const char *message = gzerror(file, &code); /* "PATH: what happened" */
            const size_t path = strlen(name);
            if (!strncmp(message, name, path) && !strncmp(message + path, ": ", 2))
                message += path + 2;
            return code == Z_ERRNO
                       ? ts_error(TS_IO, "%s: %s", name, strerror(errno))
                       : ts_error(TS_FORMAT, "%s: damaged or cut short gzip data: %s", name, message);
        }
        if (!got)
            break;
        *bytes += (size_t)got;
    }
    return NULL;
}

/* The file unpacked: as much as its header asks for, and one byte more if there is one, so that a file too
 * long is seen without being read. */
static ts_status read_idx(const char *path, bool images, uint8_t **content, size_t *bytes)
{
    *content = NULL;
    *bytes = 0;
    struct stat info;
    if (stat(path, &info))
        return ts_error(errno == ENOENT ? TS_NOT_FOUND : TS_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return ts_error(TS_FORMAT, "%s: not a regular file", path);
    gzFile file = gzopen(path, "rb");
    if (!file)
        return ts_error(errno ? TS_IO : TS_NO_MEMORY, "%s: %s", path, errno ? strerror(errno) : "no memory");
    uint64_t total;
    ts_status status;
    TS_GOTO(read_some(file, path, content, bytes, images ? IMAGES_HEADER : LABELS_HEADER), done);
    TS_GOTO(check_header(path, *content, *bytes, images, &total), done);
    TS_GOTO(read_some(file, path, content, bytes, total + 1), done);
done:
    /* zlib notices a gzip stream without its end only here */
    if (gzclose(file) == Z_BUF_ERROR && !status && *bytes <= total)
        status = ts_error(TS_FORMAT, "%s: cut short: the gzip data have no end", path);
    return status;
}

/* The first of the usual names that is there: "FOLDER/NAME" or "FOLDER/NAME.gz"; false if none. */
static bool find_file(const char *folder, const char *const *names, char path[PATH_MAX])
{
    for (; *names; names++)
        for (int gz = 0; gz < 2; gz++) {
            snprintf(path, PATH_MAX, "%s/%s%s", folder, *names, gz ? ".gz" : "");
            if (!access(path, F_OK))
                return true;
        }
    return false;
}

static ts_status read_images(const char *path, ts_image_set *set)
{
    uint8_t *content;
    size_t bytes;
    ts_status status = read_idx(path, true, &content, &bytes);
    if (!status)
        status = ts_idx_parse_images(path, content, bytes, set);
    free(content);
    return status;
}

static ts_status read_labels(const char *path, int64_t expected)
{
    uint8_t *content;
    size_t bytes;
    ts_status status = read_idx(path, false, &content, &bytes);
    if (!status)
        status = ts_idx_parse_labels(path, content, bytes, expected);
    free(content);
    return status;
}

static ts_status read_set(const char *folder, const char *const *images, const char *const *labels,
                          ts_image_set *set)
{
    char path[PATH_MAX];
    if (!find_file(folder, images, path))
        return ts_error(TS_NOT_FOUND, "data.path: %s holds no %s (or .gz)", folder, images[0]);
    TS_TRY(read_images(path, set));
    /* labels are not used, but where they are they must fit */
    return find_file(folder, labels, path) ? read_labels(path, set->count) : NULL;
}

ts_status ts_idx_read(const char *folder, ts_image_set *train, ts_image_set *test)
{
    static const char *const train_images[] = {"train-images-idx3-ubyte", NULL};
    static const char *const train_labels[] = {"train-labels-idx1-ubyte", NULL};
    static const char *const test_images[] = {"t10k-images-idx3-ubyte", "test-images-idx3-ubyte", NULL};
    static const char *const test_labels[] = {"t10k-labels-idx1-ubyte", "test-labels-idx1-ubyte", NULL};
    TS_TRY(read_set(folder, train_images, train_labels, train));
    TS_TRY(read_set(folder, test_images, test_labels, test));
    if (train->h != test->h || train->w != test->w)
        return ts_error(TS_FORMAT, "%s: images of %dx%d where %s has %dx%d", test->name, test->h, test->w,
                        train->name, train->h, train->w);
    return NULL;
}
