#include "sweep/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "run/checkpoint.h"
#include "run/evaluate.h"
#include "run/scores.h"
#include "sweep/advice/costs.h"

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

/* Takes over `config`, also when it fails. */
static ts_status open_run(ts_sweep *s, ts_config *config, const ts_run_options *options)
{
    ts_status status = ts_run_exists(s->dir) ? check_same(s->dir, config) : NULL;
    if (status)
        ts_config_free(config);
    else
        status = ts_run_create(s->dir, config, true, options, &s->run);
    s->config = status ? NULL : s->run->config;
    return status;
}

/* ---- the whole ---- */

/* Whether the training says up to which T the rows reach. */
static bool is_auto(const ts_sweep *s)
{
    return s->run->model->params && !(s->config->train.T > 0);
}

/* That there is something to train from several seeds. */
static ts_status check_seeds(const ts_sweep *s)
{
    ts_checkpoint checkpoint = {0};
    if (s->config->sweep.seeds == 1)
        return NULL;
    if (is_auto(s))
        return ts_error(TS_INVALID,
                        "sweep.seeds: %d seeds, but train.T auto comes to another T from each; set it to 1",
                        s->config->sweep.seeds);
    if (!s->run->model->params)
        return ts_error(TS_INVALID,
                        "sweep.seeds: %d seeds, but an exact score is trained from none; set it to 1",
                        s->config->sweep.seeds);
    if (!ts_checkpoint_exists(s->run))
        return NULL;
    ts_status status = ts_checkpoint_load_weights(s->run, true, &checkpoint);
    if (!status && checkpoint.imported)
        status = ts_error(TS_INVALID, "sweep.seeds: %d seeds, but the network of %s is imported; set it to 1",
                          s->config->sweep.seeds, s->dir);
    ts_checkpoint_release(&checkpoint);
    return status;
}

/* Before anything is trained: what its end would refuse. */
static ts_status check(const ts_sweep *s)
{
    const ts_reals *T = &s->config->sweep.T;
    const ts_data *train = &s->run->dataset->train, *test = &s->run->dataset->test;
    const ts_features_row *features = &ts_features_rows[ts_features_chosen(test->h, test->w, test->c)];
    const bool limited = ts_sweep_has_shared(s) && !is_auto(s);
    for (int i = 0; is_auto(s) && i < s->results->score_count; i++)
        if (ts_scores[s->results->scores[i]].per_T)
            return ts_error(TS_INVALID,
                            "sweep.network: %s trains a network for each T of sweep.T; train.T auto is for "
                            "one network for all T: sweep.network shared",
                            ts_network_kind_words.word[s->config->sweep.network]);
    for (int i = 0; i < T->count; i++) {
        if (limited && T->v[i] > s->config->train.T)
            return ts_error(TS_INVALID,
                            "sweep.T: %g is beyond train.T = %g, up to which the shared network is trained",
                            T->v[i], s->config->train.T);
        if (T->v[i] <= s->eps)
            return ts_error(TS_INVALID, "sweep.T: %g is not larger than bound.eps = %g", T->v[i], s->eps);
    }
    if (train->count < features->least)
        return ts_error(
            TS_INVALID,
            "a sweep's distances are on %s, which takes at least %d training data; there are %lld",
            features->text, features->least, (long long)train->count);
    if (test->count < 2)
        return ts_error(TS_INVALID, "a sweep's distances take at least 2 held-out data; there is %lld",
                        (long long)test->count);
    if (s->count < 2)
        return ts_error(
            TS_INVALID,
            "bound.count = 1: a sweep compares T over held-out data, of which it takes at least 2");
    TS_TRY(check_seeds(s));
    TS_TRY(ts_sweep_check_weights(s->config));
    if (s->config->sweep.likelihood)
        TS_TRY(ts_blocks_check(ts_evaluate_likelihood_config(s->run).count, s->config->data.block));
    return ts_blocks_check(s->count, s->config->data.block);
}

/* Each sampler of fixed steps once for each budget, where there are any; those that adapt once. */
static ts_status list_samplers(const ts_config *config, ts_sampler_entry **list, int *count)
{
    const ts_kinds *samplers = &config->sweep.samplers;
    const ts_ints *nfe = &config->sweep.nfe;
    const int budgets = nfe->count ? nfe->count : 1;
    *count = 0;
    *list = calloc((size_t)(samplers->count * budgets), sizeof **list);
    if (!*list)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    for (int i = 0; i < samplers->count; i++)
        for (int k = 0; k < (ts_samplers[samplers->v[i]].integrator ? budgets : 1); k++) {
            const bool own = !ts_samplers[samplers->v[i]].integrator || !nfe->count || nfe->v[k] == 0;
            (*list)[(*count)++] = (ts_sampler_entry){samplers->v[i], own ? NAN : nfe->v[k]};
        }
    return NULL;
}

/* sweep.T as far as train.T auto came: what is beyond is that T, once. */
static ts_status list_T(const ts_sweep *s, double **list, int *count)
{
    const ts_reals *T = &s->config->sweep.T;
    const double most = is_auto(s) ? s->run->reach : 1;
    *count = 0;
    *list = calloc((size_t)T->count, sizeof **list);
    if (!*list)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    for (int i = 0; i < T->count; i++) {
        const double at = fmin(T->v[i], most);
        bool there = false;
        for (int j = 0; j < *count; j++)
            there |= (*list)[j] == at;
        if (!there)
            (*list)[(*count)++] = at;
    }
    return NULL;
}

/* The rows of the results. */
static ts_status make_rows(ts_sweep *s)
{
    const ts_config *config = s->config;
    ts_start_kind starts[TS_START_COUNT];
    ts_score_kind scores[TS_SCORE_COUNT];
    ts_sampler_entry *samplers;
    double *T;
    int start_count, sampler_count, T_count, score_count = 0;
    TS_TRY(ts_starts_chosen(s->run, &config->sweep.starts, starts, &start_count));
    for (int kind = 0; kind < TS_SCORE_COUNT; kind++)
        if (ts_scores[kind].trained
                ? s->run->model->params && (ts_scores[kind].networks >> config->sweep.network & 1)
                : s->run->dataset->mixture != NULL)
            scores[score_count++] = (ts_score_kind)kind;
    TS_TRY(list_samplers(config, &samplers, &sampler_count));
    ts_status status = list_T(s, &T, &T_count);
    if (!status)
        status = ts_results_make(s->results, score_count, scores, T_count, T, start_count, starts,
                                 sampler_count, samplers);
    free(samplers);
    free(T);
    return status;
}

/* With train.T auto the rows are those of what the training came to. */
static ts_status train_for_rows(ts_sweep *s)
{
    if (!is_auto(s))
        return NULL;
    TS_TRY(ts_sweep_train_first(s));
    if (s->run->reach >= ts_sweep_largest_T(s))
        return NULL;
    ts_results_release(s->results);
    if (s->options->shortened)
        s->options->shortened(s->options->context, s->run->reach);
    return make_rows(s);
}

static ts_status make_folders(const ts_sweep *s)
{
    static const char *const folders[] = {"parts", TS_SAMPLES_FOLDER, TS_NEIGHBOURS_FOLDER};
    const int count = s->first ? 1 : s->config->sweep.neighbours ? 3 : 2;
    for (int i = 0; i < count; i++) {
        char *path = ts_run_path(s->run, folders[i]);
        ts_status status = path ? ts_file_make_folder(path) : ts_error(TS_NO_MEMORY, "sweep: no memory");
        if (!status)
            ts_file_remove_leftovers(path); /* of a sweep that was killed; the run's lock is held */
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
    if (!s->run->dataset->mixture && !s->config->sweep.starts.count)
        TS_TRY(ts_fit_check(s->run)); /* a start that the user expects is not left out without a word */
    s->exact_config = *s->config;
    s->exact_config.model.kind = TS_MODEL_EXACT;
    TS_TRY(make_rows(s));
    TS_TRY(check(s));
    TS_TRY(make_folders(s));
    TS_TRY(train_for_rows(s));
    TS_TRY(ts_sweep_allocate_curve(s));
    TS_TRY(ts_sweep_allocate_bounds(s));
    TS_TRY(ts_sweep_allocate_fits(s));
    TS_TRY(ts_sweep_plan(s));
    return ts_sweep_open_workers(s);
}

/* ---- the work ---- */

static ts_status work(ts_sweep *s)
{
    const ts_crew all = {s->workers, s->worker_count, ts_worker_begin};
    const ts_crew alone = {s->workers, 1, ts_worker_begin};
    ts_sweep_watch(s);
    s->list.order = s->options->order;
    s->list.end = s->timings;
    TS_TRY(ts_workers_run(&s->list, &all));
    s->list.end = s->list.count;
    TS_TRY(ts_workers_run(&s->list, &alone));
    ts_progress_report(s->options->progress, s->phase, 100, 100, "%", "");
    return NULL;
}

/* ---- further seeds ---- */

const ts_sweep *ts_sweep_of_seed(const ts_sweep *s, int k)
{
    return k ? s->others[k - 1] : s;
}

uint64_t ts_sweep_draws_seed(const ts_sweep *s)
{
    return (uint64_t)(s->first ? s->first : s)->config->run.seed;
}

static void release(ts_sweep *s)
{
    for (int k = 0; k < TS_MOST_SEEDS - 1; k++) {
        ts_sweep *other = s->others[k];
        if (!other)
            continue;
        release(other);
        ts_results_release(other->results);
        free(other->results);
        free(other);
    }
    for (int i = 0; i < TS_SCORE_COUNT; i++)
        ts_bound_release(&s->bounds[i]);
    free(s->prior);
    free(s->kl);
    free(s->start_error);
    ts_sweep_release_curve(s);
    ts_comparison_release(&s->comparison);
    ts_sweep_close_workers(s);
    ts_part_list_release(&s->list);
    free(s->list.parts);
    ts_run_close(s->run);
}

/* The configuration of the k-th seed: the sweep's, but for that. */
static ts_status config_of_seed(const ts_sweep *s, int k, ts_config **config)
{
    char seed[64], *path = ts_run_path(s->run, "config.yaml");
    const char *overrides[] = {seed, "sweep.seeds=1"};
    snprintf(seed, sizeof seed, "seed=%d", s->config->run.seed + k);
    ts_status status =
        path ? ts_config_load(path, overrides, 2, config) : ts_error(TS_NO_MEMORY, "sweep: no memory");
    free(path);
    return status;
}

/* What is left of it are bounds and prior terms. */
static ts_status measure_seed(ts_sweep *s, ts_config *config)
{
    const ts_run_options options = {.borrowed_device = s->first->run->device,
                                    .borrowed_dataset = s->first->run->dataset};
    TS_TRY(open_run(s, config, &options));
    TS_TRY(prepare(s));
    TS_TRY(work(s));
    ts_sweep_close_workers(s);
    ts_run_close(s->run);
    s->run = NULL;
    s->config = NULL;
    return NULL;
}

/* The sweep of the k-th seed, whose room is there. */
static ts_status open_seed(ts_sweep *s, int k)
{
    ts_sweep *other = calloc(1, sizeof *other);
    ts_results *results = calloc(1, sizeof *results);
    ts_status status =
        other && results ? ts_part_list_make(&other->list) : ts_error(TS_NO_MEMORY, "sweep: no memory");
    if (status) {
        free(other);
        free(results);
        return status;
    }
    other->results = results;
    other->seeds = 1;
    other->first = s;
    snprintf(other->phase, sizeof other->phase, "seed %d of %d", k + 1, s->seeds);
    s->others[k - 1] = other;
    return NULL;
}

static ts_status repeat(ts_sweep *s, int k)
{
    ts_config *config;
    char *dir;
    TS_TRY(open_seed(s, k));
    if (asprintf(&dir, "%s/seed%d", s->dir, k + 1) < 0)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    ts_sweep *other = s->others[k - 1];
    ts_sweep_options options = *s->options;
    options.began = NULL;
    options.estimated = NULL;
    other->dir = dir;
    other->options = &options;
    ts_status status = config_of_seed(s, k, &config);
    if (!status)
        status = measure_seed(other, config);
    other->options = NULL;
    other->dir = NULL;
    free(dir);
    return status;
}

/* ---- what is said of it ---- */

static char *now_text(void)
{
    char text[64];
    struct tm parts;
    const time_t now = time(NULL);
    gmtime_r(&now, &parts);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts);
    return strdup(text);
}

/* Those that there are parts of. */
static void add_phase(const ts_sweep *s, int phase)
{
    ts_phase *row = &s->results->phases[s->results->phase_count];
    int parts = 0;
    for (int k = 0; k < s->seeds; k++) {
        const ts_part_list *list = &ts_sweep_of_seed(s, k)->list;
        for (int i = 0; i < list->count; i++)
            if (list->parts[i].phase == phase) {
                row->seconds += list->parts[i].seconds;
                parts++;
            }
    }
    if (!parts)
        return;
    ts_sweep_phase_text(phase, row->name);
    s->results->phase_count++;
}

static ts_status describe_phases(const ts_sweep *s)
{
    ts_results *r = s->results;
    r->phases = calloc(TS_SWEEP_PHASE_COUNT, sizeof *r->phases);
    if (!r->phases)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    for (int k = 0; k < TS_SWEEP_DISTANCE; k++)
        add_phase(s, k);
    for (int k = 0; k < r->sampler_count; k++)
        if (!k || r->samplers[k].kind != r->samplers[k - 1].kind)
            add_phase(s, TS_SWEEP_SAMPLE + (int)r->samplers[k].kind);
    add_phase(s, TS_SWEEP_DISTANCE);
    add_phase(s, TS_SWEEP_TIMING);
    return NULL;
}

/* "AMD EPYC, 1 thread, 2 workers" */
static char *device_text(const ts_sweep *s)
{
    char *text;
    const int length = s->worker_count > 1
                           ? asprintf(&text, "%s, %d workers", s->run->device->description, s->worker_count)
                           : asprintf(&text, "%s", s->run->device->description);
    return length < 0 ? NULL : text;
}

/* The steps of the network, or of the one that was trained least. */
static double steps_of(const ts_sweep *s)
{
    double steps = INFINITY;
    for (int i = 0; i < s->list.count; i++)
        if (s->list.parts[i].phase == TS_SWEEP_TRAIN)
            steps = fmin(steps, (double)s->list.parts[i].steps);
    return isfinite(steps) ? steps : 0;
}

/* A training step, the mean over networks; NaN: none was trained. */
static double step_seconds_of(const ts_sweep *s)
{
    double seconds = 0;
    int count = 0;
    for (int i = 0; i < s->list.count; i++)
        if (s->list.parts[i].phase == TS_SWEEP_TRAIN && isfinite(s->list.parts[i].step_seconds)) {
            seconds += s->list.parts[i].step_seconds;
            count++;
        }
    return count ? seconds / count : NAN;
}

/* Of the score network, each where there are several. */
static double parameters_of(const ts_sweep *s)
{
    return s->run->model->params ? (double)ts_params_count(s->run->model->params) : 0;
}

static ts_status describe(const ts_sweep *s, const char *command)
{
    ts_results *r = s->results;
    const ts_dataset *dataset = s->run->dataset;
    r->name = strdup(s->config->run.name);
    r->command = strdup(command ? command : "");
    r->version = strdup(TSTAR_VERSION);
    r->device = device_text(s);
    r->date = now_text();
    if (!r->name || !r->command || !r->version || !r->device || !r->date)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    TS_TRY(ts_config_print(s->config, NULL, &r->config));
    r->sde = s->config->sde.kind;
    r->seed = s->config->run.seed;
    r->threads = s->run->device->threads;
    r->h = dataset->test.h;
    r->w = dataset->test.w;
    r->c = dataset->test.c;
    r->levels = dataset->test.levels;
    r->train_count = (double)dataset->train.count;
    r->test_count = (double)dataset->test.count;
    r->parameters = parameters_of(s);
    r->block = s->config->data.block;
    r->steps_per_unit = s->config->sample.steps_per_unit;
    r->train_steps = steps_of(s);
    r->projections = s->d == 1 ? 1 : s->config->sweep.projections;
    r->costs.batch = fmin(TS_SWEEP_TIMED, s->config->sample.batch);
    r->costs.training_step = step_seconds_of(s);
    TS_TRY(ts_costs_measure(r));
    return describe_phases(s);
}

static ts_status make(ts_sweep *s)
{
    s->seeds = s->config->sweep.seeds;
    TS_TRY(prepare(s));
    TS_TRY(work(s));
    ts_sweep_close_workers(s);
    for (int k = 1; k < s->seeds; k++)
        TS_TRY(repeat(s, k));
    TS_TRY(ts_sweep_summarize(s));
    TS_TRY(describe(s, s->options->run->command));
    TS_TRY(ts_results_write_csv(s->results, s->dir));
    return ts_results_write_json(s->results, s->dir);
}

ts_status ts_sweep_run(const char *dir, ts_config *config, const ts_sweep_options *options)
{
    ts_results results = {0};
    ts_sweep s = {.dir = dir, .options = options, .results = &results, .seeds = 1, .phase = "sweep"};
    ts_status status = ts_part_list_make(&s.list);
    if (status) {
        ts_config_free(config);
        return status;
    }
    status = open_run(&s, config, options->run);
    if (!status)
        status = make(&s);
    release(&s);
    ts_results_release(&results);
    return status;
}
