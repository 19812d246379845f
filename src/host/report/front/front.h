/*
 * The longest T against shorter ones at equal evaluations, over all starts, samplers and numbers of steps of the first
 * score: at each level of evaluations the rows of samples that take no more.  front.c compares, claim.c says it in words,
 * chart_front.c draws it.
 *
 * A group is as good as the best that is in it.  A claim about which is better holds at 95 % for all levels together: it
 * is made of intervals that hold for all compared rows at once (Bonferroni), so that it may look for the best of many.
 */
#ifndef TS_REPORT_FRONT_H
#define TS_REPORT_FRONT_H

#include <stdio.h>
#include "report/source.h"

typedef enum ts_front_verdict {
    TS_FRONT_OPEN,    /* neither is shown to be nearer to held-out data */
    TS_FRONT_SHORTER, /* some shorter T is shown to be nearer than every row of the longest */
    TS_FRONT_LONGER   /* the other way round */
} ts_front_verdict;

typedef struct ts_front_level {
    double nfe;                             /* at most */
    const ts_sample_row *longest, *shorter; /* of each group the row of the smallest distance */
    ts_front_verdict verdict;
} ts_front_level;

typedef struct ts_front {
    int count; /* 0: nothing can be compared */
    ts_front_level
        *levels;   /* ascending: the sweep's budgets, or without them what the rows of the longest T take */
    int compared;  /* rows whose intervals hold at once */
    double factor; /* how much wider than one alone they are */
} ts_front;

ts_status ts_front_make(const ts_report *report, ts_front *front);
void ts_front_release(ts_front *front);

/* Whether the row of this place in results->samples is of the longest T. */
bool ts_front_is_longest(const ts_report *report, int index);
/* How many rows the first score has, which come first, and whether one has a distance that can be compared. */
int ts_front_rows(const ts_results *results);
bool ts_front_is_known(const ts_sample_row *row);

/* The claim, as a part of the finding. */
ts_status ts_front_write(const ts_report *report, FILE *page);

#endif
