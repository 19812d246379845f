/*
 * What fitting (glow.c) and loading (glow_load.c) share of the two kinds of Glow: one of one T, and one for all T of a
 * range.
 */
#ifndef TS_RUN_STARTS_GLOW_INTERNAL_H
#define TS_RUN_STARTS_GLOW_INTERNAL_H

#include "base/safetensors.h"
#include "run/starts/glow.h"

#define TS_GLOW_SECTIONS  "run data sde" /* what every fit depends on, besides its own sections */
#define TS_GLOW_WHITENING "whitening."   /* prefix of what it whitens by */

enum { TS_GLOW_TEXT = 64, TS_GLOW_COMMAND = 4096 };

typedef struct ts_glow_kind {
    bool all;                     /* for all T of a range, else of one T */
    const char *format, *partial; /* of its files, finished and on the way */
    const char *sections;         /* of the configuration that it depends on */
} ts_glow_kind;

extern const ts_glow_kind ts_glow_at_T, ts_glow_all_T;

/* The T that a flow is for: from low to high, or where low is 0, high alone. */
typedef struct ts_glow_times {
    double low, high;
} ts_glow_times;

/* "0.4", or "0.1 to 1.0" */
void ts_glow_text(const ts_glow_times *times, char text[TS_GLOW_TEXT]);

/* The command that fits. */
void ts_glow_command(const ts_run *run, const ts_glow_kind *kind, double T, char text[TS_GLOW_COMMAND]);

/* DIR/glow_T<T>.ending or DIR/glow_all.ending; the caller frees it.  NULL: no memory. */
char *ts_glow_path(const ts_run *run, const ts_glow_kind *kind, double T, const char *ending);

/* The flow of section glow, with its first parameters; whitening may be NULL. */
ts_status ts_glow_of_run(const ts_run *run, const ts_glow_times *times, const ts_whitening *whitening,
                         ts_params **params, ts_glow **glow);

/* What a file says of its flow; those from before it was stored are of x_T itself. */
ts_whiten_kind ts_glow_stored_whitening(const ts_safetensors *file);

/* TS_INVALID: T is not among the times of `what`. */
ts_status ts_glow_outside(const ts_run *run, const char *what, const ts_glow_times *times, double T);

#endif
