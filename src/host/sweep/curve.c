/* The bound as a curve over T: its times, and the prior terms there of the starts that have a density at every T.  The
 * diffusion terms come from the same pass as those of the sweep's T. */
#include "sweep/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/decimal.h"
#include "base/order.h"
#include "base/text.h"
#include "diffusion/prior_curve.h"
#include "run/scores.h"

bool ts_sweep_has_curve(const ts_sweep *s, int score, int start)
{
    return s->curve.count && !ts_scores[s->results->scores[score]].per_T &&
           ts_start_has_every_T(s->run, s->results->starts[start]);
}

/* ---- its times ---- */

/* Those of a fine grid and the sweep's own, ascending. */
static ts_status merge_times(ts_sweep *s, const double *fine, int steps)
{
    const ts_results *r = s->results;
    const int most = steps + r->T_count;
    s->curve.T = calloc((size_t)most, sizeof *s->curve.T);
    if (!s->curve.T)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    memcpy(s->curve.T, fine, sizeof *fine * (size_t)steps);
    memcpy(s->curve.T + steps, r->T, sizeof *r->T * (size_t)r->T_count);
    qsort(s->curve.T, (size_t)most, sizeof *s->curve.T, ts_ascending);
    for (int i = 0; i < most; i++) {
        /* of two that are one but for rounding, the sweep's own */
        const bool same = s->curve.count && s->curve.T[i] - s->curve.T[s->curve.count - 1] < 1e-9;
        if (!same)
            s->curve.T[s->curve.count++] = s->curve.T[i];
        else if (ts_results_T_index(r, s->curve.T[i]) >= 0)
            s->curve.T[s->curve.count - 1] = s->curve.T[i];
    }
    return NULL;
}

ts_status ts_sweep_allocate_curve(ts_sweep *s)
{
    const ts_results *r = s->results;
    bool wanted = false;
    for (int score = 0; score < r->score_count; score++)
        wanted = wanted || !ts_scores[r->scores[score]].per_T;
    if (!wanted || r->T_count < 2)
        return NULL;
    const double high = ts_sweep_largest_T(s);
    double low = high;
    for (int t = 0; t < r->T_count; t++)
        low = fmin(low, r->T[t]);
    double *fine;
    int steps;
    TS_TRY(ts_prior_times(low, high, &fine, &steps));
    ts_status status = merge_times(s, fine, steps);
    free(fine);
    TS_TRY(status);
    for (int start = 0; start < r->start_count; start++) {
        if (!ts_start_has_every_T(s->run, r->starts[start]))
            continue;
        s->curve.prior[start] = calloc((size_t)s->count * (size_t)s->curve.count, sizeof(double));
        if (!s->curve.prior[start])
            return ts_error(TS_NO_MEMORY, "sweep: no memory for the prior terms at %d T", s->curve.count);
    }
    return NULL;
}

void ts_sweep_release_curve(ts_sweep *s)
{
    for (int start = 0; start < TS_START_COUNT; start++)
        free(s->curve.prior[start]);
    free(s->curve.T);
}

/* ---- prior terms ---- */

/* As many draws of x_T as the sweep's own T have, spread over the curve's; the same noise at each. */
static int draws_of(const ts_sweep *s)
{
    const int draws = s->config->bound.prior_draws * s->results->T_count / s->curve.count;
    return draws > 1 ? draws : 1;
}

int ts_sweep_curve_passes(const ts_sweep *s, int start)
{
    return ts_starts[s->results->starts[start]].priors ? 1 : draws_of(s) * s->curve.count;
}

static ts_bound_config bound_of(const ts_worker *w)
{
    const ts_sweep *s = w->sweep;
    return (ts_bound_config){.sde = ts_config_sde(s->config),
                             .eps = s->eps,
                             .T_count = s->curve.count,
                             .T = s->curve.T,
                             .draws = s->config->bound.draws,
                             .prior_draws = draws_of(s),
                             .count = s->count,
                             .seed = ts_sweep_draws_seed(s),
                             .stop = w->progress.stop};
}

/* By the density at T j alone. */
static ts_status prior_at(ts_worker *w, ts_start_kind kind, int j, double *column)
{
    const ts_sweep *s = w->sweep;
    ts_bound_config config = bound_of(w);
    ts_start start;
    config.T_count = 1;
    config.T = &s->curve.T[j];
    TS_TRY(ts_start_open(&w->run, kind, s->curve.T[j], s->config->bound.batch, &start));
    ts_status status =
        ts_bound_prior(&config, &w->run.dataset->test, s->curve.T[j], start.density, column, NULL);
    ts_start_release(&start);
    return status;
}

static ts_status measure_each(ts_worker *w, ts_start_kind kind, double *prior)
{
    const ts_sweep *s = w->sweep;
    double *column = malloc(sizeof *column * (size_t)s->count);
    ts_status status = column ? NULL : ts_error(TS_NO_MEMORY, "sweep: no memory");
    for (int j = 0; j < s->curve.count && !status; j++) {
        ts_progress_report(&w->progress, "curve", j, s->curve.count, "T", NULL);
        if (ts_progress_stopped(&w->progress))
            status = ts_error(TS_INTERRUPTED, "bound: interrupted");
        else
            status = prior_at(w, kind, j, column);
        for (int64_t i = 0; i < s->count && !status; i++)
            prior[i * s->curve.count + j] = column[i];
    }
    free(column);
    return status;
}

static ts_status measure(ts_worker *w, ts_start_kind kind, double *prior, double *seconds)
{
    const double began = ts_seconds();
    const ts_bound_config how = bound_of(w);
    TS_TRY(ts_starts[kind].priors ? ts_starts[kind].priors(&w->run, &how, prior)
                                  : measure_each(w, kind, prior));
    *seconds = ts_seconds() - began;
    return NULL;
}

/* What it depends on beside the configuration. */
static ts_status inputs_of(const ts_sweep *s, ts_start_kind kind, const char *name, char **inputs)
{
    ts_text text;
    char own[TS_START_INPUTS];
    TS_TRY(ts_text_open(&text));
    ts_start_inputs(kind, s->config, own);
    fprintf(text.out, "%s %d%s", name, ts_starts[kind].priors ? 0 : draws_of(s), own);
    for (int j = 0; j < s->curve.count; j++) {
        char T[32];
        ts_decimal(s->curve.T[j], T);
        fprintf(text.out, " %s", T);
    }
    return ts_text_finish(&text, inputs, NULL);
}

ts_status ts_part_curve(ts_worker *w, ts_part *part)
{
    ts_sweep *s = w->sweep;
    const ts_start_kind kind = s->results->starts[part->start];
    double *prior = s->curve.prior[part->start];
    char name[96], sections[64], *inputs;
    bool found;
    ts_worker_watch(w, part);
    snprintf(name, sizeof name, "curve_%s", ts_start_kind_words.word[kind]);
    snprintf(sections, sizeof sections, "bound %s", ts_starts[kind].sections);
    TS_TRY(inputs_of(s, kind, name, &inputs));
    const ts_part_file file = {"parts", name, sections, inputs};
    const ts_part_tensor tensors[] = {{"seconds", TS_ST_F64, 0, {0}, &part->seconds},
                                      {"prior", TS_ST_F64, 2, {s->count, s->curve.count}, prior}};
    ts_status status = ts_part_load(s, &file, tensors, 2, &found);
    part->reused = !status && found;
    if (!status && !found)
        status = measure(w, kind, prior, &part->seconds);
    if (!status && !found)
        status = ts_part_save(s, &file, tensors, 2);
    free(inputs);
    return status;
}
