#include "quality/compare/source.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/npy.h"
#include "base/safetensors.h"
#include "data/images.h"

enum { MOST_FEATURES = 1 << 15 };

static ts_status no_memory(const char *name)
{
    return ts_error(TS_NO_MEMORY, "%s: no memory for its data", name);
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

/* ---- pictures ---- */

static ts_status read_pictures(const char *path, const ts_source_options *o, ts_source *s)
{
    const ts_images_options options = {
        .threads = o->threads, .progress = o->progress, .warn = o->warn, .context = o->context};
    ts_image_set set = {0};
    ts_status status = ts_images_read(path, &options, &set);
    if (!status) {
        s->n = set.count;
        s->h = set.h;
        s->w = set.w;
        s->c = set.c;
        s->bytes = set.bytes;
        set.bytes = NULL;
    }
    ts_image_set_release(&set);
    return status;
}

/* ---- moments ---- */

static ts_status take_doubles(const char *path, const char *name, ts_npy *array, double **values)
{
    const int64_t count = ts_npy_count(array);
    const double *doubles = array->values;
    const float *floats = array->values;
    *values = malloc(sizeof **values * (size_t)count);
    if (!*values)
        return no_memory(path);
    for (int64_t i = 0; i < count; i++) {
        (*values)[i] = array->type == TS_NPY_F64 ? doubles[i] : (double)floats[i];
        if (!isfinite((*values)[i]))
            return ts_error(TS_FORMAT, "%s: %s holds a number that is not finite", path, name);
    }
    return NULL;
}

static ts_status check_moments(const char *path, const ts_npy *mu, const ts_npy *sigma, int *features)
{
    char texts[2][256];
    const int64_t d = mu->rank == 1 ? mu->shape[0] : 0;
    const bool numbers = (mu->type == TS_NPY_F32 || mu->type == TS_NPY_F64) &&
                         (sigma->type == TS_NPY_F32 || sigma->type == TS_NPY_F64);
    ts_npy_text(mu, texts[0]);
    ts_npy_text(sigma, texts[1]);
    if (!numbers || d < 1 || d > MOST_FEATURES || sigma->rank != 2 || sigma->shape[0] != d ||
        sigma->shape[1] != d)
        return ts_error(
            TS_FORMAT, "%s: mu is %s and sigma %s; should be f8 [d] and f8 [d,d], as pytorch-fid writes them",
            path, texts[0], texts[1]);
    *features = (int)d;
    return NULL;
}

static ts_status check_symmetric(const char *path, int d, const double *m)
{
    for (int i = 0; i < d; i++)
        for (int j = 0; j < i; j++)
            if (fabs(m[(size_t)i * d + j] - m[(size_t)j * d + i]) >
                1e-4 * (fabs(m[(size_t)i * d + i]) + fabs(m[(size_t)j * d + j])))
                return ts_error(TS_FORMAT, "%s: sigma is not symmetric, which a covariance is", path);
    return NULL;
}

/* *found: whether the file has a mean; of others it holds pictures. */
static ts_status read_moments(const char *path, ts_source *s, bool *found)
{
    ts_npy mu = {0}, sigma = {0};
    ts_status status = ts_npz_load(path, "mu", &mu);
    *found = !status;
    if (ts_status_code(status) == TS_NOT_FOUND) {
        ts_status_free(status);
        status = NULL;
    }
    if (!status && *found)
        status = ts_npz_load(path, "sigma", &sigma);
    if (!status && *found)
        status = check_moments(path, &mu, &sigma, &s->features);
    if (!status && *found)
        status = take_doubles(path, "mu", &mu, &s->mean);
    if (!status && *found)
        status = take_doubles(path, "sigma", &sigma, &s->covariance);
    if (!status && *found)
        status = check_symmetric(path, s->features, s->covariance);
    ts_npy_release(&sigma);
    ts_npy_release(&mu);
    return status;
}

/* ---- samples ---- */

/* The samples of a file: of `tstar sample` "samples", of a sweep "x". */
static ts_status read_samples(const char *path, ts_source *s)
{
    static const char *const names[] = {"samples", "x"};
    ts_safetensors *file;
    const ts_safetensors_info *info = NULL;
    TS_TRY(ts_safetensors_open(path, &file));
    for (size_t i = 0; i < sizeof names / sizeof *names && !info; i++) {
        const int index = ts_safetensors_find(file, names[i]);
        info = index < 0 ? NULL : ts_safetensors_at(file, index);
    }
    ts_status status = NULL;
    bool fits = info && info->type == TS_ST_F32 && info->rank == 4 && info->count > 0;
    for (int k = 1; fits && k < 4; k++)
        fits = info->shape[k] <= INT32_MAX;
    if (!fits || info->count / info->shape[0] > INT32_MAX)
        status =
            ts_error(TS_FORMAT, "%s: has no samples: a float32 tensor \"samples\" or \"x\" [n,h,w,c]", path);
    if (!status) {
        s->n = info->shape[0];
        s->h = (int)info->shape[1];
        s->w = (int)info->shape[2];
        s->c = (int)info->shape[3];
        s->points = malloc(info->bytes);
        status = s->points ? ts_safetensors_read(file, info->name, TS_ST_F32, 4, info->shape, s->points)
                           : no_memory(path);
    }
    for (int64_t i = 0; !status && i < info->count; i++)
        if (!isfinite(s->points[i]))
            status = ts_error(TS_FORMAT, "%s: holds a number that is not finite", path);
    ts_safetensors_close(file);
    return status;
}

/* How many sets of samples lie in a folder, in files NAME.safetensors but data.safetensors, NAME beginning with `start`;
 * `found` gets the path of the last in order of bytes. */
static int list_samples(const char *folder, const char *start, char found[PATH_MAX])
{
    struct dirent **entries;
    int samples = 0;
    const int count = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        if (!strncmp(name, start, strlen(start)) && ends_with(name, ".safetensors") &&
            strcmp(name, "data.safetensors") != 0 &&
            snprintf(found, PATH_MAX, "%s/%s", folder, name) < PATH_MAX)
            samples++;
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return samples;
}

/* Those of a sweep, in their folder, and those that `tstar sample` put beside the run. */
static ts_status read_run(const char *path, ts_source *s)
{
    char folder[PATH_MAX], found[PATH_MAX];
    if (snprintf(folder, sizeof folder, "%s/samples", path) >= PATH_MAX)
        return ts_error(TS_INVALID, "%s: the path is too long", path);
    const int samples = list_samples(folder, "", found) + list_samples(path, "samples_", found);
    if (samples == 1)
        return read_samples(found, s);
    if (!samples)
        return ts_error(
            TS_NOT_FOUND,
            "%s: the run holds no samples; a sweep, or tstar sample %s --out FILE.safetensors, draws some",
            path, path);
    return ts_error(TS_INVALID, "%s: the run holds %d sets of samples; name one, such as %s", path, samples,
                    found);
}

/* ---- data sets ---- */

static ts_status read_dataset(const char *path, const ts_source_options *o, ts_source *s)
{
    const ts_run_options options = {.borrowed_device = o->device, .without_model = true};
    ts_config *config;
    ts_run *run;
    TS_TRY(ts_config_load(path, o->overrides, o->override_count, &config));
    const uint64_t seed = (uint64_t)config->run.seed;
    TS_TRY(ts_run_create(NULL, config, false, &options, &run));
    const ts_data *test = &run->dataset->test, *train = &run->dataset->train;
    const size_t d = (size_t)ts_data_dim(test);
    ts_status status = NULL;
    s->n = test->count;
    s->train_count = train->count;
    s->h = test->h;
    s->w = test->w;
    s->c = test->c;
    s->points = malloc(sizeof *s->points * (size_t)s->n * d);
    s->train = malloc(sizeof *s->train * (size_t)s->train_count * d);
    if (!s->points || !s->train)
        status = no_memory(path);
    if (!status)
        status = ts_dataset_read(test, seed, 0, s->n, s->points);
    if (!status) /* of a mixture, other draws */
        status = ts_dataset_read(train, seed ^ 0x7261696E00000000u, 0, s->train_count, s->train);
    ts_run_close(run);
    return status;
}

/* ---- all of them ---- */

static ts_status read_any(const char *path, const ts_source_options *o, ts_source *s)
{
    struct stat info;
    if (stat(path, &info))
        return ts_error(TS_NOT_FOUND, "%s: %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode))
        return ts_run_exists(path) ? read_run(path, s) : read_pictures(path, o, s);
    if (ends_with(path, ".safetensors"))
        return read_samples(path, s);
    if (ends_with(path, ".npz")) {
        bool found;
        TS_TRY(read_moments(path, s, &found));
        if (found)
            return NULL;
    }
    if (ends_with(path, ".npy") || ends_with(path, ".npz"))
        return read_pictures(path, o, s);
    return read_dataset(path, o, s);
}

ts_status ts_source_open(const char *path, const ts_source_options *options, ts_source *source)
{
    *source = (ts_source){0};
    snprintf(source->name, sizeof source->name, "%s", path);
    ts_status status = read_any(path, options, source);
    if (!status && !source->mean && source->n < 2)
        status = ts_error(TS_INVALID, "%s: holds %lld image; at least two are needed to say how far they are",
                          path, (long long)source->n);
    if (status)
        ts_source_release(source);
    return status;
}

void ts_source_release(ts_source *source)
{
    free(source->bytes);
    free(source->points);
    free(source->mean);
    free(source->covariance);
    free(source->train);
    *source = (ts_source){0};
}

void ts_source_to_bytes(const float *points, int64_t count, uint8_t *bytes)
{
    for (int64_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)lrintf(fminf(fmaxf((points[i] + 1) * 127.5f, 0), 255));
}

static size_t values_of(const ts_source *s)
{
    return (size_t)s->n * (size_t)s->h * (size_t)s->w * (size_t)s->c;
}

ts_status ts_source_points(ts_source *s, const float **points)
{
    const size_t count = values_of(s);
    if (!s->points) {
        s->points = malloc(sizeof *s->points * count);
        if (!s->points)
            return no_memory(s->name);
        for (size_t i = 0; i < count; i++)
            s->points[i] = (float)s->bytes[i] / 127.5f - 1;
    }
    *points = s->points;
    return NULL;
}

ts_status ts_source_bytes(ts_source *s, const uint8_t **bytes)
{
    const size_t count = values_of(s);
    if (!s->bytes) {
        s->bytes = malloc(count);
        if (!s->bytes)
            return no_memory(s->name);
        ts_source_to_bytes(s->points, (int64_t)count, s->bytes);
    }
    *bytes = s->bytes;
    return NULL;
}
