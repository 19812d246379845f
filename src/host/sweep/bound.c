/* The bound's part of a sweep: fits and terms. */
#include "sweep/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/decimal.h"
#include "base/text.h"
#include "run/evaluate.h"
#include "run/memory.h"
#include "run/scores.h"

/* ---- the start densities that are fitted ---- */

static ts_status fit(ts_sweep *s, ts_start_kind start, double T)
{
    char text[32];
    ts_fit_result fit;
    ts_results *r = s->results;
    ts_T_text(T, text);
    ts_part_begin(s, "%s at T = %s", ts_start_kind_words.word[start], text);
    /* the file of the fit is its own finished part */
    TS_TRY(ts_starts[start].fit(s->run, T, &(ts_fit_options){&s->progress, .replace = true}, &fit));
    r->fits[r->fit_count++] =
        (ts_fit_summary){start, T, (double)fit.steps, (double)fit.skipped, fit.loss, fit.seconds};
    if (!ts_starts[start].every_T || T == r->T[0]) /* one fit is counted once */
        s->seconds[TS_SWEEP_FIT] += fit.seconds;
    return NULL;
}

ts_status ts_sweep_fits(ts_sweep *s)
{
    ts_results *r = s->results;
    r->fits = calloc((size_t)r->T_count * (size_t)r->start_count, sizeof *r->fits);
    if (!r->fits)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    for (int p = 0; p < r->start_count; p++)
        for (int t = 0; t < r->T_count && ts_starts[r->starts[p]].fit; t++)
            TS_TRY(fit(s, r->starts[p], r->T[t]));
    return NULL;
}

/* ---- reconstruction and diffusion terms ---- */

static bool tell_share(void *context, double share)
{
    ts_progress *progress = context;
    ts_progress_report(progress, "bound", 100 * share, 100, "%", NULL);
    return !ts_progress_stopped(progress);
}

/* One pass of `view`'s score over the data, for the T of some columns of `all`. */
typedef struct columns {
    const char *name; /* of the part */
    int count;
    int *index; /* in `all` */
    double *T;
} columns;

static ts_status measure(ts_sweep *s, ts_run *view, const columns *c, ts_bound *bound)
{
    ts_score *score = NULL;
    const ts_bound_config config = {.sde = ts_config_sde(s->config),
                                    .eps = s->eps,
                                    .T_count = c->count,
                                    .T = c->T,
                                    .draws = s->config->bound.draws,
                                    .prior_draws = s->config->bound.prior_draws,
                                    .count = s->count,
                                    .seed = (uint64_t)s->config->run.seed,
                                    .tracks_K = s->run->dataset->mixture != NULL};
    ts_status status = ts_model_score(view->model, s->config->bound.batch, false, &score);
    if (!status)
        status = ts_bound_measure(&config, &s->run->dataset->test, score, tell_share, &s->progress, bound);
    ts_score_destroy(score);
    return ts_memory_advise(status, view->model, "bound.batch", s->config->bound.batch, false);
}

static ts_status allocate_bound(const ts_sweep *s, int T_count, ts_bound *bound)
{
    const size_t cells = (size_t)s->count * (size_t)T_count;
    *bound = (ts_bound){.count = s->count,
                        .T_count = T_count,
                        .reconstruction = calloc((size_t)s->count, sizeof(double)),
                        .diffusion = calloc(cells, sizeof(double)),
                        .K = s->run->dataset->mixture ? calloc(cells, sizeof(double)) : NULL};
    if (!bound->reconstruction || !bound->diffusion || (s->run->dataset->mixture && !bound->K))
        return ts_error(TS_NO_MEMORY, "sweep: no memory for the bound of %lld data", (long long)s->count);
    return NULL;
}

static void copy_columns(const ts_bound *from, const columns *c, ts_bound *all)
{
    memcpy(all->reconstruction, from->reconstruction, sizeof(double) * (size_t)all->count);
    for (int64_t i = 0; i < all->count; i++)
        for (int j = 0; j < c->count; j++) {
            const int64_t to = i * all->T_count + c->index[j], at = i * c->count + j;
            all->diffusion[to] = from->diffusion[at];
            if (all->K)
                all->K[to] = from->K[at];
        }
}

/* What a pass depends on beside the configuration: the part's name and each T. */
static ts_status inputs_of(const columns *c, char **inputs)
{
    ts_text text;
    TS_TRY(ts_text_open(&text));
    fputs(c->name, text.out);
    for (int j = 0; j < c->count; j++)
        fprintf(text.out, " %.17g", c->T[j]);
    return ts_text_finish(&text, inputs, NULL);
}

static ts_status measure_part(ts_sweep *s, int score, const columns *c, double *seconds, ts_bound *bound)
{
    ts_run view;
    ts_bound measured;
    TS_TRY(ts_sweep_view(s, score, c->T[0], &view));
    const double began = ts_seconds();
    TS_TRY(measure(s, &view, c, &measured));
    *seconds = ts_seconds() - began;
    const size_t cells = (size_t)s->count * (size_t)c->count;
    memcpy(bound->reconstruction, measured.reconstruction, sizeof(double) * (size_t)s->count);
    memcpy(bound->diffusion, measured.diffusion, sizeof(double) * cells);
    if (bound->K)
        memcpy(bound->K, measured.K, sizeof(double) * cells);
    ts_bound_release(&measured);
    return NULL;
}

static ts_status load_or_measure(ts_sweep *s, int score, const columns *c, const ts_part *part,
                                 ts_bound *bound)
{
    double seconds;
    bool found;
    const ts_part_tensor tensors[] = {
        {"seconds", TS_ST_F64, 0, {0}, &seconds},
        {"reconstruction", TS_ST_F64, 1, {s->count}, bound->reconstruction},
        {"diffusion", TS_ST_F64, 2, {s->count, c->count}, bound->diffusion},
        {"K", TS_ST_F64, 2, {s->count, c->count}, bound->K},
    };
    const int count = bound->K ? 4 : 3;
    TS_TRY(ts_part_load(s, part, tensors, count, &found));
    if (!found) {
        TS_TRY(measure_part(s, score, c, &seconds, bound));
        TS_TRY(ts_part_save(s, part, tensors, count));
    }
    s->seconds[TS_SWEEP_BOUND] += seconds;
    return NULL;
}

/* The columns from their part, or measured. */
static ts_status bound_part(ts_sweep *s, int score, const columns *c, ts_bound *all)
{
    const ts_score_kind kind = s->results->scores[score];
    char *inputs, sections[64];
    ts_bound bound;
    ts_part_begin(s, "bound, %s score", ts_score_kind_words.word[kind]);
    TS_TRY(inputs_of(c, &inputs));
    snprintf(sections, sizeof sections, "bound %s", ts_scores[kind].sections);
    ts_status status = allocate_bound(s, c->count, &bound);
    if (!status)
        status = load_or_measure(s, score, c, &(ts_part){"parts", c->name, sections, inputs}, &bound);
    if (!status)
        copy_columns(&bound, c, all);
    ts_bound_release(&bound);
    free(inputs);
    return status;
}

double ts_sweep_largest_T(const ts_sweep *s)
{
    double T = 0;
    for (int i = 0; i < s->results->T_count; i++)
        T = fmax(T, s->results->T[i]);
    return T;
}

/* The columns of one network: all of them, or with a network for each T that T's (the largest also serves the
 * loss profile). */
static ts_status bounds_of_score(ts_sweep *s, int score, int *index, double *T)
{
    const ts_results *r = s->results;
    const bool per_T = ts_sweep_is_per_T(s, score);
    TS_TRY(allocate_bound(s, r->T_count + TS_SWEEP_BINS, &s->bounds[score]));
    for (int first = 0; first < (per_T ? r->T_count : 1); first++) {
        char name[96], text[32];
        columns c = {.name = name, .index = index, .T = T};
        for (int j = first; j < (per_T ? first + 1 : r->T_count); j++) {
            index[c.count] = j;
            T[c.count++] = r->T[j];
        }
        for (int j = 0; j < TS_SWEEP_BINS && (!per_T || r->T[first] == ts_sweep_largest_T(s)); j++) {
            index[c.count] = r->T_count + j;
            T[c.count++] = s->edges[j];
        }
        ts_T_text(r->T[first], text);
        snprintf(name, sizeof name, "bound_%s%s%s", ts_score_kind_words.word[r->scores[score]],
                 per_T ? "_T" : "", per_T ? text : "");
        TS_TRY(bound_part(s, score, &c, &s->bounds[score]));
    }
    return NULL;
}

ts_status ts_sweep_bounds(ts_sweep *s)
{
    const int all_count = s->results->T_count + TS_SWEEP_BINS;
    const ts_sde sde = ts_config_sde(s->config);
    const double low = ts_sde_lambda(&sde, s->eps), high = ts_sde_lambda(&sde, ts_sweep_largest_T(s));
    int *index = calloc((size_t)all_count, sizeof *index);
    double *T = calloc((size_t)all_count, sizeof *T);
    ts_status status = index && T ? NULL : ts_error(TS_NO_MEMORY, "sweep: no memory");
    /* equally spaced in Lambda: each bin gets as many of the draws */
    for (int j = 0; j < TS_SWEEP_BINS; j++)
        s->edges[j] = ts_sde_lambda_inverse(&sde, low + (high - low) * (j + 1) / TS_SWEEP_BINS);
    s->edges[TS_SWEEP_BINS - 1] = ts_sweep_largest_T(s);
    for (int score = 0; score < s->results->score_count && !status; score++)
        status = bounds_of_score(s, score, index, T);
    free(index);
    free(T);
    return status;
}

/* ---- prior terms ---- */

static ts_status measure_prior(ts_sweep *s, ts_start_kind kind, double T, double *prior, double *kl,
                               double *seconds)
{
    ts_start start;
    const double began = ts_seconds();
    TS_TRY(ts_start_open(s->run, kind, T, s->config->bound.batch, &start));
    const ts_bound_config config = {.sde = ts_config_sde(s->config),
                                    .eps = s->eps,
                                    .T_count = 1,
                                    .T = &T,
                                    .draws = s->config->bound.draws,
                                    .prior_draws = s->config->bound.prior_draws,
                                    .count = s->count,
                                    .seed = (uint64_t)s->config->run.seed,
                                    .stop = s->progress.stop};
    ts_status status = ts_bound_prior(&config, &s->run->dataset->test, T, start.density, prior, kl);
    ts_start_release(&start);
    *seconds = ts_seconds() - began;
    return status;
}

static ts_status prior_part(ts_sweep *s, int t, int p, double *prior, double *kl)
{
    const ts_start_kind start = s->results->starts[p];
    const char *word = ts_start_kind_words.word[start];
    char text[32], name[96], sections[64];
    double seconds;
    bool found;
    ts_T_text(s->results->T[t], text);
    snprintf(name, sizeof name, "prior_T%s_%s", text, word);
    snprintf(sections, sizeof sections, "bound %s", ts_starts[start].sections);
    ts_part_begin(s, "prior term at T = %s, %s", text, word);
    const ts_part part = {"parts", name, sections, name};
    const ts_part_tensor tensors[] = {{"seconds", TS_ST_F64, 0, {0}, &seconds},
                                      {"prior", TS_ST_F64, 1, {s->count}, prior},
                                      {"kl_prior", TS_ST_F64, 1, {s->count}, kl}};
    const int tensor_count = kl ? 3 : 2;
    TS_TRY(ts_part_load(s, &part, tensors, tensor_count, &found));
    if (!found) {
        ts_progress_report(&s->progress, "prior", 0, 1, "densities", NULL);
        TS_TRY(measure_prior(s, start, s->results->T[t], prior, kl, &seconds));
        ts_progress_report(&s->progress, "prior", 1, 1, "densities", NULL);
        TS_TRY(ts_part_save(s, &part, tensors, tensor_count));
    }
    s->seconds[TS_SWEEP_PRIOR] += seconds;
    return ts_progress_stopped(&s->progress) ? ts_error(TS_INTERRUPTED, "sweep: interrupted") : NULL;
}

int64_t ts_sweep_prior_at(const ts_sweep *s, int t, int p)
{
    return ((int64_t)t * s->results->start_count + p) * s->count;
}

ts_status ts_sweep_priors(ts_sweep *s)
{
    const ts_results *r = s->results;
    const size_t cells = (size_t)ts_sweep_prior_at(s, r->T_count, 0);
    s->prior = calloc(cells, sizeof *s->prior);
    s->kl = s->run->dataset->mixture ? calloc(cells, sizeof *s->kl) : NULL;
    if (!s->prior || (s->run->dataset->mixture && !s->kl))
        return ts_error(TS_NO_MEMORY, "sweep: no memory for the prior terms");
    for (int t = 0; t < r->T_count; t++)
        for (int p = 0; p < r->start_count; p++) {
            const int64_t at = ts_sweep_prior_at(s, t, p);
            TS_TRY(prior_part(s, t, p, s->prior + at, s->kl ? s->kl + at : NULL));
        }
    return NULL;
}
