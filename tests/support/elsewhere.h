/*
 * Whether the tests run on another device than the host itself (chosen_device.c).  What they say of an estimator the
 * host has shown; there they show that the device computes it, with fewer samples, and take a fraction of the time.
 */
#ifndef TS_TESTS_ELSEWHERE_H
#define TS_TESTS_ELSEWHERE_H

#include <stdbool.h>
#include <stdlib.h>

static inline bool elsewhere(void)
{
    return getenv("TSTAR_TEST_DEVICE") != NULL;
}

#endif
