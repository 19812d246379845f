#include "run/starts.h"

#include <stdlib.h>
#include "diffusion/prior_curve.h"
#include "run/starts/dpmixture.h"
#include "run/starts/gaussian.h"

/* ---- N(0, I); VE: N(0, sigma(T)^2 I) ---- */

static ts_status suits_all(const ts_run *run)
{
    (void)run;
    return NULL;
}

static ts_status open_normal(ts_run *run, double T, int n, ts_start *start)
{
    const ts_sde sde = ts_config_sde(run->config);
    return ts_density_normal(run->device, n, ts_data_dim(&run->dataset->test),
                             sde.kind == TS_SDE_VE ? ts_sde_std(&sde, T) : 1.0, &start->density);
}

/* The score of what the process makes of one Gaussian. */
static ts_status score_one(ts_run *run, int n, const double *mean, const double *values,
                           const double *vectors, ts_start *start, ts_score **score)
{
    const ts_sde sde = ts_config_sde(run->config);
    TS_TRY(ts_mixture_create_gaussian(run->device, ts_data_dim(&run->dataset->test), mean, values, vectors,
                                      &start->mixture));
    return ts_score_mixture(start->mixture, &sde, n, score);
}

/* VP: of N(0, I); VE: of a point. */
static ts_status score_normal(ts_run *run, int n, ts_start *start, ts_score **score)
{
    const ts_sde sde = ts_config_sde(run->config);
    const size_t d = (size_t)ts_data_dim(&run->dataset->test);
    if (sde.kind == TS_SDE_SUBVP)
        return ts_error(TS_INVALID,
                        "score hybrid: sub-VP carries no N(0, I), so that start normal has no score of its "
                        "own; start gaussian does");
    double *numbers = calloc(2 * d, sizeof *numbers);
    if (!numbers)
        return ts_error(TS_NO_MEMORY, "no memory for %zu dimensions", d);
    for (size_t i = 0; i < d && sde.kind == TS_SDE_VP; i++)
        numbers[d + i] = 1;
    ts_status status = score_one(run, n, numbers, numbers + d, NULL, start, score);
    free(numbers);
    return status;
}

static ts_status priors_of_normal(ts_run *run, const ts_bound_config *how, double *prior)
{
    return ts_prior_curve(how, &run->dataset->test, NULL, prior);
}

/* ---- the Gaussian of the data ---- */

static ts_status open_gaussian(ts_run *run, double T, int n, ts_start *start)
{
    return ts_gaussian_open(run, T, n, &start->density);
}

static ts_status score_gaussian(ts_run *run, int n, ts_start *start, ts_score **score)
{
    ts_data_gaussian *g;
    TS_TRY(ts_gaussian_of_run(run, &g));
    const size_t d = (size_t)g->d;
    double *values = calloc(d * (d + 1), sizeof *values);
    ts_status status = values ? ts_data_gaussian_basis(g, values + d)
                              : ts_error(TS_NO_MEMORY, "no memory for the eigenvectors of %zu dimensions", d);
    for (int i = 0; !status && i < g->d; i++)
        values[i] = ts_data_gaussian_value(g, i);
    if (!status)
        status = score_one(run, n, g->mean, values, values + d, start, score);
    free(values);
    ts_data_gaussian_destroy(g);
    return status;
}

static ts_status priors_of_gaussian(ts_run *run, const ts_bound_config *how, double *prior)
{
    ts_data_gaussian *g;
    TS_TRY(ts_gaussian_of_run(run, &g));
    ts_status status = ts_prior_curve(how, &run->dataset->test, g, prior);
    ts_data_gaussian_destroy(g);
    return status;
}

/* ---- a Dirichlet-process mixture ---- */

static ts_status open_dpmixture(ts_run *run, double T, int n, ts_start *start)
{
    return ts_dpmixture_open(run, T, n, &start->mixture, &start->density);
}

static ts_status score_dpmixture(ts_run *run, int n, ts_start *start, ts_score **score)
{
    const ts_sde sde = ts_config_sde(run->config);
    if (ts_dpmixture_is_of_T(run))
        return ts_error(TS_INVALID,
                        "score hybrid: with start.at T a dpmixture is of one T alone; start.at data carries "
                        "one to every T");
    TS_TRY(ts_dpmixture_open(run, 1, 1, &start->mixture, &start->density));
    return ts_score_mixture(start->mixture, &sde, n, score);
}

/* ---- a fitted Glow ---- */

static ts_status open_glow(ts_run *run, double T, int n, ts_start *start)
{
    TS_TRY(ts_fit_load(run, T, n, &start->fit));
    start->density = start->fit.density;
    return NULL;
}

static ts_status open_glow_all(ts_run *run, double T, int n, ts_start *start)
{
    TS_TRY(ts_fit_load_all(run, T, n, &start->fit));
    start->density = start->fit.density;
    return NULL;
}

static int64_t glow_steps(const ts_config *config)
{
    return config->glow.steps;
}

/* ---- the exact p_T of a mixture ---- */

static ts_status check_mixture(const ts_run *run)
{
    if (run->dataset->mixture)
        return NULL;
    return ts_error(TS_INVALID,
                    "start density mixture needs data.kind mixture: "
                    "the exact p_T of data.kind %s is not known",
                    ts_data_kind_words.word[run->config->data.kind]);
}

static ts_status open_mixture(ts_run *run, double T, int n, ts_start *start)
{
    const ts_sde sde = ts_config_sde(run->config);
    TS_TRY(check_mixture(run));
    return ts_density_mixture(run->dataset->mixture, &sde, T, n, &start->density);
}

static ts_status score_of_data(ts_run *run, int n, ts_start *start, ts_score **score)
{
    const ts_sde sde = ts_config_sde(run->config);
    (void)start;
    TS_TRY(check_mixture(run));
    return ts_score_mixture(run->dataset->mixture, &sde, n, score);
}

/* ---- the table ---- */

const ts_start_row ts_starts[TS_START_COUNT] = {
    [TS_START_NORMAL] = {.check = suits_all,
                         .open = open_normal,
                         .score = score_normal,
                         .priors = priors_of_normal,
                         .sections = "",
                         .plain = true,
                         .html = "<i>N</i>(0,&nbsp;<i>I</i>)",
                         .label = "{/:Italic N}(0, {/:Italic I})",
                         .html_ve = "<i>N</i>(0,&nbsp;&sigma;(<i>T</i>)&sup2;<i>I</i>)",
                         .label_ve = "{/:Italic N}(0, {/:Italic σ}(T)^2{/:Italic I})",
                         .color = "#D55E00",
                         .point = 7,
                         .hollow = 6},
    [TS_START_GAUSSIAN] = {.check = suits_all,
                           .fit = ts_gaussian_fit,
                           .open = open_gaussian,
                           .score = score_gaussian,
                           .priors = priors_of_gaussian,
                           .sections = "start",
                           .every_T = true,
                           .html = "the Gaussian",
                           .label = "Gaussian",
                           .color = "#CC79A7",
                           .point = 11,
                           .hollow = 10},
    [TS_START_DPMIXTURE] = {.check = ts_dpmixture_check,
                            .fit = ts_dpmixture_fit_run,
                            .open = open_dpmixture,
                            .score = score_dpmixture,
                            .sections = "start",
                            .every_T = true,
                            .one_T = ts_dpmixture_is_of_T,
                            .html = "the DP mixture",
                            .label = "DP mixture",
                            .color = "#E69F00",
                            .point = 13,
                            .hollow = 12},
    [TS_START_GLOW] = {.check = ts_fit_check,
                       .fit = ts_fit_glow,
                       .open = open_glow,
                       .steps = glow_steps,
                       .sections = "glow",
                       .html = "the Glow",
                       .label = "Glow",
                       .color = "#0072B2",
                       .point = 5,
                       .hollow = 4},
    [TS_START_GLOW_ALL] = {.check = ts_fit_check,
                           .fit = ts_fit_glow_all,
                           .open = open_glow_all,
                           .steps = ts_glow_all_steps,
                           .inputs = ts_glow_all_inputs,
                           .sections = "glow glow_all",
                           .every_T = true,
                           .html = "the Glow for all <i>T</i>",
                           .label = "Glow for all {/:Italic T}",
                           .color = "#000000",
                           .point = 15,
                           .hollow = 14},
    [TS_START_MIXTURE] = {.check = check_mixture,
                          .open = open_mixture,
                          .score = score_of_data,
                          .sections = "",
                          .html = "the exact <i>p</i>(<i>x</i>, <i>T</i>)",
                          .label = "exact {/:Italic p_T}",
                          .color = "#009E73",
                          .point = 9,
                          .hollow = 8},
};

int ts_starts_of(const ts_run *run, ts_start_kind kinds[TS_START_COUNT])
{
    int count = 0;
    for (int kind = 0; kind < TS_START_COUNT; kind++) {
        ts_status status = ts_starts[kind].check(run);
        if (!status)
            kinds[count++] = (ts_start_kind)kind;
        ts_status_free(status);
    }
    return count;
}

ts_status ts_starts_chosen(const ts_run *run, const ts_kinds *wanted, ts_start_kind kinds[TS_START_COUNT],
                           int *count)
{
    *count = wanted->count ? 0 : ts_starts_of(run, kinds);
    for (int i = 0; i < wanted->count; i++) {
        TS_TRY(ts_starts[wanted->v[i]].check(run));
        kinds[(*count)++] = (ts_start_kind)wanted->v[i];
    }
    return NULL;
}

bool ts_start_has_every_T(const ts_run *run, ts_start_kind kind)
{
    const ts_start_row *row = &ts_starts[kind];
    return !row->fit || (row->every_T && !(row->one_T && row->one_T(run)));
}

void ts_start_inputs(ts_start_kind kind, const ts_config *config, char text[TS_START_INPUTS])
{
    *text = 0;
    if (ts_starts[kind].inputs)
        ts_starts[kind].inputs(config, text);
}

ts_status ts_start_open(ts_run *run, ts_start_kind kind, double T, int n, ts_start *start)
{
    *start = (ts_start){0};
    return ts_starts[kind].open(run, T, n, start);
}

ts_status ts_start_score(ts_run *run, ts_start_kind kind, int n, ts_start *start, ts_score **score)
{
    const char *carried[TS_START_COUNT];
    char text[160];
    ts_words words = {.word = carried};
    *start = (ts_start){0};
    if (ts_starts[kind].score)
        return ts_starts[kind].score(run, n, start, score);
    for (int i = 0; i < TS_START_COUNT; i++)
        if (ts_starts[i].score)
            carried[words.count++] = ts_start_kind_words.word[i];
    ts_words_list(&words, ", ", " or ", text, sizeof text);
    return ts_error(TS_INVALID,
                    "score hybrid: the forward process carries no %s from one T to another; it takes %s",
                    ts_start_kind_words.word[kind], text);
}

void ts_start_release(ts_start *start)
{
    if (start->fit.density)
        ts_fit_release(&start->fit);
    else
        ts_density_destroy(start->density);
    ts_mixture_destroy(start->mixture);
    *start = (ts_start){0};
}
