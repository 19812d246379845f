/* What the files of the distances' test share. */
#ifndef TESTS_METRICS_H
#define TESTS_METRICS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/status.h"
#include "near.h"
#include "must.h"

/* An independent source of test numbers: SplitMix64 and the sum of twelve uniforms. */
double uniform(void);
double roughly_normal(void);

/* metrics_parts.c */
void metrics_features(void **state);
void metrics_features_files(void **state);
void metrics_jackknife(void **state);
void metrics_left_out(void **state);
void metrics_threads(void **state);
void metrics_reference(void **state);
void metrics_floor(void **state);
/* coverage.c */
void metrics_bias(void **state);
void metrics_coverage(void **state);

#endif
