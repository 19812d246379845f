/*
 * Data sets as they are read on the host.  Private to data/.
 */
#ifndef TS_DATA_FILES_H
#define TS_DATA_FILES_H

#include "data/images.h"

/* An IDX file of images (rank 3 or 4, as its magic says), or of labels for the images of a set, from memory. */
ts_status ts_idx_parse_images(const char *name, const uint8_t *content, size_t bytes, ts_image_set *set);
ts_status ts_idx_parse_labels(const char *name, const uint8_t *content, size_t bytes, ts_image_set *set);

/* Both sets: of the built-in digits, split as digits.h says; of a folder. */
ts_status ts_digits_read(ts_image_set *train, ts_image_set *test);
ts_status ts_idx_read(const char *folder, ts_image_set *train, ts_image_set *test);
ts_status ts_cifar10_read(const char *folder, ts_image_set *train, ts_image_set *test);
ts_status ts_imagenet_read(const char *folder, ts_image_set *train, ts_image_set *test);

/*
 * Pictures in folders (PATH/train and PATH/test, or PATH/val, where both are there, else all below PATH), in a
 * .npy, or in an .npz (x_train and x_test, or train_images and test_images, where both are there, else its only
 * array of pictures).  What has no held-out set of its own is split by ts_split under TS_PICTURES_KEY:
 * `held_out` pictures (0: a tenth, at most 10000) are not trained on.
 */
ts_status ts_pictures_read(const char *path, const ts_images_options *options, int64_t held_out,
                           ts_image_set *train, ts_image_set *test);

/* "pictures" in ASCII. */
#define TS_PICTURES_KEY UINT64_C(0x7069637475726573)

/*
 * With order = ts_permutation of all under `key`: train <- images order[0], order[1], ..., test <- the last
 * `held_out` of that order.  Takes over `all`, whose memory becomes train's.
 */
ts_status ts_split(ts_image_set *all, uint64_t key, int64_t held_out, ts_image_set *train,
                   ts_image_set *test);

#endif
