/* What follows from the terms of the bound: its rows, and what a network of its own for each T gains. */
#include "sweep/internal.h"

#include <math.h>
#include <stdlib.h>

#include "run/scores.h"

static ts_interval K_of(const ts_bound *bound, int column, double *scratch)
{
    for (int64_t i = 0; i < bound->count; i++)
        scratch[i] = bound->K[i * bound->T_count + column];
    return ts_interval_of_blocks(scratch, bound->count, bound->block);
}

static void fill_row(const ts_sweep *s, int score, int t, int p, double *scratch)
{
    ts_bound_row *row = ts_results_bound(s->results, score, t, p);
    const int64_t at = ts_sweep_prior_at(s, t, p);
    ts_bound_combine(&s->bounds[score], t, row->T, s->prior + at, s->d, &row->terms);
    row->data = (double)s->count;
    if (s->kl) {
        row->kl_prior = ts_interval_of_blocks(s->kl + at, s->count, s->config->data.block);
        row->K = K_of(&s->bounds[score], t, scratch);
    }
}

ts_interval ts_sweep_gain(const ts_bound *shared, const ts_bound *own, int T, double *scratch)
{
    for (int64_t i = 0; i < own->count; i++)
        scratch[i] = shared->diffusion[i * shared->T_count + T] - own->diffusion[i * own->T_count + T];
    return ts_interval_of_blocks(scratch, own->count, own->block);
}

/* The place of the score of networks trained once, or for each T; -1: there is none. */
static int trained(const ts_results *r, bool per_T)
{
    for (int i = 0; i < r->score_count; i++)
        if (ts_scores[r->scores[i]].trained && ts_scores[r->scores[i]].per_T == per_T)
            return i;
    return -1;
}

static ts_status compare_trainings(const ts_sweep *s, double *scratch)
{
    ts_results *r = s->results;
    const int shared = trained(r, false), own = trained(r, true);
    if (shared < 0 || own < 0)
        return NULL;
    r->gains = calloc((size_t)r->T_count, sizeof *r->gains);
    if (!r->gains)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    for (int t = 0; t < r->T_count; t++)
        if (ts_sweep_has_own(s, own, r->T[t]))
            r->gains[r->gain_count++] =
                (ts_gain){r->T[t], ts_sweep_gain(&s->bounds[shared], &s->bounds[own], t, scratch)};
    return NULL;
}

static ts_status summarize(ts_sweep *s, double *scratch)
{
    ts_results *r = s->results;
    for (int score = 0; score < r->score_count; score++)
        for (int p = 0; p < r->start_count; p++)
            for (int t = 0; t < r->T_count; t++)
                fill_row(s, score, t, p, scratch);
    TS_TRY(compare_trainings(s, scratch));
    TS_TRY(ts_sweep_find_all(s));
    if (s->run->dataset->mixture && s->d == 1)
        return ts_sweep_exact(s->config, s->eps, ts_sweep_largest_T(s), r);
    return NULL;
}

ts_status ts_sweep_summarize(ts_sweep *s)
{
    double *scratch = malloc(sizeof *scratch * (size_t)s->count);
    ts_status status = scratch ? summarize(s, scratch) : ts_error(TS_NO_MEMORY, "sweep: no memory");
    free(scratch);
    return status;
}
