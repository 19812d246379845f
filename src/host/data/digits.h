/*
 * The UCI optical digits, inside the program: 8x8 grey images of 17 levels, 1500 for training and 297 for
 * testing, as four IDX files byte for byte (digits/NOTICE names origin and licence).  Level v = 0 .. 16 is
 * stored as round(255 v / 16).
 */
#ifndef TS_DATA_DIGITS_H
#define TS_DATA_DIGITS_H

#include <stddef.h>

typedef enum ts_digits_file {
    TS_DIGITS_TRAIN_IMAGES,
    TS_DIGITS_TRAIN_LABELS,
    TS_DIGITS_TEST_IMAGES,
    TS_DIGITS_TEST_LABELS
} ts_digits_file;

/* The file's bytes, header included, and their number; never NULL. */
const unsigned char *ts_digits_bytes(ts_digits_file which, size_t *size);

#endif
