/*
 * Image files as they are read on the host.  Private to data/.
 */
#ifndef TS_DATA_FILES_H
#define TS_DATA_FILES_H

#include <stddef.h>
#include <stdint.h>
#include "data/images.h"

/* An IDX file of images (rank 3 or 4, as its magic says) or labels, from memory. */
ts_status ts_idx_parse_images(const char *name, const uint8_t *content, size_t bytes, ts_image_set *set);
ts_status ts_idx_parse_labels(const char *name, const uint8_t *content, size_t bytes, int64_t expected);

/* Both sets: of the built-in digits, split as digits.h says; of a folder. */
ts_status ts_digits_read(ts_image_set *train, ts_image_set *test);
ts_status ts_idx_read(const char *folder, ts_image_set *train, ts_image_set *test);
ts_status ts_cifar10_read(const char *folder, ts_image_set *train, ts_image_set *test);

#endif
