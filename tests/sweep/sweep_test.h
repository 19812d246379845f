/* What the files of the sweep's test share. */
#ifndef TS_TESTS_SWEEP_TEST_H
#define TS_TESTS_SWEEP_TEST_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <cmocka.h>

#include "list.h"
#include "sweep/internal.h"
#include "near.h"
#include "must.h"

/* ---- runs.c ---- */

extern char folder[]; /* of all sweeps */
int make_folder(void **state);
int remove_folder(void **state);
/* A path there, until the next call. */
const char *in_folder(const char *name);

enum { VECTORS = 24, DIGITS = 23 };
extern const char *const vectors[VECTORS], *const digits[DIGITS]; /* overrides of small sweeps */

/* How many parts are done at once, and in which order; a card takes one worker. */
typedef struct crew {
    int workers;
    uint64_t order;
} crew;

/* Begins a sweep of these overrides, and one more (NULL: none), by this crew or by one worker. */
pid_t start_with(crew c, const char *dir, const char *const *overrides, int count, const char *more);
pid_t start(const char *dir, const char *const *overrides, int count, const char *more);
int finish(pid_t child); /* its exit status, or less the signal that ended it */

/* sweep.json of a path, or of a folder there, without what is about time; to be freed. */
char *numbers_of(const char *dir);
char *numbers_of_folder(const char *name);
void expect_same(const char *a, const char *b);

/* A sweep in NAME-whole, and one in NAME-killed that is killed whenever `apart` more parts have come. */
void killed_sweep_ends_the_same(const char *name, const char *const *overrides, int count, int apart);

ts_results read_results(const char *name);
const ts_bound_row *bound_of(const ts_results *r, double T, ts_start_kind start, int score);
/* Of the first sampler. */
const ts_sample_row *sample_of(const ts_results *r, double T, ts_start_kind start, int score);

/* ---- beside.c ---- */

void all_of_it_survives_kills(void **state);
void all_of_it_by_workers(void **state);
void budgets_are_kept(void **state);
void both_trainings(void **state);
void seeds_vary_what_is_trained(void **state);
void rows_end_with_the_training(void **state);
void likelihood_of_the_exact_score(void **state);

#endif
