/*
 * Which of the words that a user may write was probably meant.
 */
#ifndef TS_BASE_WORDS_H
#define TS_BASE_WORDS_H

#include "base/kinds.h"

/* The word of the list that `word` was probably meant to be: the one with the least distance, if that is at
 * most ts_word_tolerance(word).  NULL: none is near. */
const char *ts_closest_word(const ts_words *words, const char *word);

/* The distance of two words: how many letters must be put in, left out or replaced, or how many neighbours
 * change places (optimal string alignment, Damerau 1964); large for words of 64 letters and more. */
int ts_word_distance(const char *a, const char *b);

/* Up to which distance another word may be meant: a third of the letters and one, three at most. */
int ts_word_tolerance(const char *word);

#endif
