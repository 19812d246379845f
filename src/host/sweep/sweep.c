#include "sweep/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "run/evaluate.h"

/* ---- progress: the work's own reports, under the part's name ---- */

static void tell(ts_progress *progress, const char *phase, double done, double total, const char *unit,
                 const char *note)
{
    ts_sweep *s = (ts_sweep *)((char *)progress - offsetof(ts_sweep, progress));
    (void)phase;
    ts_progress_report(s->outer, s->phase, done, total, unit, note);
}

/* ---- a folder that is there already ---- */

/* A network is never continued as another one: the folder's is of these data, this SDE, model and training. */
static ts_status check_same(const char *dir, const ts_config *config)
{
    char *path;
    ts_config *own;
    ts_config_difference d;
    if (asprintf(&path, "%s/config.yaml", dir) < 0)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    ts_status status = ts_config_load(path, NULL, 0, &own);
    free(path);
    TS_TRY(status);
    status = ts_config_compare(own, config, TS_USE_RESULT, "run data sde model train", &d);
    ts_config_free(own);
    if (!status && d.key)
        status =
            ts_error(TS_INVALID,
                     "%s holds a run with %s = %s, not %s; choose another folder for the sweep, or remove "
                     "that one",
                     dir, d.key, d.a, d.b);
    return status;
}

/* ---- the whole ---- */

static ts_status check_times(const ts_sweep *s)
{
    const ts_reals *T = &s->config->sweep.T;
    const bool limited = s->run->model->params && s->config->sweep.network == TS_NETWORK_SHARED;
    for (int i = 0; i < T->count; i++) {
        if (limited && T->v[i] > s->config->train.T)
            return ts_error(TS_INVALID,
                            "sweep.T: %g is beyond train.T = %g, up to which the shared network is trained",
                            T->v[i], s->config->train.T);
        if (T->v[i] <= s->eps)
            return ts_error(TS_INVALID, "sweep.T: %g is not larger than bound.eps = %g", T->v[i], s->eps);
    }
    return NULL;
}

/* The rows of the results. */
static ts_status make_rows(ts_sweep *s)
{
    static const ts_sampler_kind samplers[] = {TS_SAMPLER_EM, TS_SAMPLER_RK45};
    ts_start_kind starts[TS_START_COUNT];
    ts_score_kind scores[TS_SCORE_COUNT];
    int start_count, score_count = 0;
    TS_TRY(ts_starts_chosen(s->run, &s->config->sweep.starts, starts, &start_count));
    if (s->run->model->params)
        scores[score_count++] = TS_SCORE_NETWORK;
    if (s->run->dataset->mixture)
        scores[score_count++] = TS_SCORE_EXACT;
    return ts_results_make(s->results, score_count, scores, s->config->sweep.T.count, s->config->sweep.T.v,
                           start_count, starts, sizeof samplers / sizeof *samplers, samplers);
}

static int count_parts(const ts_sweep *s)
{
    const ts_results *r = s->results;
    int fits = 0, networks = 0;
    for (int p = 0; p < r->start_count; p++)
        fits += ts_starts[r->starts[p]].fit != NULL;
    if (s->run->model->params)
        networks = s->config->sweep.network == TS_NETWORK_PER_T ? r->T_count : 1;
    int bounds = 0;
    for (int score = 0; score < r->score_count; score++)
        bounds += ts_sweep_is_per_T(s, score) ? r->T_count : 1;
    return networks + bounds + r->T_count * (fits + r->start_count) +
           ts_results_bound_count(r) * r->sampler_count;
}

static ts_status make_folders(const ts_sweep *s)
{
    static const char *const folders[] = {"parts", TS_SAMPLES_FOLDER};
    for (int i = 0; i < 2; i++) {
        char *path = ts_run_path(s->run, folders[i]);
        ts_status status = path ? ts_file_make_folder(path) : ts_error(TS_NO_MEMORY, "sweep: no memory");
        free(path);
        TS_TRY(status);
    }
    return NULL;
}

static ts_status prepare(ts_sweep *s)
{
    const ts_data *test = &s->run->dataset->test;
    const int64_t wanted = s->config->bound.count;
    s->d = ts_data_dim(test);
    s->count = wanted > 0 && wanted < test->count ? wanted : test->count;
    s->eps = ts_evaluate_eps(s->config, test);
    TS_TRY(check_times(s));
    if (!s->run->dataset->mixture && !s->config->sweep.starts.count)
        TS_TRY(ts_fit_check(s->run)); /* a start that the user expects is not left out without a word */
    s->exact_config = *s->config;
    s->exact_config.model.kind = TS_MODEL_EXACT;
    if (s->run->dataset->mixture && s->run->model->params)
        TS_TRY(ts_model_create(&s->exact_config, s->run->dataset, s->run->device, &s->exact));
    TS_TRY(make_rows(s));
    s->part_count = count_parts(s);
    return make_folders(s);
}

static char *now_text(void)
{
    char text[64];
    struct tm parts;
    const time_t now = time(NULL);
    gmtime_r(&now, &parts);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts);
    return strdup(text);
}

static void add_phase(ts_results *r, const char *prefix, const char *text, double seconds)
{
    ts_phase *phase = &r->phases[r->phase_count++];
    snprintf(phase->name, sizeof phase->name, "%s%s", prefix, text);
    phase->seconds = seconds;
}

static ts_status describe_phases(const ts_sweep *s)
{
    static const char *const phases[] = {
#define X(name, text) text,
        TS_SWEEP_PHASES(X)
#undef X
    };
    ts_results *r = s->results;
    r->phases = calloc((size_t)TS_SWEEP_PHASE_COUNT + (size_t)r->sampler_count, sizeof *r->phases);
    if (!r->phases)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    for (int i = 0; i < TS_SWEEP_DISTANCE; i++)
        add_phase(r, "", phases[i], s->seconds[i]);
    for (int k = 0; k < r->sampler_count; k++)
        add_phase(r, "samples by ", ts_samplers[r->samplers[k]].text, s->sampler_seconds[r->samplers[k]]);
    add_phase(r, "", phases[TS_SWEEP_DISTANCE], s->seconds[TS_SWEEP_DISTANCE]);
    return NULL;
}

static ts_status describe(const ts_sweep *s, const char *command)
{
    ts_results *r = s->results;
    const ts_dataset *dataset = s->run->dataset;
    const ts_params *params = s->own ? s->own->model->params : s->run->model->params;
    r->name = strdup(s->config->run.name);
    r->command = strdup(command ? command : "");
    r->version = strdup(TSTAR_VERSION);
    r->device = strdup(s->run->device->description);
    r->date = now_text();
    if (!r->name || !r->command || !r->version || !r->device || !r->date)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    TS_TRY(ts_config_print(s->config, NULL, &r->config));
    r->seed = s->config->run.seed;
    r->threads = s->run->device->threads;
    r->h = dataset->test.h;
    r->w = dataset->test.w;
    r->c = dataset->test.c;
    r->levels = dataset->test.levels;
    r->train_count = (double)dataset->train.count;
    r->test_count = (double)dataset->test.count;
    r->parameters = params ? (double)ts_params_count(params) : 0;
    r->steps_per_unit = s->config->sample.steps_per_unit;
    r->train_steps = params ? s->config->train.steps : 0;
    r->projections = s->d == 1 ? 1 : s->config->sweep.projections;
    return describe_phases(s);
}

static ts_status work(ts_sweep *s, const char *command)
{
    TS_TRY(prepare(s));
    if (s->run->model->params && s->config->sweep.network == TS_NETWORK_SHARED)
        TS_TRY(ts_sweep_train(s, s->run, "train"));
    TS_TRY(ts_sweep_fits(s));
    TS_TRY(ts_sweep_bounds(s));
    TS_TRY(ts_sweep_priors(s));
    TS_TRY(ts_sweep_samples(s));
    TS_TRY(ts_sweep_summarize(s));
    TS_TRY(describe(s, command));
    TS_TRY(ts_results_write_csv(s->results, s->dir));
    return ts_results_write_json(s->results, s->dir);
}

ts_status ts_sweep_run(const char *dir, ts_config *config, const ts_sweep_options *options)
{
    ts_results results = {0};
    ts_sweep s = {.dir = dir, .config = config, .results = &results, .outer = options->progress};
    s.progress = (ts_progress){.update = tell, .stop = options->progress ? options->progress->stop : NULL};
    ts_status status = ts_run_exists(dir) ? check_same(dir, config) : NULL;
    if (status)
        ts_config_free(config);
    else
        status = ts_run_create(dir, config, true, options->run, &s.run);
    if (!status)
        status = work(&s, options->run->command);
    for (int i = 0; i < TS_SCORE_COUNT; i++)
        ts_bound_release(&s.bounds[i]);
    free(s.prior);
    free(s.kl);
    ts_model_destroy(s.exact);
    ts_run_close(s.own);
    ts_run_close(s.run);
    ts_results_release(&results);
    return status;
}
