#include "quality/frechet.h"

#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quality/threads.h"

static ts_status no_memory(void)
{
    return ts_error(TS_NO_MEMORY, "Frechet distance: no memory");
}

static double *numbers(size_t count)
{
    return malloc(sizeof(double) * count);
}

/* ---- Gaussians ---- */

/* Eigenvalues, ascending, and (job 'V') eigenvectors, columns of the row-major matrix, which is
 * overwritten. */
static ts_status eigen(int d, char job, double *matrix, double *values)
{
    if (LAPACKE_dsyevd(LAPACK_ROW_MAJOR, job, 'U', d, matrix, d, values) != 0)
        return ts_error(TS_NOT_FINITE, "Frechet distance: the eigen-decomposition of a %dx%d matrix failed",
                        d, d);
    return NULL;
}

/* root <- m^1/2 with rounding's negative eigenvalues as zero; scratch [d,d], values [d] */
static ts_status matrix_root(int d, const double *m, double *root, double *scratch, double *values)
{
    memcpy(scratch, m, sizeof *m * (size_t)d * (size_t)d);
    TS_TRY(eigen(d, 'V', scratch, values));
    /* (V diag(l^1/4)) (V diag(l^1/4))^T */
    for (int i = 0; i < d; i++)
        for (int j = 0; j < d; j++)
            scratch[(size_t)i * d + j] *= values[j] > 0 ? sqrt(sqrt(values[j])) : 0;
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, d, d, d, 1, scratch, d, scratch, d, 0, root, d);
    return NULL;
}

/* tr (root cov root)^1/2; work [2 d d + d] */
static ts_status root_trace(int d, const double *root, const double *cov, double *work, double *trace)
{
    const size_t square = (size_t)d * d;
    double *product = work, *scratch = product + square, *values = scratch + square;
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, d, d, d, 1, root, d, cov, d, 0, scratch, d);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, d, d, d, 1, scratch, d, root, d, 0, product, d);
    for (int i = 0; i < d; i++)
        for (int j = 0; j < i; j++) {
            const double middle = 0.5 * (product[(size_t)i * d + j] + product[(size_t)j * d + i]);
            product[(size_t)i * d + j] = product[(size_t)j * d + i] = middle;
        }
    TS_TRY(eigen(d, 'N', product, values));
    *trace = 0;
    for (int i = 0; i < d; i++)
        *trace += values[i] > 0 ? sqrt(values[i]) : 0;
    return NULL;
}

/* |mean1 - mean2|^2 + tr(cov1 + cov2); not finite where one of them is not. */
static ts_status plain_terms(int d, const double *mean1, const double *cov1, const double *mean2,
                             const double *cov2, double *total)
{
    *total = 0;
    for (int i = 0; i < d; i++)
        *total +=
            (mean1[i] - mean2[i]) * (mean1[i] - mean2[i]) + cov1[(size_t)i * d + i] + cov2[(size_t)i * d + i];
    for (size_t i = 0; i < (size_t)d * d; i++)
        if (!isfinite(cov1[i]) || !isfinite(cov2[i]))
            *total = NAN;
    return isfinite(*total) ? NULL
                            : ts_error(TS_NOT_FINITE, "Frechet distance: a mean or covariance is not finite");
}

ts_status ts_frechet_gaussians(int d, const double *mean1, const double *cov1, const double *mean2,
                               const double *cov2, double *distance)
{
    const size_t square = (size_t)d * d;
    double total, trace = 0;
    ts_quality_threads(1);
    TS_TRY(plain_terms(d, mean1, cov1, mean2, cov2, &total));
    double *root = numbers(3 * square + (size_t)d), *work = root + square;
    if (!root)
        return no_memory();
    ts_status status = matrix_root(d, cov1, root, work, work + square);
    if (!status)
        status = root_trace(d, root, cov2, work, &trace);
    free(root);
    TS_TRY(status);
    *distance = fmax(0, total - 2 * trace);
    return NULL;
}

/* ---- moments ---- */

enum { BLOCK = 64 }; /* rows that one thread turns into features at once */

struct ts_moments {
    int q, groups;
    int64_t n;
    double *mean, *covariance, *root; /* [q], [q,q] (unbiased), [q,q] */
    /* about the whole set's mean: sum [groups][q] and sum of outer products [groups][q][q] (upper) */
    double *sums, *products;
};

/* The features of points in the order of their groups: rows [n][q]. */
static ts_status grouped_rows(const ts_features *f, const float *points, int64_t n, int threads, double *rows)
{
    const size_t d = (size_t)ts_features_dimension(f), q = (size_t)ts_features_count(f);
    const int groups = ts_jackknife_groups(n);
    uint8_t *group = malloc((size_t)n);
    int64_t *place = malloc(sizeof *place * (size_t)n);
    const int64_t blocks = (n + BLOCK - 1) / BLOCK;
    const int workers = threads < blocks ? threads : (int)blocks;
    double *room = numbers((size_t)workers * BLOCK * (d + q));
    ts_status status = group && place && room ? ts_jackknife_assign(n, group) : no_memory();
    if (!status) {
        int64_t next[TS_JACKKNIFE_GROUPS] = {0};
        for (int g = 1; g < groups; g++)
            next[g] = next[g - 1] + ts_jackknife_size(n, g - 1);
        for (int64_t i = 0; i < n; i++)
            place[i] = next[group[i]]++;
#pragma omp parallel for schedule(dynamic) num_threads(workers)
        for (int64_t first = 0; first < n; first += BLOCK) {
            const int count = n - first < BLOCK ? (int)(n - first) : BLOCK;
            double *centred = room + (size_t)omp_get_thread_num() * BLOCK * (d + q),
                   *out = centred + BLOCK * d;
            ts_features_of(f, points + (size_t)first * d, count, centred, out);
            for (int i = 0; i < count; i++)
                memcpy(rows + (size_t)place[first + i] * q, out + (size_t)i * q, sizeof *out * q);
        }
    }
    free(room);
    free(place);
    free(group);
    return status;
}

static void sum_rows(const double *rows, int64_t count, size_t q, double *sum)
{
    memset(sum, 0, sizeof *sum * q);
    for (int64_t i = 0; i < count; i++)
        for (size_t j = 0; j < q; j++)
            sum[j] += rows[(size_t)i * q + j];
}

/* Mean, and each group's moments about it; the rows are centred on the way.  A group is one thread's. */
static void group_moments(ts_moments *m, double *rows, int threads)
{
    const size_t q = (size_t)m->q;
    int64_t start[TS_JACKKNIFE_GROUPS + 1] = {0};
    for (int g = 0; g < m->groups; g++)
        start[g + 1] = start[g] + ts_jackknife_size(m->n, g);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int g = 0; g < m->groups; g++)
        sum_rows(rows + (size_t)start[g] * q, start[g + 1] - start[g], q, m->sums + (size_t)g * q);
    sum_rows(m->sums, m->groups, q, m->mean);
    for (size_t j = 0; j < q; j++)
        m->mean[j] /= (double)m->n;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int g = 0; g < m->groups; g++) {
        const int64_t count = start[g + 1] - start[g];
        double *own = rows + (size_t)start[g] * q;
        for (int64_t i = 0; i < count; i++)
            for (size_t j = 0; j < q; j++)
                own[(size_t)i * q + j] -= m->mean[j];
        sum_rows(own, count, q, m->sums + (size_t)g * q);
        cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, m->q, (int)count, 1, own, m->q, 0,
                    m->products + (size_t)g * q * q, m->q);
    }
}

/* Mean and unbiased covariance of the set without one group (-1: whole). */
static void moments_without(const ts_moments *m, int left_out, double *mean, double *covariance)
{
    const size_t q = (size_t)m->q;
    const double n = (double)(left_out < 0 ? m->n : m->n - ts_jackknife_size(m->n, left_out));
    memset(covariance, 0, sizeof *covariance * q * q);
    memset(mean, 0, sizeof *mean * q);
    for (int g = 0; g < m->groups; g++) {
        const double *product = m->products + (size_t)g * q * q, *sum = m->sums + (size_t)g * q;
        if (g == left_out)
            continue;
        for (size_t i = 0; i < q; i++) {
            mean[i] += sum[i] / n;
            for (size_t j = i; j < q; j++)
                covariance[i * q + j] += product[i * q + j];
        }
    }
    for (size_t i = 0; i < q; i++)
        for (size_t j = i; j < q; j++)
            covariance[i * q + j] = covariance[j * q + i] =
                (covariance[i * q + j] - n * mean[i] * mean[j]) / (n - 1);
    for (size_t i = 0; i < q; i++)
        mean[i] += m->mean[i];
}

static ts_status fill(ts_moments *m, const ts_features *features, const float *points, int threads)
{
    const size_t q = (size_t)m->q, groups = (size_t)m->groups;
    m->mean = numbers(q);
    m->covariance = numbers(q * q);
    m->root = numbers(q * q);
    m->sums = numbers(groups * q);
    m->products = numbers(groups * q * q);
    double *rows = numbers((size_t)m->n * q), *work = numbers(q * q + q);
    ts_status status = NULL;
    if (!m->mean || !m->covariance || !m->root || !m->sums || !m->products || !rows || !work)
        status = no_memory();
    if (!status)
        status = grouped_rows(features, points, m->n, threads, rows);
    if (!status) {
        group_moments(m, rows, threads);
        moments_without(m, -1, work, m->covariance);
        status = plain_terms(m->q, m->mean, m->covariance, m->mean, m->covariance, work);
    }
    if (!status)
        status = matrix_root(m->q, m->covariance, m->root, work, work + q * q);
    free(work);
    free(rows);
    return status;
}

ts_status ts_moments_create(const ts_features *features, const float *points, int64_t n, int threads,
                            ts_moments **moments)
{
    *moments = NULL;
    if (n < 2 || n > INT32_MAX)
        return ts_error(TS_INVALID, "Frechet distance: needs at least two points in each set (has %lld)",
                        (long long)n);
    ts_moments *m = calloc(1, sizeof *m);
    if (!m)
        return no_memory();
    *m = (ts_moments){.q = ts_features_count(features), .n = n, .groups = ts_jackknife_groups(n)};
    ts_status status = fill(m, features, points, ts_quality_threads(threads));
    if (status)
        ts_moments_free(m);
    else
        *moments = m;
    return status;
}

void ts_moments_free(ts_moments *moments)
{
    if (!moments)
        return;
    free(moments->mean);
    free(moments->covariance);
    free(moments->root);
    free(moments->sums);
    free(moments->products);
    free(moments);
}

/* ---- distances ---- */

/* The distance between `whole` and `part` without a group; work [3 q q + 2 q].  The trace is the same
 * whichever of the two is under the root, so the root of the whole set serves all parts of the other. */
static ts_status distance_without(const ts_moments *whole, const ts_moments *part, int left_out, double *work,
                                  double *distance)
{
    const size_t q = (size_t)part->q;
    double *covariance = work, *mean = covariance + q * q, *rest = mean + q, total, trace;
    moments_without(part, left_out, mean, covariance);
    TS_TRY(plain_terms(part->q, whole->mean, whole->covariance, mean, covariance, &total));
    TS_TRY(root_trace(part->q, whole->root, covariance, rest, &trace));
    *distance = fmax(0, total - 2 * trace);
    return NULL;
}

/* values: the distance, then without each group of a (unless it is too small), then without each of b. */
static ts_status all_distances(const ts_moments *const sets[2], const int groups[2], int threads,
                               double *values)
{
    const size_t q = (size_t)sets[0]->q, room = 3 * q * q + 2 * q;
    double *work = numbers((size_t)threads * room);
    ts_status failure = NULL;
    if (!work)
        return no_memory();
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int k = 0; k < 1 + groups[0] + groups[1]; k++) {
        const int side = k > 0 && k <= groups[0] ? 0 : 1, group = side ? k - 1 - groups[0] : k - 1;
        ts_status status = distance_without(sets[!side], sets[side], k ? group : -1,
                                            work + (size_t)omp_get_thread_num() * room, &values[k]);
#pragma omp critical(ts_frechet_failure)
        if (failure)
            ts_status_free(status);
        else
            failure = status;
    }
    free(work);
    return failure;
}

ts_status ts_moments_distance(const ts_moments *a, const ts_moments *b, int threads, ts_estimate *estimate)
{
    if (a->q != b->q)
        return ts_error(TS_INVALID, "Frechet distance: sets of %d and %d features", a->q, b->q);
    const ts_moments *const sets[2] = {a, b};
    double values[1 + 2 * TS_JACKKNIFE_GROUPS];
    int groups[2];
    for (int s = 0; s < 2; s++) /* what is left must have a covariance */
        groups[s] = sets[s]->n - ts_jackknife_size(sets[s]->n, 0) < 2 ? 0 : sets[s]->groups;
    TS_TRY(all_distances(sets, groups, ts_quality_threads(threads), values));
    *estimate = (ts_estimate){.value = values[0], .groups = {sets[0]->groups, sets[1]->groups}};
    for (int s = 0, at = 1; s < 2; at += groups[s++])
        estimate->variance[s] = groups[s] ? ts_jackknife_variance(sets[s]->n, values[0], values + at) : NAN;
    return NULL;
}
