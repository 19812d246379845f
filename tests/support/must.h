/*
 * What a test of functions that return a ts_status says of them.
 */
#ifndef TS_TESTS_MUST_H
#define TS_TESTS_MUST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/status.h"

static inline void must(ts_status status)
{
    if (status)
        fail_msg("%s", ts_status_message(status));
}

/* The call must fail with this code and a message of one line that contains `part`. */
static inline void must_fail(ts_status status, ts_code code, const char *part)
{
    assert_non_null(status);
    if (ts_status_code(status) != code || !strstr(ts_status_message(status), part) ||
        strchr(ts_status_message(status), '\n'))
        fail_msg("code %d, message: %s; it should be code %d and contain: %s", ts_status_code(status),
                 ts_status_message(status), code, part);
    ts_status_free(status);
}

#endif
