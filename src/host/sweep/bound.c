/* The bound's part of a sweep: fits, terms, T*, the loss profile. */
#include "base/clock.h"
#include "sweep/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/evaluate.h"
#include "run/memory.h"

/* ---- the auxiliary densities ---- */

ts_status ts_sweep_fits(ts_sweep *s)
{
    ts_results *r = s->results;
    r->fits = calloc((size_t)s->T_count, sizeof *r->fits);
    if (!r->fits)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    for (int i = 0; i < s->T_count; i++) {
        char text[32];
        ts_fit_result fit;
        ts_run_T_text(s->T[i], text);
        ts_sweep_part_begin(s, "Glow at T = %s", text);
        /* the file of the fit is its own finished part */
        TS_TRY(ts_fit_glow(s->run, s->T[i], &s->progress, &fit));
        r->fits[r->fit_count++] = (ts_fit_summary){s->T[i], (double)fit.steps, (double)fit.skipped, fit.loss};
        s->seconds[TS_SWEEP_FIT] += fit.seconds;
    }
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

/* What a pass depends on: the part's name and each T. */
static char *describe(const columns *c)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    fputs(c->name, out);
    for (int j = 0; j < c->count; j++)
        fprintf(out, " %.17g", c->T[j]);
    return fclose(out) ? NULL : text;
}

static ts_status fingerprint_of(const ts_sweep *s, int score, const columns *c, char fingerprint[17])
{
    char *text = describe(c);
    if (!text)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    ts_sweep_fingerprint(s,
                         !strcmp(s->scores[score], "exact") ? "data sde bound" : "data sde model train bound",
                         text, fingerprint);
    free(text);
    return NULL;
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

/* The columns from their part, or measured. */
static ts_status bound_part(ts_sweep *s, int score, const columns *c, ts_bound *all)
{
    char fingerprint[17];
    ts_bound bound;
    double seconds;
    bool found;
    ts_sweep_part_begin(s, "bound, %s score", s->scores[score]);
    TS_TRY(fingerprint_of(s, score, c, fingerprint));
    ts_status status = allocate_bound(s, c->count, &bound);
    const ts_part_tensor tensors[] = {
        {"seconds", TS_ST_F64, 0, {0}, &seconds},
        {"reconstruction", TS_ST_F64, 1, {s->count}, bound.reconstruction},
        {"diffusion", TS_ST_F64, 2, {s->count, c->count}, bound.diffusion},
        {"K", TS_ST_F64, 2, {s->count, c->count}, bound.K},
    };
    const int tensor_count = bound.K ? 4 : 3;
    if (!status)
        status = ts_sweep_part_load(s, "parts", c->name, fingerprint, tensors, tensor_count, &found);
    if (!status && !found) {
        status = measure_part(s, score, c, &seconds, &bound);
        if (!status)
            status = ts_sweep_part_save(s, "parts", c->name, fingerprint, tensors, tensor_count);
    }
    if (!status) {
        copy_columns(&bound, c, all);
        s->seconds[TS_SWEEP_BOUND] += seconds;
    }
    ts_bound_release(&bound);
    return status;
}

static double largest_T(const ts_sweep *s)
{
    double T = 0;
    for (int i = 0; i < s->T_count; i++)
        T = fmax(T, s->T[i]);
    return T;
}

/* The columns of one network: all of them, or with a network for each T that T's (the largest also serves the
 * loss profile). */
static ts_status bounds_of_score(ts_sweep *s, int score, int *index, double *T)
{
    const int all_count = s->T_count + TS_SWEEP_BINS;
    const bool per_T = !strcmp(s->config->sweep.network, "per_T") && !strcmp(s->scores[score], "network");
    TS_TRY(allocate_bound(s, all_count, &s->bounds[score]));
    for (int first = 0; first < (per_T ? s->T_count : 1); first++) {
        char name[96], text[32];
        columns c = {.name = name, .index = index, .T = T};
        for (int j = first; j < (per_T ? first + 1 : s->T_count); j++) {
            index[c.count] = j;
            T[c.count++] = s->T[j];
        }
        for (int j = 0; j < TS_SWEEP_BINS && (!per_T || s->T[first] == largest_T(s)); j++) {
            index[c.count] = s->T_count + j;
            T[c.count++] = s->edges[j];
        }
        ts_run_T_text(s->T[first], text);
        snprintf(name, sizeof name, per_T ? "bound_%s_T%s" : "bound_%s", s->scores[score], text);
        TS_TRY(bound_part(s, score, &c, &s->bounds[score]));
    }
    return NULL;
}

ts_status ts_sweep_bounds(ts_sweep *s)
{
    const int all_count = s->T_count + TS_SWEEP_BINS;
    const ts_sde sde = ts_config_sde(s->config);
    const double low = ts_sde_lambda(&sde, s->eps), high = ts_sde_lambda(&sde, largest_T(s));
    int *index = calloc((size_t)all_count, sizeof *index);
    double *T = calloc((size_t)all_count, sizeof *T);
    ts_status status = index && T ? NULL : ts_error(TS_NO_MEMORY, "sweep: no memory");
    /* equally spaced in Lambda: each bin gets as many of the draws */
    for (int j = 0; j < TS_SWEEP_BINS; j++)
        s->edges[j] = ts_sde_lambda_inverse(&sde, low + (high - low) * (j + 1) / TS_SWEEP_BINS);
    s->edges[TS_SWEEP_BINS - 1] = largest_T(s);
    for (int score = 0; score < s->score_count && !status; score++)
        status = bounds_of_score(s, score, index, T);
    free(index);
    free(T);
    return status;
}

/* ---- prior terms ---- */

static ts_status prior_part(ts_sweep *s, int t, int p, double *prior, double *kl)
{
    char text[32], name[96], fingerprint[17];
    double seconds;
    bool found;
    ts_run_T_text(s->T[t], text);
    snprintf(name, sizeof name, "prior_T%s_%s", text, s->priors[p]);
    ts_sweep_part_begin(s, "prior term at T = %s, %s", text, s->priors[p]);
    ts_sweep_fingerprint(s, !strcmp(s->priors[p], "glow") ? "data sde bound glow" : "data sde bound", name,
                         fingerprint);
    const ts_part_tensor tensors[] = {{"seconds", TS_ST_F64, 0, {0}, &seconds},
                                      {"prior", TS_ST_F64, 1, {s->count}, prior},
                                      {"kl_prior", TS_ST_F64, 1, {s->count}, kl}};
    const int tensor_count = kl ? 3 : 2;
    TS_TRY(ts_sweep_part_load(s, "parts", name, fingerprint, tensors, tensor_count, &found));
    if (!found) {
        ts_start start;
        const double began = ts_seconds();
        ts_progress_report(&s->progress, "prior", 0, 1, "densities", NULL);
        TS_TRY(ts_start_open(s->run, s->priors[p], s->T[t], s->config->bound.batch, &start));
        const ts_bound_config config = {.sde = ts_config_sde(s->config),
                                        .eps = s->eps,
                                        .T_count = 1,
                                        .T = &s->T[t],
                                        .draws = s->config->bound.draws,
                                        .prior_draws = s->config->bound.prior_draws,
                                        .count = s->count,
                                        .seed = (uint64_t)s->config->run.seed};
        ts_status status = ts_bound_prior(&config, &s->run->dataset->test, s->T[t], start.density, prior, kl);
        ts_start_release(&start);
        TS_TRY(status);
        seconds = ts_seconds() - began;
        ts_progress_report(&s->progress, "prior", 1, 1, "densities", NULL);
        TS_TRY(ts_sweep_part_save(s, "parts", name, fingerprint, tensors, tensor_count));
    }
    s->seconds[TS_SWEEP_PRIOR] += seconds;
    return ts_progress_stopped(&s->progress) ? ts_error(TS_INTERRUPTED, "sweep: interrupted") : NULL;
}

ts_status ts_sweep_priors(ts_sweep *s)
{
    const size_t cells = (size_t)s->T_count * (size_t)s->prior_count * (size_t)s->count;
    s->prior = calloc(cells, sizeof *s->prior);
    s->kl = s->run->dataset->mixture ? calloc(cells, sizeof *s->kl) : NULL;
    if (!s->prior || (s->run->dataset->mixture && !s->kl))
        return ts_error(TS_NO_MEMORY, "sweep: no memory for the prior terms");
    for (int t = 0; t < s->T_count; t++)
        for (int p = 0; p < s->prior_count; p++) {
            const int64_t at = ((int64_t)t * s->prior_count + p) * s->count;
            TS_TRY(prior_part(s, t, p, s->prior + at, s->kl ? s->kl + at : NULL));
        }
    return NULL;
}

/* ---- what follows from them ---- */

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
    const ts_bound *bound = &s->bounds[score];
    for (int t = 0; t < s->T_count; t++) {
        const double *prior = s->prior + ((int64_t)t * s->prior_count + p) * s->count;
        for (int64_t i = 0; i < s->count; i++)
            elbo[t * s->count + i] =
                bound->reconstruction[i] - prior[i] - bound->diffusion[i * bound->T_count + t];
    }
    snprintf(best->prior, sizeof best->prior, "%s", s->priors[p]);
    snprintf(best->score, sizeof best->score, "%s", s->scores[score]);
    return ts_sweep_best(elbo, s->T_count, s->T, s->count, best);
}

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
    snprintf(profile->score, sizeof profile->score, "%s", s->scores[score]);
    profile->bins = calloc(TS_SWEEP_BINS, sizeof *profile->bins);
    if (!profile->bins)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    profile->count = TS_SWEEP_BINS;
    for (int j = 0; j < TS_SWEEP_BINS; j++) {
        const double low = j ? s->edges[j - 1] : s->eps, high = s->edges[j];
        const double lambda = ts_sde_lambda(&sde, high) - ts_sde_lambda(&sde, low);
        const ts_interval nats =
            increment(&s->bounds[score], j ? s->T_count + j - 1 : -1, s->T_count + j, scratch);
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

static int index_of(const char *const *names, int count, const char *name)
{
    int i = 0;
    while (i < count - 1 && strcmp(names[i], name) != 0)
        i++;
    return i;
}

static void fill_row(const ts_sweep *s, ts_result_row *row, double *scratch)
{
    const int score = index_of(s->scores, s->score_count, row->score);
    const int p = index_of(s->priors, s->prior_count, row->prior);
    int t = 0;
    while (s->T[t] != row->T)
        t++;
    const int64_t at = ((int64_t)t * s->prior_count + p) * s->count;
    ts_bound_combine(&s->bounds[score], t, row->T, s->prior + at, s->d, &row->terms);
    row->data = (double)s->count;
    row->kl_prior = row->K = (ts_interval){NAN, NAN};
    if (s->kl) {
        row->kl_prior = ts_interval_of(s->kl + at, s->count);
        row->K = K_of(&s->bounds[score], t, scratch);
    }
}

ts_status ts_sweep_summarize(ts_sweep *s)
{
    ts_results *r = s->results;
    double *elbo = malloc(sizeof *elbo * (size_t)s->T_count * (size_t)s->count);
    r->best = calloc((size_t)(s->score_count * s->prior_count), sizeof *r->best);
    r->profiles = calloc((size_t)s->score_count, sizeof *r->profiles);
    ts_status status = elbo && r->best && r->profiles ? NULL : ts_error(TS_NO_MEMORY, "sweep: no memory");
    for (int i = 0; i < r->row_count && !status; i++)
        fill_row(s, &r->rows[i], elbo);
    for (int score = 0; score < s->score_count && !status; score++) {
        for (int p = 0; p < s->prior_count && !status; p++)
            status = best_of(s, score, p, elbo, &r->best[r->best_count++]);
        if (!status)
            status = profile_of(s, score, elbo, &r->profiles[r->profile_count++]);
    }
    if (!status && s->run->dataset->mixture && s->d == 1)
        status = ts_sweep_exact(s->config, s->eps, largest_T(s), r);
    free(elbo);
    return status;
}
