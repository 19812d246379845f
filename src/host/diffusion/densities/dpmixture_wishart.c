#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include "diffusion/densities/dpmixture_form.h"

enum { ROWS = 256 }; /* of points at a time */

/* ---- the state ---- */

/* q(mu_k, Lambda_k) is N(mu; mean, (beta Lambda)^-1) Wishart(Lambda; nu, (nu C)^-1). */
typedef struct component {
    double beta, nu, log_determinant; /* ..., ..., of C */
    double *mean;                     /* [d] */
    double *covariance;               /* C [d,d], its lower triangle; diagonal: [d] */
    double *whitening;                /* the inverse of C's Cholesky factor, lower; as C */
} component;

typedef struct wishart {
    component *of;   /* [k] */
    component prior; /* C = the points' covariance / d: nu C is the prior's scale */
    double *memory;  /* all of the components' */
    double *rows;    /* [threads, ROWS, d] */
} wishart;

static wishart *state_of(const ts_dpmixture_fitting *f)
{
    return f->components;
}

/* Doubles of a covariance. */
static size_t entries_of(const ts_dpmixture_fitting *f)
{
    return (size_t)f->d * (f->config->diagonal ? 1 : (size_t)f->d);
}

static double *rows_of(const ts_dpmixture_fitting *f, int thread)
{
    return state_of(f)->rows + (size_t)thread * ROWS * (size_t)f->d;
}

static void place(const ts_dpmixture_fitting *f, component *c, double *memory)
{
    c->mean = memory;
    c->covariance = memory + f->d;
    c->whitening = c->covariance + entries_of(f);
}

/* log_determinant and whitening of the covariance; false: it is none. */
static bool decompose(const ts_dpmixture_fitting *f, component *c)
{
    const int d = f->d;
    const size_t next = f->config->diagonal ? 1 : (size_t)d + 1;
    memcpy(c->whitening, c->covariance, sizeof(double) * entries_of(f));
    if (!f->config->diagonal && LAPACKE_dpotrf_work(LAPACK_ROW_MAJOR, 'L', d, c->whitening, d))
        return false;
    for (int i = 0; f->config->diagonal && i < d; i++)
        c->whitening[i] = sqrt(c->whitening[i]);
    c->log_determinant = 0;
    for (int i = 0; i < d; i++)
        c->log_determinant += 2 * log(c->whitening[(size_t)i * next]);
    if (!isfinite(c->log_determinant))
        return false;
    for (int i = 0; f->config->diagonal && i < d; i++)
        c->whitening[i] = 1 / c->whitening[i];
    return f->config->diagonal || !LAPACKE_dtrtri_work(LAPACK_ROW_MAJOR, 'L', 'N', d, c->whitening, d);
}

/* For every entry (i, j) that a covariance keeps: its place. */
static double *entry(const ts_dpmixture_fitting *f, double *covariance, int i, int j)
{
    return f->config->diagonal ? covariance + i : covariance + (size_t)i * f->d + j;
}

/* The first j of row i that is kept. */
static int first_of(const ts_dpmixture_fitting *f, int i)
{
    return f->config->diagonal ? i : 0;
}

/* ---- given the shares: the components ---- */

/* rows <- sqrt(share) (x - mean) of points first .. first + count - 1. */
static void centred_rows(const ts_dpmixture_fitting *f, const double *share, const double *mean,
                         int64_t first, int count, double *rows)
{
    for (int r = 0; r < count; r++) {
        const double factor = share ? sqrt(share[first + r]) : 1;
        for (int j = 0; j < f->d; j++)
            rows[(size_t)r * f->d + j] = factor * (f->x[(first + r) * f->d + j] - mean[j]);
    }
}

/* covariance += sum of share (x - mean)(x - mean)^T. */
static void add_scatter(const ts_dpmixture_fitting *f, const double *share, const double *mean, double *rows,
                        double *covariance)
{
    for (int64_t first = 0; first < f->n; first += ROWS) {
        const int count = f->n - first < ROWS ? (int)(f->n - first) : ROWS;
        centred_rows(f, share, mean, first, count, rows);
        if (!f->config->diagonal)
            cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, f->d, count, 1, rows, f->d, 1, covariance,
                        f->d);
        for (int r = 0; f->config->diagonal && r < count; r++)
            for (int j = 0; j < f->d; j++)
                covariance[j] += rows[(size_t)r * f->d + j] * rows[(size_t)r * f->d + j];
    }
}

static void weighted_mean(const ts_dpmixture_fitting *f, const double *share, double *count, double *mean)
{
    memset(mean, 0, sizeof *mean * (size_t)f->d);
    *count = 0;
    for (int64_t i = 0; i < f->n; i++) {
        *count += share ? share[i] : 1;
        for (int j = 0; j < f->d; j++)
            mean[j] += (share ? share[i] : 1) * f->x[i * f->d + j];
    }
    for (int j = 0; j<f->d && * count> 0; j++)
        mean[j] /= *count;
}

static bool update(ts_dpmixture_fitting *f, int k, int thread)
{
    const component *prior = &state_of(f)->prior;
    component *c = &state_of(f)->of[k];
    const double *share = f->share + (int64_t)k * f->n;
    const int d = f->d;
    double count;
    weighted_mean(f, share, &count, c->mean);
    f->count[k] = count;
    c->beta = prior->beta + count;
    c->nu = prior->nu + count;
    /* nu C: the prior's, the scatter about the mean, and what lies between that and the prior's mean */
    for (int i = 0; i < d; i++)
        for (int j = first_of(f, i); j <= i; j++)
            *entry(f, c->covariance, i, j) =
                prior->nu * *entry(f, prior->covariance, i, j) + (i == j ? count * f->config->floor : 0) +
                prior->beta * count / c->beta * (c->mean[i] - prior->mean[i]) * (c->mean[j] - prior->mean[j]);
    add_scatter(f, share, c->mean, rows_of(f, thread), c->covariance);
    for (int i = 0; i < d; i++) {
        for (int j = first_of(f, i); j <= i; j++)
            *entry(f, c->covariance, i, j) /= c->nu;
        c->mean[i] = (prior->beta * prior->mean[i] + count * c->mean[i]) / c->beta;
    }
    return decompose(f, c);
}

/* What of E ln p(x | component) is no x's own. */
static double log_constant(const ts_dpmixture_fitting *f, const component *c)
{
    const int d = f->d;
    double log_precision = d * log(2 / c->nu) - c->log_determinant, trace = 0; /* E ln |Lambda|, tr C^-1 */
    for (int i = 0; i < d; i++) {
        log_precision += ts_dpmixture_digamma(0.5 * (f->config->diagonal ? c->nu : c->nu - i));
        for (int j = first_of(f, i); j <= i; j++) {
            const double factor = *entry(f, c->whitening, i, j);
            trace += factor * factor;
        }
    }
    return 0.5 * (log_precision - d * log(2 * M_PI) - d / c->beta - f->config->floor * trace);
}

static void update_logits(ts_dpmixture_fitting *f, int k, double constant, double *rows)
{
    const component *c = &state_of(f)->of[k];
    double *logit = f->share + (int64_t)k * f->n;
    for (int64_t first = 0; first < f->n; first += ROWS) {
        const int count = f->n - first < ROWS ? (int)(f->n - first) : ROWS;
        centred_rows(f, NULL, c->mean, first, count, rows);
        for (int r = 0; f->config->diagonal && r < count; r++)
            for (int j = 0; j < f->d; j++)
                rows[(size_t)r * f->d + j] *= c->whitening[j];
        if (!f->config->diagonal)
            cblas_dtrmm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, count, f->d, 1,
                        c->whitening, f->d, rows, f->d);
        for (int r = 0; r < count; r++) {
            double square = 0;
            for (int j = 0; j < f->d; j++)
                square += rows[(size_t)r * f->d + j] * rows[(size_t)r * f->d + j];
            logit[first + r] = constant - 0.5 * square;
        }
    }
}

static void logits(ts_dpmixture_fitting *f, const double *constant)
{
#pragma omp parallel for schedule(dynamic) num_threads(f->config->threads)
    for (int k = 0; k < f->k; k++)
        update_logits(f, k, constant[k] + log_constant(f, &state_of(f)->of[k]),
                      rows_of(f, omp_get_thread_num()));
}

/* ---- the bound ---- */

/* The logarithm of the integral of |Lambda|^((nu - d)/2) exp(-1/2 (beta (mu - m)^T Lambda (mu - m) + tr(nu C Lambda)))
 * over mu and Lambda; diagonal: the product over dimensions of those with d = 1. */
static double log_normaliser(const ts_dpmixture_fitting *f, const component *c)
{
    const int d = f->d;
    double sum =
        0.5 * d * log(2 * M_PI / c->beta) + (f->config->diagonal ? 0 : 0.25 * d * (d - 1) * log(M_PI));
    for (int i = 0; i < d; i++)
        sum += ts_dpmixture_log_gamma(0.5 * (f->config->diagonal ? c->nu : c->nu - i));
    return sum - 0.5 * c->nu * (d * log(0.5 * c->nu) + c->log_determinant);
}

/* The components are the posterior given the shares, so that all about them is a ratio of normalisers. */
static double bound(const ts_dpmixture_fitting *f, int k)
{
    return log_normaliser(f, &state_of(f)->of[k]) - log_normaliser(f, &state_of(f)->prior) -
           0.5 * f->count[k] * f->d * log(2 * M_PI);
}

/* ---- the whole ---- */

static ts_status set_prior(ts_dpmixture_fitting *f)
{
    component *p = &state_of(f)->prior;
    double count;
    const int d = f->d;
    p->beta = 1;
    p->nu = f->config->diagonal ? 1 : d;
    weighted_mean(f, NULL, &count, p->mean);
    add_scatter(f, NULL, p->mean, rows_of(f, 0), p->covariance);
    for (int i = 0; i < d; i++)
        for (int j = first_of(f, i); j <= i; j++) {
            double *c = entry(f, p->covariance, i, j);
            *c = *c / (double)(f->n - 1) / p->nu + (i == j ? f->config->floor : 0);
        }
    return decompose(f, p)
               ? NULL
               : ts_error(TS_NOT_FINITE,
                          "the data's covariance is not positive definite: raise start.floor above %g",
                          f->config->floor);
}

static ts_status begin(ts_dpmixture_fitting *f)
{
    const size_t each = (size_t)f->d + 2 * entries_of(f);
    wishart *w = f->components = calloc(1, sizeof *w);
    if (w) {
        w->of = calloc((size_t)f->k, sizeof *w->of);
        w->memory = calloc(each * (size_t)(f->k + 1), sizeof *w->memory);
        w->rows = calloc((size_t)f->config->threads * ROWS * (size_t)f->d, sizeof *w->rows);
    }
    if (!w || !w->of || !w->memory || !w->rows)
        return ts_error(TS_NO_MEMORY, "no memory for %d covariances in %d dimensions", f->k, f->d);
    place(f, &w->prior, w->memory);
    for (int k = 0; k < f->k; k++)
        place(f, &w->of[k], w->memory + each * (size_t)(k + 1));
    return set_prior(f);
}

static void sizes(const ts_dpmixture_fitting *f, size_t *covariance, size_t *factors)
{
    *covariance = entries_of(f);
    *factors = 0;
}

static void take(const ts_dpmixture_fitting *f, int k, double *mean, double *covariance, double *factors)
{
    const component *c = &state_of(f)->of[k];
    const size_t d = (size_t)f->d;
    (void)factors;
    memcpy(mean, c->mean, sizeof(double) * d);
    for (size_t r = 0; r < entries_of(f); r++) { /* the upper triangle too */
        const size_t row = r / d, column = r % d, low = row > column ? r : column * d + row;
        covariance[r] = c->covariance[f->config->diagonal ? r : low];
    }
}

static void release(ts_dpmixture_fitting *f)
{
    wishart *w = state_of(f);
    if (!w)
        return;
    free(w->of);
    free(w->memory);
    free(w->rows);
    free(w);
}

const ts_dpmixture_form ts_dpmixture_wishart = {.begin = begin,
                                                .update = update,
                                                .logits = logits,
                                                .bound = bound,
                                                .sizes = sizes,
                                                .take = take,
                                                .release = release};
