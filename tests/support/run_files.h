/*
 * Files that the tests of runs write or damage.
 */
#ifndef TS_TESTS_RUN_FILES_H
#define TS_TESTS_RUN_FILES_H

#include <stdio.h>
#include "base/file.h"
#include "run_test.h"

/* Copies a file with `from` replaced by `to`, which is as long; it must stand there. */
static inline void copy_edited(const char *source, const char *target, const char *from, const char *to)
{
    char *content;
    size_t bytes;
    must(ts_file_read(source, 1 << 28, &content, &bytes));
    char *place = memmem(content, bytes, from, strlen(from));
    assert_non_null(place);
    assert_int_equal(strlen(from), strlen(to));
    memcpy(place, to, strlen(to));
    must(ts_file_write(target, content, bytes));
    free(content);
}

static inline void same_files(const char *a, const char *b)
{
    char *first, *second;
    size_t bytes, other;
    must(ts_file_read(a, 1 << 28, &first, &bytes));
    must(ts_file_read(b, 1 << 28, &second, &other));
    assert_int_equal(bytes, other);
    assert_memory_equal(first, second, bytes);
    free(first);
    free(second);
}

/* A folder of IDX files: 16 training and 16 held-out images [8,8]; the first pixel of all is `first`. */
static inline void write_images(const char *folder, uint8_t first)
{
    static const char *const names[] = {"train", "t10k"};
    uint8_t content[16 + 16 * 64] = {0, 0, 8, 3, 0, 0, 0, 16, 0, 0, 0, 8, 0, 0, 0, 8, first};
    for (size_t i = 17; i < sizeof content; i++)
        content[i] = (uint8_t)(i * i % 251);
    must(ts_file_make_folder(folder));
    for (int i = 0; i < 2; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s-images-idx3-ubyte", folder, names[i]);
        must(ts_file_write(path, content, sizeof content));
    }
}

#endif
