/*
 * Format: R. Kern, "A simple file format for NumPy arrays" (numpy.lib.format): "\x93NUMPY", version, length of
 * the header, the header, which is a dictionary of Python with descr, fortran_order and shape, the values.
 */
#include "base/npy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>
#include "base/file.h"

enum { MAGIC = 8, LONGEST_HEADER = 1 << 16, ALIGNMENT = 64 };

#define MAGIC_TEXT "\x93NUMPY"

static const struct {
    const char *name;
    size_t bytes;
} types[] = {
#define X(type, name, bytes) [type] = {name, bytes},
    TS_NPY_TYPES(X)
#undef X
};

enum { TYPES = sizeof types / sizeof *types };

int64_t ts_npy_count(const ts_npy *array)
{
    int64_t count = 1;
    for (int i = 0; i < array->rank; i++)
        count *= array->shape[i];
    return count;
}

size_t ts_npy_bytes(const ts_npy *array)
{
    return (size_t)ts_npy_count(array) * types[array->type].bytes;
}

void ts_npy_text(const ts_npy *array, char text[256])
{
    int used = snprintf(text, 256, "%s [", types[array->type].name);
    for (int i = 0; i < array->rank; i++)
        used += snprintf(text + used, 256 - (size_t)used, i ? ",%lld" : "%lld", (long long)array->shape[i]);
    snprintf(text + used, 256 - (size_t)used, "]");
}

void ts_npy_release(ts_npy *array)
{
    free(array->values);
    *array = (ts_npy){.rank = 0};
}

/* ---- the header ---- */

/* What is left of the header's text. */
typedef struct header {
    const char *name; /* of the file, for messages */
    const char *at, *end;
} header;

static ts_status malformed(const header *h, const char *what)
{
    return ts_error(TS_FORMAT, "%s: not a NumPy array: its header %s", h->name, what);
}

static void skip_spaces(header *h)
{
    while (h->at < h->end && strchr(" \t\r\n", *h->at) && *h->at)
        h->at++;
}

static bool accept(header *h, char c)
{
    skip_spaces(h);
    if (h->at == h->end || *h->at != c)
        return false;
    h->at++;
    return true;
}

static bool accept_word(header *h, const char *word)
{
    skip_spaces(h);
    const size_t length = strlen(word);
    if ((size_t)(h->end - h->at) < length || strncmp(h->at, word, length) != 0)
        return false;
    h->at += length;
    return true;
}

static ts_status read_text(header *h, char text[32])
{
    size_t length = 0;
    const bool single = accept(h, '\'');
    if (!single && !accept(h, '"'))
        return malformed(h, "lacks a quoted word");
    while (h->at < h->end && *h->at != (single ? '\'' : '"')) {
        if (length == 31)
            return malformed(h, "has too long a word");
        text[length++] = *h->at++;
    }
    text[length] = 0;
    return accept(h, single ? '\'' : '"') ? NULL : malformed(h, "ends within a word");
}

static ts_status read_type(header *h, ts_npy_type *type)
{
    char text[32];
    if (accept(h, '['))
        return ts_error(TS_UNSUPPORTED, "%s: an array of records; of numbers are read", h->name);
    TS_TRY(read_text(h, text));
    for (int i = 0; i < TYPES; i++)
        if (*text && !strcmp(text + 1, types[i].name) &&
            (*text == '<' || *text == '|' || (types[i].bytes == 1 && strchr(">=", *text)))) {
            *type = (ts_npy_type)i;
            return NULL;
        }
    return ts_error(TS_UNSUPPORTED,
                    "%s: values of NumPy's type '%s'; little-endian u1, i1, i2, i4, i8, f4 and f8 are read",
                    h->name, text);
}

static ts_status read_shape(header *h, ts_npy *array)
{
    array->rank = 0;
    if (!accept(h, '('))
        return malformed(h, "has no shape");
    while (!accept(h, ')')) {
        int64_t size = 0;
        skip_spaces(h);
        const char *start = h->at;
        for (; h->at < h->end && *h->at >= '0' && *h->at <= '9'; h->at++)
            if (__builtin_mul_overflow(size, 10, &size) || __builtin_add_overflow(size, *h->at - '0', &size))
                return malformed(h, "has a size beyond 64 bits");
        if (h->at == start)
            return malformed(h, "has a size that is no number");
        if (array->rank == TS_NPY_RANK)
            return malformed(h, "has more than 8 dimensions");
        array->shape[array->rank++] = size;
        accept(h, 'L'); /* as Python 2 wrote them */
        if (!accept(h, ',') && (h->at == h->end || *h->at != ')'))
            return malformed(h, "has a shape without end");
    }
    return NULL;
}

static ts_status read_header(header *h, ts_npy *array, bool *fortran)
{
    unsigned seen = 0;
    if (!accept(h, '{'))
        return malformed(h, "is no dictionary");
    while (!accept(h, '}')) {
        char key[32];
        TS_TRY(read_text(h, key));
        if (!accept(h, ':'))
            return malformed(h, "lacks a colon");
        unsigned bit = 0;
        if (!strcmp(key, "descr")) {
            bit = 1;
            TS_TRY(read_type(h, &array->type));
        } else if (!strcmp(key, "fortran_order")) {
            bit = 2;
            *fortran = accept_word(h, "True");
            if (!*fortran && !accept_word(h, "False"))
                return malformed(h, "says of fortran_order neither True nor False");
        } else if (!strcmp(key, "shape")) {
            bit = 4;
            TS_TRY(read_shape(h, array));
        }
        if (!bit || seen & bit)
            return malformed(h, "has another key than descr, fortran_order and shape, or one twice");
        seen |= bit;
        if (!accept(h, ',') && (h->at == h->end || *h->at != '}'))
            return malformed(h, "has no end");
    }
    return seen == 7 ? NULL : malformed(h, "lacks descr, fortran_order or shape");
}

/* ---- reading, from a file or from a member of an archive ---- */

typedef struct source source;

struct source {
    const char *name;
    uint64_t bytes; /* of all that is to be read */
    int descriptor;
    zip_file_t *member; /* NULL: read from the descriptor */
};

static ts_status damaged(const source *from)
{
    return ts_error(TS_FORMAT, "%s: cut short or damaged: %s", from->name,
                    zip_error_strerror(zip_file_get_error(from->member)));
}

static ts_status read_bytes(source *from, void *to, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        char *at = (char *)to + done;
        const size_t most = bytes - done < 1 << 30 ? bytes - done : 1 << 30;
        const int64_t got =
            from->member ? zip_fread(from->member, at, most) : read(from->descriptor, at, most);
        if (got < 0 && !from->member && errno == EINTR)
            continue;
        if (got < 0)
            return from->member ? damaged(from) : ts_error(TS_IO, "%s: %s", from->name, strerror(errno));
        if (!got)
            return ts_error(TS_FORMAT, "%s: cut short: it ends %zu bytes early", from->name, bytes - done);
        done += (size_t)got;
    }
    return NULL;
}

/* Reads up to where the values begin; that as many follow as the shape says. */
static ts_status read_start(source *from, ts_npy *array, bool *fortran)
{
    uint8_t start[MAGIC + 4];
    char text[LONGEST_HEADER];
    if (from->bytes < MAGIC + 2)
        return ts_error(TS_FORMAT, "%s: not a NumPy array: %llu bytes", from->name,
                        (unsigned long long)from->bytes);
    TS_TRY(read_bytes(from, start, MAGIC + 2));
    if (memcmp(start, MAGIC_TEXT, MAGIC - 2) != 0)
        return ts_error(TS_FORMAT, "%s: not a NumPy array: it does not begin with \\x93NUMPY", from->name);
    if (start[6] < 1 || start[6] > 3 || start[7])
        return ts_error(TS_UNSUPPORTED, "%s: a NumPy array of format version %d.%d; 1.0 to 3.0 are read",
                        from->name, start[6], start[7]);
    uint64_t length = start[8] | (unsigned)start[9] << 8, begin = MAGIC + 2;
    if (start[6] > 1) {
        begin += 2;
        if (from->bytes < begin)
            return ts_error(TS_FORMAT, "%s: cut short within its header", from->name);
        TS_TRY(read_bytes(from, start + MAGIC + 2, 2));
        length |= (uint64_t)start[10] << 16 | (uint64_t)start[11] << 24;
    }
    if (length > sizeof text || length > from->bytes - begin)
        return ts_error(TS_FORMAT, "%s: not a NumPy array: a header of %llu bytes", from->name,
                        (unsigned long long)length);
    TS_TRY(read_bytes(from, text, length));
    TS_TRY(read_header(&(header){from->name, text, text + length}, array, fortran));
    uint64_t bytes = types[array->type].bytes;
    bool empty = false, beyond = false;
    for (int i = 0; i < array->rank; i++) {
        empty |= !array->shape[i];
        beyond |= __builtin_mul_overflow(bytes, (uint64_t)array->shape[i], &bytes);
    }
    if (empty)
        bytes = 0;
    char shape[256];
    ts_npy_text(array, shape);
    if ((beyond && !empty) || bytes != from->bytes - begin - length)
        return ts_error(TS_FORMAT, "%s: %llu bytes of values where %s asks for %s%llu", from->name,
                        (unsigned long long)(from->bytes - begin - length), shape,
                        beyond && !empty ? "more than " : "",
                        beyond && !empty ? (unsigned long long)UINT64_MAX : (unsigned long long)bytes);
    return NULL;
}

/* Values in Fortran order, first index fastest, to C order. */
static ts_status to_c_order(const char *name, ts_npy *array)
{
    const size_t size = types[array->type].bytes;
    const int64_t count = ts_npy_count(array);
    int64_t index[TS_NPY_RANK] = {0};
    char *values = malloc(count ? ts_npy_bytes(array) : 1);
    if (!values)
        return ts_error(TS_NO_MEMORY, "%s: no memory for %zu bytes", name, ts_npy_bytes(array));
    for (int64_t i = 0; i < count; i++) {
        int64_t to = 0;
        for (int k = 0; k < array->rank; k++)
            to = to * array->shape[k] + index[k];
        memcpy(values + (size_t)to * size, (char *)array->values + (size_t)i * size, size);
        for (int k = 0; k < array->rank && ++index[k] == array->shape[k]; k++)
            index[k] = 0;
    }
    free(array->values);
    array->values = values;
    return NULL;
}

static ts_status read_array(source *from, ts_npy *array)
{
    bool fortran = false;
    ts_npy header_says = {.rank = 0};
    TS_TRY(read_start(from, &header_says, &fortran));
    const size_t bytes = ts_npy_bytes(&header_says);
    *array = header_says;
    array->values = malloc(bytes ? bytes : 1);
    if (!array->values)
        return ts_error(TS_NO_MEMORY, "%s: no memory for %zu bytes", from->name, bytes);
    TS_TRY(read_bytes(from, array->values, bytes));
    return fortran && array->rank > 1 ? to_c_order(from->name, array) : NULL;
}

ts_status ts_npy_load(const char *path, ts_npy *array)
{
    source from = {.name = path};
    *array = (ts_npy){.rank = 0};
    TS_TRY(ts_file_open(path, &from.descriptor, &from.bytes));
    ts_status status = read_array(&from, array);
    close(from.descriptor);
    if (status)
        ts_npy_release(array);
    return status;
}

/* ---- archives ---- */

static ts_status open_archive(const char *path, zip_t **archive)
{
    int descriptor, code;
    uint64_t bytes;
    zip_error_t error;
    TS_TRY(ts_file_open(path, &descriptor, &bytes));
    *archive = zip_fdopen(descriptor, 0, &code); /* takes the descriptor over if it succeeds */
    if (*archive)
        return NULL;
    close(descriptor);
    zip_error_init_with_code(&error, code);
    ts_status status = ts_error(code == ZIP_ER_MEMORY ? TS_NO_MEMORY : TS_FORMAT, "%s: not an .npz: %s", path,
                                zip_error_strerror(&error));
    zip_error_fini(&error);
    return status;
}

/* Member `index`, ready to be read; `name` [size] becomes "FILE.npz: NAME". */
static ts_status open_member(const char *path, zip_t *archive, zip_uint64_t index, char *name, size_t size,
                             source *from)
{
    /* What deflate makes of a byte at most; larger sizes are lies. */
    enum { MOST_DEFLATED = 1032 };
    zip_stat_t info;
    if (zip_stat_index(archive, index, 0, &info))
        return ts_error(TS_FORMAT, "%s: not an .npz: %s", path, zip_strerror(archive));
    snprintf(name, size, "%s: %s", path, info.name);
    if (!(info.valid & ZIP_STAT_SIZE) || !(info.valid & ZIP_STAT_COMP_SIZE) ||
        (info.size > ALIGNMENT && (info.size - ALIGNMENT) / MOST_DEFLATED > info.comp_size))
        return ts_error(TS_FORMAT, "%s: not an .npz: of no size that its packed bytes could have", name);
    if (info.encryption_method != ZIP_EM_NONE)
        return ts_error(TS_UNSUPPORTED, "%s: encrypted", name);
    if (info.comp_method != ZIP_CM_STORE && info.comp_method != ZIP_CM_DEFLATE)
        return ts_error(TS_UNSUPPORTED, "%s: packed by method %d; stored and deflated members are read", name,
                        info.comp_method);
    *from = (source){.name = name, .bytes = info.size, .member = zip_fopen_index(archive, index, 0)};
    return from->member ? NULL : ts_error(TS_FORMAT, "%s: %s", name, zip_strerror(archive));
}

/* The length of a member's name without .npy. */
static size_t bare_length(const char *name)
{
    const size_t length = strlen(name);
    return length > 4 && !strcmp(name + length - 4, ".npy") ? length - 4 : length;
}

/* The one member of this name, with or without .npy. */
static ts_status find_member(const char *path, zip_t *archive, const char *name, zip_uint64_t *index)
{
    const size_t length = bare_length(name);
    int found = 0;
    for (zip_int64_t i = 0; i < zip_get_num_entries(archive, 0); i++) {
        const char *other = zip_get_name(archive, (zip_uint64_t)i, 0);
        if (other && bare_length(other) == length && !strncmp(other, name, length)) {
            *index = (zip_uint64_t)i;
            found++;
        }
    }
    if (found > 1)
        return ts_error(TS_FORMAT, "%s: has %d members %s", path, found, name);
    return found ? NULL : ts_error(TS_NOT_FOUND, "%s: has no member %s", path, name);
}

static ts_status read_member(const char *path, zip_t *archive, const char *name, ts_npy *array)
{
    char whole[1024], rest;
    zip_uint64_t index = 0;
    source from;
    TS_TRY(find_member(path, archive, name, &index));
    TS_TRY(open_member(path, archive, index, whole, sizeof whole, &from));
    ts_status status = read_array(&from, array);
    if (!status && zip_fread(from.member, &rest, 1) < 0) /* the check sum, which comes at the end */
        status = damaged(&from);
    zip_fclose(from.member);
    return status;
}

ts_status ts_npz_load(const char *path, const char *name, ts_npy *array)
{
    zip_t *archive;
    *array = (ts_npy){.rank = 0};
    TS_TRY(open_archive(path, &archive));
    ts_status status = read_member(path, archive, name, array);
    zip_discard(archive);
    if (status)
        ts_npy_release(array);
    return status;
}

static ts_status list(const char *path, zip_t *archive, int *count, ts_npz_member *members, zip_int64_t most)
{
    char whole[1024];
    for (zip_int64_t i = 0; i < most; i++) {
        ts_npz_member *member = &members[*count];
        source from = {.member = NULL};
        bool fortran = false;
        *member = (ts_npz_member){.array = {.rank = 0}};
        ts_status status = open_member(path, archive, (zip_uint64_t)i, whole, sizeof whole, &from);
        if (!status)
            status = read_start(&from, &member->array, &fortran);
        if (from.member)
            zip_fclose(from.member);
        const char *name = zip_get_name(archive, (zip_uint64_t)i, 0);
        const size_t length = name ? bare_length(name) : 0;
        if (!status && length < sizeof member->name) {
            memcpy(member->name, name, length);
            ++*count;
        }
        ts_status_free(status); /* texts, objects and files of other kinds are no arrays of ours */
    }
    return NULL;
}

ts_status ts_npz_list(const char *path, int *count, ts_npz_member **members)
{
    enum { MOST_MEMBERS = 4096 };
    zip_t *archive;
    *count = 0;
    *members = NULL;
    TS_TRY(open_archive(path, &archive));
    const zip_int64_t most = zip_get_num_entries(archive, 0);
    ts_status status = NULL;
    if (most > MOST_MEMBERS)
        status = ts_error(TS_FORMAT, "%s: has %lld members; up to %d are read", path, (long long)most,
                          MOST_MEMBERS);
    else if (!(*members = malloc(((size_t)most + 1) * sizeof **members)))
        status = ts_error(TS_NO_MEMORY, "%s: no memory", path);
    else
        status = list(path, archive, count, *members, most);
    zip_discard(archive);
    return status;
}

/* ---- writing ---- */

/* The bytes in front of the values; their number, a multiple of 64. */
static size_t make_start(const ts_npy *array, char start[512])
{
    int used = snprintf(start + MAGIC + 2, 400, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                        types[array->type].bytes == 1 ? '|' : '<', types[array->type].name);
    char *text = start + MAGIC + 2;
    for (int i = 0; i < array->rank; i++)
        used += sprintf(text + used,
                        array->rank == 1 ? "%lld,"
                        : i              ? ", %lld"
                                         : "%lld",
                        (long long)array->shape[i]);
    used += sprintf(text + used, "), }");
    while ((MAGIC + 2 + used + 1) % ALIGNMENT)
        text[used++] = ' ';
    text[used++] = '\n';
    memcpy(start, MAGIC_TEXT "\x01", MAGIC);
    start[MAGIC] = (char)(used & 255);
    start[MAGIC + 1] = (char)(used >> 8);
    return MAGIC + 2 + (size_t)used;
}

static ts_status add_member(const char *path, zip_t *archive, const char *name, const ts_npy *array,
                            char start[512])
{
    char whole[256];
    const zip_buffer_fragment_t fragments[] = {{(zip_uint8_t *)start, make_start(array, start)},
                                               {array->values, ts_npy_bytes(array)}};
    snprintf(whole, sizeof whole, "%s.npy", name);
    zip_source_t *content = zip_source_buffer_fragment(archive, fragments, fragments[1].length ? 2 : 1, 0);
    const zip_int64_t index = content ? zip_file_add(archive, whole, content, ZIP_FL_ENC_UTF_8) : -1;
    if (index < 0) {
        zip_source_free(content);
        return ts_error(TS_NO_MEMORY, "%s: %s", path, zip_strerror(archive));
    }
    /* the same bytes whenever they are written: 1 January 1980, as numpy.savez says */
    if (zip_set_file_compression(archive, (zip_uint64_t)index, ZIP_CM_STORE, 0) ||
        zip_file_set_dostime(archive, (zip_uint64_t)index, 0, 0x21, 0))
        return ts_error(TS_NO_MEMORY, "%s: %s", path, zip_strerror(archive));
    return NULL;
}

static ts_status append_all(ts_file_writer *writer, zip_source_t *buffer)
{
    char chunk[1 << 16];
    zip_int64_t got;
    while ((got = zip_source_read(buffer, chunk, sizeof chunk)) > 0)
        TS_TRY(ts_file_append(writer, chunk, (size_t)got));
    return NULL;
}

/* What is in the buffer behind the archive, to the file. */
static ts_status write_archive(const char *path, zip_source_t *buffer)
{
    ts_file_writer *writer;
    if (zip_source_open(buffer))
        return ts_error(TS_NO_MEMORY, "%s: no memory", path);
    ts_status status = ts_file_create(path, &writer);
    if (!status && (status = append_all(writer, buffer)))
        ts_file_abandon(writer);
    else if (!status)
        status = ts_file_commit(writer);
    zip_source_close(buffer);
    return status;
}

ts_status ts_npz_save(const char *path, int count, const char *const *names, const ts_npy *arrays)
{
    zip_source_t *buffer = zip_source_buffer_create(NULL, 0, 0, NULL);
    zip_t *archive = buffer ? zip_open_from_source(buffer, ZIP_TRUNCATE, NULL) : NULL;
    char(*starts)[512] = malloc((size_t)count * sizeof *starts);
    ts_status status = NULL;
    if (!archive || !starts)
        status = ts_error(TS_NO_MEMORY, "%s: no memory", path);
    if (archive)
        zip_source_keep(buffer); /* beyond zip_close, which gives the archive's part of it back */
    for (int i = 0; !status && i < count; i++)
        status = add_member(path, archive, names[i], &arrays[i], starts[i]);
    if (!status && zip_close(archive))
        status = ts_error(TS_NO_MEMORY, "%s: %s", path, zip_strerror(archive));
    else if (!status)
        archive = NULL;
    if (!status)
        status = write_archive(path, buffer);
    if (archive)
        zip_discard(archive);
    zip_source_free(buffer);
    free(starts);
    return status;
}
