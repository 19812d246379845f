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

int ts_sweep_fit_at(const ts_sweep *s, int T, int start)
{
    int fitted = 0;
    for (int p = 0; p < start; p++)
        fitted += ts_starts[s->results->starts[p]].fit != NULL;
    return fitted * s->results->T_count + T;
}

ts_status ts_sweep_allocate_fits(ts_sweep *s)
{
    ts_results *r = s->results;
    r->fit_count = ts_sweep_fit_at(s, 0, r->start_count);
    r->fits = calloc((size_t)r->fit_count + 1, sizeof *r->fits);
    return r->fits ? NULL : ts_error(TS_NO_MEMORY, "sweep: no memory");
}

ts_status ts_part_fit(ts_worker *w, ts_part *part)
{
    const ts_results *r = w->sweep->results;
    const ts_start_kind start = r->starts[part->start];
    const double T = r->T[part->T];
    ts_fit_result fit;
    ts_worker_watch(w, part);
    /* the file of the fit is its own finished part */
    TS_TRY(ts_starts[start].fit(&w->run, T, &(ts_fit_options){&w->progress, .replace = true}, &fit));
    r->fits[ts_sweep_fit_at(w->sweep, part->T, part->start)] =
        (ts_fit_summary){start, T, (double)fit.steps, (double)fit.skipped, fit.loss, fit.seconds};
    if (!ts_starts[start].every_T || !fit.reused || part->T == 0) /* what serves every T is counted once */
        part->seconds = fit.seconds;
    part->reused = fit.reused;
    return NULL;
}

/* ---- reconstruction and diffusion terms ---- */

static bool tell_share(void *context, double share)
{
    ts_progress *progress = context;
    ts_progress_report(progress, "bound", 100 * share, 100, "%", NULL);
    return !ts_progress_stopped(progress);
}

/* One pass of a score over the data: first the T that it serves, those of the curve behind the sweep's, then the ends of
 * the loss profile's bins. */
typedef struct columns {
    const char *name; /* of the part */
    int count, bins;  /* of all columns; of the last of them */
    int first;        /* the place of the first T in the results' list */
    double *T;
} columns;

static ts_status measure(ts_worker *w, ts_run *view, const columns *c, ts_bound *bound)
{
    const ts_sweep *s = w->sweep;
    ts_score *score = NULL;
    const ts_bound_config config = {.sde = ts_config_sde(s->config),
                                    .eps = s->eps,
                                    .T_count = c->count,
                                    .T = c->T,
                                    .draws = s->config->bound.draws,
                                    .prior_draws = s->config->bound.prior_draws,
                                    .count = s->count,
                                    .seed = ts_sweep_draws_seed(s),
                                    .tracks_K = s->run->dataset->mixture != NULL};
    ts_status status = ts_model_score(view->model, s->config->bound.batch, false, &score);
    if (!status)
        status = ts_bound_measure(&config, &w->run.dataset->test, score, tell_share, &w->progress, bound);
    ts_score_destroy(score);
    return ts_memory_advise(status, view->model, "bound.batch", s->config->bound.batch, false);
}

static ts_status allocate_bound(const ts_sweep *s, int T_count, ts_bound *bound)
{
    const size_t cells = (size_t)s->count * (size_t)T_count;
    *bound = (ts_bound){.count = s->count,
                        .block = s->config->data.block,
                        .T_count = T_count,
                        .reconstruction = calloc((size_t)s->count, sizeof(double)),
                        .diffusion = calloc(cells, sizeof(double)),
                        .K = s->run->dataset->mixture ? calloc(cells, sizeof(double)) : NULL};
    if (!bound->reconstruction || !bound->diffusion || (s->run->dataset->mixture && !bound->K))
        return ts_error(TS_NO_MEMORY, "sweep: no memory for the bound of %lld data", (long long)s->count);
    return NULL;
}

/* Reconstruction is the same for every T: those that share it do not all write it. */
static void copy_columns(const ts_bound *from, const columns *c, ts_bound *all)
{
    if (c->first == 0)
        memcpy(all->reconstruction, from->reconstruction, sizeof(double) * (size_t)all->count);
    for (int64_t i = 0; i < all->count; i++)
        for (int j = 0; j < c->count - c->bins; j++) {
            const int64_t to = i * all->T_count + c->first + j, at = i * c->count + j;
            all->diffusion[to] = from->diffusion[at];
            if (all->K)
                all->K[to] = from->K[at];
        }
}

/* ---- the loss profile ---- */

/* Mean and interval over data of the difference of two columns (from < 0: of the column itself). */
static ts_interval increment(const ts_bound *bound, int from, int to, double *scratch)
{
    for (int64_t i = 0; i < bound->count; i++) {
        const double *row = bound->diffusion + i * bound->T_count;
        scratch[i] = row[to] - (from < 0 ? 0 : row[from]);
    }
    return ts_interval_of_blocks(scratch, bound->count, bound->block);
}

static ts_interval scaled(ts_interval x, double factor)
{
    return (ts_interval){x.mean * factor, x.half * factor};
}

static ts_status fill_profile(const ts_sweep *s, const ts_bound *bound, const columns *c, ts_profile *profile)
{
    const ts_sde sde = ts_config_sde(s->config);
    const int first = c->count - c->bins;
    double *scratch = malloc(sizeof *scratch * (size_t)bound->count);
    if (!scratch)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    for (int j = 0; j < c->bins; j++) {
        const double low = j ? c->T[first + j - 1] : s->eps, high = c->T[first + j];
        const double lambda = ts_sde_lambda(&sde, high) - ts_sde_lambda(&sde, low);
        const ts_interval nats = increment(bound, j ? first + j - 1 : -1, first + j, scratch);
        /* the increment is (Lambda(high) - Lambda(low)) / 2 times the mean of ||net - z||^2 in between */
        profile->bins[j] = (ts_profile_bin){.t_low = low,
                                            .t_high = high,
                                            .mse = scaled(nats, 2 / (lambda * s->d)),
                                            .integrand = scaled(nats, 1 / (high - low))};
    }
    profile->count = c->bins;
    free(scratch);
    return NULL;
}

/* The place of a profile: a score has one, or with a network for each T one for each. */
static int profile_at(const ts_results *r, int score, int T)
{
    int place = 0;
    for (int i = 0; i < score; i++)
        place += ts_scores[r->scores[i]].per_T ? r->T_count : 1;
    return place + (T < 0 ? 0 : T);
}

static ts_status allocate_profiles(ts_sweep *s)
{
    ts_results *r = s->results;
    r->profile_count = profile_at(r, r->score_count, -1);
    r->profiles = calloc((size_t)r->profile_count, sizeof *r->profiles);
    if (!r->profiles)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    for (int score = 0; score < r->score_count; score++)
        for (int t = 0; t < (ts_scores[r->scores[score]].per_T ? r->T_count : 1); t++) {
            ts_profile *profile = &r->profiles[profile_at(r, score, t)];
            profile->score = r->scores[score];
            profile->T = ts_scores[r->scores[score]].per_T ? r->T[t] : ts_sweep_largest_T(s);
            profile->bins = calloc(TS_SWEEP_BINS, sizeof *profile->bins);
            if (!profile->bins)
                return ts_error(TS_NO_MEMORY, "sweep: no memory");
        }
    return NULL;
}

/* ---- the part ---- */

/* What a pass depends on beside the configuration: the part's name and each T. */
static ts_status inputs_of(const columns *c, char **inputs)
{
    ts_text text;
    TS_TRY(ts_text_open(&text));
    fputs(c->name, text.out);
    for (int j = 0; j < c->count; j++) {
        char T[32];
        ts_decimal(c->T[j], T);
        fprintf(text.out, " %s", T);
    }
    return ts_text_finish(&text, inputs, NULL);
}

static ts_status measure_part(ts_worker *w, int score, const columns *c, double *seconds, ts_bound *bound)
{
    const ts_sweep *s = w->sweep;
    ts_run view;
    ts_bound measured;
    TS_TRY(ts_worker_view(w, score, c->T[0], &view));
    const double began = ts_seconds();
    TS_TRY(measure(w, &view, c, &measured));
    *seconds = ts_seconds() - began;
    const size_t cells = (size_t)s->count * (size_t)c->count;
    memcpy(bound->reconstruction, measured.reconstruction, sizeof(double) * (size_t)s->count);
    memcpy(bound->diffusion, measured.diffusion, sizeof(double) * cells);
    if (bound->K)
        memcpy(bound->K, measured.K, sizeof(double) * cells);
    ts_bound_release(&measured);
    return NULL;
}

static ts_status load_or_measure(ts_worker *w, ts_part *part, const columns *c, const ts_part_file *file,
                                 ts_bound *bound)
{
    const ts_sweep *s = w->sweep;
    bool found;
    const ts_part_tensor tensors[] = {
        {"seconds", TS_ST_F64, 0, {0}, &part->seconds},
        {"reconstruction", TS_ST_F64, 1, {s->count}, bound->reconstruction},
        {"diffusion", TS_ST_F64, 2, {s->count, c->count}, bound->diffusion},
        {"K", TS_ST_F64, 2, {s->count, c->count}, bound->K},
    };
    const int count = bound->K ? 4 : 3;
    TS_TRY(ts_part_load(s, file, tensors, count, &found));
    part->reused = found;
    if (found)
        return NULL;
    TS_TRY(measure_part(w, part->score, c, &part->seconds, bound));
    return ts_part_save(s, file, tensors, count);
}

/* The columns from their file, or measured. */
static ts_status bound_of_columns(ts_worker *w, ts_part *part, const columns *c)
{
    ts_sweep *s = w->sweep;
    char *inputs, sections[64];
    ts_bound bound;
    TS_TRY(inputs_of(c, &inputs));
    snprintf(sections, sizeof sections, "bound %s", ts_scores[s->results->scores[part->score]].sections);
    ts_status status = allocate_bound(s, c->count, &bound);
    if (!status)
        status = load_or_measure(w, part, c, &(ts_part_file){"parts", c->name, sections, inputs}, &bound);
    if (!status) {
        copy_columns(&bound, c, &s->bounds[part->score]);
        status =
            fill_profile(s, &bound, c, &s->results->profiles[profile_at(s->results, part->score, part->T)]);
    }
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

/* Of a network for all T, which the curve's are among, or of that of one T; bins end where all of them do, the last one at
 * the largest T. */
static void choose_columns(const ts_sweep *s, int part_T, columns *c)
{
    const ts_results *r = s->results;
    const double top = part_T < 0 ? ts_sweep_largest_T(s) : r->T[part_T];
    c->first = part_T < 0 ? 0 : part_T;
    for (int j = c->first; j < (part_T < 0 ? r->T_count : c->first + 1); j++)
        c->T[c->count++] = r->T[j];
    for (int j = 0; j < s->curve.count && part_T < 0; j++)
        c->T[c->count++] = s->curve.T[j];
    for (int j = 0; j < TS_SWEEP_BINS && s->edges[j] < top; j++, c->bins++)
        c->T[c->count++] = s->edges[j];
    c->T[c->count++] = top;
    c->bins++;
}

ts_status ts_part_bound(ts_worker *w, ts_part *part)
{
    const ts_results *r = w->sweep->results;
    char name[96], text[32] = "";
    columns c = {.name = name,
                 .T = calloc((size_t)(r->T_count + w->sweep->curve.count + TS_SWEEP_BINS), sizeof *c.T)};
    ts_worker_watch(w, part);
    if (!c.T)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    choose_columns(w->sweep, part->T, &c);
    if (part->T >= 0)
        ts_T_text(r->T[part->T], text);
    snprintf(name, sizeof name, "bound_%s%s%s", ts_score_kind_words.word[r->scores[part->score]],
             part->T >= 0 ? "_T" : "", text);
    ts_status status = bound_of_columns(w, part, &c);
    free(c.T);
    return status;
}

ts_status ts_sweep_allocate_bounds(ts_sweep *s)
{
    const ts_results *r = s->results;
    const ts_sde sde = ts_config_sde(s->config);
    const double low = ts_sde_lambda(&sde, s->eps), high = ts_sde_lambda(&sde, ts_sweep_largest_T(s));
    const size_t cells = (size_t)ts_sweep_prior_at(s, r->T_count, 0);
    /* equally spaced in Lambda: each bin gets as many of the draws */
    for (int j = 0; j < TS_SWEEP_BINS; j++)
        s->edges[j] = ts_sde_lambda_inverse(&sde, low + (high - low) * (j + 1) / TS_SWEEP_BINS);
    s->edges[TS_SWEEP_BINS - 1] = ts_sweep_largest_T(s);
    for (int score = 0; score < r->score_count; score++)
        TS_TRY(allocate_bound(s, r->T_count + s->curve.count, &s->bounds[score]));
    TS_TRY(allocate_profiles(s));
    s->prior = calloc(cells, sizeof *s->prior);
    s->kl = s->run->dataset->mixture ? calloc(cells, sizeof *s->kl) : NULL;
    s->start_error = calloc(cells, sizeof *s->start_error);
    if (!s->prior || !s->start_error || (s->run->dataset->mixture && !s->kl))
        return ts_error(TS_NO_MEMORY, "sweep: no memory for the prior terms");
    return NULL;
}

/* ---- prior terms ---- */

/* What a prior part is of, and where it leaves its numbers, [count]; kl: NULL but for mixtures. */
typedef struct priors {
    ts_start_kind start;
    double T, *prior, *kl, *error;
} priors;

static ts_bound_config bound_at(const ts_worker *w, const double *T)
{
    const ts_sweep *s = w->sweep;
    return (ts_bound_config){.sde = ts_config_sde(s->config),
                             .eps = s->eps,
                             .T_count = 1,
                             .T = T,
                             .draws = s->config->bound.draws,
                             .prior_draws = s->config->bound.prior_draws,
                             .count = s->count,
                             .seed = ts_sweep_draws_seed(s),
                             .stop = w->progress.stop};
}

/* *has_score: whether the density knows its own. */
static ts_status measure_prior(ts_worker *w, const priors *p, bool *has_score)
{
    const ts_bound_config config = bound_at(w, &p->T);
    ts_start start;
    TS_TRY(ts_start_open(&w->run, p->start, p->T, w->sweep->config->bound.batch, &start));
    ts_status status = ts_bound_prior(&config, &w->run.dataset->test, p->T, start.density, p->prior, p->kl);
    *has_score = start.density->noise;
    ts_start_release(&start);
    return status;
}

/* A flow's backward pass needs memory as its fit does: in batches no larger than those. */
static ts_status measure_start_error(ts_worker *w, const priors *p)
{
    const ts_config *config = w->sweep->config;
    const ts_bound_config how = bound_at(w, &p->T);
    const int batch = config->bound.batch < config->glow.batch ? config->bound.batch : config->glow.batch;
    ts_start start;
    TS_TRY(ts_start_open(&w->run, p->start, p->T, batch, &start));
    ts_status status = ts_bound_start_error(&how, &w->run.dataset->test, p->T, start.density, p->error);
    ts_start_release(&start);
    return status;
}

static ts_status measure_start(ts_worker *w, const priors *p)
{
    bool has_score;
    TS_TRY(measure_prior(w, p, &has_score));
    if (has_score)
        return measure_start_error(w, p);
    for (int64_t i = 0; i < w->sweep->count; i++)
        p->error[i] = NAN;
    return NULL;
}

int64_t ts_sweep_prior_at(const ts_sweep *s, int t, int p)
{
    return ((int64_t)t * s->results->start_count + p) * s->count;
}

ts_status ts_part_prior(ts_worker *w, ts_part *part)
{
    ts_sweep *s = w->sweep;
    const double T = s->results->T[part->T];
    const ts_start_kind start = s->results->starts[part->start];
    const int64_t at = ts_sweep_prior_at(s, part->T, part->start);
    const priors p = {start, T, s->prior + at, s->kl ? s->kl + at : NULL, s->start_error + at};
    char text[32], name[96], sections[64], own[TS_START_INPUTS], inputs[sizeof name + sizeof own];
    bool found;
    ts_worker_watch(w, part);
    ts_T_text(T, text);
    snprintf(name, sizeof name, "prior_T%s_%s", text, ts_start_kind_words.word[start]);
    snprintf(sections, sizeof sections, "bound %s", ts_starts[start].sections);
    ts_start_inputs(start, s->config, own);
    snprintf(inputs, sizeof inputs, "%s%s", name, own);
    const ts_part_file file = {"parts", name, sections, inputs};
    const ts_part_tensor tensors[] = {{"seconds", TS_ST_F64, 0, {0}, &part->seconds},
                                      {"prior", TS_ST_F64, 1, {s->count}, p.prior},
                                      {"start_error", TS_ST_F64, 1, {s->count}, p.error},
                                      {"kl_prior", TS_ST_F64, 1, {s->count}, p.kl}};
    const int tensor_count = p.kl ? 4 : 3;
    TS_TRY(ts_part_load(s, &file, tensors, tensor_count, &found));
    part->reused = found;
    if (found)
        return NULL;
    ts_progress_report(&w->progress, "prior", 0, 1, "densities", NULL);
    const double began = ts_seconds();
    TS_TRY(measure_start(w, &p));
    part->seconds = ts_seconds() - began;
    ts_progress_report(&w->progress, "prior", 1, 1, "densities", NULL);
    return ts_part_save(s, &file, tensors, tensor_count);
}
