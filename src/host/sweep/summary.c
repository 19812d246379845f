/* What follows from the terms of the bound: its rows, and what a network of its own for each T gains. */
#include "sweep/internal.h"

#include <math.h>
#include <stdlib.h>

#include "run/scores.h"

/* Over the data and seeds: values[k][i * stride] is what datum i has from seed k. */
static ts_interval over_seeds(const ts_sweep *s, const double *const *values, int stride)
{
    ts_running r = ts_running_of(s->config->data.block, s->seeds);
    for (int64_t i = 0; i < s->count; i++) {
        double of_datum[TS_MOST_SEEDS];
        for (int k = 0; k < s->seeds; k++)
            of_datum[k] = values[k][i * stride];
        ts_running_add(&r, of_datum);
    }
    return ts_running_interval(&r);
}

static void fill_row(const ts_sweep *s, int score, int t, int p)
{
    ts_bound_row *row = ts_results_bound(s->results, score, t, p);
    const int64_t at = ts_sweep_prior_at(s, t, p);
    const ts_bound *bounds[TS_MOST_SEEDS];
    const double *prior[TS_MOST_SEEDS], *error[TS_MOST_SEEDS], *kl[TS_MOST_SEEDS], *K[TS_MOST_SEEDS];
    for (int k = 0; k < s->seeds; k++) {
        const ts_sweep *of = ts_sweep_of_seed(s, k);
        bounds[k] = &of->bounds[score];
        prior[k] = of->prior + at;
        error[k] = of->start_error + at;
        kl[k] = s->kl ? of->kl + at : NULL;
        K[k] = s->kl ? bounds[k]->K + t : NULL;
    }
    ts_bound_combine_seeds(s->seeds, bounds, t, row->T, prior, s->d, &row->terms);
    row->data = (double)s->count;
    row->start_error = over_seeds(s, error, 1);
    if (s->kl) {
        row->kl_prior = over_seeds(s, kl, 1);
        row->K = over_seeds(s, K, bounds[0]->T_count);
    }
}

ts_interval ts_sweep_gain(int seeds, const ts_bound *const *shared, const ts_bound *const *own, int T)
{
    ts_running r = ts_running_of(own[0]->block, seeds);
    for (int64_t i = 0; i < own[0]->count; i++) {
        double gain[TS_MOST_SEEDS];
        for (int k = 0; k < seeds; k++)
            gain[k] =
                shared[k]->diffusion[i * shared[k]->T_count + T] - own[k]->diffusion[i * own[k]->T_count + T];
        ts_running_add(&r, gain);
    }
    return ts_running_interval(&r);
}

/* The place of the score of networks trained once, or for each T; -1: there is none. */
static int trained(const ts_results *r, bool per_T)
{
    for (int i = 0; i < r->score_count; i++)
        if (ts_scores[r->scores[i]].trained && ts_scores[r->scores[i]].per_T == per_T)
            return i;
    return -1;
}

static ts_status compare_trainings(const ts_sweep *s)
{
    ts_results *r = s->results;
    const ts_bound *bounds[2][TS_MOST_SEEDS];
    const int shared = trained(r, false), own = trained(r, true);
    if (shared < 0 || own < 0)
        return NULL;
    r->gains = calloc((size_t)r->T_count, sizeof *r->gains);
    if (!r->gains)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    for (int k = 0; k < s->seeds; k++) {
        bounds[0][k] = &ts_sweep_of_seed(s, k)->bounds[shared];
        bounds[1][k] = &ts_sweep_of_seed(s, k)->bounds[own];
    }
    for (int t = 0; t < r->T_count; t++)
        if (ts_sweep_has_own(s, own, r->T[t]))
            r->gains[r->gain_count++] = (ts_gain){r->T[t], ts_sweep_gain(s->seeds, bounds[0], bounds[1], t)};
    return NULL;
}

ts_status ts_sweep_summarize(ts_sweep *s)
{
    ts_results *r = s->results;
    for (int score = 0; score < r->score_count; score++)
        for (int p = 0; p < r->start_count; p++)
            for (int t = 0; t < r->T_count; t++)
                fill_row(s, score, t, p);
    TS_TRY(compare_trainings(s));
    TS_TRY(ts_sweep_find_all(s));
    if (s->run->dataset->mixture && s->d == 1)
        return ts_sweep_exact(s->config, s->eps, ts_sweep_largest_T(s), r);
    return NULL;
}
