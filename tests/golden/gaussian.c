/*
 * A golden Gaussian start: moments of images, and in closed form at several T the expected log-density given a datum
 * and the bound's prior term, of the Gaussian and of N(0, I) (VE: N(0, sigma(T)^2 I)).  Files without images of their own are about the
 * digits that the program holds.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "config/config.h"
#include "diffusion/bound.h"
#include "diffusion/densities/gaussian.h"
#include "golden.h"

typedef struct images {
    int count, d;
    double *x; /* [count,d] in [-1,1] */
} images;

static images images_of(const uint8_t *bytes, int count, int d)
{
    images all = {count, d, golden_allocate((size_t)count * d, sizeof(double))};
    for (int64_t i = 0; i < (int64_t)count * d; i++)
        all.x[i] = bytes[i] / 255.0 * 2 - 1;
    return all;
}

static images stored_images(golden *g, const char *name)
{
    const ts_safetensors_info *info = ts_safetensors_at(g->file, ts_safetensors_find(g->file, name));
    if (info->rank != 2 || info->count < 1 || info->count > 1 << 24)
        golden_must(ts_error(TS_FORMAT, "%s must be [n,d]", name));
    uint8_t *bytes = golden_allocate((size_t)info->count, 1);
    golden_must(ts_safetensors_read(g->file, name, TS_ST_U8, 2, info->shape, bytes));
    const images all = images_of(bytes, (int)info->shape[0], (int)info->shape[1]);
    free(bytes);
    return all;
}

/* All digits of a file of the program, or the first `most`. */
static images digits(const char *name, int most)
{
    char path[512], *content;
    size_t bytes;
    snprintf(path, sizeof path, SOURCE_DIR "/src/host/data/digits/%s-images-idx3-ubyte", name);
    golden_must(ts_file_read(path, 1 << 24, &content, &bytes));
    const int count = (int)((bytes - 16) / 64);
    const images all = images_of((const uint8_t *)content + 16, count < most ? count : most, 64);
    free(content);
    return all;
}

static void moments_of(const images *train, double *mean, double *covariance)
{
    const int d = train->d;
    for (int r = 0; r < train->count; r++)
        for (int i = 0; i < d; i++)
            mean[i] += train->x[(int64_t)r * d + i] / train->count;
    for (int r = 0; r < train->count; r++)
        for (int i = 0; i < d; i++)
            for (int j = 0; j < d; j++)
                covariance[i * d + j] += (train->x[(int64_t)r * d + i] - mean[i]) *
                                         (train->x[(int64_t)r * d + j] - mean[j]) / train->count;
}

/* What the file says of the moments, against the Gaussian's numbers. */
static void check_gaussian(golden *g, const ts_data_gaussian *gaussian)
{
    const int d = gaussian->d;
    double *covariance = golden_allocate((size_t)d * d, sizeof *covariance),
           *diagonal = golden_allocate((size_t)d, sizeof *diagonal);
    for (int k = 0; k < d; k++)
        for (int i = 0; i < d; i++)
            for (int j = 0; j < d; j++)
                covariance[i * d + j] +=
                    gaussian->values[k] * gaussian->vectors[k * d + i] * gaussian->vectors[k * d + j];
    for (int i = 0; i < d; i++)
        diagonal[i] = covariance[i * d + i];
    golden_check_absolute(g, "mean", gaussian->mean, d, 1e-12);
    golden_check_absolute(g, "covariance_eigenvalues", gaussian->values, d, 1e-12);
    if (golden_has(g, "covariance"))
        golden_check_absolute(g, "covariance", covariance, (int64_t)d * d, 1e-12);
    else {
        golden_check_absolute(g, "covariance_diagonal", diagonal, d, 1e-12);
        golden_check_absolute(g, "covariance_row27", covariance + (int64_t)27 * d, d, 1e-12);
    }
    free(covariance);
    free(diagonal);
}

/* E log nu(x_T) and the prior term of every image into their places. */
static void evaluate(const golden *g, const ts_sde *sde, double T, const ts_data *data, ts_density *density,
                     double *expected, double *prior)
{
    ts_device *device = g->device;
    const int n = density->n;
    const ts_bound_config config = {
        .sde = *sde, .eps = 1e-5, .T_count = 1, .T = &T, .draws = 1, .prior_draws = 1, .count = n};
    double constant;
    void *values;
    golden_must(device->k->allocate(device, (size_t)n * sizeof(double), &values));
    golden_must(density->expected_log_prob(density, ts_sde_mean(sde, T), ts_sde_std(sde, T), data->floats,
                                           values, &constant));
    golden_must(device->k->download(device, expected, values, (size_t)n * sizeof(double)));
    for (int i = 0; i < n; i++)
        expected[i] += constant;
    golden_must(ts_bound_prior(&config, data, T, density, prior, NULL));
    device->k->release(device, values);
    ts_density_destroy(density);
}

static ts_data upload_images(const golden *g, const images *test)
{
    const int64_t count = (int64_t)test->count * test->d;
    const size_t bytes = (size_t)count * sizeof(float);
    float *host = golden_allocate((size_t)count, sizeof *host);
    void *floats;
    for (int64_t i = 0; i < count; i++)
        host[i] = (float)test->x[i];
    golden_must(g->device->k->allocate(g->device, bytes, &floats));
    golden_must(g->device->k->upload(g->device, floats, host, bytes));
    free(host);
    return (ts_data){
        .device = g->device, .h = 1, .w = 1, .c = test->d, .count = test->count, .floats = floats};
}

static ts_sde sde_of(const golden *g)
{
    const char *word = golden_string(g, "sde");
    const int kind = word ? ts_words_find(&ts_sde_kind_words, word, strlen(word)) : -1;
    if (kind < 0)
        golden_must(ts_error(TS_UNSUPPORTED, "metadata sde is '%s'", word ? word : "(none)"));
    if (kind == TS_SDE_VE)
        return (ts_sde){.kind = TS_SDE_VE,
                        .sigma_min = golden_number(g, "sigma_min"),
                        .sigma_max = golden_number(g, "sigma_max")};
    return (ts_sde){.kind = (ts_sde_kind)kind,
                    .beta_min = golden_number(g, "beta_min"),
                    .beta_max = golden_number(g, "beta_max")};
}

static void check_times(golden *g, const ts_data_gaussian *gaussian, const images *test)
{
    const ts_sde sde = sde_of(g);
    double *T;
    const int times = (int)golden_read(g, "T", &T, NULL), n = test->count;
    const size_t cells = (size_t)times * n;
    double *results[4], *mean = golden_allocate((size_t)times, sizeof *mean),
                        *a = golden_allocate((size_t)times, sizeof *a),
                        *s2 = golden_allocate((size_t)times, sizeof *s2);
    for (int i = 0; i < 4; i++)
        results[i] = golden_allocate(cells, sizeof(double));
    ts_data data = upload_images(g, test);
    for (int k = 0; k < times; k++) {
        const double s = ts_sde_std(&sde, T[k]);
        const size_t at = (size_t)k * n;
        ts_density *density;
        a[k] = ts_sde_mean(&sde, T[k]);
        s2[k] = s * s;
        golden_must(ts_density_gaussian(g->device, gaussian, a[k], s, n, &density));
        evaluate(g, &sde, T[k], &data, density, results[0] + at, results[1] + at);
        golden_must(ts_density_normal(g->device, n, test->d, sde.kind == TS_SDE_VE ? s : 1, &density));
        evaluate(g, &sde, T[k], &data, density, results[2] + at, results[3] + at);
        for (int i = 0; i < n; i++)
            mean[k] += results[0][at + i] / n;
    }
    ts_data_release(&data);
    golden_check_absolute(g, "a", a, times, 1e-14);
    golden_check_absolute(g, "s2", s2, times, 1e-14);
    if (golden_has(g, "expected_log_density.mean"))
        golden_check(g, "expected_log_density.mean", mean, times, GOLDEN_CLOSED);
    golden_check(g, "expected_log_density", results[0], (int64_t)cells, GOLDEN_CLOSED);
    golden_check(g, "prior_kl", results[1], (int64_t)cells, GOLDEN_CLOSED);
    golden_check(g, "expected_log_density_normal", results[2], (int64_t)cells, GOLDEN_CLOSED);
    golden_check(g, "prior_kl_normal", results[3], (int64_t)cells, GOLDEN_CLOSED);
    for (int i = 0; i < 4; i++)
        free(results[i]);
    free(T);
    free(mean);
    free(a);
    free(s2);
}

void golden_gaussian(golden *g)
{
    const bool own = golden_has(g, "train.images") && golden_has(g, "test.images");
    const images train = own ? stored_images(g, "train.images") : digits("train", 500),
                 test = own ? stored_images(g, "test.images") : digits("test", 1 << 20);
    const size_t d = (size_t)train.d;
    double *mean = golden_allocate(d, sizeof *mean), *covariance = golden_allocate(d * d, sizeof *covariance);
    ts_data_gaussian *gaussian;
    if (test.d != train.d)
        golden_must(ts_error(TS_FORMAT, "train.images and test.images must be of one size"));
    moments_of(&train, mean, covariance);
    golden_must(ts_data_gaussian_of_moments(train.d, train.d, mean, covariance, &gaussian));
    check_gaussian(g, gaussian);
    check_times(g, gaussian, &test);
    ts_data_gaussian_destroy(gaussian);
    free(mean);
    free(covariance);
    free(train.x);
    free(test.x);
}
