/* What follows from the terms of the bound: its rows and the loss profile. */
#include "sweep/internal.h"

#include <math.h>
#include <stdlib.h>

/* Mean and interval over data of the difference of two columns (from < 0: of the column itself). */
static ts_interval increment(const ts_bound *bound, int from, int to, double *scratch)
{
    for (int64_t i = 0; i < bound->count; i++) {
        const double *row = bound->diffusion + i * bound->T_count;
        scratch[i] = row[to] - (from < 0 ? 0 : row[from]);
    }
    return ts_interval_of(scratch, bound->count);
}

static ts_interval scaled(ts_interval x, double factor)
{
    return (ts_interval){x.mean * factor, x.half * factor};
}

static ts_status profile_of(const ts_sweep *s, int score, double *scratch, ts_profile *profile)
{
    const ts_sde sde = ts_config_sde(s->config);
    profile->score = s->results->scores[score];
    profile->bins = calloc(TS_SWEEP_BINS, sizeof *profile->bins);
    if (!profile->bins)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    profile->count = TS_SWEEP_BINS;
    for (int j = 0; j < TS_SWEEP_BINS; j++) {
        const double low = j ? s->edges[j - 1] : s->eps, high = s->edges[j];
        const double lambda = ts_sde_lambda(&sde, high) - ts_sde_lambda(&sde, low);
        const ts_interval nats = increment(&s->bounds[score], j ? s->results->T_count + j - 1 : -1,
                                           s->results->T_count + j, scratch);
        /* the increment is (Lambda(high) - Lambda(low)) / 2 times the mean of ||net - z||^2 in between */
        profile->bins[j] = (ts_profile_bin){.t_low = low,
                                            .t_high = high,
                                            .mse = scaled(nats, 2 / (lambda * s->d)),
                                            .integrand = scaled(nats, 1 / (high - low))};
    }
    return NULL;
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

static ts_status summarize(ts_sweep *s, double *scratch)
{
    ts_results *r = s->results;
    r->profiles = calloc((size_t)r->score_count, sizeof *r->profiles);
    if (!r->profiles)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    for (int score = 0; score < r->score_count; score++) {
        for (int p = 0; p < r->start_count; p++)
            for (int t = 0; t < r->T_count; t++)
                fill_row(s, score, t, p, scratch);
        TS_TRY(profile_of(s, score, scratch, &r->profiles[r->profile_count++]));
    }
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
