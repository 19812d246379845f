/*
 * What the parts of this program share: folders made of golden pictures, sets read of them, what was said.
 */
#ifndef TESTS_PICTURES_H
#define TESTS_PICTURES_H

#include "data/images.h"
#include "must.h"

#define GOLDEN SOURCE_DIR "/tests/pictures/golden"
#define FOLDER "test_pictures_files"

/* What reading told, a line behind the other. */
extern char said[4096];
extern ts_images_options heard; /* options under which it tells */

void empty_folder(void);
void make_folder(const char *name);                            /* FOLDER/NAME */
void put(const char *name, const void *content, size_t bytes); /* FOLDER/NAME */
void copy(const char *golden, const char *name);
char *read_golden(const char *name, size_t *bytes); /* the caller frees it */
ts_image_set must_read(const char *path, const ts_images_options *options);
void must_refuse(const char *path, const ts_images_options *options, ts_code code, const char *part);

/* sets.c */
void test_arrays(void **state), test_kinds_of_data(void **state), test_imagenet(void **state),
    test_split(void **state), test_cache(void **state), test_labels(void **state);

#endif
