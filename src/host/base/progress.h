/*
 * How long work tells its caller how far it is, and learns that it should end.  The library prints nothing;
 * the command line shows a bar or lines.
 */
#ifndef TS_BASE_PROGRESS_H
#define TS_BASE_PROGRESS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct ts_progress ts_progress;

struct ts_progress {
    /* Work `phase` ("train", "fit T=0.4", ...) has done `done` of `total` `unit`s ("steps", "images"); `note`
     * (may be NULL) is a short text such as the loss.  Called often: the receiver decides what to show.  A
     * phase begins with its first call and ends with done == total or with the next phase.  NULL: nobody
     * looks. */
    void (*update)(ts_progress *progress, const char *phase, double done, double total, const char *unit,
                   const char *note);
    /* Not zero: end at the next step (TS_INTERRUPTED); NULL: never.  A signal handler may set it. */
    const volatile sig_atomic_t *stop;
};

/* Both accept a NULL progress. */
static inline void ts_progress_report(ts_progress *progress, const char *phase, double done, double total,
                                      const char *unit, const char *note)
{
    if (progress && progress->update)
        progress->update(progress, phase, done, total, unit, note);
}

static inline bool ts_progress_stopped(const ts_progress *progress)
{
    return progress && progress->stop && *progress->stop;
}

#endif
