/*
 * "philox 1": the rule that makes the weights and the sketches of the small golden files, in README.md.  It
 * is written here on its own, so that the engine's random numbers are not what they are judged by.
 */
#ifndef TS_TESTS_GOLDEN_RULE_H
#define TS_TESTS_GOLDEN_RULE_H

#include <stdbool.h>
#include <stdint.h>

enum { RULE_WEIGHTS = 0x54535441, RULE_SKETCH = 0x534B4348 }; /* first key words; the sketches' plus 0 to 3 */

/* One of the file's parameters; its index is its place in the list. */
typedef struct rule_parameter {
    char name[128];
    int rank;
    int64_t shape[4], count;
} rule_parameter;

/* Ends the program with a message unless the generator gives the numbers that README.md lists. */
void rule_check_vectors(void);

/* `count` standard normals of the stream with this key. */
void rule_normals(uint32_t key0, uint32_t key1, int64_t count, double *normals);

/* The value of a weight, of count numbers; fourier_scale is that of a network's Fourier features.  False:
 * the rule knows no such name. */
bool rule_weight(const rule_parameter *p, uint32_t index, double fourier_scale, float *values);

/* sketch[k] = <gradient, r_k>/sqrt(count), k < 4, then the norm. */
void rule_sketch(const double *gradient, int64_t count, uint32_t index, double sketch[5]);

#endif
