#include "run/training/crossing.h"

#include <math.h>
#include <stdlib.h>

#include "diffusion/prior_curve.h"
#include "quality/bands.h"
#include "run/evaluate.h"
#include "run/starts.h"

/* of the work between two measurements, at most, that one may take; a training step is three evaluations an image */
static const double share_of_work = 0.05;
/* MOST_DIMENSIONS: of a covariance and its eigenvectors, which a training makes for itself at its start. */
enum { MOST_DIMENSIONS = 4096, MOST_DRAWS = 16, REPETITIONS = 400 };

#define KIND(name) [TS_CROSSING_##name] = TS_START_##name,
const ts_start_kind ts_crossing_starts[TS_CROSSING_COUNT] = {TS_CROSSING_STARTS(KIND)};

struct ts_crossing {
    ts_run *run;
    ts_score *score;
    int64_t data;
    int columns, count; /* points of the range, and of what is left of it */
    int d, draws;
    double eps;
    double *T;                        /* [columns] */
    double *prior[TS_CROSSING_COUNT]; /* [data][columns] */
    double *elbo;                     /* [data][count] */
};

/* ---- the range ---- */

static ts_status choose_range(ts_crossing *c)
{
    const ts_config *config = c->run->config;
    double low = INFINITY, high = 0;
    for (int i = 0; i < config->sweep.T.count; i++) {
        low = fmin(low, config->sweep.T.v[i]);
        high = fmax(high, config->sweep.T.v[i]);
    }
    low = fmax(low, c->eps * 1.01);
    high = fmin(high, ts_config_largest_T(config));
    if (!(high > low) || c->data < 2)
        return NULL;
    return ts_prior_times(low, high, &c->T, &c->columns);
}

bool ts_crossing_cut(ts_crossing *c, double T)
{
    c->count = 0;
    while (c->count < c->columns && c->T[c->count] <= T)
        c->count++;
    return c->count > 1;
}

double ts_crossing_end(const ts_crossing *c)
{
    return c->T[c->count - 1];
}

/* ---- prior terms ---- */

/* At the first `count` points of the range. */
static ts_bound_config bound_of(const ts_crossing *c, int count)
{
    return (ts_bound_config){.sde = ts_config_sde(c->run->config),
                             .eps = c->eps,
                             .T_count = count,
                             .T = c->T,
                             .draws = c->draws,
                             .prior_draws = 1,
                             .count = c->data,
                             .seed = (uint64_t)c->run->config->run.seed};
}

static ts_status measure_priors(ts_crossing *c)
{
    const size_t cells = (size_t)c->data * (size_t)c->columns;
    const ts_bound_config how = bound_of(c, c->columns);
    c->elbo = malloc(cells * sizeof *c->elbo);
    if (!c->elbo)
        return ts_error(TS_NO_MEMORY, "no memory for %lld data", (long long)c->data);
    for (int start = 0; start < TS_CROSSING_COUNT; start++) {
        if (start == TS_CROSSING_GAUSSIAN && c->d > MOST_DIMENSIONS)
            continue;
        c->prior[start] = malloc(cells * sizeof(double));
        if (!c->prior[start])
            return ts_error(TS_NO_MEMORY, "no memory for %lld data", (long long)c->data);
        TS_TRY(ts_starts[ts_crossing_starts[start]].priors(c->run, &how, c->prior[start]));
    }
    return NULL;
}

/* ---- opening ---- */

static int draws_of(const ts_config *config, int64_t data)
{
    const double rows = share_of_work * 3 * config->train.eval_every * config->train.batch;
    return (int)fmin(MOST_DRAWS, fmax(1, rows / (double)data));
}

static ts_status open_all(ts_crossing *c)
{
    const ts_config *config = c->run->config;
    TS_TRY(choose_range(c));
    if (!ts_crossing_cut(c, c->run->reach))
        return NULL;
    TS_TRY(ts_blocks_check(c->data, config->data.block));
    c->draws = draws_of(config, c->data);
    TS_TRY(measure_priors(c));
    /* in batches of the training's: less memory than it takes itself */
    return ts_model_score(c->run->model, config->train.batch, false, &c->score);
}

ts_status ts_crossing_open(ts_run *run, ts_crossing **crossing)
{
    const ts_data *test = &run->dataset->test;
    *crossing = NULL;
    ts_crossing *c = calloc(1, sizeof *c);
    if (!c)
        return ts_error(TS_NO_MEMORY, "no memory to measure T*");
    c->run = run;
    c->d = ts_data_dim(test);
    c->eps = ts_evaluate_eps(run->config, test);
    c->data = run->config->train.eval_data;
    if (!test->mixture && c->data > test->count)
        c->data = test->count;
    ts_status status = open_all(c);
    if (status || c->count < 2)
        ts_crossing_close(c);
    else
        *crossing = c;
    return ts_context(status, "T* on held-out data");
}

void ts_crossing_close(ts_crossing *c)
{
    if (!c)
        return;
    if (c->score)
        ts_score_destroy(c->score);
    for (int start = 0; start < TS_CROSSING_COUNT; start++)
        free(c->prior[start]);
    free(c->T);
    free(c->elbo);
    free(c);
}

/* ---- measuring ---- */

static ts_status find(const ts_crossing *c, int start, const ts_bound *bound, ts_crossing_T *star)
{
    const ts_bands_config how = {.repetitions = REPETITIONS,
                                 .block = c->run->config->data.block,
                                 .seed = (uint64_t)c->run->config->run.seed,
                                 .threads = c->run->device->threads};
    ts_bands bands;
    *star = (ts_crossing_T){NAN, NAN, NAN};
    if (!c->prior[start])
        return NULL;
    for (int64_t i = 0; i < c->data; i++)
        for (int j = 0; j < c->count; j++)
            c->elbo[i * c->count + j] =
                -c->prior[start][i * c->columns + j] - bound->diffusion[i * c->count + j];
    TS_TRY(ts_bands_make(c->elbo, c->data, c->count, &how, &bands));
    *star = (ts_crossing_T){c->T[bands.best], c->T[bands.best_low], c->T[bands.best_high]};
    ts_bands_release(&bands);
    return NULL;
}

ts_status ts_crossing_measure(ts_crossing *c, ts_crossing_T stars[TS_CROSSING_COUNT])
{
    const ts_bound_config how = bound_of(c, c->count);
    ts_bound bound;
    TS_TRY(ts_params_swap_ema(c->run->model->params));
    ts_status status = ts_bound_measure(&how, &c->run->dataset->test, c->score, NULL, NULL, &bound);
    ts_status back = ts_params_swap_ema(c->run->model->params);
    for (int start = 0; !status && !back && start < TS_CROSSING_COUNT; start++)
        status = find(c, start, &bound, &stars[start]);
    ts_bound_release(&bound);
    if (!status)
        return back;
    ts_status_free(back);
    return status;
}
