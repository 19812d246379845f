#include "diffusion/densities/dpmixture.h"

#include <cblas.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include "diffusion/densities/dpmixture_form.h"
#include "diffusion/densities/kmeans.h"

typedef ts_dpmixture_fitting fitting;

static const ts_dpmixture_form *form_of(const ts_dpmixture_config *config)
{
    return config->factors ? &ts_dpmixture_factors : &ts_dpmixture_wishart;
}

/* ---- special functions ---- */

/* Up by psi(x) = psi(x + 1) - 1/x to where the asymptotic series has 14 digits. */
double ts_dpmixture_digamma(double x)
{
    double below = 0;
    for (; x < 10; x++)
        below -= 1 / x;
    const double y = 1 / (x * x);
    return below + log(x) - 0.5 / x -
           y * (1 / 12.0 - y * (1 / 120.0 - y * (1 / 252.0 - y * (1 / 240.0 - y * (1 / 132.0)))));
}

double ts_dpmixture_log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

static double log_beta(double a, double b)
{
    return ts_dpmixture_log_gamma(a) + ts_dpmixture_log_gamma(b) - ts_dpmixture_log_gamma(a + b);
}

/* ---- steps ---- */

/* Given the shares, the components and the sticks. */
static ts_status update_components(fitting *f)
{
    bool fine = true;
#pragma omp parallel for schedule(dynamic) num_threads(f->config->threads) reduction(&& : fine)
    for (int k = 0; k < f->k; k++)
        fine = form_of(f->config)->update(f, k, omp_get_thread_num()) && fine;
    double after = 0;
    for (int k = f->k - 1; k >= 0; k--) {
        f->stick[k][0] = 1 + f->count[k];
        f->stick[k][1] = f->config->concentration + after;
        after += f->count[k];
    }
    return fine ? NULL
                : ts_error(TS_NOT_FINITE,
                           "a component's covariance is not positive definite: raise start.floor "
                           "above %g",
                           f->config->floor);
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

/* Given components and sticks, the shares. */
static ts_status update_shares(fitting *f)
{
    double before = 0; /* E ln of the product of (1 - v) */
    double *constant = malloc(sizeof *constant * (size_t)f->k);
    if (!constant)
        return ts_error(TS_NO_MEMORY, "no memory for %d numbers", f->k);
    for (int k = 0; k < f->k; k++) {
        const double *stick = f->stick[k], both = ts_dpmixture_digamma(stick[0] + stick[1]);
        constant[k] = before + ts_dpmixture_digamma(stick[0]) - both;
        before += ts_dpmixture_digamma(stick[1]) - both;
    }
    form_of(f->config)->logits(f, constant);
#pragma omp parallel for schedule(static) num_threads(f->config->threads)
    for (int64_t i = 0; i < f->n; i++)
        normalise(f, i);
    free(constant);
    return NULL;
}

/* On the log evidence, right after the components' update. */
static double bound_of(const fitting *f)
{
    const double sticks = log_beta(1, f->config->concentration);
    double sum = 0;
    for (int k = 0; k < f->k; k++)
        sum += log_beta(f->stick[k][0], f->stick[k][1]) - sticks + form_of(f->config)->bound(f, k);
    for (int64_t i = 0; i < f->n; i++)
        sum += f->entropy[i];
    return sum;
}

/* ---- the whole ---- */

static ts_status begin(fitting *f)
{
    const size_t points = (size_t)f->n, k = (size_t)f->k;
    f->share = calloc(points * k, sizeof *f->share);
    f->entropy = calloc(points, sizeof *f->entropy);
    f->count = calloc(k, sizeof *f->count);
    f->stick = calloc(k, sizeof *f->stick);
    if (!f->share || !f->entropy || !f->count || !f->stick)
        return ts_error(TS_NO_MEMORY, "no memory for %d components of %lld points", f->k, (long long)f->n);
    TS_TRY(form_of(f->config)->begin(f));
    int *label = malloc(sizeof *label * points);
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
        mixture->converged = bound[i] - bound[i - 1] <= config->tolerance * (double)f->n;
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
    size_t covariance, factors;
    form_of(f->config)->sizes(f, &covariance, &factors);
    mixture->weights = malloc(sizeof(double) * k);
    mixture->means = malloc(sizeof(double) * k * d);
    mixture->covariances = malloc(sizeof(double) * k * covariance);
    mixture->factors = factors ? malloc(sizeof(double) * k * factors) : NULL;
    const bool whole = weight && order && mixture->weights && mixture->means && mixture->covariances &&
                       (mixture->factors || !factors);
    for (size_t i = 0; whole && i < k; i++) {
        const double share = f->stick[i][0] / (f->stick[i][0] + f->stick[i][1]);
        total += weight[i] = rest * share;
        rest *= 1 - share;
        order[i] = &weight[i];
    }
    if (whole)
        qsort(order, k, sizeof *order, by_weight);
    for (size_t i = 0; whole && i < k; i++) {
        mixture->weights[i] = *order[i] / total;
        form_of(f->config)->take(f, (int)(order[i] - weight), mixture->means + i * d,
                                 mixture->covariances + i * covariance,
                                 factors ? mixture->factors + i * factors : NULL);
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
    free(mixture->factors);
    free(mixture->bound);
    *mixture = (ts_dpmixture){0};
}

ts_status ts_dpmixture_fit(const double *x, int64_t n, int d, const ts_dpmixture_config *config,
                           ts_dpmixture *mixture)
{
    fitting f = {.config = config, .x = x, .n = n, .d = d, .k = config->components};
    *mixture = (ts_dpmixture){.k = config->components, .d = d, .rank = config->factors};
    if (n < 2 || d < 1 || f.k < 1 || config->threads < 1 || !(config->concentration > 0) ||
        !(config->floor >= 0) || config->factors < 0 || config->factors > d)
        return ts_error(TS_INVALID, "%d components of %lld points in %d dimensions", f.k, (long long)n, d);
    openblas_set_num_threads(1); /* its calls stand within parallel loops */
    ts_status status = begin(&f);
    if (!status)
        status = ascend(&f, mixture);
    if (!status)
        status = take(&f, mixture);
    form_of(config)->release(&f);
    free(f.share);
    free(f.entropy);
    free(f.count);
    free(f.stick);
    if (status)
        ts_dpmixture_release(mixture);
    return status;
}
