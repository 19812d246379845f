/*
 * What the tests on exact mixtures share: a mixture on the line with everything about p_t in plain double
 * precision, apart from the engine.
 */
#ifndef TESTS_ORACLE_H
#define TESTS_ORACLE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "diffusion/mixture.h"
#include "near.h"
#include "must.h"

#define MUST_FAIL(expression, code)                                                                          \
    do {                                                                                                     \
        ts_status status_ = (expression);                                                                    \
        assert_int_equal(ts_status_code(status_), code);                                                     \
        ts_status_free(status_);                                                                             \
    } while (0)

enum { COMPONENTS = 3 };

static const double line_weights[COMPONENTS] = {0.5, 0.3, 0.2};
static const double line_means[COMPONENTS] = {-1.0, 0.4, 1.5};
static const double line_stds[COMPONENTS] = {0.15, 0.1, 0.25};

static const ts_sde vp = {TS_SDE_VP, 0.1, 20.0, 0.01, 50.0};
static const ts_sde subvp = {TS_SDE_SUBVP, 0.1, 20.0, 0.01, 50.0};
static const ts_sde ve = {TS_SDE_VE, 0.1, 20.0, 0.01, 50.0};

/* p_t(x), and its derivative. */
static inline double line_density(const ts_sde *sde, double t, double x, double *derivative)
{
    const double a = ts_sde_mean(sde, t), s = ts_sde_std(sde, t);
    double p = 0.0, dp = 0.0;
    for (int k = 0; k < COMPONENTS; k++) {
        const double v = a * a * line_stds[k] * line_stds[k] + s * s, e = x - a * line_means[k];
        const double density = line_weights[k] * exp(-0.5 * e * e / v) / sqrt(2.0 * M_PI * v);
        p += density;
        dp -= density * e / v;
    }
    if (derivative)
        *derivative = dp;
    return p;
}

static inline double line_distribution(const ts_sde *sde, double t, double x)
{
    const double a = ts_sde_mean(sde, t), s = ts_sde_std(sde, t);
    double p = 0.0;
    for (int k = 0; k < COMPONENTS; k++) {
        const double v = a * a * line_stds[k] * line_stds[k] + s * s;
        p += line_weights[k] * 0.5 * erfc(-(x - a * line_means[k]) / sqrt(2.0 * v));
    }
    return p;
}

static inline double line_mean(void)
{
    double mean = 0.0;
    for (int k = 0; k < COMPONENTS; k++)
        mean += line_weights[k] * line_means[k];
    return mean;
}

static inline double line_variance(void)
{
    double square = 0.0;
    for (int k = 0; k < COMPONENTS; k++)
        square += line_weights[k] * (line_stds[k] * line_stds[k] + line_means[k] * line_means[k]);
    return square - line_mean() * line_mean();
}

static inline ts_device *open_cpu(void)
{
    ts_device *device = NULL;
    const ts_device_options options = {.threads = 1}; /* small batches: threads would wait for each other */
    must(ts_device_open("cpu", &options, &device));
    return device;
}

static inline ts_mixture *line_mixture(ts_device *device)
{
    ts_mixture *mixture = NULL;
    must(ts_mixture_create(device, COMPONENTS, 1, line_weights, line_means, line_stds, NULL, &mixture));
    return mixture;
}

#endif
