/*
 * The scores that a sweep can be evaluated with: that of one network for all T, those of a network for each T, or
 * the exact one of a mixture.  One table, a row a kind.
 */
#ifndef TS_RUN_SCORES_H
#define TS_RUN_SCORES_H

#include <stdbool.h>

#include "base/kinds.h"

typedef struct ts_score_row {
    const char *sections; /* of the configuration that it depends on beside "data sde" and the seed */
    bool trained;
    bool per_T;        /* a training for each T of a sweep, on [eps, T], and not one for all */
    unsigned networks; /* of the trained ones: the words of sweep.network that want it, a bit each */

    const char *label; /* "trained score" */
    const char *dash;  /* gnuplot's dash type */
    bool hollow;       /* which of a start's points */
} ts_score_row;

extern const ts_score_row ts_scores[TS_SCORE_COUNT];

#endif
