/*
 * The scores that a run can be evaluated with: that of one network for all T, those of a network for each T, the exact
 * one of a mixture, or a start density's own above T* and the run's below.  One table, a row a kind.
 */
#ifndef TS_RUN_SCORES_H
#define TS_RUN_SCORES_H

#include <stdbool.h>

#include "run/starts.h"

/* An open score, for batches of n. */
typedef struct ts_open_score {
    ts_score *score;
    ts_start start; /* behind a start's own */
} ts_open_score;

typedef struct ts_score_row {
    const char *sections; /* of the configuration that it depends on beside "data sde" and the seed */
    bool trained;
    bool per_T;        /* a training for each T of a sweep, on [eps, T], and not one for all */
    unsigned networks; /* of the trained ones: the words of sweep.network that want it, a bit each */
    bool by_start; /* another for each start density, which reaches beyond what the network was trained on */
    /* Of the run's model and weights.  TS_INVALID, saying why, where the run has no such score. */
    ts_status (*open)(ts_run *run, ts_start_kind start, int n, ts_open_score *open);

    const char *label; /* "trained score" */
    const char *dash;  /* gnuplot's dash type */
    bool hollow;       /* which of a start's points */
} ts_score_row;

extern const ts_score_row ts_scores[TS_SCORE_COUNT];

/* What an evaluation takes instead of the model's own score: ts_run.choice. */
typedef struct ts_score_choice {
    ts_score_kind kind;
    double T; /* hybrid: T*; 0: the last that the training logged of the start */
} ts_score_choice;

/* T* of a hybrid from this start.  TS_NOT_FOUND where none is chosen and none was logged. */
ts_status ts_score_T_star(const ts_run *run, ts_start_kind start, double *T);

/* The score that evaluations from this start take. */
ts_status ts_score_open(ts_run *run, ts_start_kind start, int n, ts_open_score *open);
void ts_score_close(ts_open_score *open);
/* Whether that is another for each start. */
bool ts_score_is_by_start(const ts_run *run);
/* TS_INVALID where T is beyond what the run's network, if it has one, was trained on. */
ts_status ts_score_check_T(const ts_run *run, double T);

#endif
