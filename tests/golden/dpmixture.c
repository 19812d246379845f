/*
 * A golden Dirichlet-process mixture: the engine's fit to the same points gives held-out ones the same density, within
 * what the best of several beginnings varies by, and as many components weigh something.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "diffusion/densities/dpmixture.h"
#include "golden.h"
#include "diffusion/densities/density.h"

/* Six fits of scikit-learn from different beginnings spread by 0.002. */
#define NATS 0.01

static int count_heavy(const double *weights, int k)
{
    int count = 0;
    for (int i = 0; i < k; i++)
        count += weights[i] > 0.01;
    return count;
}

/* log_prob [n] of points x [n,d] under a mixture, on the device; returns the mean. */
static double evaluate(const golden *g, int k, int d, const double *weights, const double *means,
                       const double *covariances, const double *x, int n, double *log_prob)
{
    static const ts_sde at_rest = {.kind = TS_SDE_VP, .beta_min = 0, .beta_max = 1};
    ts_device *device = g->device;
    ts_mixture *mixture;
    ts_density *density;
    void *points, *values;
    double mean = 0;
    float *host = golden_allocate((size_t)n * d, sizeof *host);
    for (int64_t i = 0; i < (int64_t)n * d; i++)
        host[i] = (float)x[i];
    golden_must(ts_mixture_create(device, k, d, weights, means, NULL, covariances, &mixture));
    golden_must(ts_density_mixture(mixture, &at_rest, 0, n, &density));
    golden_must(device->k->allocate(device, (size_t)n * d * sizeof *host, &points));
    golden_must(device->k->allocate(device, (size_t)n * sizeof *log_prob, &values));
    golden_must(device->k->upload(device, points, host, (size_t)n * d * sizeof *host));
    golden_must(density->log_prob(density, points, values));
    golden_must(device->k->download(device, log_prob, values, (size_t)n * sizeof *log_prob));
    for (int i = 0; i < n; i++)
        mean += log_prob[i] / n;
    device->k->release(device, points);
    device->k->release(device, values);
    ts_density_destroy(density);
    ts_mixture_destroy(mixture);
    free(host);
    return mean;
}

/* The file's own mixtures, where it has them: of the fit, and that which the points are drawn from. */
static void check_own(golden *g, const double *weights, int k, int d, const double *test, int n)
{
    double *log_prob = golden_allocate((size_t)n, sizeof *log_prob), *means, *covariances, *own;
    if (golden_has(g, "log_prob_test")) {
        golden_read(g, "means", &means, NULL);
        golden_read(g, "covariances", &covariances, NULL);
        evaluate(g, k, d, weights, means, covariances, test, n, log_prob);
        golden_check(g, "log_prob_test", log_prob, n, GOLDEN_CLOSED);
        free(means);
        free(covariances);
    }
    if (golden_has(g, "generating.weights")) {
        const int components = (int)golden_read(g, "generating.weights", &own, NULL);
        golden_read(g, "generating.means", &means, NULL);
        golden_read(g, "generating.covariances", &covariances, NULL);
        golden_check_number(g, "test_mean_log_likelihood_of_the_generating_mixture",
                            evaluate(g, components, d, own, means, covariances, test, n, log_prob), 1e-6);
        free(own);
        free(means);
        free(covariances);
    }
    free(log_prob);
}

void golden_dpmixture(golden *g)
{
    double *train, *test, *weights;
    int64_t train_shape[8] = {0}, test_shape[8] = {0};
    golden_read(g, "train", &train, train_shape);
    golden_read(g, "test", &test, test_shape);
    const int k = (int)golden_read(g, "sorted_weights", &weights, NULL), n = (int)train_shape[0],
              d = (int)train_shape[1], tests = (int)test_shape[0];
    if (d < 1 || test_shape[1] != d || train_shape[2] || test_shape[2])
        golden_must(ts_error(TS_FORMAT, "train and test must be [n,d] of one d"));
    const ts_dpmixture_config config = {.components = (int)golden_number(g, "n_components"),
                                        .concentration = golden_number(g, "weight_concentration_prior"),
                                        .floor = 1e-6,
                                        .tolerance = 1e-9,
                                        .iterations = 5000,
                                        .seed = 1,
                                        .threads = 1};
    ts_dpmixture fit;
    double *log_prob = golden_allocate((size_t)(n > tests ? n : tests), sizeof *log_prob);
    golden_must(ts_dpmixture_fit(train, n, d, &config, &fit));
    printf("        %d steps, evidence bound %.6f nats a point\n", fit.iterations,
           fit.bound[fit.iterations] / n);
    golden_check_number(g, "test_mean_log_likelihood",
                        evaluate(g, fit.k, d, fit.weights, fit.means, fit.covariances, test, tests, log_prob),
                        NATS);
    golden_check_number(g, "train_mean_log_likelihood",
                        evaluate(g, fit.k, d, fit.weights, fit.means, fit.covariances, train, n, log_prob),
                        NATS);
    if (count_heavy(fit.weights, fit.k) != count_heavy(weights, k)) {
        printf("FAILED  %d components weigh more than 0.01, not %d\n", count_heavy(fit.weights, fit.k),
               count_heavy(weights, k));
        g->failed++;
    }
    check_own(g, weights, k, d, test, tests);
    ts_dpmixture_release(&fit);
    free(log_prob);
    free(train);
    free(test);
    free(weights);
}
