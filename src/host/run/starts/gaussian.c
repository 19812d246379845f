#include "run/starts/gaussian.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "run/checkpoint.h"
#include "run/state.h"

#define FILE_NAME   "gaussian.safetensors"
#define FORMAT_NAME "tstar-gaussian"

enum { ROWS = 256 }; /* of data at a time */

/* ---- moments ---- */

/* Both zero before. */
typedef struct moments {
    int d;
    double *mean, *covariance; /* [d], [d,d]: its lower triangle */
} moments;

static void mixture_moments(const ts_config *config, moments *m)
{
    const ts_reals *weights = &config->data.mixture.weights;
    const double *means = config->data.mixture.means.v, *stds = config->data.mixture.stds.v,
                 *covariances = config->data.mixture.covariances.v;
    const bool diagonal = config->data.mixture.stds.rows > 0;
    const size_t d = (size_t)m->d;
    double total = 0;
    for (int k = 0; k < weights->count; k++)
        total += weights->v[k];
    for (size_t k = 0; k < (size_t)weights->count; k++)
        for (size_t i = 0; i < d; i++)
            m->mean[i] += weights->v[k] / total * means[k * d + i];
    for (size_t k = 0; k < (size_t)weights->count; k++)
        for (size_t i = 0; i < d; i++)
            for (size_t j = 0; j <= i; j++) {
                const double between = (means[k * d + i] - m->mean[i]) * (means[k * d + j] - m->mean[j]);
                const double within = !diagonal ? covariances[(k * d + i) * d + j]
                                      : i == j  ? stds[k * d + i] * stds[k * d + i]
                                                : 0;
                m->covariance[i * d + j] += weights->v[k] / total * (between + within);
            }
}

static void add_to_mean(moments *m, const float *x, int64_t rows, int64_t count)
{
    for (int64_t r = 0; r < rows; r++)
        for (int i = 0; i < m->d; i++)
            m->mean[i] += (double)x[r * m->d + i] / (double)count;
}

/* x less the mean goes to `centred`. */
static void add_to_covariance(moments *m, const float *x, int64_t rows, int64_t count, double *centred)
{
    for (int64_t r = 0; r < rows; r++)
        for (int i = 0; i < m->d; i++)
            centred[r * m->d + i] = (double)x[r * m->d + i] - m->mean[i];
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, m->d, (int)rows, 1 / (double)count, centred, m->d, 1,
                m->covariance, m->d);
}

/* In two passes over the images, for the covariance is of what the mean leaves. */
static ts_status image_moments(const ts_data *data, ts_progress *progress, moments *m)
{
    const int64_t rows = data->count < ROWS ? data->count : ROWS;
    const size_t cells = (size_t)rows * (size_t)m->d;
    float *x = malloc(cells * sizeof *x);
    double *centred = malloc(cells * sizeof *centred);
    ts_status status =
        x && centred ? NULL : ts_error(TS_NO_MEMORY, "no memory for %lld images", (long long)rows);
    openblas_set_num_threads(
        1); /* as the CPU device has it: the sums are not to depend on how many there are */
    for (int64_t done = 0; !status && done < 2 * data->count;) {
        const int64_t first = done % data->count, left = data->count - first, n = left < rows ? left : rows;
        status = ts_dataset_read(data, 0, first, n, x);
        if (!status && done < data->count)
            add_to_mean(m, x, n, data->count);
        else if (!status)
            add_to_covariance(m, x, n, data->count, centred);
        done += n;
        ts_progress_report(progress, "fit gaussian", (double)done / 2, (double)data->count, "images", NULL);
        if (!status && ts_progress_stopped(progress))
            status = ts_error(TS_INTERRUPTED, "interrupted");
    }
    free(x);
    free(centred);
    return status;
}

static ts_status make(const ts_run *run, int rank, ts_progress *progress, ts_data_gaussian **gaussian)
{
    const ts_data *data = &run->dataset->train;
    moments m = {.d = ts_data_dim(data)};
    const size_t d = (size_t)m.d;
    ts_status status = NULL;
    m.mean = calloc(d, sizeof *m.mean);
    m.covariance = calloc(d * d, sizeof *m.covariance);
    if (!m.mean || !m.covariance)
        status = ts_error(TS_NO_MEMORY, "no memory for the covariance of %zu dimensions", d);
    else if (data->mixture)
        mixture_moments(run->config, &m);
    else
        status = image_moments(data, progress, &m);
    if (!status)
        status = ts_data_gaussian_of_moments(m.d, rank, m.mean, m.covariance, gaussian);
    free(m.mean);
    free(m.covariance);
    return status;
}

/* ---- its file ---- */

/* The tensors in the order of the file. */
enum { MEAN, EIGENVALUES, REST, EIGENVECTORS, TENSORS };

typedef struct tensor {
    char name[48];
    int rank;
    int64_t shape[2];
    double *values;
    size_t count;
} tensor;

static void tensors_of(const ts_data_gaussian *g, const char *prefix, tensor tensors[TENSORS])
{
    const size_t d = (size_t)g->d, rank = (size_t)g->rank;
    tensors[MEAN] = (tensor){"mean", 1, {g->d}, g->mean, d};
    tensors[EIGENVALUES] = (tensor){"eigenvalues", 1, {g->rank}, g->values, rank};
    tensors[REST] = (tensor){"rest", 0, {0}, (double *)&g->rest, 1};
    tensors[EIGENVECTORS] = (tensor){"eigenvectors", 2, {g->rank, g->d}, g->vectors, rank * d};
    for (int i = 0; i < TENSORS; i++) {
        char name[16];
        memcpy(name, tensors[i].name, sizeof name);
        snprintf(tensors[i].name, sizeof tensors[i].name, "%s%s", prefix, name);
    }
}

void ts_gaussian_declare(ts_safetensors_writer *writer, const char *prefix, const ts_data_gaussian *gaussian)
{
    tensor t[TENSORS];
    tensors_of(gaussian, prefix, t);
    for (int i = 0; i < TENSORS; i++)
        ts_safetensors_declare(writer, t[i].name, TS_ST_F64, t[i].rank, t[i].shape);
}

ts_status ts_gaussian_append(ts_safetensors_writer *writer, const ts_data_gaussian *gaussian)
{
    tensor t[TENSORS];
    tensors_of(gaussian, "", t);
    for (int i = 0; i < TENSORS; i++)
        TS_TRY(ts_safetensors_append(writer, t[i].values, t[i].count * sizeof(double)));
    return NULL;
}

static ts_status write_file(const ts_run *run, const char *path, const ts_data_gaussian *g, double seconds)
{
    ts_safetensors_writer *writer;
    TS_TRY(ts_safetensors_create(path, &writer));
    ts_safetensors_declare_metadata(writer, "format", FORMAT_NAME);
    ts_safetensors_declare_metadata(writer, "version", TSTAR_VERSION);
    ts_state_declare_data(writer, run->dataset);
    ts_state_declare_real(writer, "seconds", seconds);
    ts_gaussian_declare(writer, "", g);
    ts_status status = ts_gaussian_append(writer, g);
    if (!status)
        return ts_safetensors_commit(writer);
    ts_safetensors_abandon(writer);
    return status;
}

/* What no covariance has would end in a density that is none. */
static bool is_covariance(const ts_data_gaussian *g)
{
    bool is = g->rest >= 0 && isfinite(g->rest);
    for (int i = 0; i < g->d; i++)
        is = is && isfinite(g->mean[i]);
    for (size_t i = 0; is && i < (size_t)g->rank; i++) {
        double square = 0;
        for (size_t j = 0; j < (size_t)g->d; j++)
            square += g->vectors[i * (size_t)g->d + j] * g->vectors[i * (size_t)g->d + j];
        is = fabs(square - 1) < 1e-9 && g->values[i] >= 0 && isfinite(g->values[i]);
    }
    return is;
}

static ts_status read_numbers(ts_safetensors *file, const char *prefix, const ts_data_gaussian *g)
{
    tensor t[TENSORS];
    tensors_of(g, prefix, t);
    for (int i = 0; i < TENSORS; i++)
        TS_TRY(ts_safetensors_read(file, t[i].name, TS_ST_F64, t[i].rank, t[i].shape, t[i].values));
    return is_covariance(g) ? NULL
                            : ts_error(TS_FORMAT, "%s: its eigenvalues and eigenvectors are of no covariance",
                                       ts_safetensors_path(file));
}

ts_status ts_gaussian_read(ts_safetensors *file, const char *prefix, int d, int rank,
                           ts_data_gaussian **gaussian)
{
    TS_TRY(ts_data_gaussian_create(d, rank, gaussian));
    ts_status status = read_numbers(file, prefix, *gaussian);
    if (status) {
        ts_data_gaussian_destroy(*gaussian);
        *gaussian = NULL;
    }
    return status;
}

/* What a file holds. */
typedef struct stored {
    ts_data_gaussian *gaussian; /* NULL: there is none, or one of another rank */
    double seconds;
} stored;

static ts_status look_at(const ts_run *run, int rank, ts_safetensors *file, stored *s)
{
    const int d = ts_data_dim(&run->dataset->train);
    const char *format = ts_safetensors_metadata(file, "format"), *path = ts_safetensors_path(file),
               *other = ts_state_other_data(file, run->dataset);
    const int index = ts_safetensors_find(file, "eigenvalues");
    char own[17];
    ts_state_data_text(run->dataset, own);
    if (!format || strcmp(format, FORMAT_NAME))
        return ts_error(TS_FORMAT, "%s: not the gaussian of a run's data", path);
    if (other)
        return ts_error(TS_INVALID,
                        "%s: is of other data (checksum %s) than this run now has (%s); tstar fit %s --start "
                        "gaussian makes it anew",
                        path, other, own, run->dir);
    if (index >= 0 && ts_safetensors_at(file, index)->count != rank)
        return NULL;
    s->seconds = fmax(0, ts_state_real(file, "seconds"));
    return ts_gaussian_read(file, "", d, rank, &s->gaussian);
}

/* One of as many eigenvectors as start.rank asks for. */
static int rank_of(const ts_run *run)
{
    const int d = ts_data_dim(&run->dataset->train), wanted = run->config->start.rank;
    return wanted < d ? wanted : d;
}

static ts_status read_file(const ts_run *run, int rank, const char *path, stored *s)
{
    ts_safetensors *file;
    *s = (stored){0};
    ts_status status = ts_safetensors_open(path, &file);
    if (ts_status_code(status) == TS_NOT_FOUND) {
        ts_status_free(status);
        return NULL;
    }
    TS_TRY(status);
    status = look_at(run, rank, file, s);
    ts_safetensors_close(file);
    return status;
}

/* ---- fitting ---- */

static ts_status fit(ts_run *run, const char *path, const ts_fit_options *options, stored *s,
                     ts_fit_result *result)
{
    TS_TRY(ts_checkpoint_check_data(run));
    TS_TRY(ts_fit_or_none(read_file(run, rank_of(run), path, s), true));
    result->reused = s->gaussian;
    if (result->reused)
        return NULL;
    const double began = ts_seconds();
    TS_TRY(make(run, rank_of(run), options ? options->progress : NULL, &s->gaussian));
    s->seconds = ts_seconds() - began;
    return write_file(run, path, s->gaussian, s->seconds);
}

/* The process as the start at T needs it. */
static double mean_at(const ts_run *run, double T)
{
    const ts_sde sde = ts_config_sde(run->config);
    return ts_sde_mean(&sde, T);
}

static double std_at(const ts_run *run, double T)
{
    const ts_sde sde = ts_config_sde(run->config);
    return ts_sde_std(&sde, T);
}

ts_status ts_gaussian_fit(ts_run *run, double T, const ts_fit_options *options, ts_fit_result *result)
{
    ts_fit_result unused;
    stored s = {0};
    if (!result)
        result = &unused;
    *result = (ts_fit_result){.loss = NAN};
    if (!run->dir)
        return ts_error(TS_INVALID, "a fit needs a run directory to be stored in");
    if (!(isnan(T) || (T > 0 && T <= 1)))
        return ts_error(TS_INVALID, "T must lie in (0, 1], not %g", T);
    char *path = ts_run_path(run, FILE_NAME);
    ts_status status =
        path ? fit(run, path, options, &s, result) : ts_error(TS_NO_MEMORY, "no memory for a path");
    free(path);
    if (!status) {
        result->seconds = s.seconds;
        result->loss = ts_data_gaussian_entropy(s.gaussian, mean_at(run, T), std_at(run, T)) / s.gaussian->d;
    }
    ts_data_gaussian_destroy(s.gaussian);
    return ts_context(status, "gaussian");
}

/* ---- opening ---- */

ts_status ts_gaussian_whole(const ts_run *run, ts_data_gaussian **gaussian)
{
    const int d = ts_data_dim(&run->dataset->train);
    stored s = {0};
    char *path = ts_run_path(run, FILE_NAME);
    if (!path)
        return ts_error(TS_NO_MEMORY, "no memory for a path");
    ts_status status = ts_fit_or_none(read_file(run, d, path, &s), true);
    free(path);
    *gaussian = s.gaussian;
    return status || s.gaussian ? status : make(run, d, NULL, gaussian);
}

/* Whether what is made of the run as it is opened may stand in its folder. */
static ts_status may_store(const ts_run *run, bool *may)
{
    ts_config_difference d;
    TS_TRY(ts_config_compare(run->stored, run->config, TS_USE_RESULT, "data start", &d));
    *may = !d.key;
    return NULL;
}

static ts_status find_or_make(ts_run *run, const char *path, stored *s)
{
    bool may = false;
    TS_TRY(read_file(run, rank_of(run), path, s));
    if (s->gaussian)
        return NULL;
    const double began = ts_seconds();
    TS_TRY(make(run, rank_of(run), NULL, &s->gaussian));
    TS_TRY(may_store(run, &may));
    ts_status status = may ? write_file(run, path, s->gaussian, ts_seconds() - began) : NULL;
    ts_status_free(status); /* what cannot be kept, in a folder that is only read say, is made again */
    return NULL;
}

ts_status ts_gaussian_open(ts_run *run, double T, int n, ts_density **density)
{
    stored s = {0};
    ts_status status;
    *density = NULL;
    if (run->dir) {
        char *path = ts_run_path(run, FILE_NAME);
        status = path ? find_or_make(run, path, &s) : ts_error(TS_NO_MEMORY, "no memory for a path");
        free(path);
    } else
        status = make(run, rank_of(run), NULL, &s.gaussian);
    if (!status)
        status = ts_density_gaussian(run->device, s.gaussian, mean_at(run, T), std_at(run, T), n, density);
    ts_data_gaussian_destroy(s.gaussian);
    return ts_context(status, "gaussian");
}
