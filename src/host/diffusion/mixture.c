/*
 * Gaussian mixtures: from host arrays to the device's view, covariances by their eigenvectors.
 */
#include <float.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "diffusion/mixture.h"

static ts_status normalise_weights(int k, const double *weights, double *normalised)
{
    double largest = 0.0, sum = 0.0;
    int exponent;
    for (int i = 0; i < k; i++) {
        if (!(weights[i] > 0.0) || !isfinite(weights[i]))
            return ts_error(TS_INVALID, "mixture: weight %d is %g; weights must be positive", i, weights[i]);
        largest = fmax(largest, weights[i]);
    }
    /* by a power of two, which rounds nothing, so that the sum neither overflows nor vanishes */
    frexp(largest, &exponent);
    for (int i = 0; i < k; i++)
        sum += normalised[i] = ldexp(weights[i], -exponent);
    for (int i = 0; i < k; i++) {
        normalised[i] /= sum;
        if (!(normalised[i] >= DBL_MIN))
            return ts_error(TS_INVALID, "mixture: weight %d, %g, is nothing beside the largest, %g", i,
                            weights[i], largest);
    }
    return NULL;
}

static ts_status check_means(int k, int d, const double *means)
{
    for (int i = 0; i < k * d; i++)
        if (!isfinite(means[i]))
            return ts_error(TS_INVALID, "mixture: the mean of component %d is not finite", i / d);
    return NULL;
}

static ts_status variances_of(int k, int d, const double *stds, double *values)
{
    for (int i = 0; i < k * d; i++) {
        if (!(stds[i] > 0.0) || !isfinite(stds[i]))
            return ts_error(TS_INVALID,
                            "mixture: component %d has standard deviation %g; it must be positive", i / d,
                            stds[i]);
        values[i] = stds[i] * stds[i];
    }
    return NULL;
}

/* covariance [d,d] of component i -> vectors [d,d] (columns), values [d]. */
static ts_status decompose(int i, int d, const double *covariance, double *vectors, double *values)
{
    for (int r = 0; r < d; r++)
        for (int c = 0; c < d; c++) {
            const double x = covariance[r * d + c], y = covariance[c * d + r];
            if (!isfinite(x))
                return ts_error(TS_INVALID, "mixture: the covariance of component %d is not finite", i);
            if (fabs(x - y) > 1e-9 * sqrt(fabs(covariance[r * d + r] * covariance[c * d + c])))
                return ts_error(TS_INVALID,
                                "mixture: the covariance of component %d is not symmetric: entry (%d,%d) "
                                "is %g, entry (%d,%d) is %g",
                                i, r, c, x, c, r, y);
        }
    memcpy(vectors, covariance, (size_t)d * d * sizeof *vectors);
    const lapack_int info = LAPACKE_dsyev(LAPACK_ROW_MAJOR, 'V', 'U', d, vectors, d, values);
    if (info)
        return ts_error(TS_INVALID, "mixture: the covariance of component %d has no eigenvectors (dsyev: %d)",
                        i, (int)info);
    /* eigenvalues ascend; one within rounding of zero is a singular matrix */
    if (!(values[0] > 1e-14 * values[d - 1]))
        return ts_error(
            TS_INVALID,
            "mixture: the covariance of component %d is not positive definite: its smallest eigenvalue is %g",
            i, values[0]);
    return NULL;
}

/* Allocates device memory for `count` doubles and fills it. */
static ts_status to_device(ts_device *device, const double *host, size_t count, const double **memory)
{
    void *p;
    TS_TRY(device->k->allocate(device, count * sizeof *host, &p));
    *memory = p;
    return device->k->upload(device, p, host, count * sizeof *host);
}

/* Weights and means; host [k] is room for the former. */
static ts_status fill_weights(ts_mixture *m, const double *weights, const double *means, double *host)
{
    TS_TRY(normalise_weights(m->k, weights, host));
    TS_TRY(check_means(m->k, m->d, means));
    TS_TRY(to_device(m->device, host, (size_t)m->k, &m->view.weights));
    return to_device(m->device, means, (size_t)m->k * m->d, &m->view.means);
}

static ts_status fill(ts_mixture *m, const double *weights, const double *means, const double *stds,
                      const double *covariances, double *host)
{
    const int k = m->k, d = m->d;
    const size_t kd = (size_t)k * d, square = (size_t)d * d;
    double *values = host + k, *vectors = values + kd;
    TS_TRY(fill_weights(m, weights, means, host));
    if (stds)
        TS_TRY(variances_of(k, d, stds, values));
    for (int i = 0; covariances && i < k; i++)
        TS_TRY(decompose(i, d, covariances + i * square, vectors + i * square, values + (size_t)i * d));
    TS_TRY(to_device(m->device, values, kd, &m->view.values));
    return covariances ? to_device(m->device, vectors, k * square, &m->view.vectors) : NULL;
}

static ts_status fill_factors(ts_mixture *m, int rank, const double *weights, const double *means,
                              const double *factors, const double *variances, double *host)
{
    const size_t kd = (size_t)m->k * m->d, count = kd * (size_t)rank;
    TS_TRY(fill_weights(m, weights, means, host));
    for (size_t i = 0; i < kd; i++)
        if (!(variances[i] > 0.0) || !isfinite(variances[i]))
            return ts_error(TS_INVALID, "mixture: component %zu has variance %g; it must be positive",
                            i / (size_t)m->d, variances[i]);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(factors[i]))
            return ts_error(TS_INVALID, "mixture: a factor of component %zu is not finite",
                            i / (size_t)rank / (size_t)m->d);
    m->view.rank = rank;
    TS_TRY(to_device(m->device, variances, kd, &m->view.values));
    return to_device(m->device, factors, count, &m->view.factors);
}

static ts_status allocate(ts_device *device, int k, int d, size_t doubles, ts_mixture **mixture,
                          double **host)
{
    if (k < 1 || d < 1 || k > 65536 || d > 65536 || (int64_t)k * d > INT32_MAX / 2)
        return ts_error(TS_INVALID, "mixture: %d components in %d dimensions; both must be in 1 .. 65536", k,
                        d);
    *mixture = calloc(1, sizeof **mixture);
    *host = malloc(doubles * sizeof **host);
    if (!*mixture || !*host) {
        free(*mixture);
        free(*host);
        *mixture = NULL;
        return ts_error(TS_NO_MEMORY, "mixture: cannot allocate %d components in %d dimensions", k, d);
    }
    (*mixture)->device = device;
    (*mixture)->k = (*mixture)->view.k = k;
    (*mixture)->d = (*mixture)->view.d = d;
    return NULL;
}

/* The mixture, or what was made of it is released. */
static ts_status finish(ts_status status, double *host, ts_mixture **mixture)
{
    free(host);
    if (status) {
        ts_mixture_destroy(*mixture);
        *mixture = NULL;
    }
    return status;
}

ts_status ts_mixture_create(ts_device *device, int k, int d, const double *weights, const double *means,
                            const double *stds, const double *covariances, ts_mixture **mixture)
{
    double *host;
    *mixture = NULL;
    if (!weights || !means || !stds == !covariances)
        return ts_error(TS_INVALID, "mixture: give weights, means and either stds or covariances");
    const size_t kd = (size_t)k * (size_t)d;
    TS_TRY(allocate(device, k, d, (size_t)k + kd + (covariances ? kd * (size_t)d : 0), mixture, &host));
    return finish(fill(*mixture, weights, means, stds, covariances, host), host, mixture);
}

static ts_status fill_gaussian(ts_mixture *m, const double *mean, const double *values, const double *vectors,
                               double *host)
{
    const size_t d = (size_t)m->d;
    const double one = 1;
    double *columns = host + 1;
    TS_TRY(fill_weights(m, &one, mean, host));
    for (size_t i = 0; i < d; i++)
        if (!(values[i] >= 0.0) || !isfinite(values[i]))
            return ts_error(TS_INVALID, "mixture: eigenvalue %zu is %g; it must not be negative", i,
                            values[i]);
    for (size_t i = 0; vectors && i < d * d; i++)
        columns[i] = vectors[i % d * d + i / d];
    TS_TRY(to_device(m->device, values, d, &m->view.values));
    return vectors ? to_device(m->device, columns, d * d, &m->view.vectors) : NULL;
}

ts_status ts_mixture_create_gaussian(ts_device *device, int d, const double *mean, const double *values,
                                     const double *vectors, ts_mixture **mixture)
{
    double *host;
    *mixture = NULL;
    TS_TRY(allocate(device, 1, d, 1 + (vectors ? (size_t)d * (size_t)d : 0), mixture, &host));
    return finish(fill_gaussian(*mixture, mean, values, vectors, host), host, mixture);
}

ts_status ts_mixture_create_factors(ts_device *device, int k, int d, int rank, const double *weights,
                                    const double *means, const double *factors, const double *variances,
                                    ts_mixture **mixture)
{
    double *host;
    *mixture = NULL;
    if (rank < 1 || rank > d || rank > TS_MIXTURE_FACTORS)
        return ts_error(
            TS_INVALID,
            "mixture: %d factors in %d dimensions; there must be 1 .. %d, no more than dimensions", rank, d,
            TS_MIXTURE_FACTORS);
    TS_TRY(allocate(device, k, d, (size_t)k, mixture, &host));
    return finish(fill_factors(*mixture, rank, weights, means, factors, variances, host), host, mixture);
}

void ts_mixture_destroy(ts_mixture *mixture)
{
    if (!mixture)
        return;
    ts_device *device = mixture->device;
    device->k->release(device, (void *)mixture->view.weights);
    device->k->release(device, (void *)mixture->view.means);
    device->k->release(device, (void *)mixture->view.values);
    device->k->release(device, (void *)mixture->view.vectors);
    device->k->release(device, (void *)mixture->view.factors);
    free(mixture);
}
