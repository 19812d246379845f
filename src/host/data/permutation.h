/*
 * A random order that is a constant: of a key and a number of things, not of a run's seed.
 */
#ifndef TS_DATA_PERMUTATION_H
#define TS_DATA_PERMUTATION_H

#include <stdint.h>

/*
 * order [n] <- a permutation of 0 .. n - 1, uniform over all of them (Fisher-Yates from the end; Durstenfeld
 * 1964): for i = n - 1, ..., 1 the entries i and floor(w_i (i + 1) / 2^32) change places, w_i the i-th word
 * of Philox under `key` (TS_STREAM_SHUFFLE, step 0, instance 0).  n is at most 2^32 - 1.
 */
void ts_permutation(uint64_t key, int64_t n, uint32_t *order);

#endif
