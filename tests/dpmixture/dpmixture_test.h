/*
 * What the parts of this program share: made-up points, and what a run's start is worth.
 */
#ifndef TESTS_DPMIXTURE_TEST_H
#define TESTS_DPMIXTURE_TEST_H

#define FOLDER "test_dpmixture_files"

#include <math.h>
#include <stdio.h>
#include <unistd.h>
#include "base/safetensors.h"
#include "diffusion/bound.h"
#include "diffusion/densities/dpmixture.h"
#include "diffusion/densities/kmeans.h"
#include "oracle.h"
#include "run/starts.h"
#include "run/starts/dpmixture.h"
#include "run_files.h"

#define FIT      "/dpmixture.safetensors"
#define FIT_AT_T "/dpmixture_T0.4.safetensors"

static inline double uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return ((double)(*state >> 11) + 0.5) * 0x1p-53;
}

static inline double normal(uint64_t *state)
{
    const double u = uniform(state), v = uniform(state);
    return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

/* Points [n,d] around `groups` centres that lie `apart` from each other, in turns; each dimension has its own scale. */
static inline double *points(int n, int d, int groups, double apart)
{
    uint64_t state = 7;
    double *x = calloc((size_t)n * (size_t)d, sizeof *x);
    assert_non_null(x);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < d; j++)
            x[i * d + j] = (i % groups == j % groups ? apart : 0) + normal(&state) / (1 + j);
    return x;
}

static inline ts_dpmixture_config settings(int components)
{
    return (ts_dpmixture_config){.components = components,
                                 .concentration = 0.5,
                                 .floor = 1e-6,
                                 .tolerance = 1e-8,
                                 .iterations = 400,
                                 .seed = 3,
                                 .threads = 1};
}

/* ---- of a run ---- */

static inline void prior_of(ts_run *run, ts_start_kind kind, double T, ts_interval *prior, ts_interval *kl)
{
    static double values[2][4096];
    const int64_t count = run->dataset->test.count < 297 ? run->dataset->test.count : 297;
    const ts_bound_config config = {.sde = ts_config_sde(run->config),
                                    .eps = 1e-3,
                                    .T_count = 1,
                                    .T = &T,
                                    .draws = 1,
                                    .prior_draws = 8,
                                    .count = count,
                                    .seed = 1};
    ts_start start;
    must(ts_start_open(run, kind, T, 64, &start));
    must(ts_bound_prior(&config, &run->dataset->test, T, start.density, values[0], kl ? values[1] : NULL));
    ts_start_release(&start);
    *prior = ts_interval_of(values[0], count);
    if (kl)
        *kl = ts_interval_of(values[1], count);
}

static inline int64_t components_of(const char *path)
{
    ts_safetensors *file;
    must(ts_safetensors_open(path, &file));
    const int64_t count = ts_safetensors_at(file, ts_safetensors_find(file, "weights"))->count;
    ts_safetensors_close(file);
    return count;
}

/* factors.c */
void test_factor_bound(void **state), test_factors_found(void **state), test_factor_threads(void **state),
    test_factors_carried(void **state), test_factor_draws(void **state), test_factor_file(void **state),
    test_many_dimensions(void **state);

#endif
