/*
 * Safetensors: an 8-byte little-endian header length, a JSON header that gives each tensor's type, shape and
 * byte range and a table of strings ("__metadata__"), then the raw little-endian tensors.
 *
 * Nothing that a file says is trusted: the header's length, every shape, type and byte range are checked
 * against the file's size, and against each other (no overlap, no hole), when it is opened.
 */
#ifndef TS_BASE_SAFETENSORS_H
#define TS_BASE_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>
#include "base/status.h"

enum { TS_SAFETENSORS_RANK = 8 };

/* type, name in files, bytes */
#define TS_SAFETENSORS_TYPES(X)                                                                              \
    X(TS_ST_F32, "F32", 4)                                                                                   \
    X(TS_ST_F64, "F64", 8)                                                                                   \
    X(TS_ST_I64, "I64", 8)                                                                                   \
    X(TS_ST_U8, "U8", 1)

typedef enum ts_safetensors_type {
#define X(type, name, bytes) type,
    TS_SAFETENSORS_TYPES(X)
#undef X
} ts_safetensors_type;

typedef struct ts_safetensors_info {
    const char *name;
    ts_safetensors_type type;
    int rank; /* 0: one number */
    int64_t shape[TS_SAFETENSORS_RANK];
    int64_t count;
    size_t bytes;
    bool read; /* whether ts_safetensors_read has given it out */
} ts_safetensors_info;

/* ---- reading ---- */

typedef struct ts_safetensors ts_safetensors;

/* Errors: TS_NOT_FOUND, TS_FORMAT with what is wrong, TS_IO. */
ts_status ts_safetensors_open(const char *path, ts_safetensors **file);
void ts_safetensors_close(ts_safetensors *file);

const char *ts_safetensors_path(const ts_safetensors *file);
/* NULL: no such key. */
const char *ts_safetensors_metadata(const ts_safetensors *file, const char *key);

int ts_safetensors_count(const ts_safetensors *file);
const ts_safetensors_info *ts_safetensors_at(const ts_safetensors *file, int index); /* in order of bytes */
int ts_safetensors_find(const ts_safetensors *file, const char *name);               /* -1: no such */

/* Copies a tensor's bytes into `to` after checking that it has this type and shape (rank -1: any shape of
 * `shape[0]` elements), and marks it as read.  Errors name the file, the tensor, and what it should be. */
ts_status ts_safetensors_read(ts_safetensors *file, const char *name, ts_safetensors_type type, int rank,
                              const int64_t *shape, void *to);

/* A floating-point tensor of any shape as new (malloc) doubles; info as for ts_safetensors_at, may be
 * NULL. */
ts_status ts_safetensors_read_doubles(ts_safetensors *file, const char *name, double **values,
                                      const ts_safetensors_info **info);

/* ---- writing: declare everything, then stream the data in the same order; atomic ---- */

typedef struct ts_safetensors_writer ts_safetensors_writer;

ts_status ts_safetensors_create(const char *path, ts_safetensors_writer **writer);
/* Errors of the declarations are kept and returned by the next call that returns a status. */
void ts_safetensors_declare_metadata(ts_safetensors_writer *writer, const char *key, const char *value);
void ts_safetensors_declare(ts_safetensors_writer *writer, const char *name, ts_safetensors_type type,
                            int rank, const int64_t *shape);
/* The next declared tensor's data, whole. */
ts_status ts_safetensors_append(ts_safetensors_writer *writer, const void *data, size_t bytes);
/* Every declared tensor must have been written. Frees the writer whether or not it succeeds. */
ts_status ts_safetensors_commit(ts_safetensors_writer *writer);
void ts_safetensors_abandon(ts_safetensors_writer *writer); /* NULL is fine */

#endif
