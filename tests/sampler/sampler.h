/*
 * What the tests of the samplers share: a mixture with its exact score and a sampler, and what samples of the
 * mixture on the line (oracle.h) must look like.
 */
#ifndef TESTS_SAMPLER_H
#define TESTS_SAMPLER_H

#include "diffusion/samplers/sampler.h"
#include "oracle.h"

#define EPS 1e-3

/* A mixture, its exact score for batches of n, a sampler, and x [n,d]. */
typedef struct bench {
    ts_device *device;
    ts_sde sde;
    ts_mixture *mixture;
    ts_score *score;
    ts_sampler *sampler;
    int n, d;
    float *x;    /* device */
    float *host; /* what `fetch` brought */
} bench;

bench bench_open(const ts_sde *sde, int n, ts_device *device, ts_mixture *mixture);
bench bench_line(const ts_sde *sde, int n);
/* N(0, std^2) on the line. */
bench bench_gaussian(const ts_sde *sde, int n, double std);
void bench_close(bench *b);
void fetch(bench *b);
void put(bench *b, const float *x);
/* x drawn from p_t exactly. */
void draw(bench *b, double t, uint64_t seed);

/* Down to EPS, without denoising: steps of a fixed kind, a tolerance of an adaptive one. */
ts_sampler_config config_of(ts_sampler_kind kind, double T, int steps, double tolerance);

/* Mean and variance of p_eps within four standard errors, and the whole distribution. */
void check_samples(bench *b, const char *name, double T, int nfe);

/* The tests of stochastic.c. */
void stochastic_samplers_reproduce_the_data(void **state);
void their_variance_is_that_of_the_recursion(void **state);
void a_langevin_step_goes_by_the_whole_batch(void **state);
void evaluations_are_those_of_the_formula(void **state);
void churn_never_goes_past_where_it_began(void **state);

#endif
