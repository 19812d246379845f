/* What the files of the measures' test share. */
#ifndef TESTS_MEASURES_H
#define TESTS_MEASURES_H

#include "must.h"
#include "near.h"
#include "quality/frechet.h"
#include "quality/kernel.h"
#include "quality/neighbours.h"

/* SplitMix64 and the sum of twelve uniforms: apart from the engine. */
double uniform(void);
void normals(float *x, int count, double mean, double std);

/* A set of copies of rows [n][d]. */
ts_feature_set set_of(const float *rows, int64_t n, int d);

enum { FRECHET, KERNEL, PRECISION, RECALL, MEASURES };
extern const char *const measure_names[MEASURES];
/* All of them of a [n][d] and b [m][d]; a is the real one. */
void measure_all(const float *a, int n, const float *b, int m, int d, int threads,
                 ts_estimate estimates[MEASURES]);

/* coverage.c */
void coverage(void **state);
void extrapolation(void **state);

#endif
