#include "diffusion/densities/dpmixture.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include "diffusion/densities/kmeans.h"

enum { ROWS = 256 }; /* of points at a time */

/* ---- special functions ---- */

/* psi(x), x > 0: up by psi(x) = psi(x + 1) - 1/x to where the asymptotic series has 14 digits. */
static double digamma(double x)
{
    double below = 0;
    for (; x < 10; x++)
        below -= 1 / x;
    const double y = 1 / (x * x);
    return below + log(x) - 0.5 / x -
           y * (1 / 12.0 - y * (1 / 120.0 - y * (1 / 252.0 - y * (1 / 240.0 - y * (1 / 132.0)))));
}

static double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

static double log_beta(double a, double b)
{
    return log_gamma(a) + log_gamma(b) - log_gamma(a + b);
}

/* ---- the state ---- */

/* q(mu_k, Lambda_k) is N(mu; mean, (beta Lambda)^-1) Wishart(Lambda; nu, (nu C)^-1), q(v_k) is Beta(stick). */
typedef struct component {
    double count, beta, nu, stick[2], log_determinant; /* points, ..., of C */
    double *mean;                                      /* [d] */
    double *covariance;                                /* C [d,d], its lower triangle; diagonal: [d] */
    double *whitening;                                 /* the inverse of C's Cholesky factor, lower; as C */
} component;

typedef struct fitting {
    const ts_dpmixture_config *config;
    const double *x; /* [n,d] */
    int64_t n;
    int d, k;
    size_t entries;  /* of a covariance: d^2, diagonal: d */
    double *share;   /* [k,n]: q(z_n = k), before that its logarithm but for a constant */
    double *entropy; /* [n] */
    component *of;   /* [k] */
    component prior; /* C = the points' covariance / d: nu C is the prior's scale */
    double *memory;  /* all of the components' */
    double *rows;    /* [threads, ROWS, d] */
} fitting;

static void place(const fitting *f, component *c, double *memory)
{
    c->mean = memory;
    c->covariance = memory + f->d;
    c->whitening = c->covariance + f->entries;
}

/* log_determinant and whitening of the covariance; false: it is none. */
static bool decompose(const fitting *f, component *c)
{
    const int d = f->d;
    const size_t next = f->config->diagonal ? 1 : (size_t)d + 1;
    memcpy(c->whitening, c->covariance, sizeof(double) * f->entries);
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
static double *entry(const fitting *f, double *covariance, int i, int j)
{
    return f->config->diagonal ? covariance + i : covariance + (size_t)i * f->d + j;
}

/* The first j of row i that is kept. */
static int first_of(const fitting *f, int i)
{
    return f->config->diagonal ? i : 0;
}

/* ---- given the shares: the components ---- */

/* rows <- sqrt(share) (x - mean) of points first .. first + count - 1. */
static void centred_rows(const fitting *f, const double *share, const double *mean, int64_t first, int count,
                         double *rows)
{
    for (int r = 0; r < count; r++) {
        const double factor = share ? sqrt(share[first + r]) : 1;
        for (int j = 0; j < f->d; j++)
            rows[(size_t)r * f->d + j] = factor * (f->x[(first + r) * f->d + j] - mean[j]);
    }
}

/* covariance += sum of share (x - mean)(x - mean)^T. */
static void add_scatter(const fitting *f, const double *share, const double *mean, double *rows,
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

static void weighted_mean(const fitting *f, const double *share, double *count, double *mean)
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

static bool update_component(fitting *f, int k, double *rows)
{
    const component *prior = &f->prior;
    component *c = &f->of[k];
    const double *share = f->share + (int64_t)k * f->n;
    const int d = f->d;
    weighted_mean(f, share, &c->count, c->mean);
    c->beta = prior->beta + c->count;
    c->nu = prior->nu + c->count;
    /* nu C: the prior's, the scatter about the mean, and what lies between that and the prior's mean */
    for (int i = 0; i < d; i++)
        for (int j = first_of(f, i); j <= i; j++)
            *entry(f, c->covariance, i, j) =
                prior->nu * *entry(f, prior->covariance, i, j) + (i == j ? c->count * f->config->floor : 0) +
                prior->beta * c->count / c->beta * (c->mean[i] - prior->mean[i]) *
                    (c->mean[j] - prior->mean[j]);
    add_scatter(f, share, c->mean, rows, c->covariance);
    for (int i = 0; i < d; i++) {
        for (int j = first_of(f, i); j <= i; j++)
            *entry(f, c->covariance, i, j) /= c->nu;
        c->mean[i] = (prior->beta * prior->mean[i] + c->count * c->mean[i]) / c->beta;
    }
    return decompose(f, c);
}

static ts_status update_components(fitting *f)
{
    bool fine = true;
#pragma omp parallel for schedule(dynamic) num_threads(f->config->threads) reduction(&& : fine)
    for (int k = 0; k < f->k; k++)
        fine = update_component(f, k, f->rows + (size_t)omp_get_thread_num() * ROWS * (size_t)f->d) && fine;
    double after = 0;
    for (int k = f->k - 1; k >= 0; k--) {
        f->of[k].stick[0] = f->prior.stick[0] + f->of[k].count;
        f->of[k].stick[1] = f->prior.stick[1] + after;
        after += f->of[k].count;
    }
    return fine ? NULL
                : ts_error(TS_NOT_FINITE,
                           "a component's covariance is not positive definite: raise start.floor "
                           "above %g",
                           f->config->floor);
}

/* ---- given the components: the shares ---- */

/* E ln pi_k but for the sticks of the components before, and what else of E ln p(x, z = k) is no x's own. */
static double log_constant(const fitting *f, const component *c)
{
    const int d = f->d;
    double log_precision = d * log(2 / c->nu) - c->log_determinant, trace = 0; /* E ln |Lambda|, tr C^-1 */
    for (int i = 0; i < d; i++) {
        log_precision += digamma(0.5 * (f->config->diagonal ? c->nu : c->nu - i));
        for (int j = first_of(f, i); j <= i; j++) {
            const double factor = *entry(f, c->whitening, i, j);
            trace += factor * factor;
        }
    }
    return digamma(c->stick[0]) - digamma(c->stick[0] + c->stick[1]) +
           0.5 * (log_precision - d * log(2 * M_PI) - d / c->beta - f->config->floor * trace);
}

static void update_logits(fitting *f, int k, double constant, double *rows)
{
    const component *c = &f->of[k];
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

static void normalise(fitting *f, int64_t i)
{
    double largest = -INFINITY, sum = 0, entropy = 0;
    for (int k = 0; k < f->k; k++)
        largest = fmax(largest, f->share[k * f->n + i]);
    for (int k = 0; k < f->k; k++)
        sum += exp(f->share[k * f->n + i] - largest);
    for (int k = 0; k < f->k; k++) {
        const double logarithm = f->share[k * f->n + i] - largest - log(sum), share = exp(logarithm);
        f->share[k * f->n + i] = share;
        entropy -= share > 0 ? share * logarithm : 0;
    }
    f->entropy[i] = entropy;
}

static ts_status update_shares(fitting *f)
{
    double before = 0; /* E ln of the product of (1 - v) */
    double *constant = malloc(sizeof *constant * (size_t)f->k);
    if (!constant)
        return ts_error(TS_NO_MEMORY, "no memory for %d numbers", f->k);
    for (int k = 0; k < f->k; k++) {
        const component *c = &f->of[k];
        constant[k] = before + log_constant(f, c);
        before += digamma(c->stick[1]) - digamma(c->stick[0] + c->stick[1]);
    }
#pragma omp parallel for schedule(dynamic) num_threads(f->config->threads)
    for (int k = 0; k < f->k; k++)
        update_logits(f, k, constant[k], f->rows + (size_t)omp_get_thread_num() * ROWS * (size_t)f->d);
#pragma omp parallel for schedule(static) num_threads(f->config->threads)
    for (int64_t i = 0; i < f->n; i++)
        normalise(f, i);
    free(constant);
    return NULL;
}

/* ---- the bound ---- */

/* The logarithm of the integral of |Lambda|^((nu - d)/2) exp(-1/2 (beta (mu - m)^T Lambda (mu - m) + tr(nu C Lambda)))
 * over mu and Lambda; diagonal: the product over dimensions of those with d = 1. */
static double log_normaliser(const fitting *f, const component *c)
{
    const int d = f->d;
    double sum =
        0.5 * d * log(2 * M_PI / c->beta) + (f->config->diagonal ? 0 : 0.25 * d * (d - 1) * log(M_PI));
    for (int i = 0; i < d; i++)
        sum += log_gamma(0.5 * (f->config->diagonal ? c->nu : c->nu - i));
    return sum - 0.5 * c->nu * (d * log(0.5 * c->nu) + c->log_determinant);
}

/*
 * On the log evidence, right after the components' update: they are the posterior given the shares, so that all about
 * them is a ratio of normalisers.
 */
static double bound_of(const fitting *f)
{
    double sum = -0.5 * (double)f->n * f->d * log(2 * M_PI);
    const double sticks = log_beta(f->prior.stick[0], f->prior.stick[1]),
                 normaliser = log_normaliser(f, &f->prior);
    for (int k = 0; k < f->k; k++)
        sum += log_beta(f->of[k].stick[0], f->of[k].stick[1]) - sticks + log_normaliser(f, &f->of[k]) -
               normaliser;
    for (int64_t i = 0; i < f->n; i++)
        sum += f->entropy[i];
    return sum;
}

/* ---- the whole ---- */

static ts_status set_prior(fitting *f)
{
    component *p = &f->prior;
    const int d = f->d;
    p->beta = 1;
    p->nu = f->config->diagonal ? 1 : d;
    p->stick[0] = 1;
    p->stick[1] = f->config->concentration;
    weighted_mean(f, NULL, &p->count, p->mean);
    add_scatter(f, NULL, p->mean, f->rows, p->covariance);
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

static ts_status allocate(fitting *f)
{
    const size_t each = (size_t)f->d + 2 * f->entries, points = (size_t)f->n;
    f->share = calloc(points * (size_t)f->k, sizeof *f->share);
    f->entropy = calloc(points, sizeof *f->entropy);
    f->of = calloc((size_t)f->k, sizeof *f->of);
    f->memory = calloc(each * (size_t)(f->k + 1), sizeof *f->memory);
    f->rows = calloc((size_t)f->config->threads * ROWS * (size_t)f->d, sizeof *f->rows);
    if (!f->share || !f->entropy || !f->of || !f->memory || !f->rows)
        return ts_error(TS_NO_MEMORY, "no memory for %d components of %lld points in %d dimensions", f->k,
                        (long long)f->n, f->d);
    place(f, &f->prior, f->memory);
    for (int k = 0; k < f->k; k++)
        place(f, &f->of[k], f->memory + each * (size_t)(k + 1));
    return NULL;
}

static ts_status begin(fitting *f)
{
    TS_TRY(allocate(f));
    TS_TRY(set_prior(f));
    int *label = malloc(sizeof *label * (size_t)f->n);
    if (!label)
        return ts_error(TS_NO_MEMORY, "no memory for the groups of %lld points", (long long)f->n);
    ts_status status = ts_kmeans(f->x, f->n, f->d, f->k, f->config->seed, f->config->threads, label);
    for (int64_t i = 0; !status && i < f->n; i++)
        f->share[label[i] * f->n + i] = 1;
    free(label);
    return status;
}

/* How much of the way is done: what a step gains falls from `first` to the tolerance about geometrically. */
static double share_done(const fitting *f, double first, double gain)
{
    const double least = f->config->tolerance * (double)f->n;
    if (gain <= least)
        return 1;
    return least > 0 && first > least ? fmin(log(first / gain) / log(first / least), 1) : 0;
}

/* Steps until one gains too little. */
static ts_status ascend(fitting *f, ts_dpmixture *mixture)
{
    const ts_dpmixture_config *config = f->config;
    double share = 0, *bound = mixture->bound = calloc((size_t)config->iterations + 1, sizeof *bound);
    if (!bound)
        return ts_error(TS_NO_MEMORY, "no memory for %d numbers", config->iterations);
    TS_TRY(update_components(f));
    bound[0] = bound_of(f);
    while (!mixture->converged && mixture->iterations < config->iterations) {
        TS_TRY(update_shares(f));
        TS_TRY(update_components(f));
        const int i = ++mixture->iterations;
        bound[i] = bound_of(f);
        if (!isfinite(bound[i]))
            return ts_error(TS_NOT_FINITE, "the evidence bound is not finite after %d steps", i);
        mixture->converged = bound[i] - bound[i - 1] < config->tolerance * (double)f->n;
        share =
            mixture->converged ? 1 : fmax(share, share_done(f, bound[1] - bound[0], bound[i] - bound[i - 1]));
        share = fmax(share, (double)i / config->iterations);
        ts_progress_report(config->progress, "fit dpmixture", 100 * share, 100, "%", NULL);
        if (ts_progress_stopped(config->progress))
            return ts_error(TS_INTERRUPTED, "interrupted at step %d", i);
    }
    return NULL;
}

static int by_weight(const void *a, const void *b)
{
    const double *const *x = a, *const *y = b;
    return **x < **y ? 1 : **x > **y ? -1 : *x < *y ? -1 : *x > *y;
}

/* The plug-in mixture of all components. */
static ts_status take(const fitting *f, ts_dpmixture *mixture)
{
    const size_t d = (size_t)f->d, k = (size_t)f->k;
    double rest = 1, total = 0, *weight = malloc(sizeof *weight * k);
    const double **order = malloc(sizeof *order * k);
    mixture->weights = malloc(sizeof(double) * k);
    mixture->means = malloc(sizeof(double) * k * d);
    mixture->covariances = malloc(sizeof(double) * k * f->entries);
    const bool whole = weight && order && mixture->weights && mixture->means && mixture->covariances;
    for (size_t i = 0; whole && i < k; i++) {
        const double *stick = f->of[i].stick, share = stick[0] / (stick[0] + stick[1]);
        total += weight[i] = rest * share;
        rest *= 1 - share;
        order[i] = &weight[i];
    }
    if (whole)
        qsort(order, k, sizeof *order, by_weight);
    for (size_t i = 0; whole && i < k; i++) {
        const component *c = &f->of[order[i] - weight];
        mixture->weights[i] = *order[i] / total;
        memcpy(mixture->means + i * d, c->mean, sizeof(double) * d);
        for (size_t r = 0; r < f->entries; r++) { /* the upper triangle too */
            const size_t row = r / d, column = r % d, low = row > column ? r : column * d + row;
            mixture->covariances[i * f->entries + r] = c->covariance[f->config->diagonal ? r : low];
        }
    }
    free(weight);
    free(order);
    return whole ? NULL : ts_error(TS_NO_MEMORY, "no memory for %d components in %d dimensions", f->k, f->d);
}

void ts_dpmixture_release(ts_dpmixture *mixture)
{
    free(mixture->weights);
    free(mixture->means);
    free(mixture->covariances);
    free(mixture->bound);
    *mixture = (ts_dpmixture){0};
}

ts_status ts_dpmixture_fit(const double *x, int64_t n, int d, const ts_dpmixture_config *config,
                           ts_dpmixture *mixture)
{
    fitting f = {.config = config, .x = x, .n = n, .d = d, .k = config->components};
    *mixture = (ts_dpmixture){.k = config->components, .d = d};
    f.entries = (size_t)d * (config->diagonal ? 1 : (size_t)d);
    if (n < 2 || d < 1 || f.k < 1 || config->threads < 1 || !(config->concentration > 0) ||
        !(config->floor >= 0))
        return ts_error(TS_INVALID, "%d components of %lld points in %d dimensions", f.k, (long long)n, d);
    openblas_set_num_threads(1); /* its calls stand within parallel loops */
    ts_status status = begin(&f);
    if (!status)
        status = ascend(&f, mixture);
    if (!status)
        status = take(&f, mixture);
    free(f.share);
    free(f.entropy);
    free(f.of);
    free(f.memory);
    free(f.rows);
    if (status)
        ts_dpmixture_release(mixture);
    return status;
}
