/*
 * The tests' own ts_device_open (the linker puts it in place of the library's).  Where a test asks for the
 * CPU it opens what the environment names:
 *
 *     TSTAR_TEST_DEVICE=foreign       the CPU looking like a GPU (foreign_device.h)
 *     TSTAR_TEST_DEVICE=cuda[:i]      a card; without one the test is skipped: exit status 77
 *     TSTAR_TEST_FAST=1               reduced precision, where the device has it
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "foreign_device.h"

ts_status __real_ts_device_open(const char *name, const ts_device_options *options, ts_device **device);
ts_status __wrap_ts_device_open(const char *name, const ts_device_options *options, ts_device **device);

ts_status __wrap_ts_device_open(const char *name, const ts_device_options *options, ts_device **device)
{
    const char *chosen = getenv("TSTAR_TEST_DEVICE"), *fast = getenv("TSTAR_TEST_FAST");
    ts_device_options wanted = *options;
    if (!chosen || strcmp(name, "cpu"))
        return __real_ts_device_open(name, options, device);
    wanted.fast = wanted.fast || (fast && *fast && strcmp(fast, "0"));
    if (strcmp(chosen, "foreign") == 0)
        return foreign_device_open(&wanted, device);
    ts_status status = __real_ts_device_open(chosen, &wanted, device);
    if (ts_status_code(status) == TS_UNSUPPORTED) {
        printf("skipped: %s\n", ts_status_message(status));
        exit(77);
    }
    return status;
}
