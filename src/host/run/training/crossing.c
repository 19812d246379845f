#include "run/training/crossing.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>

#include "diffusion/bound.h"
#include "diffusion/buffer.h"
#include "diffusion/densities/gaussian.h"
#include "quality/bands.h"
#include "run/evaluate.h"
#include "run/starts/gaussian.h"

/* of T, between two points of the range at most */
static const double resolution = 0.01;
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

/* As a T is written: training may end there, and it is then the name of what is made at it. */
static double round_T(double T)
{
    return rint(T * 1e6) / 1e6;
}

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
    const int steps = (int)ceil((high - low) / resolution - 1e-9);
    c->T = calloc((size_t)steps + 1, sizeof *c->T);
    if (!c->T)
        return ts_error(TS_NO_MEMORY, "no memory for %d T", steps);
    for (int i = 0; i <= steps; i++)
        c->T[i] = i == 0 ? low : i == steps ? high : round_T(low + (high - low) * i / steps);
    c->columns = steps + 1;
    return NULL;
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

/* ---- prior terms, in closed form given x0 ---- */

/* -d/2 ln(2 pi e s^2) - E log N(x_T; m, diag v) summed over coordinates whose x0 - mean have the square q. */
static double prior_of(double q, double v, double a, double s)
{
    return 0.5 * (log(v / (s * s)) + (a * a * q + s * s) / v - 1);
}

static void prior_of_normal(ts_crossing *c, const float *x0)
{
    const ts_sde sde = ts_config_sde(c->run->config);
    for (int j = 0; j < c->columns; j++) {
        const double a = ts_sde_mean(&sde, c->T[j]), s = ts_sde_std(&sde, c->T[j]);
        const double v = sde.kind == TS_SDE_VE ? s * s : 1;
        for (int64_t i = 0; i < c->data; i++) {
            double sum = 0;
            for (int k = 0; k < c->d; k++)
                sum += prior_of((double)x0[i * c->d + k] * x0[i * c->d + k], v, a, s);
            c->prior[TS_CROSSING_NORMAL][i * c->columns + j] = sum;
        }
    }
}

/* squares [data][rank + 1] <- of x0 - mean along each eigenvector, and of what is left. */
static ts_status project(const ts_crossing *c, const ts_data_gaussian *g, const float *x0, double *squares)
{
    const size_t cells = (size_t)c->data * (size_t)c->d;
    double *centred = malloc(cells * sizeof *centred);
    if (!centred)
        return ts_error(TS_NO_MEMORY, "no memory for %lld data", (long long)c->data);
    for (size_t i = 0; i < cells; i++)
        centred[i] = (double)x0[i] - g->mean[i % (size_t)c->d];
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)c->data, g->rank, c->d, 1, centred, c->d,
                g->vectors, c->d, 0, squares, g->rank + 1);
    for (int64_t i = 0; i < c->data; i++) {
        double *row = squares + i * (g->rank + 1), left = 0;
        for (int k = 0; k < c->d; k++)
            left += centred[i * c->d + k] * centred[i * c->d + k];
        for (int k = 0; k < g->rank; k++) {
            row[k] *= row[k];
            left -= row[k];
        }
        row[g->rank] = fmax(left, 0);
    }
    free(centred);
    return NULL;
}

static void prior_of_squares(ts_crossing *c, const ts_data_gaussian *g, const double *squares)
{
    const ts_sde sde = ts_config_sde(c->run->config);
    const int others = c->d - g->rank;
    for (int j = 0; j < c->columns; j++) {
        const double a = ts_sde_mean(&sde, c->T[j]), s = ts_sde_std(&sde, c->T[j]);
        for (int64_t i = 0; i < c->data; i++) {
            const double *row = squares + i * (g->rank + 1);
            double sum = 0;
            for (int k = 0; k < g->rank; k++)
                sum += prior_of(row[k], a * a * g->values[k] + s * s, a, s);
            if (others > 0)
                sum += others * prior_of(row[g->rank] / others, a * a * g->rest + s * s, a, s);
            c->prior[TS_CROSSING_GAUSSIAN][i * c->columns + j] = sum;
        }
    }
}

static ts_status prior_of_gaussian(ts_crossing *c, const float *x0)
{
    ts_data_gaussian *g = NULL;
    TS_TRY(ts_gaussian_of_run(c->run, &g));
    double *squares = calloc((size_t)c->data * ((size_t)g->rank + 1), sizeof *squares);
    ts_status status = squares ? project(c, g, x0, squares)
                               : ts_error(TS_NO_MEMORY, "no memory for %lld data", (long long)c->data);
    if (!status)
        prior_of_squares(c, g, squares);
    free(squares);
    ts_data_gaussian_destroy(g);
    return status;
}

/* The data as the bound sees them. */
static ts_status read_data(const ts_crossing *c, float *x0)
{
    ts_device *device = c->run->device;
    const size_t bytes = (size_t)c->data * (size_t)c->d * sizeof *x0;
    ts_step_state *state = NULL;
    float *rows = NULL;
    ts_status status;
    const ts_step_state data = {(uint64_t)c->run->config->run.seed, 0, TS_BOUND_DATA};
    TS_GOTO(ts_buffer_state(device, &state), done);
    TS_GOTO(ts_buffer_floats(device, (size_t)c->data * (size_t)c->d, &rows), done);
    TS_GOTO(device->k->upload(device, state, &data, sizeof data), done);
    TS_GOTO(ts_data_eval_rows(&c->run->dataset->test, c->data, (int)c->data, 0, state, rows), done);
    TS_GOTO(device->k->download(device, x0, rows, bytes), done);
    status = device->k->synchronize(device);
done:
    if (state)
        device->k->release(device, state);
    if (rows)
        device->k->release(device, rows);
    return status;
}

static ts_status measure_priors(ts_crossing *c)
{
    const size_t cells = (size_t)c->data * (size_t)c->columns;
    float *x0 = malloc((size_t)c->data * (size_t)c->d * sizeof *x0);
    c->elbo = malloc(cells * sizeof *c->elbo);
    bool all = x0 && c->elbo;
    for (int start = 0; start < TS_CROSSING_COUNT; start++) {
        c->prior[start] = malloc(cells * sizeof(double));
        all = all && c->prior[start];
    }
    ts_status status =
        all ? read_data(c, x0) : ts_error(TS_NO_MEMORY, "no memory for %lld data", (long long)c->data);
    if (!status) {
        prior_of_normal(c, x0);
        if (c->d <= MOST_DIMENSIONS) {
            status = prior_of_gaussian(c, x0);
        } else {
            free(c->prior[TS_CROSSING_GAUSSIAN]);
            c->prior[TS_CROSSING_GAUSSIAN] = NULL;
        }
    }
    free(x0);
    return status;
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

const double *ts_crossing_prior(const ts_crossing *c, int start, int64_t *data, int *count, const double **T)
{
    *data = c->data;
    *count = c->columns;
    *T = c->T;
    return c->prior[start];
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
    const ts_config *config = c->run->config;
    const ts_bound_config how = {.sde = ts_config_sde(config),
                                 .eps = c->eps,
                                 .T_count = c->count,
                                 .T = c->T,
                                 .draws = c->draws,
                                 .prior_draws = 1,
                                 .count = c->data,
                                 .seed = (uint64_t)config->run.seed};
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
