/*
 * Status of a call: NULL is success, anything else is an error that carries its code and a one-line
 * message naming the file, key, shape or limit.  There is no global error state; whoever receives a
 * non-NULL status either returns it or frees it.
 *
 * What lives in this folder: what every room needs and no room owns.  Statuses, files written atomically,
 * safetensors, JSON, bounds of YAML, texts, numbers as texts, the clock, progress, and the kinds (kinds.h).
 *
 * Invariants: nothing here knows a device, a model or a run.  Sizes and texts from files are never trusted.
 * What a message quotes is one line that does nothing to a terminal.  A file is the old one or the new one,
 * whole.
 */
#ifndef TS_BASE_STATUS_H
#define TS_BASE_STATUS_H

#include <stdbool.h>

/* Seen from outside the program and the shared library: the CUDA module, which is loaded at run time, takes
 * these from there. */
#define TS_SHOWN __attribute__((visibility("default")))

/* code, exit status of the command line, what it means */
#define TS_STATUS_CODES(X)                                                                                   \
    X(TS_INVALID, 2, "invalid argument, key or shape")                                                       \
    X(TS_FORMAT, 2, "malformed or truncated file")                                                           \
    X(TS_NOT_FOUND, 2, "no such file or directory")                                                          \
    X(TS_BUSY, 2, "in use by another process")                                                               \
    X(TS_UNSUPPORTED, 2, "not supported by this device")                                                     \
    X(TS_NO_MEMORY, 2, "not enough memory")                                                                  \
    X(TS_NO_SPACE, 2, "no space left on the file system")                                                    \
    X(TS_IO, 1, "input or output failed")                                                                    \
    X(TS_NOT_FINITE, 2, "a value is not finite")                                                             \
    X(TS_INTERRUPTED, 1, "interrupted")                                                                      \
    X(TS_DEVICE, 1, "the device failed")

typedef enum ts_code {
    TS_OK = 0,
#define X(code, exit_status, text) code,
    TS_STATUS_CODES(X)
#undef X
} ts_code;

typedef struct ts_error *ts_status;

/* Makes an error.  Control characters in the message become spaces, and what is beyond 1000 bytes is left
 * out.  Never returns NULL: when memory is short a static out-of-memory error stands in. */
TS_SHOWN ts_status ts_error(ts_code code, const char *format, ...)
    __attribute__((format(printf, 2, 3), returns_nonnull, cold));

/* Prepends "context: " to the message of an error; passes success through. */
TS_SHOWN ts_status ts_context(ts_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

TS_SHOWN ts_code ts_status_code(ts_status status);
TS_SHOWN const char *ts_status_message(ts_status status);
int ts_status_exit(ts_status status); /* 0, 1 or 2 */
TS_SHOWN void ts_status_free(ts_status status);

#define TS_TRY(expression)                                                                                   \
    do {                                                                                                     \
        ts_status try_status_ = (expression);                                                                \
        if (try_status_)                                                                                     \
            return try_status_;                                                                              \
    } while (0)

/* For functions that clean up: sets `status` and jumps when the expression fails. */
#define TS_GOTO(expression, label)                                                                           \
    do {                                                                                                     \
        status = (expression);                                                                               \
        if (status)                                                                                          \
            goto label;                                                                                      \
    } while (0)

#endif
