/*
 * The start densities: what the reverse process can begin from at T.  One table, a row a kind, with all that
 * the engine, the sweep and the report know of it; nothing else names a kind.
 *
 * To add one: its word in base/kinds.h, its own .c and .h in starts/, and its row in starts.c.
 */
#ifndef TS_RUN_STARTS_H
#define TS_RUN_STARTS_H

#include "base/kinds.h"
#include "diffusion/bound.h"
#include "run/starts/glow.h"
#include "run/run.h"

enum { TS_START_INPUTS = 96 };

/* An open start density, for batches of n. */
typedef struct ts_start {
    ts_density *density;
    ts_fit fit;          /* behind a Glow */
    ts_mixture *mixture; /* behind a fitted mixture */
} ts_start;

typedef struct ts_start_row {
    /* TS_INVALID, saying why, where the start does not suit the run's data or configuration; worth knowing
     * before a long training. */
    ts_status (*check)(const ts_run *run);
    /* Fits at T and stores the result with the run; NULL: there is nothing to fit.  With every_T, one fit serves
     * every T unless the configuration says otherwise: only what result->loss says is of T, which may be NaN. */
    ts_status (*fit)(ts_run *run, double T, const ts_fit_options *options, ts_fit_result *result);
    ts_status (*open)(ts_run *run, double T, int n, ts_start *start);
    /* The score of what the forward process makes of it, at every t; start->mixture keeps what that is made of.  NULL: the
     * process carries no such start.  TS_INVALID where it does not under the run's configuration. */
    ts_status (*score)(ts_run *run, int n, ts_start *start, ts_score **score);
    /* The prior terms [how->count][how->T_count] of held-out data at many T at once, in closed form, nats; NULL: they are not
     * known but from the density at each. */
    ts_status (*priors)(ts_run *run, const ts_bound_config *how, double *prior);
    bool every_T;
    bool (*one_T)(const ts_run *run); /* whether the configuration says otherwise; NULL: it never does */
    int64_t (*steps)(
        const ts_config *config); /* of the optimiser that a fit takes; NULL: it goes over the data once */
    const char *sections;         /* of the configuration that it depends on beside "data sde" and the seed */
    void (*inputs)(const ts_config *config, char text[TS_START_INPUTS]); /* and besides; NULL: on nothing */
    bool plain; /* knows nothing of the data: what a short T needs a better start than */

    const char *html,
        *label; /* what it is called on a page, and in gnuplot's enhanced text; under VE, where */
    const char *html_ve, *label_ve; /* that differs (NULL: it does not) */
    const char *color; /* of Okabe and Ito's palette, told apart with every common colour blindness */
    int point, hollow; /* gnuplot's point types, filled and open */
} ts_start_row;

extern const ts_start_row ts_starts[TS_START_COUNT];

/* The kinds whose check passes, in the table's order; returns how many. */
int ts_starts_of(const ts_run *run, ts_start_kind kinds[TS_START_COUNT]);

/* Those that sweep.starts names, in its order, each of which must suit the run; all that suit where it names none. */
ts_status ts_starts_chosen(const ts_run *run, const ts_kinds *wanted, ts_start_kind kinds[TS_START_COUNT],
                           int *count);

/* Whether it has a density at every T, once it is fitted. */
bool ts_start_has_every_T(const ts_run *run, ts_start_kind kind);
/* What a start depends on beside the sections of its row, as text: empty, or " of T from 0.1 to 1.0". */
void ts_start_inputs(ts_start_kind kind, const ts_config *config, char text[TS_START_INPUTS]);

ts_status ts_start_open(ts_run *run, ts_start_kind kind, double T, int n, ts_start *start);
/* Its own score at every t; to be destroyed before `start` is released.  TS_INVALID where it has none. */
ts_status ts_start_score(ts_run *run, ts_start_kind kind, int n, ts_start *start, ts_score **score);
void ts_start_release(ts_start *start);

#endif
