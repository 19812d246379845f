/*
 * IDX files (Y. LeCun, "The MNIST database"): big-endian magic 0 0 TYPE RANK, RANK sizes, the values.  Only
 * 8-bit values are read: rank 3 for grey images [n,h,w], rank 4 for images with channels [n,h,w,c], rank 1
 * for labels [n].
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

enum { LABELS = 1, GREY = 3, COLOUR = 4 }; /* ranks */
enum { MAGIC = 0x800, MOST_CHANNELS = 4, LARGEST_SIDE = 65535, CHUNK = 1 << 20 };

static uint32_t big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static size_t header_bytes(int rank)
{
    return 4 + 4 * (size_t)rank;
}

static const char *word(int rank)
{
    return rank == LABELS ? "labels" : "images";
}

/* ---- parsing ---- */

/* What a header says: [count], [count,h,w] or [count,h,w,c]. */
typedef struct sizes {
    uint32_t count, h, w, c;
    uint64_t total; /* bytes of the whole file */
} sizes;

static ts_status check_sizes(const char *name, int rank, const sizes *s)
{
    char shape[64];
    snprintf(shape, sizeof shape, rank == COLOUR ? "%ux%ux%u" : "%ux%u", s->h, s->w, s->c);
    if (rank == LABELS)
        return s->count ? NULL : ts_error(TS_FORMAT, "%s: its header asks for 0 labels", name);
    if (!s->count || !s->h || !s->w || !s->c || s->h > LARGEST_SIDE || s->w > LARGEST_SIDE)
        return ts_error(TS_FORMAT, "%s: its header asks for %u images of %s", name, s->count, shape);
    if (s->c > MOST_CHANNELS)
        return ts_error(TS_FORMAT, "%s: its header asks for %u images of %s: 1 to %d channels are read", name,
                        s->count, shape, MOST_CHANNELS);
    if ((uint64_t)s->h * s->w * s->c > INT32_MAX)
        return ts_error(TS_FORMAT, "%s: its header asks for %u images of %s: more than %d values each", name,
                        s->count, shape, INT32_MAX);
    return NULL;
}

/* Checks magic and sizes of a header of this rank. */
static ts_status read_header(const char *name, const uint8_t *content, size_t bytes, int rank, sizes *s)
{
    const size_t header = header_bytes(rank);
    if (bytes < header)
        return ts_error(TS_FORMAT, "%s: cut short: %zu bytes, fewer than the %zu of an IDX header", name,
                        bytes, header);
    if (big_endian(content) != (uint32_t)(MAGIC + rank))
        return ts_error(TS_FORMAT, "%s: not an IDX file of %s: its first four bytes are %08x instead of %08x",
                        name, word(rank), big_endian(content), (unsigned)(MAGIC + rank));
    *s = (sizes){.count = big_endian(content + 4), .h = 1, .w = 1, .c = 1};
    if (rank >= GREY) {
        s->h = big_endian(content + 8);
        s->w = big_endian(content + 12);
    }
    if (rank == COLOUR)
        s->c = big_endian(content + 16);
    TS_TRY(check_sizes(name, rank, s));
    /* at most 2^32 2^31: no overflow */
    s->total = header + s->count * ((uint64_t)s->h * s->w * s->c);
    return NULL;
}

static ts_status read_sizes(const char *name, const uint8_t *content, size_t bytes, int rank, sizes *s)
{
    TS_TRY(read_header(name, content, bytes, rank, s));
    if (bytes == s->total)
        return NULL;
    if (bytes < s->total)
        return ts_error(TS_FORMAT, "%s: cut short: %zu bytes where its header of %u %s asks for %llu", name,
                        bytes, s->count, word(rank), (unsigned long long)s->total);
    return ts_error(TS_FORMAT, "%s: too long: more than the %llu bytes that its header of %u %s asks for",
                    name, (unsigned long long)s->total, s->count, word(rank));
}

ts_status ts_idx_parse_images(const char *name, const uint8_t *content, size_t bytes, ts_image_set *set)
{
    const int rank = bytes >= 4 && big_endian(content) == MAGIC + COLOUR ? COLOUR : GREY;
    sizes s;
    TS_TRY(read_sizes(name, content, bytes, rank, &s));
    const size_t size = bytes - header_bytes(rank);
    uint8_t *copy = malloc(size);
    if (!copy)
        return ts_error(TS_NO_MEMORY, "%s: no memory for %zu bytes", name, size);
    memcpy(copy, content + header_bytes(rank), size);
    *set = (ts_image_set){.h = (int)s.h, .w = (int)s.w, .c = (int)s.c, .count = s.count, .bytes = copy};
    snprintf(set->name, sizeof set->name, "%s", name);
    return NULL;
}

ts_status ts_idx_parse_labels(const char *name, const uint8_t *content, size_t bytes, ts_image_set *set)
{
    sizes s;
    TS_TRY(read_sizes(name, content, bytes, LABELS, &s));
    if (s.count != set->count)
        return ts_error(TS_FORMAT, "%s: %lld labels for %lld images", name, (long long)s.count,
                        (long long)set->count);
    set->labels = malloc((size_t)set->count * sizeof *set->labels);
    if (!set->labels)
        return ts_error(TS_NO_MEMORY, "%s: no memory for %lld labels", name, (long long)set->count);
    for (int64_t i = 0; i < set->count; i++) {
        set->labels[i] = content[header_bytes(LABELS) + (size_t)i];
        set->classes = set->labels[i] < set->classes ? set->classes : set->labels[i] + 1;
    }
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
static ts_status read_idx(const char *path, int rank, uint8_t **content, size_t *bytes)
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
    sizes s;
    ts_status status;
    TS_GOTO(read_some(file, path, content, bytes, header_bytes(rank)), done);
    TS_GOTO(read_header(path, *content, *bytes, rank, &s), done);
    TS_GOTO(read_some(file, path, content, bytes, s.total + 1), done);
done:
    /* zlib notices a gzip stream without its end only here */
    if (gzclose(file) == Z_BUF_ERROR && !status && *bytes <= s.total)
        status = ts_error(TS_FORMAT, "%s: cut short: the gzip data have no end", path);
    return status;
}

/* A usual name of a file, and the rank of what it holds. */
typedef struct usual_name {
    const char *name;
    int rank;
} usual_name;

/* The first of the usual names that is there: "FOLDER/NAME" or "FOLDER/NAME.gz", and its rank; 0 if none. */
static int find_file(const char *folder, const usual_name *names, char path[PATH_MAX])
{
    for (; names->name; names++)
        for (int gz = 0; gz < 2; gz++) {
            snprintf(path, PATH_MAX, "%s/%s%s", folder, names->name, gz ? ".gz" : "");
            if (!access(path, F_OK))
                return names->rank;
        }
    return 0;
}

static ts_status read_images(const char *path, int rank, ts_image_set *set)
{
    uint8_t *content;
    size_t bytes;
    ts_status status = read_idx(path, rank, &content, &bytes);
    if (!status)
        status = ts_idx_parse_images(path, content, bytes, set);
    free(content);
    return status;
}

static ts_status read_labels(const char *path, ts_image_set *set)
{
    uint8_t *content;
    size_t bytes;
    ts_status status = read_idx(path, LABELS, &content, &bytes);
    if (!status)
        status = ts_idx_parse_labels(path, content, bytes, set);
    free(content);
    return status;
}

static ts_status read_set(const char *folder, const usual_name *images, const usual_name *labels,
                          ts_image_set *set)
{
    char path[PATH_MAX];
    const int rank = find_file(folder, images, path);
    if (!rank)
        return ts_error(TS_NOT_FOUND,
                        "data.path: %s holds no %s or %s (or .gz); tools/fetch_data.sh mnist brings MNIST",
                        folder, images[0].name, images[1].name);
    TS_TRY(read_images(path, rank, set));
    return find_file(folder, labels, path) ? read_labels(path, set) : NULL;
}

ts_status ts_idx_read(const char *folder, ts_image_set *train, ts_image_set *test)
{
    static const usual_name train_images[] = {
        {"train-images-idx3-ubyte", GREY}, {"train-images-idx4-ubyte", COLOUR}, {NULL, 0}};
    static const usual_name train_labels[] = {{"train-labels-idx1-ubyte", LABELS}, {NULL, 0}};
    static const usual_name test_images[] = {{"t10k-images-idx3-ubyte", GREY},
                                             {"t10k-images-idx4-ubyte", COLOUR},
                                             {"test-images-idx3-ubyte", GREY},
                                             {"test-images-idx4-ubyte", COLOUR},
                                             {NULL, 0}};
    static const usual_name test_labels[] = {
        {"t10k-labels-idx1-ubyte", LABELS}, {"test-labels-idx1-ubyte", LABELS}, {NULL, 0}};
    TS_TRY(read_set(folder, train_images, train_labels, train));
    TS_TRY(read_set(folder, test_images, test_labels, test));
    if (train->h != test->h || train->w != test->w || train->c != test->c)
        return ts_error(TS_FORMAT, "%s: images of %dx%dx%d where %s has %dx%dx%d", test->name, test->h,
                        test->w, test->c, train->name, train->h, train->w, train->c);
    return NULL;
}
