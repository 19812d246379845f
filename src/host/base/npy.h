/*
 * NumPy arrays: files .npy (format versions 1 to 3) and members of .npz, which are .npy files in a zip
 * archive, stored or deflated (libzip).
 *
 * Little-endian values in C order; arrays in Fortran order are turned into C order as they are read. What a
 * header says is checked against the bytes that are there before any memory is taken for it.
 */
#ifndef TS_BASE_NPY_H
#define TS_BASE_NPY_H

#include <stddef.h>
#include <stdint.h>
#include "base/status.h"

enum { TS_NPY_RANK = 8 };

/* type, NumPy's name of it, bytes */
#define TS_NPY_TYPES(X)                                                                                      \
    X(TS_NPY_U8, "u1", 1)                                                                                    \
    X(TS_NPY_I8, "i1", 1)                                                                                    \
    X(TS_NPY_I16, "i2", 2)                                                                                   \
    X(TS_NPY_I32, "i4", 4)                                                                                   \
    X(TS_NPY_I64, "i8", 8)                                                                                   \
    X(TS_NPY_F32, "f4", 4)                                                                                   \
    X(TS_NPY_F64, "f8", 8)

typedef enum ts_npy_type {
#define X(type, name, bytes) type,
    TS_NPY_TYPES(X)
#undef X
} ts_npy_type;

typedef struct ts_npy {
    ts_npy_type type;
    int rank; /* 0: one number */
    int64_t shape[TS_NPY_RANK];
    void *values; /* malloc; of no elements: not NULL either */
} ts_npy;

/* The number of elements, and their bytes. */
int64_t ts_npy_count(const ts_npy *array);
size_t ts_npy_bytes(const ts_npy *array);

/* "u1 [3,32,32]", for messages. */
void ts_npy_text(const ts_npy *array, char text[256]);

/* Errors of all: TS_NOT_FOUND; TS_FORMAT, with what is wrong; TS_IO; TS_NO_MEMORY. They leave an array that
 * may be released. */
ts_status ts_npy_load(const char *path, ts_npy *array);
/* The member NAME or NAME.npy; TS_NOT_FOUND where there is no such member, or no such file. */
ts_status ts_npz_load(const char *path, const char *name, ts_npy *array);
/* Members NAME.npy, stored, as numpy.savez writes them; replaces a file whole. */
ts_status ts_npz_save(const char *path, int count, const char *const *names, const ts_npy *arrays);

void ts_npy_release(ts_npy *array); /* frees the values, and empties it */

/* What a .npz holds, without its values: the members that can be read as arrays (their names without .npy);
 * the caller frees the list. */
typedef struct ts_npz_member {
    char name[128];
    ts_npy array; /* values: NULL */
} ts_npz_member;

ts_status ts_npz_list(const char *path, int *count, ts_npz_member **members);

#endif
