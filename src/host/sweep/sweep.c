#include "sweep/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "run/checkpoint.h"
#include "run/evaluate.h"
#include "run/trainer.h"

/* ---- progress: the work's own reports, under the part's name ---- */

static void tell(ts_progress *progress, const char *phase, double done, double total, const char *unit,
                 const char *note)
{
    ts_sweep *s = (ts_sweep *)((char *)progress - offsetof(ts_sweep, progress));
    (void)phase;
    ts_progress_report(s->outer, s->phase, done, total, unit, note);
}

/* ---- a folder that is there already ---- */

static ts_status stored_text(const char *dir, char **text)
{
    char *path;
    ts_config *config = NULL;
    if (asprintf(&path, "%s/config.yaml", dir) < 0)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    ts_status status = ts_config_load(path, NULL, 0, &config);
    free(path);
    if (!status)
        status = ts_config_print(config, text);
    ts_config_free(config);
    return status;
}

/* A network is never continued as another one: the folder's is of these data, this SDE, model and training.
 */
static ts_status check_same(const char *dir, ts_config *config, const char *text)
{
    static const char *const sections[] = {"data", "sde", "model", "train"};
    char *stored = NULL;
    ts_status status = stored_text(dir, &stored);
    for (int i = 0; i < 4 && !status; i++) {
        char now[17], then[17];
        ts_sweep sweep = {.config = config, .config_text = (char *)text};
        ts_sweep_fingerprint(&sweep, sections[i], "", now);
        sweep.config_text = stored;
        ts_sweep_fingerprint(&sweep, sections[i], "", then);
        if (strcmp(now, then) != 0)
            status =
                ts_error(TS_INVALID,
                         "%s holds a run whose section '%s' is another (see its config.yaml); choose another "
                         "folder with --out, or remove that one",
                         dir, sections[i]);
    }
    free(stored);
    return status;
}

/* ---- the network at T ---- */

static ts_status train(ts_sweep *s, ts_run *run, const char *name)
{
    char fingerprint[17];
    double seconds;
    bool found;
    ts_sweep_part_begin(s, "%s", name);
    ts_sweep_fingerprint(s, "data sde model train", name, fingerprint);
    const ts_part_tensor tensor = {"seconds", TS_ST_F64, 0, {0}, &seconds};
    TS_TRY(ts_sweep_part_load(s, "parts", name, fingerprint, &tensor, 1, &found));
    if (!found) {
        ts_trainer_result result;
        const ts_trainer_options options = {.resume = true, .progress = &s->progress};
        TS_TRY(ts_trainer_run(run, &options, &result));
        seconds = result.seconds;
        TS_TRY(ts_sweep_part_save(s, "parts", name, fingerprint, &tensor, 1));
    }
    s->seconds[TS_SWEEP_TRAIN] += seconds;
    ts_checkpoint checkpoint = {0};
    ts_status status = ts_checkpoint_load_weights(run, true, &checkpoint);
    ts_checkpoint_release(&checkpoint);
    return status;
}

/* The run of its own that a network for one T has. */
static ts_status open_own(ts_sweep *s, double T)
{
    char text[32], setting[64], name[64], *dir = NULL, *path = NULL;
    ts_config *config = NULL;
    ts_run_T_text(T, text);
    snprintf(setting, sizeof setting, "train.T=%.17g", T);
    snprintf(name, sizeof name, "train_T%s", text);
    const char *overrides[] = {setting};
    if (asprintf(&dir, "%s/T%s", s->dir, text) < 0)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    path = ts_run_path(s->run, "config.yaml");
    ts_status status =
        path ? ts_config_load(path, overrides, 1, &config) : ts_error(TS_NO_MEMORY, "sweep: no memory");
    const ts_run_options options = {.borrowed_device = s->run->device, .borrowed_dataset = s->run->dataset};
    ts_run_close(s->own);
    s->own = NULL;
    if (!status)
        status = ts_run_create(dir, config, true, &options, &s->own);
    if (!status) {
        s->own_T = T;
        status = train(s, s->own, name);
    }
    free(path);
    free(dir);
    return status;
}

ts_status ts_sweep_view(ts_sweep *s, int score, double T, ts_run *view)
{
    *view = *s->run;
    if (!strcmp(s->scores[score], "exact")) {
        view->config = &s->exact_config;
        if (s->exact)
            view->model = s->exact;
        return NULL;
    }
    if (strcmp(s->config->sweep.network, "per_T") != 0)
        return NULL;
    if (!s->own || s->own_T != T) {
        char phase[sizeof s->phase];
        strcpy(phase, s->phase);
        TS_TRY(open_own(s, T));
        strcpy(s->phase, phase);
    }
    view->model = s->own->model;
    return NULL;
}

/* ---- the whole ---- */

static ts_status check_times(const ts_sweep *s)
{
    const bool shared = !strcmp(s->config->sweep.network, "shared");
    if (s->T_count < 1)
        return ts_error(TS_INVALID, "sweep.T is empty; give it at least one T");
    for (int i = 0; i < s->T_count; i++) {
        for (int k = 0; k < i; k++)
            if (s->T[k] == s->T[i])
                return ts_error(TS_INVALID, "sweep.T: %g stands there twice", s->T[i]);
        if (shared && strcmp(s->config->model.kind, "exact") != 0 && s->T[i] > s->config->train.T)
            return ts_error(TS_INVALID,
                            "sweep.T: %g is beyond train.T = %g, up to which the shared network is trained",
                            s->T[i], s->config->train.T);
        if (s->T[i] <= s->eps || s->T[i] <= s->config->sample.eps)
            return ts_error(TS_INVALID, "sweep.T: %g is not larger than bound.eps = %g and sample.eps = %g",
                            s->T[i], s->eps, s->config->sample.eps);
    }
    return NULL;
}

static ts_status prepare(ts_sweep *s)
{
    const ts_data *test = &s->run->dataset->test;
    const bool mixture = s->run->dataset->mixture, exact = !strcmp(s->config->model.kind, "exact");
    const int64_t wanted = s->config->bound.count;
    s->T = s->config->sweep.T.v;
    s->T_count = s->config->sweep.T.count;
    s->d = ts_data_dim(test);
    s->count = wanted > 0 && wanted < test->count ? wanted : test->count;
    s->eps = ts_evaluate_eps(s->config, test);
    TS_TRY(check_times(s));
    if (!mixture)
        TS_TRY(ts_fit_check(s->run));
    s->priors[s->prior_count++] = "normal";
    /* a Glow is for images; the auxiliary density of a mixture is the exact one */
    s->priors[s->prior_count++] = mixture ? "mixture" : "glow";
    if (!exact)
        s->scores[s->score_count++] = "network";
    if (mixture)
        s->scores[s->score_count++] = "exact";
    s->exact_config = *s->config;
    s->exact_config.model.kind = (char *)"exact";
    if (mixture && !exact)
        TS_TRY(ts_model_create(&s->exact_config, s->run->dataset, s->run->device, &s->exact));
    s->part_count = !exact + s->T_count * (!mixture + s->prior_count) + s->score_count +
                    s->score_count * s->T_count * s->prior_count * 2;
    static const char *const folders[] = {"parts", TS_REPORT_SAMPLES};
    for (int i = 0; i < 2; i++) {
        char *path = ts_run_path(s->run, folders[i]);
        ts_status status = path ? ts_file_make_folder(path) : ts_error(TS_NO_MEMORY, "sweep: no memory");
        free(path);
        TS_TRY(status);
    }
    return NULL;
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

static ts_status describe(const ts_sweep *s, const char *command)
{
    static const char *const phases[] = {
#define X(name, text) text,
        TS_SWEEP_PHASES(X)
#undef X
    };
    ts_results *r = s->results;
    const ts_dataset *dataset = s->run->dataset;
    const ts_params *params = s->own ? s->own->model->params : s->run->model ? s->run->model->params : NULL;
    r->name = strdup(s->config->run.name);
    r->command = strdup(command ? command : "");
    r->version = strdup(TSTAR_VERSION);
    r->device = strdup(s->run->device->description);
    r->date = now_text();
    r->config = strdup(s->config_text);
    r->phases = calloc(TS_SWEEP_PHASE_COUNT, sizeof *r->phases);
    if (!r->name || !r->command || !r->version || !r->device || !r->date || !r->config || !r->phases)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
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
    for (int i = 0; i < TS_SWEEP_PHASE_COUNT; i++) {
        ts_phase *phase = &r->phases[r->phase_count++];
        snprintf(phase->name, sizeof phase->name, "%s", phases[i]);
        phase->seconds = s->seconds[i];
    }
    return NULL;
}

static ts_status write_results(const ts_sweep *s)
{
    char *csv = ts_run_path(s->run, "sweep.csv"), *json = ts_run_path(s->run, "sweep.json");
    ts_status status = csv && json ? NULL : ts_error(TS_NO_MEMORY, "sweep: no memory");
    if (!status)
        status = ts_results_write_csv(s->results, csv);
    if (!status)
        status = ts_results_write_json(s->results, json);
    free(csv);
    free(json);
    return status;
}

static ts_status work(ts_sweep *s, const char *command)
{
    TS_TRY(prepare(s));
    if (s->run->model->params && !strcmp(s->config->sweep.network, "shared"))
        TS_TRY(train(s, s->run, "train"));
    if (!s->run->dataset->mixture)
        TS_TRY(ts_sweep_fits(s));
    TS_TRY(ts_sweep_bounds(s));
    TS_TRY(ts_sweep_priors(s));
    TS_TRY(ts_sweep_samples(s));
    TS_TRY(ts_sweep_summarize(s));
    TS_TRY(describe(s, command));
    return write_results(s);
}

ts_status ts_sweep_run(const char *dir, ts_config *config, const ts_sweep_options *options,
                       ts_report_result *report)
{
    ts_results results = {0};
    ts_sweep s = {.dir = dir, .config = config, .results = &results, .outer = options->progress};
    s.progress = (ts_progress){.update = tell, .stop = options->progress ? options->progress->stop : NULL};
    ts_status status = ts_config_print(config, &s.config_text);
    if (!status && ts_run_exists(dir))
        status = check_same(dir, config, s.config_text);
    if (status)
        ts_config_free(config);
    else
        status = ts_run_create(dir, config, true, options->run, &s.run);
    if (!status)
        status = work(&s, options->run->command);
    for (int i = 0; i < TS_SWEEP_SCORES; i++)
        ts_bound_release(&s.bounds[i]);
    free(s.prior);
    free(s.kl);
    ts_model_destroy(s.exact);
    ts_run_close(s.own);
    if (!status)
        status = ts_report_make(dir, report); /* the folder is still locked */
    ts_run_close(s.run);
    free(s.config_text);
    ts_results_release(&results);
    return status;
}
