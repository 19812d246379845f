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

#define ASSERT_NEAR(actual, expected, tolerance)                                                             \
    do {                                                                                                     \
        const double actual_ = (actual), expected_ = (expected);                                             \
        if (!(fabs(actual_ - expected_) <= (tolerance)))                                                     \
            fail_msg("%s is %.17g, should be %.17g within %g", #actual, actual_, expected_,                  \
                     (double)(tolerance));                                                                   \
    } while (0)
#define ASSERT_OK(expression)                                                                                \
    do {                                                                                                     \
        ts_status status_ = (expression);                                                                    \
        if (status_)                                                                                         \
            fail_msg("%s", ts_status_message(status_));                                                      \
    } while (0)

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
