/*
 * What a test says of a real number that is not what it should be.
 */
#ifndef TS_TESTS_NEAR_H
#define TS_TESTS_NEAR_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define NEAR(value, wanted, tolerance)                                                                       \
    do {                                                                                                     \
        const double value_ = (value), wanted_ = (wanted);                                                   \
        if (!(fabs(value_ - wanted_) <= (tolerance)))                                                        \
            fail_msg("%s is %.17g, should be %.17g within %g", #value, value_, wanted_,                      \
                     (double)(tolerance));                                                                   \
    } while (0)

#endif
