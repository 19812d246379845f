/*
 * A list of parts that need each other's results, and workers that take them.
 *
 * A worker is a thread that takes whichever part is ready, first those that stand first.  What a part computes
 * does not depend on who computes it nor when, so neither the number of workers nor the order changes a result;
 * parts write to places of their own, and what one wrote is there for those that need it.
 */
#ifndef TS_SWEEP_WORKERS_H
#define TS_SWEEP_WORKERS_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"

typedef struct ts_worker ts_worker; /* internal.h; here it is only handed through */
typedef struct ts_part ts_part;

typedef enum ts_part_state {
    TS_PART_WAITS,
    TS_PART_RUNS,
    TS_PART_DONE,
    TS_PART_FAILED,
    TS_PART_LEFT /* not done, for what it needs failed */
} ts_part_state;

enum { TS_PART_NEEDS = 8, TS_NO_PART = -1, TS_PART_UNTOLD = -1 };

struct ts_part {
    char name[96]; /* for people: "glow at T = 0.4" */
    ts_status (*run)(ts_worker *worker, ts_part *part);
    int score, T, start, sampler; /* what it is of, as places in the results' lists; not all have all */
    int needs[TS_PART_NEEDS];     /* parts before it in the list */
    int need_count;

    int phase;           /* what its time is counted under */
    double work;         /* estimated, in units that are worth the same within a phase */
    double seconds;      /* that it took, in whichever call that was */
    int64_t steps;       /* of trainings: up to where they are */
    double step_seconds; /* of trainings: a step; NaN where none was done */

    bool reused; /* it was there already; like the two above it is looked at once the part is done */

    /* While it runs and behind that; under the list's lock. */
    ts_part_state state;
    double first, share; /* of the part done: when it first told (TS_PART_UNTOLD: not yet), and now */
    double began, took;  /* seconds in this call; took: once it is done */
    char note[48];       /* what it said last: the loss, ... */
    ts_status status;
};

typedef struct ts_part_list ts_part_list;
struct ts_part_list {
    ts_part *parts;
    int count;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const volatile sig_atomic_t *stop; /* not zero: nothing more is begun; NULL: never */
    bool ends;                         /* nothing more is begun */
    uint64_t order; /* not 0: of the parts that are ready, any is taken, by these random bits */
    int end;        /* of the parts that are to be done in this call */
    /* Told, under the lock, that a part began; NULL: nobody. */
    void (*told)(ts_part_list *list);
    void *context;
};

/* One thread's share of ts_workers_run. */
typedef struct ts_crew {
    ts_worker *const *workers; /* [0] works in the calling thread */
    int count;
    void (*begin)(ts_worker *worker); /* the first thing that each does in its thread; NULL: nothing */
} ts_crew;

/* An empty list: the caller sets parts, which stay its own, count and end. */
ts_status ts_part_list_make(ts_part_list *list);
void ts_part_list_release(ts_part_list *list);

/*
 * Does all parts before `end` that are not done.  When one fails, those that do not need it are still done,
 * unless it failed for what the others would meet too: an interruption, memory, the file system, the device.
 * Then nothing more is begun, and what is under way ends as it would.
 *
 * The result is the first failure in the list's order, an interruption last, in front of it the part's name
 * and how much is missing.
 */
ts_status ts_workers_run(ts_part_list *list, const ts_crew *crew);

#endif
