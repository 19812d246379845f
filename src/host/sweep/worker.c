/* What each worker of a sweep has of its own: device, data, networks. */
#include "sweep/internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/decimal.h"
#include "run/checkpoint.h"
#include "run/memory.h"
#include "run/scores.h"
#include "run/threads.h"

/* ---- how many, and how many threads each ---- */

/* The threads that a pass through the network is worth; exact scores are evaluated by one. */
static ts_status worth_of(const ts_sweep *s, int most, int *worth)
{
    double bytes, flops = 0;
    if (s->run->model->params)
        TS_TRY(ts_memory_plan(s->run->model, s->config->train.batch, false, &bytes, &flops));
    *worth = ts_threads_for(flops, most);
    return NULL;
}

static ts_status share_threads(const ts_sweep *s, int *workers, int *threads)
{
    const ts_run *run = s->run;
    const int asked = s->options->workers, given = s->options->run->device_options.threads;
    const int most = run->threads_at_hand ? run->threads_at_hand : run->device->threads;
    int worth;
    *workers = 1;
    *threads = run->device->threads;
    if (s->first) { /* as that, on its device */
        *workers = s->first->worker_count < s->timings ? s->first->worker_count : s->timings;
        return NULL;
    }
    if (asked > s->timings)
        return ts_error(TS_INVALID, "%d workers are more than the %d parts of this sweep", asked, s->timings);
    if (!run->device->k->set_threads)
        return asked > 1
                   ? ts_error(TS_INVALID, "%d workers: the %s device takes one", asked, run->device->k->name)
                   : NULL;
    if (given && asked > given)
        return ts_error(TS_INVALID, "%d workers cannot share %d thread%s", asked, given,
                        given == 1 ? "" : "s");
    TS_TRY(worth_of(s, most, &worth));
    *workers = asked ? asked : most / worth;
    *workers = *workers < s->timings ? *workers : s->timings;
    const int share = most / *workers > 1 ? most / *workers : 1;
    *threads = given || share < worth ? share : worth;
    return NULL;
}

/* ---- opening and closing ---- */

static ts_status open_exact(ts_worker *w)
{
    ts_sweep *s = w->sweep;
    if (!w->run.dataset->mixture || !w->run.model->params)
        return NULL;
    return ts_model_create(&s->exact_config, w->run.dataset, w->run.device, &w->exact);
}

static ts_status open_own(ts_worker *w, int threads)
{
    const ts_sweep *s = w->sweep;
    ts_device_options options = s->options->run->device_options;
    options.threads = threads;
    w->run.device = NULL;
    w->run.dataset = NULL;
    w->run.model = NULL;
    TS_TRY(ts_device_open("cpu", &options, &w->run.device));
    TS_TRY(ts_dataset_share(s->config, s->run->dataset, w->run.device, &w->run.dataset));
    return ts_model_create(s->config, w->run.dataset, w->run.device, &w->run.model);
}

static ts_status open_worker(ts_sweep *s, int index, int threads)
{
    ts_worker *w = s->workers[index] = calloc(1, sizeof *w);
    if (!w)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    *w = (ts_worker){.sweep = s, .run = *s->run, .borrows = index == 0};
    if (index)
        TS_TRY(open_own(w, threads));
    else if (threads != w->run.device->threads)
        w->run.device->k->set_threads(w->run.device, threads);
    return open_exact(w);
}

ts_status ts_sweep_open_workers(ts_sweep *s)
{
    int threads;
    TS_TRY(share_threads(s, &s->worker_count, &threads));
    s->workers = calloc((size_t)s->worker_count, sizeof *s->workers);
    if (!s->workers)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    for (int i = 0; i < s->worker_count; i++)
        TS_TRY(open_worker(s, i, threads));
    if (s->options->began)
        s->options->began(s->options->context, s->worker_count, threads);
    return NULL;
}

static void close_worker(ts_worker *w)
{
    if (!w)
        return;
    ts_run_close(w->own);
    ts_model_destroy(w->exact);
    if (!w->borrows) {
        ts_model_destroy(w->run.model);
        ts_dataset_close(w->run.dataset);
        if (w->run.device)
            ts_device_close(w->run.device);
    }
    free(w);
}

void ts_sweep_close_workers(ts_sweep *s)
{
    for (int i = 0; s->workers && i < s->worker_count; i++)
        close_worker(s->workers[i]);
    free(s->workers);
    s->workers = NULL;
}

/* OpenMP keeps the number of threads for each thread that asks. */
void ts_worker_begin(ts_worker *w)
{
    ts_device *device = w->run.device;
    if (device->k->set_threads)
        device->k->set_threads(device, device->threads);
}

/* ---- what it evaluates with ---- */

static ts_status load_weights(ts_run *run)
{
    ts_checkpoint checkpoint = {0};
    ts_status status = ts_checkpoint_load_weights(run, true, &checkpoint);
    ts_checkpoint_release(&checkpoint);
    return status;
}

/* The network of its own that a T has. */
static ts_status open_network(ts_worker *w, double T)
{
    char text[32], *dir;
    ts_T_text(T, text);
    if (asprintf(&dir, "%s/T%s", w->sweep->dir, text) < 0)
        return ts_error(TS_NO_MEMORY, "sweep: no memory");
    const ts_run_options options = {.borrowed_device = w->run.device, .borrowed_dataset = w->run.dataset};
    ts_run_close(w->own);
    w->own = NULL;
    ts_status status = ts_run_open(dir, NULL, 0, false, &options, &w->own);
    if (!status)
        status = load_weights(w->own);
    w->own_T = status ? 0 : T;
    free(dir);
    return status;
}

bool ts_sweep_has_shared(const ts_sweep *s)
{
    for (int i = 0; i < s->results->score_count; i++)
        if (ts_scores[s->results->scores[i]].trained && !ts_scores[s->results->scores[i]].per_T)
            return true;
    return false;
}

bool ts_sweep_has_own(const ts_sweep *s, int score, double T)
{
    return ts_scores[s->results->scores[score]].per_T && !(T == s->config->train.T && ts_sweep_has_shared(s));
}

ts_status ts_worker_view(ts_worker *w, int score, double T, ts_run *view)
{
    ts_sweep *s = w->sweep;
    *view = w->run;
    if (!ts_scores[s->results->scores[score]].trained) {
        view->config = &s->exact_config;
        if (w->exact)
            view->model = w->exact;
    } else if (ts_sweep_has_own(s, score, T)) {
        if (!w->own || w->own_T != T)
            TS_TRY(open_network(w, T));
        view->model = w->own->model;
    } else if (!w->has_weights) {
        TS_TRY(load_weights(&w->run));
        w->has_weights = true;
    }
    return NULL;
}
