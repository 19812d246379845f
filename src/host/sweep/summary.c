/* What follows from the terms of the bound: its rows, T*. */
#include "sweep/internal.h"

#include <math.h>
#include <stdlib.h>

#include "run/scores.h"

ts_status ts_sweep_best(const double *elbo, int T_count, const double *T, int64_t count, ts_best *best)
{
    double *difference = malloc(sizeof *difference * (size_t)count);
    best->T = calloc((size_t)T_count, sizeof *best->T);
    best->deficit = calloc((size_t)T_count, sizeof *best->deficit);
    best->deficit_half = calloc((size_t)T_count, sizeof *best->deficit_half);
    if (!difference || !best->T || !best->deficit || !best->deficit_half) {
        free(difference);
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    }
    int top = 0;
    double highest = -INFINITY;
    for (int t = 0; t < T_count; t++) {
        const double mean = ts_interval_of(elbo + t * count, count).mean;
        if (mean > highest) {
            highest = mean;
            top = t;
        }
    }
    best->T_best = best->T_star = T[top];
    best->count = T_count;
    for (int t = 0; t < T_count; t++) {
        for (int64_t i = 0; i < count; i++)
            difference[i] = elbo[top * count + i] - elbo[t * count + i];
        const ts_interval deficit = ts_interval_of(difference, count);
        /* insertion, T descending */
        int place = t;
        for (; place > 0 && best->T[place - 1] < T[t]; place--) {
            best->T[place] = best->T[place - 1];
            best->deficit[place] = best->deficit[place - 1];
            best->deficit_half[place] = best->deficit_half[place - 1];
        }
        best->T[place] = T[t];
        best->deficit[place] = deficit.mean;
        best->deficit_half[place] = deficit.half;
        if (deficit.mean - deficit.half <= 0)
            best->T_star = fmin(best->T_star, T[t]);
    }
    free(difference);
    return NULL;
}

static ts_status best_of(const ts_sweep *s, int score, int p, double *elbo, ts_best *best)
{
    const ts_results *r = s->results;
    const ts_bound *bound = &s->bounds[score];
    for (int t = 0; t < r->T_count; t++) {
        const double *prior = s->prior + ts_sweep_prior_at(s, t, p);
        for (int64_t i = 0; i < s->count; i++)
            elbo[t * s->count + i] =
                bound->reconstruction[i] - prior[i] - bound->diffusion[i * bound->T_count + t];
    }
    best->start = r->starts[p];
    best->score = r->scores[score];
    return ts_sweep_best(elbo, r->T_count, r->T, s->count, best);
}

static ts_interval K_of(const ts_bound *bound, int column, double *scratch)
{
    for (int64_t i = 0; i < bound->count; i++)
        scratch[i] = bound->K[i * bound->T_count + column];
    return ts_interval_of(scratch, bound->count);
}

static void fill_row(const ts_sweep *s, int score, int t, int p, double *scratch)
{
    ts_bound_row *row = ts_results_bound(s->results, score, t, p);
    const int64_t at = ts_sweep_prior_at(s, t, p);
    ts_bound_combine(&s->bounds[score], t, row->T, s->prior + at, s->d, &row->terms);
    row->data = (double)s->count;
    if (s->kl) {
        row->kl_prior = ts_interval_of(s->kl + at, s->count);
        row->K = K_of(&s->bounds[score], t, scratch);
    }
}

ts_interval ts_sweep_gain(const ts_bound *shared, const ts_bound *own, int T, double *scratch)
{
    for (int64_t i = 0; i < own->count; i++)
        scratch[i] = shared->diffusion[i * shared->T_count + T] - own->diffusion[i * own->T_count + T];
    return ts_interval_of(scratch, own->count);
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

static ts_status summarize(ts_sweep *s, double *elbo)
{
    ts_results *r = s->results;
    r->best = calloc((size_t)(r->score_count * r->start_count), sizeof *r->best);
    if (!r->best)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    for (int score = 0; score < r->score_count; score++)
        for (int p = 0; p < r->start_count; p++) {
            for (int t = 0; t < r->T_count; t++)
                fill_row(s, score, t, p, elbo);
            TS_TRY(best_of(s, score, p, elbo, &r->best[r->best_count++]));
        }
    TS_TRY(compare_trainings(s, elbo));
    if (s->run->dataset->mixture && s->d == 1)
        return ts_sweep_exact(s->config, s->eps, ts_sweep_largest_T(s), r);
    return NULL;
}

ts_status ts_sweep_summarize(ts_sweep *s)
{
    double *elbo = malloc(sizeof *elbo * (size_t)s->results->T_count * (size_t)s->count);
    ts_status status = elbo ? summarize(s, elbo) : ts_error(TS_NO_MEMORY, "sweep: no memory");
    free(elbo);
    return status;
}
