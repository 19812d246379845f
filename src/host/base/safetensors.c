#include "base/safetensors.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/file.h"
#include "base/json.h"

/* Far above what any model's header takes, far below what would hurt. */
enum { HEADER_LIMIT = 100 << 20, TENSOR_LIMIT = 1 << 22 };

static const struct {
    const char *name;
    size_t bytes;
} types[] = {
#define X(type, name, bytes) {name, bytes},
    TS_SAFETENSORS_TYPES(X)
#undef X
};
enum { TYPES = sizeof types / sizeof *types };

typedef struct tensor {
    ts_safetensors_info info;
    uint64_t begin, end; /* within the data */
} tensor;

struct ts_safetensors {
    char *path;
    unsigned char *map;
    uint64_t bytes, data; /* of the file; where tensors begin */
    json_t *header;
    tensor *tensors;
    int count;
    int *by_name; /* indices in the order of names, for the search */
};

/* ---- reading: the header ---- */

static ts_status map_file(ts_safetensors *f)
{
    int fd;
    TS_TRY(ts_file_open(f->path, &fd, &f->bytes));
    ts_status status = NULL;
    if (f->bytes < 8)
        status = ts_error(TS_FORMAT, "%s: %llu bytes; a safetensors file has at least 8", f->path,
                          (unsigned long long)f->bytes);
    if (!status) {
        void *map = mmap(NULL, f->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED)
            status = ts_error(errno == ENOMEM ? TS_NO_MEMORY : TS_IO, "%s: cannot map: %s", f->path,
                              strerror(errno));
        else
            f->map = map;
    }
    close(fd);
    return status;
}

static ts_status parse_header(ts_safetensors *f)
{
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--)
        length = length << 8 | f->map[i];
    const bool fits = length <= HEADER_LIMIT && length <= f->bytes - 8;
    if (!fits && ts_file_kind_of(f->path) == TS_FILE_PYTORCH)
        return ts_error(TS_FORMAT, "%s: a file of PyTorch's: save its state dict with safetensors", f->path);
    if (!fits)
        return ts_error(
            TS_FORMAT, "%s: no safetensors file, or cut short: its header of %llu bytes does not fit in %llu",
            f->path, (unsigned long long)length, (unsigned long long)f->bytes);
    f->data = 8 + length;
    TS_TRY(ts_json_parse(f->path, (const char *)f->map + 8, length, &f->header));
    if (!json_is_object(f->header))
        return ts_error(TS_FORMAT, "%s: the header is no JSON object", f->path);
    return NULL;
}

static ts_status parse_shape(const ts_safetensors *f, const json_t *shape, ts_safetensors_info *info)
{
    info->rank = (int)json_array_size(shape);
    info->count = 1;
    if (!json_is_array(shape) || json_array_size(shape) > TS_SAFETENSORS_RANK)
        return ts_error(TS_FORMAT, "%s: tensor %s: shape must be a list of at most %d sizes", f->path,
                        info->name, TS_SAFETENSORS_RANK);
    for (int i = 0; i < info->rank; i++) {
        const json_t *size = json_array_get(shape, (size_t)i);
        info->shape[i] = json_integer_value(size);
        if (!json_is_integer(size) || info->shape[i] < 0 ||
            __builtin_mul_overflow(info->count, info->shape[i], &info->count) || info->count > INT64_MAX / 16)
            return ts_error(TS_FORMAT, "%s: tensor %s: impossible shape", f->path, info->name);
    }
    return NULL;
}

static ts_status parse_tensor(const ts_safetensors *f, const char *name, const json_t *entry, tensor *t)
{
    const char *type = json_string_value(json_object_get(entry, "dtype"));
    const json_t *range = json_object_get(entry, "data_offsets");
    const json_t *begin = json_array_get(range, 0), *end = json_array_get(range, 1);
    int found = 0;
    t->info.name = name;
    while (found < TYPES && (!type || strcmp(types[found].name, type) != 0))
        found++;
    if (found == TYPES)
        return ts_error(TS_FORMAT, "%s: tensor %s: type %s is none of F32, F64, I64, U8", f->path, name,
                        type ? type : "(none)");
    t->info.type = (ts_safetensors_type)found;
    TS_TRY(parse_shape(f, json_object_get(entry, "shape"), &t->info));
    if (json_array_size(range) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return ts_error(TS_FORMAT, "%s: tensor %s: data_offsets must be two integers", f->path, name);
    const json_int_t first = json_integer_value(begin), last = json_integer_value(end);
    t->info.bytes = (size_t)t->info.count * types[found].bytes;
    if (first < 0 || last < first || (uint64_t)last > f->bytes - f->data)
        return ts_error(TS_FORMAT, "%s: cut short: tensor %s ends at byte %llu, the file at %llu", f->path,
                        name, (unsigned long long)last + f->data, (unsigned long long)f->bytes);
    if ((uint64_t)(last - first) != t->info.bytes)
        return ts_error(TS_FORMAT, "%s: tensor %s: %lld bytes, its shape and type need %zu", f->path, name,
                        (long long)(last - first), t->info.bytes);
    t->begin = (uint64_t)first;
    t->end = (uint64_t)last;
    return NULL;
}

static int by_position(const void *a, const void *b)
{
    const tensor *p = a, *q = b;
    if (p->begin != q->begin)
        return p->begin < q->begin ? -1 : 1;
    return (p->end > q->end) - (p->end < q->end);
}

static int by_name(const void *a, const void *b, void *tensors)
{
    const tensor *t = tensors;
    return strcmp(t[*(const int *)a].info.name, t[*(const int *)b].info.name);
}

/* No overlap, no hole, nothing behind the last tensor. */
static ts_status check_ranges(const ts_safetensors *f)
{
    uint64_t at = 0;
    for (int i = 0; i < f->count; i++) {
        if (f->tensors[i].begin != at)
            return ts_error(TS_FORMAT,
                            "%s: tensor %s begins at byte %llu of the data, the one before it ends at %llu",
                            f->path, f->tensors[i].info.name, (unsigned long long)f->tensors[i].begin,
                            (unsigned long long)at);
        at = f->tensors[i].end;
    }
    if (at != f->bytes - f->data)
        return ts_error(TS_FORMAT, "%s: %llu bytes behind the last tensor", f->path,
                        (unsigned long long)(f->bytes - f->data - at));
    return NULL;
}

static ts_status check_metadata(const ts_safetensors *f, const json_t *metadata)
{
    const char *key;
    json_t *value;
    if (metadata && !json_is_object(metadata))
        return ts_error(TS_FORMAT, "%s: __metadata__ is no object", f->path);
    json_object_foreach((json_t *)metadata, key, value) if (!json_is_string(value)) return ts_error(
        TS_FORMAT, "%s: __metadata__: %s is no string", f->path, key);
    return NULL;
}

static ts_status parse_tensors(ts_safetensors *f)
{
    const char *name;
    json_t *entry;
    const json_t *metadata = json_object_get(f->header, "__metadata__");
    TS_TRY(check_metadata(f, metadata));
    const size_t count = json_object_size(f->header) - (metadata != NULL);
    if (count > TENSOR_LIMIT)
        return ts_error(TS_FORMAT, "%s: %zu tensors; at most %d are expected", f->path, count, TENSOR_LIMIT);
    f->tensors = calloc(count ? count : 1, sizeof *f->tensors);
    f->by_name = calloc(count ? count : 1, sizeof *f->by_name);
    if (!f->tensors || !f->by_name)
        return ts_error(TS_NO_MEMORY, "%s: no memory for its table of tensors", f->path);
    json_object_foreach(f->header, name, entry)
    {
        if (!strcmp(name, "__metadata__"))
            continue;
        TS_TRY(parse_tensor(f, name, entry, &f->tensors[f->count]));
        f->count++;
    }
    qsort(f->tensors, (size_t)f->count, sizeof *f->tensors, by_position);
    for (int i = 0; i < f->count; i++)
        f->by_name[i] = i;
    qsort_r(f->by_name, (size_t)f->count, sizeof *f->by_name, by_name, f->tensors);
    return check_ranges(f);
}

ts_status ts_safetensors_open(const char *path, ts_safetensors **file)
{
    *file = NULL;
    ts_safetensors *f = calloc(1, sizeof *f);
    if (!f || !(f->path = strdup(path))) {
        free(f);
        return ts_error(TS_NO_MEMORY, "%s: no memory to open it", path);
    }
    ts_status status = map_file(f);
    if (!status)
        status = parse_header(f);
    if (!status)
        status = parse_tensors(f);
    if (status)
        ts_safetensors_close(f);
    else
        *file = f;
    return status;
}

void ts_safetensors_close(ts_safetensors *file)
{
    if (!file)
        return;
    if (file->map)
        munmap(file->map, file->bytes);
    json_decref(file->header);
    free(file->tensors);
    free(file->by_name);
    free(file->path);
    free(file);
}

/* ---- reading: tensors ---- */

const char *ts_safetensors_path(const ts_safetensors *file)
{
    return file->path;
}

const char *ts_safetensors_metadata(const ts_safetensors *file, const char *key)
{
    return json_string_value(json_object_get(json_object_get(file->header, "__metadata__"), key));
}

int ts_safetensors_count(const ts_safetensors *file)
{
    return file->count;
}

const ts_safetensors_info *ts_safetensors_at(const ts_safetensors *file, int index)
{
    return &file->tensors[index].info;
}

int ts_safetensors_find(const ts_safetensors *file, const char *name)
{
    for (int low = 0, high = file->count; low < high;) {
        const int middle = low + (high - low) / 2, index = file->by_name[middle];
        const int order = strcmp(name, file->tensors[index].info.name);
        if (order == 0)
            return index;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

static void print_shape(int rank, const int64_t *shape, char text[160])
{
    int at = snprintf(text, 160, "[");
    for (int i = 0; i < rank && at < 140; i++)
        at += snprintf(text + at, 160 - (size_t)at, "%s%lld", i ? "," : "", (long long)shape[i]);
    snprintf(text + at, 160 - (size_t)at, "]");
}

static bool same_shape(const ts_safetensors_info *info, int rank, const int64_t *shape)
{
    if (rank < 0)
        return info->count == shape[0];
    return info->rank == rank && (rank == 0 || !memcmp(info->shape, shape, (size_t)rank * sizeof *shape));
}

ts_status ts_safetensors_read(ts_safetensors *file, const char *name, ts_safetensors_type type, int rank,
                              const int64_t *shape, void *to)
{
    const int index = ts_safetensors_find(file, name);
    if (index < 0)
        return ts_error(TS_INVALID, "%s: tensor %s is missing", file->path, name);
    tensor *t = &file->tensors[index];
    if (t->info.type != type || !same_shape(&t->info, rank, shape)) {
        char is[160], should[160];
        print_shape(t->info.rank, t->info.shape, is);
        print_shape(rank < 0 ? 1 : rank, shape, should);
        return ts_error(TS_INVALID, "%s: tensor %s is %s %s, should be %s %s", file->path, name,
                        types[t->info.type].name, is, types[type].name, should);
    }
    if (t->info.bytes)
        memcpy(to, file->map + file->data + t->begin, t->info.bytes);
    t->info.read = true;
    return NULL;
}

ts_status ts_safetensors_read_doubles(ts_safetensors *file, const char *name, double **values,
                                      const ts_safetensors_info **info)
{
    *values = NULL;
    const int index = ts_safetensors_find(file, name);
    if (index < 0)
        return ts_error(TS_INVALID, "%s: tensor %s is missing", file->path, name);
    tensor *t = &file->tensors[index];
    if (t->info.type != TS_ST_F32 && t->info.type != TS_ST_F64)
        return ts_error(TS_INVALID, "%s: tensor %s is %s, should be F32 or F64", file->path, name,
                        types[t->info.type].name);
    const size_t count = (size_t)t->info.count;
    const unsigned char *from = file->map + file->data + t->begin;
    double *to = malloc((count ? count : 1) * sizeof *to);
    if (!to)
        return ts_error(TS_NO_MEMORY, "%s: no memory for tensor %s", file->path, name);
    for (size_t i = 0; i < count; i++) {
        float single;
        if (t->info.type == TS_ST_F64) {
            memcpy(&to[i], from + 8 * i, 8);
            continue;
        }
        memcpy(&single, from + 4 * i, 4);
        to[i] = single;
    }
    t->info.read = true;
    *values = to;
    if (info)
        *info = &t->info;
    return NULL;
}

/* ---- writing ---- */

struct ts_safetensors_writer {
    ts_file_writer *file;
    char *path;
    json_t *header;
    size_t *bytes; /* of each declared tensor */
    int count, written;
    uint64_t end;
    bool begun;
    ts_status error;
};

static void writer_free(ts_safetensors_writer *w)
{
    json_decref(w->header);
    free(w->bytes);
    free(w->path);
    ts_status_free(w->error);
    free(w);
}

ts_status ts_safetensors_create(const char *path, ts_safetensors_writer **writer)
{
    *writer = NULL;
    ts_safetensors_writer *w = calloc(1, sizeof *w);
    if (w) {
        w->header = json_object();
        w->path = strdup(path);
    }
    if (!w || !w->header || !w->path) {
        if (w)
            writer_free(w);
        return ts_error(TS_NO_MEMORY, "%s: no memory to write it", path);
    }
    ts_status status = ts_file_create(path, &w->file);
    if (status)
        writer_free(w);
    else
        *writer = w;
    return status;
}

static void keep_error(ts_safetensors_writer *w, ts_status error)
{
    if (w->error)
        ts_status_free(error);
    else
        w->error = error;
}

void ts_safetensors_declare_metadata(ts_safetensors_writer *writer, const char *key, const char *value)
{
    json_t *metadata = json_object_get(writer->header, "__metadata__");
    if (!metadata) {
        metadata = json_object();
        if (json_object_set_new(writer->header, "__metadata__", metadata))
            metadata = NULL; /* which takes no keys */
    }
    json_t *text = json_string(value), *unchecked = text ? NULL : json_string_nocheck(value);
    if (unchecked) /* memory is there, so the text was at fault */
        keep_error(writer, ts_error(TS_INVALID, "%s: metadata %s is no UTF-8 text", writer->path, key));
    else if (json_object_set_new(metadata, key, text))
        keep_error(writer, ts_error(TS_NO_MEMORY, "%s: no memory for metadata %s", writer->path, key));
    json_decref(unchecked);
}

void ts_safetensors_declare(ts_safetensors_writer *writer, const char *name, ts_safetensors_type type,
                            int rank, const int64_t *shape)
{
    ts_safetensors_writer *w = writer;
    size_t *grown = realloc(w->bytes, ((size_t)w->count + 1) * sizeof *grown);
    json_t *sizes = json_array();
    size_t bytes = types[type].bytes;
    bool complete = grown != NULL;
    for (int i = 0; i < rank; i++) {
        bytes *= (size_t)shape[i];
        complete &= !json_array_append_new(sizes, json_integer(shape[i]));
    }
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", types[type].name, "shape", sizes,
                              "data_offsets", (json_int_t)w->end, (json_int_t)(w->end + bytes));
    if (grown)
        w->bytes = grown;
    if (json_object_get(w->header, name))
        keep_error(w, ts_error(TS_INVALID, "%s: tensor %s is declared twice", w->path, name));
    if (json_object_set_new(w->header, name, entry) || !complete) { /* takes the entry in any case */
        keep_error(w, ts_error(TS_NO_MEMORY, "%s: no memory to declare tensor %s", w->path, name));
        return;
    }
    w->bytes[w->count++] = bytes;
    w->end += bytes;
}

static ts_status write_header(ts_safetensors_writer *w)
{
    w->begun = true;
    char *text = json_dumps(w->header, JSON_COMPACT);
    if (!text)
        return ts_error(TS_NO_MEMORY, "%s: no memory for its header", w->path);
    const size_t length = strlen(text), padded = (length + 7) / 8 * 8; /* tensors begin aligned */
    unsigned char prefix[8];
    for (int i = 0; i < 8; i++)
        prefix[i] = (unsigned char)((uint64_t)padded >> 8 * i);
    ts_status status = ts_file_append(w->file, prefix, 8);
    if (!status)
        status = ts_file_append(w->file, text, length);
    if (!status)
        status = ts_file_append(w->file, "       ", padded - length);
    free(text);
    return status;
}

static ts_status take_error(ts_safetensors_writer *w)
{
    ts_status error = w->error;
    w->error = NULL;
    return error;
}

ts_status ts_safetensors_append(ts_safetensors_writer *writer, const void *data, size_t bytes)
{
    ts_safetensors_writer *w = writer;
    TS_TRY(take_error(w));
    if (!w->begun)
        TS_TRY(write_header(w));
    if (w->written == w->count || bytes != w->bytes[w->written])
        return ts_error(TS_INVALID, "%s: %zu bytes written as tensor %d, which was declared otherwise",
                        w->path, bytes, w->written);
    w->written++;
    return ts_file_append(w->file, data, bytes);
}

ts_status ts_safetensors_commit(ts_safetensors_writer *writer)
{
    ts_safetensors_writer *w = writer;
    ts_status status = take_error(w);
    if (!status && !w->begun)
        status = write_header(w);
    if (!status && w->written != w->count)
        status = ts_error(TS_INVALID, "%s: %d of %d tensors written", w->path, w->written, w->count);
    if (status)
        ts_file_abandon(w->file);
    else
        status = ts_file_commit(w->file);
    writer_free(w);
    return status;
}

void ts_safetensors_abandon(ts_safetensors_writer *writer)
{
    if (!writer)
        return;
    ts_file_abandon(writer->file);
    writer_free(writer);
}
