/*
 * The UCI optical digits, inside the program: 1797 grey images 8x8 of 17 levels, as two IDX files byte for
 * byte, the first 1500 and the last 297 in the data set's own order (digits/NOTICE names origin and licence).
 * Level v = 0 .. 16 is stored as round(255 v / 16).
 *
 * That order is by writer, and writers differ between its ends, so what is trained on and what is held out
 * are split otherwise: with order = ts_permutation of 1797 under the key TS_DIGITS_KEY, the training set is
 * images order[0], ..., order[1499], the held-out one order[1500], ..., order[1796], in these orders.  The
 * split is a constant of the data set: no seed of a run is in it.
 */
#ifndef TS_DATA_DIGITS_H
#define TS_DATA_DIGITS_H

#include <stddef.h>
#include <stdint.h>

enum { TS_DIGITS_TRAIN = 1500, TS_DIGITS_HELD_OUT = 297 };

/* "digits" in ASCII. */
#define TS_DIGITS_KEY UINT64_C(0x646967697473)

typedef enum ts_digits_file { TS_DIGITS_TRAIN_IMAGES, TS_DIGITS_TEST_IMAGES } ts_digits_file;

/* The file's bytes, header included, and their number; never NULL. */
const unsigned char *ts_digits_bytes(ts_digits_file which, size_t *size);

#endif
