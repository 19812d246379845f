#include "run/starts/dpmixture.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/decimal.h"
#include "diffusion/buffer.h"
#include "diffusion/densities/dpmixture.h"
#include "run/checkpoint.h"
#include "run/state.h"

#define FORMAT_NAME "tstar-dpmixture"
#define RUN_OF_FIT  "run data sde"      /* what a fit depends on, of the run */
#define SECTIONS    RUN_OF_FIT " start" /* and of all */
#define LEAST_SHARE 1e-9                /* of a component that is kept */

enum {
    FULL_DIMENSIONS = 256, /* at most, for full covariances */
    LEAST_POINTS = 8192,   /* of what is drawn */
    ROWS = 1024
};

bool ts_dpmixture_is_of_T(const ts_run *run)
{
    return run->config->start.at == TS_FITTED_TO_T;
}

/* What the run's data get. */
static ts_covariance_kind covariance_of(const ts_run *run)
{
    const ts_covariance_kind kind = run->config->start.covariance;
    if (kind != TS_COVARIANCE_AUTO)
        return kind;
    return ts_data_dim(&run->dataset->train) <= FULL_DIMENSIONS ? TS_COVARIANCE_FULL : TS_COVARIANCE_FACTOR;
}

ts_status ts_dpmixture_check(const ts_run *run)
{
    const int d = ts_data_dim(&run->dataset->train);
    return d <= FULL_DIMENSIONS || covariance_of(run) != TS_COVARIANCE_FULL
               ? NULL
               : ts_error(TS_INVALID,
                          "a dpmixture start has full covariances for at most %d dimensions, and these data "
                          "have %d; start.covariance factor or diagonal takes any",
                          FULL_DIMENSIONS, d);
}

/* The file that serves T; "--T 0.4" or "" goes to `option`. */
static char *path_of(const ts_run *run, double T, char option[40])
{
    char T_text[32], name[80] = "dpmixture.safetensors";
    *option = 0;
    if (ts_dpmixture_is_of_T(run)) {
        ts_T_text(T, T_text);
        snprintf(name, sizeof name, "dpmixture_T%s.safetensors", T_text);
        snprintf(option, 40, " --T %s", T_text);
    }
    return ts_run_path(run, name);
}

/* ---- the points ---- */

/* x [rows,d] <- draws of x_T for the data x, `first` the number of their first. */
static ts_status diffuse(const ts_run *run, double T, int64_t first, int rows, float *x)
{
    ts_device *device = run->device;
    const ts_sde sde = ts_config_sde(run->config);
    const int d = ts_data_dim(&run->dataset->train);
    const size_t cells = (size_t)rows * (size_t)d, bytes = cells * sizeof(float);
    const ts_step_state host = {.seed = (uint64_t)run->config->run.seed, .step = (uint32_t)(first / ROWS)};
    ts_step_state *state = NULL;
    float *x0 = NULL, *xt = NULL, *z = NULL, *t = NULL;
    ts_status status;
    TS_GOTO(ts_buffer_state(device, &state), done);
    TS_GOTO(ts_buffer_floats(device, cells, &x0), done);
    TS_GOTO(ts_buffer_floats(device, cells, &xt), done);
    TS_GOTO(ts_buffer_floats(device, cells, &z), done);
    TS_GOTO(ts_buffer_fill(device, (size_t)rows, (float)T, &t), done);
    TS_GOTO(device->k->upload(device, state, &host, sizeof host), done);
    TS_GOTO(device->k->upload(device, x0, x, bytes), done);
    const ts_perturb a = {
        .n = rows, .d = d, .sde = sde, .state = state, .x0 = x0, .t = t, .xt = xt, .z = z, .wide = true};
    TS_GOTO(device->k->perturb(device, &a), done);
    status = device->k->download(device, x, xt, bytes);
done:
    device->k->release(device, state);
    device->k->release(device, x0);
    device->k->release(device, xt);
    device->k->release(device, z);
    device->k->release(device, t);
    return status;
}

/* How many points a fit is to: all examples; of what is drawn, of a mixture or of x_T, LEAST_POINTS at least. */
static int64_t count_of(const ts_run *run)
{
    const ts_data *data = &run->dataset->train;
    const bool drawn = data->mixture || ts_dpmixture_is_of_T(run);
    return drawn && data->count < LEAST_POINTS ? LEAST_POINTS : data->count;
}

static ts_status read_points(const ts_run *run, double T, int64_t n, double *points)
{
    const ts_data *data = &run->dataset->train;
    const size_t d = (size_t)ts_data_dim(data);
    float *x = malloc(sizeof *x * ROWS * d);
    ts_status status = x ? NULL : ts_error(TS_NO_MEMORY, "no memory for %d examples", ROWS);
    for (int64_t first = 0; !status && first < n; first += ROWS) {
        const int rows = n - first < ROWS ? (int)(n - first) : ROWS;
        /* of a mixture those behind the ones that a bound is of */
        status = ts_dataset_read(data, (uint64_t)run->config->run.seed,
                                 data->mixture ? data->count + first : first, rows, x);
        if (!status && ts_dpmixture_is_of_T(run))
            status = diffuse(run, T, first, rows, x);
        for (size_t i = 0; !status && i < (size_t)rows * d; i++)
            points[(size_t)first * d + i] = (double)x[i];
    }
    free(x);
    return status;
}

static ts_status fit_points(const ts_run *run, double T, ts_progress *progress, int64_t n,
                            ts_dpmixture *mixture)
{
    const ts_config *config = run->config;
    const int d = ts_data_dim(&run->dataset->train), components = config->start.components,
              factors = config->start.factors < d ? config->start.factors : d;
    const ts_dpmixture_config settings = {
        .components = components,
        .concentration = config->start.concentration > 0 ? config->start.concentration : 1.0 / components,
        .floor = config->start.floor,
        .diagonal = covariance_of(run) == TS_COVARIANCE_DIAGONAL,
        .factors = covariance_of(run) == TS_COVARIANCE_FACTOR ? factors : 0,
        .tolerance = config->start.tolerance,
        .iterations = config->start.iterations,
        .seed = (uint64_t)config->run.seed,
        .threads = run->device->threads > 0 ? run->device->threads : omp_get_max_threads(),
        .progress = progress};
    double *points = malloc(sizeof *points * (size_t)n * (size_t)d);
    if (!points)
        return ts_error(TS_NO_MEMORY,
                        "no memory for %lld points in %d dimensions (%.0f MB); data.limit takes fewer",
                        (long long)n, d, (double)n * d * sizeof(double) / 1e6);
    ts_status status = read_points(run, T, n, points);
    if (!status)
        status = ts_dpmixture_fit(points, n, d, &settings, mixture);
    free(points);
    return status;
}

/* ---- the file ---- */

static ts_status declare(const ts_run *run, double T, const ts_fit_result *result,
                         ts_safetensors_writer *writer)
{
    char *config, T_text[32];
    TS_TRY(ts_config_print(run->config, SECTIONS, &config));
    ts_safetensors_declare_metadata(writer, "format", FORMAT_NAME);
    ts_safetensors_declare_metadata(writer, "version", TSTAR_VERSION);
    ts_safetensors_declare_metadata(writer, "config", config);
    free(config);
    ts_T_text(T, T_text);
    if (ts_dpmixture_is_of_T(run))
        ts_safetensors_declare_metadata(writer, "T", T_text);
    ts_state_declare_data(writer, run->dataset);
    ts_state_declare_integer(writer, "steps", result->steps);
    ts_state_declare_real(writer, "loss", result->loss);
    ts_state_declare_real(writer, "seconds", result->seconds);
    return NULL;
}

static ts_status write_file(const ts_run *run, const char *path, double T, const ts_dpmixture *m, int kept,
                            const ts_fit_result *result)
{
    ts_safetensors_writer *writer;
    ts_status status;
    const size_t k = (size_t)kept, d = (size_t)m->d, rank = (size_t)m->rank;
    const bool full = covariance_of(run) == TS_COVARIANCE_FULL;
    TS_TRY(ts_safetensors_create(path, &writer));
    TS_GOTO(declare(run, T, result, writer), failed);
    ts_safetensors_declare(writer, "weights", TS_ST_F64, 1, (int64_t[]){kept});
    ts_safetensors_declare(writer, "means", TS_ST_F64, 2, (int64_t[]){kept, m->d});
    ts_safetensors_declare(writer, full ? "covariances" : "variances", TS_ST_F64, full ? 3 : 2,
                           (int64_t[]){kept, m->d, m->d});
    if (m->rank)
        ts_safetensors_declare(writer, "factors", TS_ST_F64, 3, (int64_t[]){kept, m->rank, m->d});
    ts_safetensors_declare(writer, "evidence_bound", TS_ST_F64, 1, (int64_t[]){m->iterations + 1});
    TS_GOTO(ts_safetensors_append(writer, m->weights, k * sizeof(double)), failed);
    TS_GOTO(ts_safetensors_append(writer, m->means, k * d * sizeof(double)), failed);
    TS_GOTO(ts_safetensors_append(writer, m->covariances, k * d * (full ? d : 1) * sizeof(double)), failed);
    if (m->rank)
        TS_GOTO(ts_safetensors_append(writer, m->factors, k * rank * d * sizeof(double)), failed);
    TS_GOTO(ts_safetensors_append(writer, m->bound, (size_t)(m->iterations + 1) * sizeof(double)), failed);
    return ts_safetensors_commit(writer);
failed:
    ts_safetensors_abandon(writer);
    return status;
}

static ts_status check_format(const ts_safetensors *file)
{
    const char *format = ts_safetensors_metadata(file, "format"),
               *config = ts_safetensors_metadata(file, "config");
    return format && config && !strcmp(format, FORMAT_NAME)
               ? NULL
               : ts_error(TS_FORMAT, "%s: not a fitted dpmixture", ts_safetensors_path(file));
}

/* The numbers of a finished fit that is what is asked for; one of other settings or data is TS_INVALID. */
static ts_status look_at(const ts_run *run, const ts_safetensors *file, const char *option,
                         ts_fit_result *result)
{
    const char *path = ts_safetensors_path(file), *other = ts_state_other_data(file, run->dataset);
    ts_config *config;
    ts_config_difference d;
    TS_TRY(check_format(file));
    TS_TRY(ts_config_parse(ts_safetensors_metadata(file, "config"), path, &config));
    ts_status status = ts_config_compare(config, run->config, TS_USE_RESULT, SECTIONS, &d);
    ts_config_free(config);
    TS_TRY(status);
    if (!d.key && other) {
        d.key = "the data's checksum";
        snprintf(d.a, sizeof d.a, "%s", other);
        ts_state_data_text(run->dataset, d.b);
    }
    if (d.key)
        return ts_error(
            TS_INVALID,
            "%s: is a finished fit with %s = %s, not %s, and would be replaced; tstar fit %s --start "
            "dpmixture%s --force does that",
            path, d.key, d.a, d.b, run->dir, option);
    *result = (ts_fit_result){.steps = llrint(fmax(0, ts_state_real(file, "steps"))),
                              .loss = ts_state_real(file, "loss"),
                              .seconds = fmax(0, ts_state_real(file, "seconds")),
                              .reused = true};
    return NULL;
}

static ts_status find_finished(const ts_run *run, const char *path, const char *option, bool replace,
                               ts_fit_result *result)
{
    ts_safetensors *file;
    ts_status status = ts_safetensors_open(path, &file);
    if (!status) {
        status = look_at(run, file, option, result);
        ts_safetensors_close(file);
    }
    return ts_fit_or_none(status, replace);
}

/* ---- fitting ---- */

static ts_status make(const ts_run *run, const char *path, double T, ts_progress *progress,
                      ts_fit_result *result)
{
    ts_dpmixture mixture;
    const int64_t n = count_of(run);
    const double began = ts_seconds();
    int kept = 0;
    TS_TRY(fit_points(run, T, progress, n, &mixture));
    result->steps = mixture.iterations;
    result->loss = -mixture.bound[mixture.iterations] / (double)n / mixture.d;
    result->seconds = ts_seconds() - began;
    for (int i = 0; i <= mixture.iterations; i++)
        mixture.bound[i] /= (double)n;
    while (kept < mixture.k && mixture.weights[kept] >= LEAST_SHARE) /* they descend */
        kept++;
    ts_status status = write_file(run, path, T, &mixture, kept, result);
    ts_dpmixture_release(&mixture);
    return status;
}

ts_status ts_dpmixture_fit_run(ts_run *run, double T, const ts_fit_options *options, ts_fit_result *result)
{
    ts_fit_result unused;
    char option[40];
    if (!result)
        result = &unused;
    *result = (ts_fit_result){0};
    TS_TRY(ts_dpmixture_check(run));
    if (isnan(T) && ts_dpmixture_is_of_T(run))
        return ts_error(TS_INVALID, "dpmixture: with start.at T it is fitted at each T; give one");
    if (!isnan(T) && !(T > run->config->train.eps && T <= 1))
        return ts_error(TS_INVALID, "T must lie in (%g, 1], above train.eps = %g, not %g",
                        run->config->train.eps, run->config->train.eps, T);
    if (!run->dir)
        return ts_error(TS_INVALID, "a fit needs a run directory to be stored in");
    TS_TRY(ts_checkpoint_check_data(run));
    char *path = path_of(run, T, option);
    ts_status status = path ? find_finished(run, path, option, options && options->replace, result)
                            : ts_error(TS_NO_MEMORY, "no memory for a path");
    if (!status && !result->reused)
        status = make(run, path, T, options ? options->progress : NULL, result);
    free(path);
    return ts_context(status, "dpmixture");
}

/* ---- opening ---- */

/* What a file has room for: of k components in d dimensions. */
typedef struct numbers {
    int64_t k, d, rank; /* 0: no factors */
    bool full;
    double *weights, *means, *factors, *spread; /* spread: variances [k,d] or covariances [k,d,d] */
} numbers;

static ts_status read_numbers(ts_safetensors *file, const numbers *m)
{
    const int64_t square[] = {m->k, m->d, m->d};
    TS_TRY(ts_safetensors_read(file, "weights", TS_ST_F64, 1, square, m->weights));
    TS_TRY(ts_safetensors_read(file, "means", TS_ST_F64, 2, square, m->means));
    if (m->rank)
        TS_TRY(
            ts_safetensors_read(file, "factors", TS_ST_F64, 3, (int64_t[]){m->k, m->rank, m->d}, m->factors));
    return m->full ? ts_safetensors_read(file, "covariances", TS_ST_F64, 3, square, m->spread)
                   : ts_safetensors_read(file, "variances", TS_ST_F64, 2, square, m->spread);
}

static ts_status make_mixture(const ts_run *run, const numbers *m, ts_mixture **mixture)
{
    const int k = (int)m->k, d = (int)m->d;
    if (m->rank)
        return ts_mixture_create_factors(run->device, k, d, (int)m->rank, m->weights, m->means, m->factors,
                                         m->spread, mixture);
    for (int64_t i = 0; !m->full && i < m->k * m->d; i++)
        m->spread[i] = sqrt(m->spread[i]);
    return ts_mixture_create(run->device, k, d, m->weights, m->means, m->full ? NULL : m->spread,
                             m->full ? m->spread : NULL, mixture);
}

/* Which kind of covariances a file has, it says itself. */
static ts_status read_mixture(const ts_run *run, ts_safetensors *file, ts_mixture **mixture)
{
    const int weights = ts_safetensors_find(file, "weights"), factors = ts_safetensors_find(file, "factors");
    numbers m = {.k = weights < 0 ? 0 : ts_safetensors_at(file, weights)->count,
                 .d = ts_data_dim(&run->dataset->train),
                 .full = ts_safetensors_find(file, "variances") < 0};
    if (m.k < 1 || m.k > 65536)
        return ts_error(TS_FORMAT, "%s: it has no weights of 1 to 65536 components",
                        ts_safetensors_path(file));
    if (factors >= 0)
        m.rank = ts_safetensors_at(file, factors)->count / m.k / m.d;
    if (factors >= 0 && (m.rank < 1 || m.rank > TS_MIXTURE_FACTORS || m.full))
        return ts_error(TS_FORMAT,
                        "%s: its factors must be 1 to %d for each of %lld components, beside variances",
                        ts_safetensors_path(file), TS_MIXTURE_FACTORS, (long long)m.k);
    const size_t cells = (size_t)(m.k * m.d);
    m.weights = malloc(sizeof(double) * (size_t)m.k);
    m.means = malloc(sizeof(double) * cells);
    m.factors = malloc(sizeof(double) * cells * (size_t)m.rank + 1);
    m.spread = malloc(sizeof(double) * cells * (size_t)(m.full ? m.d : 1));
    ts_status status = m.weights && m.means && m.factors && m.spread
                           ? read_numbers(file, &m)
                           : ts_error(TS_NO_MEMORY, "no memory for %lld components", (long long)m.k);
    if (!status)
        status = ts_context(make_mixture(run, &m, mixture), "%s", ts_safetensors_path(file));
    free(m.weights);
    free(m.means);
    free(m.factors);
    free(m.spread);
    return status;
}

static ts_status check_own(const ts_run *run, const ts_safetensors *file, double T)
{
    char T_text[32];
    const char *stored = ts_safetensors_metadata(file, "T"), *other = ts_state_other_data(file, run->dataset);
    ts_T_text(T, T_text);
    TS_TRY(check_format(file));
    if (ts_dpmixture_is_of_T(run) != !!stored || (stored && strcmp(stored, T_text)))
        return ts_error(TS_FORMAT, "%s: not what is fitted %s%s", ts_safetensors_path(file),
                        ts_dpmixture_is_of_T(run) ? "at T = " : "to the data",
                        ts_dpmixture_is_of_T(run) ? T_text : "");
    if (other)
        return ts_error(TS_INVALID, "%s: is of other data (checksum %s) than this run now has",
                        ts_safetensors_path(file), other);
    return ts_checkpoint_same_config(run, file, RUN_OF_FIT);
}

ts_status ts_dpmixture_open(ts_run *run, double T, int n, ts_mixture **mixture, ts_density **density)
{
    /* of one T it is not carried anywhere: a process at rest, but for a variance of 1e-12, by which it has a score */
    static const ts_sde at_rest = {.kind = TS_SDE_VP, .beta_min = 0, .beta_max = 1};
    static const double rested = 1.4142e-6;
    const ts_sde sde = ts_config_sde(run->config);
    char option[40];
    ts_safetensors *file = NULL;
    *mixture = NULL;
    *density = NULL;
    TS_TRY(ts_dpmixture_check(run));
    if (!run->dir)
        return ts_error(TS_INVALID,
                        "a dpmixture is fitted in a run directory (tstar fit RUN --start dpmixture); "
                        "this is none");
    char *path = path_of(run, T, option);
    ts_status status = NULL;
    if (!path)
        status = ts_error(TS_NO_MEMORY, "no memory for a path");
    else if (access(path, F_OK))
        status = ts_error(TS_NOT_FOUND, "%s: no dpmixture is fitted yet: tstar fit %s --start dpmixture%s",
                          path, run->dir, option);
    else
        status = ts_safetensors_open(path, &file);
    free(path);
    if (!status)
        status = check_own(run, file, T);
    if (!status)
        status = read_mixture(run, file, mixture);
    if (file)
        ts_safetensors_close(file);
    if (!status && ts_dpmixture_is_of_T(run))
        status = ts_density_mixture(*mixture, &at_rest, rested, n, density);
    else if (!status)
        status = ts_density_mixture(*mixture, &sde, T, n, density);
    if (!status) {
        (*density)->name = "dpmixture";
        return NULL;
    }
    ts_mixture_destroy(*mixture);
    *mixture = NULL;
    return status;
}
