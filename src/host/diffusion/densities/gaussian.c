#include "diffusion/densities/gaussian.h"

#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "diffusion/buffer.h"

/* ---- the Gaussian of some data ---- */

void ts_data_gaussian_destroy(ts_data_gaussian *gaussian)
{
    if (!gaussian)
        return;
    free(gaussian->mean);
    free(gaussian->values);
    free(gaussian->vectors);
    free(gaussian);
}

ts_status ts_data_gaussian_create(int d, int rank, ts_data_gaussian **gaussian)
{
    *gaussian = NULL;
    if (d < 1 || rank < 1 || rank > d || d > 65536)
        return ts_error(TS_INVALID, "gaussian: rank %d in %d dimensions", rank, d);
    ts_data_gaussian *g = calloc(1, sizeof *g);
    if (g) {
        g->d = d;
        g->rank = rank;
        g->mean = calloc((size_t)d, sizeof(double));
        g->values = calloc((size_t)rank, sizeof(double));
        g->vectors = calloc((size_t)rank * (size_t)d, sizeof(double));
    }
    if (!g || !g->mean || !g->values || !g->vectors) {
        ts_data_gaussian_destroy(g);
        return ts_error(TS_NO_MEMORY, "gaussian: no memory for %d eigenvectors in %d dimensions", rank, d);
    }
    *gaussian = g;
    return NULL;
}

static void swap_rows(double *a, double *b, int d)
{
    for (int i = 0; i < d; i++) {
        const double kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

/* The leading eigenpairs, descending. */
static ts_status decompose(ts_data_gaussian *g, double *covariance)
{
    const int d = g->d;
    lapack_int found, *support = malloc(2 * (size_t)d * sizeof *support);
    double *ascending = malloc((size_t)d * sizeof *ascending), trace = 0,
           kept = 0; /* dsyevr wants room for all */
    lapack_int info = LAPACK_WORK_MEMORY_ERROR;
    for (int i = 0; i < d; i++)
        trace += covariance[(size_t)i * d + i];
    /* a row is a column of LAPACK's, the lower triangle its upper one */
    if (support && ascending)
        info = LAPACKE_dsyevr(LAPACK_COL_MAJOR, 'V', g->rank < d ? 'I' : 'A', 'U', d, covariance, d, 0, 0,
                              d - g->rank + 1, d, 0, &found, ascending, g->vectors, d, support);
    for (int i = 0; !info && i < g->rank; i++)
        kept += g->values[i] = fmax(0, ascending[g->rank - 1 - i]);
    for (int i = 0; !info && i < g->rank / 2; i++)
        swap_rows(g->vectors + (size_t)i * d, g->vectors + (size_t)(g->rank - 1 - i) * d, d);
    g->rest = g->rank < d ? fmax(0, trace - kept) / (d - g->rank) : 0;
    free(support);
    free(ascending);
    if (info == LAPACK_WORK_MEMORY_ERROR)
        return ts_error(TS_NO_MEMORY, "gaussian: no memory for eigenvectors in %d dimensions", d);
    return info ? ts_error(TS_NOT_FINITE, "gaussian: the covariance has no eigenvectors (dsyevr: %d)",
                           (int)info)
                : NULL;
}

ts_status ts_data_gaussian_of_moments(int d, int rank, const double *mean, double *covariance,
                                      ts_data_gaussian **gaussian)
{
    ts_data_gaussian *g;
    TS_TRY(ts_data_gaussian_create(d, rank < d ? rank : d, &g));
    memcpy(g->mean, mean, (size_t)d * sizeof *mean);
    ts_status status = decompose(g, covariance);
    if (status)
        ts_data_gaussian_destroy(g);
    else
        *gaussian = g;
    return status;
}

double ts_data_gaussian_value(const ts_data_gaussian *g, int i)
{
    return i < g->rank ? g->values[i] : g->rest;
}

/* The rest by Householder's reflections. */
ts_status ts_data_gaussian_basis(const ts_data_gaussian *g, double *basis)
{
    const int d = g->d, rank = g->rank;
    memcpy(basis, g->vectors, sizeof *basis * (size_t)rank * (size_t)d);
    if (rank == d)
        return NULL;
    double *tau = malloc((size_t)rank * sizeof *tau);
    if (!tau)
        return ts_error(TS_NO_MEMORY, "gaussian: no memory for %d numbers", rank);
    /* a row is a column of LAPACK's */
    lapack_int info = LAPACKE_dgeqrf(LAPACK_COL_MAJOR, d, rank, basis, d, tau);
    if (!info)
        info = LAPACKE_dorgqr(LAPACK_COL_MAJOR, d, d, rank, basis, d, tau);
    free(tau);
    return info ? ts_error(TS_NO_MEMORY, "gaussian: no memory for a basis of %d dimensions (LAPACK: %d)", d,
                           (int)info)
                : NULL;
}

double ts_data_gaussian_entropy(const ts_data_gaussian *g, double a, double s)
{
    double sum = 0;
    for (int i = 0; i < g->d; i++)
        sum += 0.5 * log(2 * M_PI * M_E * (a * a * ts_data_gaussian_value(g, i) + s * s));
    return sum;
}

/* ---- its density ---- */

/*
 * A mixture of one component: its operations compute in double on every device.  They are asked for its
 * density at t = 0 of a process that has done nothing by then, so that a and s are those given, in double.
 */
static const ts_sde at_rest = {.kind = TS_SDE_VP, .beta_min = 0, .beta_max = 1};

typedef struct gaussian_density {
    ts_density base;
    ts_mixture_view view;     /* device: N(a m, a^2 C + s^2 I) */
    ts_mixture_view expected; /* device: what expected_log_prob evaluates, of expected_a; see there */
    double expected_a;        /* 0: of none yet */
    float *t;                 /* device [n], zero */
    double *mean, *values;    /* host [d]: the view's */
} gaussian_density;

static ts_status gaussian_sample(ts_density *density, const ts_step_state *state, float *x)
{
    const gaussian_density *m = (const gaussian_density *)density;
    ts_mixture_sample a = {.n = density->n,
                           .sde = at_rest,
                           .mixture = m->view,
                           .state = state,
                           .stream = TS_STREAM_START,
                           .x = x};
    return density->device->k->mixture_sample(density->device, &a);
}

static ts_status evaluate(const gaussian_density *m, const ts_mixture_view *view, const float *x,
                          double *log_prob)
{
    ts_device *device = m->base.device;
    ts_mixture_evaluate a = {
        .n = m->base.n, .sde = at_rest, .mixture = *view, .x = x, .t = m->t, .log_prob = log_prob};
    return device->k->mixture_evaluate(device, &a);
}

static ts_status gaussian_log_prob(ts_density *density, const float *x, double *log_prob)
{
    const gaussian_density *m = (const gaussian_density *)density;
    return evaluate(m, &m->view, x, log_prob);
}

/* m->expected = N(mean/a, covariance/a^2). */
static ts_status set_expected(gaussian_density *m, double a)
{
    ts_device *device = m->base.device;
    const size_t d = (size_t)m->base.d, bytes = d * sizeof(double);
    double *scaled = malloc(2 * bytes);
    if (!scaled)
        return ts_error(TS_NO_MEMORY, "gaussian: no memory for %zu numbers", 2 * d);
    for (size_t i = 0; i < d; i++) {
        scaled[i] = m->mean[i] / a;
        scaled[d + i] = m->values[i] / a / a;
    }
    ts_status status = device->k->upload(device, (double *)m->expected.means, scaled, bytes);
    if (!status)
        status = device->k->upload(device, (double *)m->expected.values, scaled + d, bytes);
    free(scaled);
    if (!status)
        m->expected_a = a;
    return status;
}

/*
 * With v_i the eigenvalues of nu's covariance and y_i those coordinates of a x0 less nu's mean,
 *
 *     E log nu(a x0 + s z) = -1/2 sum_i (ln 2 pi v_i + (y_i^2 + s^2) / v_i).
 *
 * All but s^2/v_i is the log-density of N(mean/a, covariance/a^2) at x0 itself, so that a x0 is never rounded
 * to float32, less d ln a.
 */
static ts_status gaussian_expected_log_prob(ts_density *density, double a, double s, const float *x0,
                                            double *values, double *constant)
{
    gaussian_density *m = (gaussian_density *)density;
    const double factor = fmax(a, 1e-100); /* its square is nothing, and what it divides still is finite */
    double inverse = 0;
    if (factor != m->expected_a)
        TS_TRY(set_expected(m, factor));
    for (int i = 0; i < density->d; i++)
        inverse += 1 / m->values[i];
    *constant = -density->d * log(factor) - 0.5 * s * s * inverse;
    return evaluate(m, &m->expected, x0, values);
}

static void gaussian_destroy(ts_density *density)
{
    gaussian_density *m = (gaussian_density *)density;
    ts_device *device = density->device;
    const void *const memory[] = {m->view.weights,   m->view.vectors,    m->view.means, m->view.values,
                                  m->expected.means, m->expected.values, m->t};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        device->k->release(device, (void *)memory[i]);
    free(m->mean);
    free(m->values);
    free(m);
}

/* ---- making it ---- */

static ts_status to_device(ts_device *device, const double *host, size_t count, const double **memory)
{
    double *buffer;
    TS_TRY(ts_buffer_doubles(device, count, &buffer));
    *memory = buffer;
    return device->k->upload(device, buffer, host, count * sizeof *host);
}

static void transpose(double *square, int d)
{
    for (int i = 0; i < d; i++)
        for (int j = 0; j < i; j++) {
            const double kept = square[(size_t)i * d + j];
            square[(size_t)i * d + j] = square[(size_t)j * d + i];
            square[(size_t)j * d + i] = kept;
        }
}

static ts_status upload_basis(gaussian_density *m, const ts_data_gaussian *g)
{
    const size_t square = (size_t)g->d * (size_t)g->d;
    double *basis = calloc(square, sizeof *basis); /* LAPACKE looks for NaNs in all of it */
    if (!basis)
        return ts_error(TS_NO_MEMORY, "gaussian: no memory for a basis of %d dimensions", g->d);
    ts_status status = ts_data_gaussian_basis(g, basis);
    transpose(basis, g->d); /* the view has vectors as columns */
    if (!status)
        status = to_device(m->base.device, basis, square, &m->view.vectors);
    free(basis);
    return status;
}

static ts_status build(gaussian_density *m, const ts_data_gaussian *g, double a, double s)
{
    static const double one = 1;
    ts_device *device = m->base.device;
    const size_t d = (size_t)g->d;
    m->mean = malloc(d * sizeof(double));
    m->values = malloc(d * sizeof(double));
    if (!m->mean || !m->values)
        return ts_error(TS_NO_MEMORY, "gaussian: no memory for %zu numbers", 2 * d);
    for (int i = 0; i < g->d; i++) {
        m->mean[i] = a * g->mean[i];
        m->values[i] = a * a * ts_data_gaussian_value(g, i) + s * s;
    }
    TS_TRY(to_device(device, &one, 1, &m->view.weights));
    TS_TRY(to_device(device, m->mean, d, &m->view.means));
    TS_TRY(to_device(device, m->values, d, &m->view.values));
    TS_TRY(to_device(device, m->mean, d, &m->expected.means));
    TS_TRY(to_device(device, m->values, d, &m->expected.values));
    TS_TRY(upload_basis(m, g));
    m->expected.weights = m->view.weights;
    m->expected.vectors = m->view.vectors;
    return ts_buffer_fill(device, (size_t)m->base.n, 0, &m->t);
}

ts_status ts_density_gaussian(ts_device *device, const ts_data_gaussian *gaussian, double a, double s, int n,
                              ts_density **density)
{
    *density = NULL;
    if (n < 1)
        return ts_error(TS_INVALID, "gaussian density: a batch of %d", n);
    if (!(a >= 0 && isfinite(a) && s > 0 && isfinite(s)))
        return ts_error(TS_INVALID, "gaussian density: a = %g and s = %g; s must be positive", a, s);
    if (!device->k->mixture_evaluate || !device->k->mixture_sample)
        return ts_error(TS_UNSUPPORTED, "gaussian density: the %s device lacks its operations",
                        device->k->name);
    gaussian_density *m = calloc(1, sizeof *m);
    if (!m)
        return ts_error(TS_NO_MEMORY, "gaussian density: out of memory");
    m->base = (ts_density){.name = "gaussian",
                           .device = device,
                           .n = n,
                           .d = gaussian->d,
                           .sample = gaussian_sample,
                           .log_prob = gaussian_log_prob,
                           .expected_log_prob = gaussian_expected_log_prob,
                           .destroy = gaussian_destroy};
    m->view.k = m->expected.k = 1;
    m->view.d = m->expected.d = gaussian->d;
    ts_status status = build(m, gaussian, a, s);
    if (status) {
        gaussian_destroy(&m->base);
        return ts_context(status, "gaussian density");
    }
    *density = &m->base;
    return NULL;
}
