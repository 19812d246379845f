#include "run/scores.h"

#include <stdlib.h>
#include "run/training/log.h"

#define WANTED_BY(network) (1u << (network))

/* ---- the model's own ---- */

static ts_status open_network(ts_run *run, ts_start_kind start, int n, ts_open_score *open)
{
    (void)start;
    if (!run->model->params)
        return ts_error(TS_INVALID, "score network: model.kind %s has none",
                        ts_model_kind_words.word[run->config->model.kind]);
    return ts_model_score(run->model, n, false, &open->score);
}

static ts_status open_per_T(ts_run *run, ts_start_kind start, int n, ts_open_score *open)
{
    (void)start, (void)n, (void)open;
    return ts_error(TS_INVALID,
                    "score network_per_T: the network for T = 0.4, say, is a run of its own, %s/T0.4",
                    run->dir ? run->dir : "RUN");
}

static ts_status open_exact(ts_run *run, ts_start_kind start, int n, ts_open_score *open)
{
    (void)start;
    if (run->model->params)
        return ts_error(TS_INVALID, "score exact needs model.kind exact; this run's is %s",
                        ts_model_kind_words.word[run->config->model.kind]);
    return ts_model_score(run->model, n, false, &open->score);
}

/* A network knows only the times that it was trained on. */
static ts_status check_reach(const ts_run *run, double T)
{
    if (!run->model->params || T <= run->reach)
        return NULL;
    if (run->config->train.T > 0)
        return ts_error(TS_INVALID, "T = %g: this network was trained on t up to train.T = %g alone", T,
                        run->reach);
    return ts_error(TS_INVALID,
                    "T = %g: this network was trained on t up to %g alone, to which train.T auto came", T,
                    run->reach);
}

/* ---- a start's own above T*, the model's below ---- */

ts_status ts_score_T_star(const ts_run *run, ts_start_kind start, double *T)
{
    *T = run->choice->T;
    if (*T > 0)
        return NULL;
    char *path = run->dir ? ts_run_path(run, "log.jsonl") : NULL;
    if (run->dir && !path)
        return ts_error(TS_NO_MEMORY, "no memory for a path");
    ts_status status = path ? ts_log_last_star(path, start, T) : NULL;
    free(path);
    TS_TRY(status);
    return *T > 0
               ? NULL
               : ts_error(TS_NOT_FOUND,
                          "score hybrid: no T_star_%s stands in the run's log.jsonl: --hybrid-at T says it",
                          ts_start_kind_words.word[start]);
}

static ts_status open_hybrid(ts_run *run, ts_start_kind start, int n, ts_open_score *open)
{
    double T;
    ts_score *below = NULL, *above = NULL;
    TS_TRY(ts_start_score(run, start, n, &open->start, &above));
    ts_status status = ts_score_T_star(run, start, &T);
    if (!status)
        status = ts_context(check_reach(run, T), "score hybrid, T*");
    if (!status)
        status = ts_model_score(run->model, n, false, &below);
    if (!status)
        return ts_score_hybrid(below, above, T, &open->score);
    ts_score_destroy(above);
    return status;
}

/* ---- the table ---- */

const ts_score_row ts_scores[TS_SCORE_COUNT] = {
    [TS_SCORE_NETWORK] = {.sections = "model train",
                          .trained = true,
                          .networks = WANTED_BY(TS_NETWORK_SHARED) | WANTED_BY(TS_NETWORK_BOTH),
                          .open = open_network,
                          .label = "trained score",
                          .dash = "1",
                          .hollow = false},
    [TS_SCORE_NETWORK_PER_T] = {.sections = "model train",
                                .trained = true,
                                .per_T = true,
                                .networks = WANTED_BY(TS_NETWORK_PER_T) | WANTED_BY(TS_NETWORK_BOTH),
                                .open = open_per_T,
                                .label = "score trained for each T",
                                .dash = "4",
                                .hollow = true},
    [TS_SCORE_EXACT] = {.sections = "",
                        .trained = false,
                        .open = open_exact,
                        .label = "exact score",
                        .dash = "2",
                        .hollow = true},
    [TS_SCORE_HYBRID] = {.sections = "model train",
                         .trained = true,
                         .by_start = true,
                         .open = open_hybrid,
                         .label = "start's own score above T*",
                         .dash = "3",
                         .hollow = true},
};

ts_status ts_score_open(ts_run *run, ts_start_kind start, int n, ts_open_score *open)
{
    *open = (ts_open_score){0};
    ts_status status = run->choice ? ts_scores[run->choice->kind].open(run, start, n, open)
                                   : ts_model_score(run->model, n, false, &open->score);
    if (status)
        ts_score_close(open);
    return status;
}

void ts_score_close(ts_open_score *open)
{
    ts_score_destroy(open->score);
    ts_start_release(&open->start);
    open->score = NULL;
}

bool ts_score_is_by_start(const ts_run *run)
{
    return run->choice && ts_scores[run->choice->kind].by_start;
}

ts_status ts_score_check_T(const ts_run *run, double T)
{
    return ts_score_is_by_start(run) ? NULL : check_reach(run, T);
}
