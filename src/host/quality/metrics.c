#include "quality/metrics.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/philox.h"

#define PLAIN_FEATURES       256
#define PRINCIPAL_COMPONENTS 64
#define PRINCIPAL_IMAGES     2048

static ts_status allocate(int64_t count, double **memory)
{
    *memory = calloc(count > 0 ? (size_t)count : 1, sizeof **memory);
    return *memory ? NULL : ts_error(TS_NO_MEMORY, "distances: no memory for %lld numbers", (long long)count);
}

/* ---- sliced Wasserstein ---- */

double ts_wasserstein2_sorted(const double *a, int64_t n, const double *b, int64_t m)
{
    double total = 0, from = 0;
    for (int64_t i = 0, j = 0; i < n && j < m;) {
        /* the next breakpoint of either quantile function, compared as (i+1)/n against (j+1)/m without
         * rounding */
        const int64_t left = (i + 1) * m, right = (j + 1) * n;
        const double to = (double)(left < right ? left : right) / ((double)n * (double)m);
        total += (to - from) * (a[i] - b[j]) * (a[i] - b[j]);
        from = to;
        i += left <= right;
        j += right <= left;
    }
    return total;
}

static int compare(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* A direction uniform on the sphere: normalised normals (Box-Muller on Philox words). */
static void draw_direction(uint64_t seed, int index, int d, double *direction)
{
    const ts_step_state state = {.seed = seed, .step = 0, .instance = (uint32_t)index};
    double square = 0;
    for (int j = 0; j < d; j += 2) {
        const ts_philox_words words = ts_random_words(&state, TS_STREAM_PROJECT, (uint32_t)(j / 2));
        const double u = (words.v[0] + 0.5) * 0x1p-32, angle = 2 * M_PI * (words.v[1] + 0.5) * 0x1p-32;
        const double radius = sqrt(-2 * log(u));
        direction[j] = radius * sin(angle);
        square += direction[j] * direction[j];
        if (j + 1 < d) {
            direction[j + 1] = radius * cos(angle);
            square += direction[j + 1] * direction[j + 1];
        }
    }
    const double scale = 1 / sqrt(square);
    for (int j = 0; j < d; j++)
        direction[j] *= scale;
}

static void project_and_sort(const float *points, int64_t n, int d, const double *direction, double *out)
{
    for (int64_t i = 0; i < n; i++) {
        const float *point = points + i * d;
        double sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int j = 0; j < d; j++)
            sum += direction[j] * point[j];
        out[i] = sum;
    }
    qsort(out, (size_t)n, sizeof *out, compare);
}

ts_status ts_sliced_wasserstein(const float *a, int64_t n, const float *b, int64_t m, int d, int projections,
                                uint64_t seed, double *distance, double *half)
{
    if (n < 1 || m < 1 || d < 1 || projections < 1)
        return ts_error(TS_INVALID,
                        "sliced Wasserstein distance: needs at least one point in each set and one direction "
                        "(has %lld, %lld, %d)",
                        (long long)n, (long long)m, projections);
    if (d == 1)
        projections = 1;
    double *squares;
    TS_TRY(allocate(projections, &squares));
    bool short_of_memory = false;
#pragma omp parallel
    {
        double *work = malloc(sizeof *work * (size_t)(n + m + d));
        if (!work) {
#pragma omp atomic write
            short_of_memory = true;
        }
        /* one direction a turn: the result does not depend on the number of threads */
#pragma omp for schedule(static)
        for (int p = 0; p < projections; p++) {
            if (!work)
                continue;
            double *x = work, *y = x + n, *direction = y + m;
            draw_direction(seed, p, d, direction);
            project_and_sort(a, n, d, direction, x);
            project_and_sort(b, m, d, direction, y);
            squares[p] = ts_wasserstein2_sorted(x, n, y, m);
        }
        free(work);
    }
    double mean = 0, variance = 0;
    for (int p = 0; p < projections; p++)
        mean += squares[p] / projections;
    for (int p = 0; p < projections; p++)
        variance += (squares[p] - mean) * (squares[p] - mean);
    free(squares);
    if (short_of_memory)
        return ts_error(TS_NO_MEMORY, "sliced Wasserstein distance: no memory");
    *distance = sqrt(mean);
    if (half) {
        /* delta method: d sqrt(m) = dm / (2 sqrt(m)) */
        const double error = sqrt(variance / (projections - 1) / projections);
        *half = projections == 1 ? NAN : mean > 0 ? 1.96 * error / (2 * sqrt(mean)) : 0;
    }
    return NULL;
}

/* ---- Frechet distance of Gaussians ---- */

/* Eigenvalues, ascending, and eigenvectors (columns of the row-major matrix, which they overwrite). */
static ts_status eigen(int d, double *matrix, double *values)
{
    if (LAPACKE_dsyevd(LAPACK_ROW_MAJOR, 'V', 'U', d, matrix, d, values) != 0)
        return ts_error(TS_NOT_FINITE, "Frechet distance: the eigen-decomposition of a %dx%d matrix failed",
                        d, d);
    return NULL;
}

/* root <- m^1/2 with rounding's negative eigenvalues as zero; scratch [d,d], values [d] */
static ts_status matrix_root(int d, const double *m, double *root, double *scratch, double *values)
{
    memcpy(scratch, m, sizeof *m * (size_t)d * d);
    TS_TRY(eigen(d, scratch, values));
    /* (V diag(l^1/4)) (V diag(l^1/4))^T */
    for (int i = 0; i < d; i++)
        for (int j = 0; j < d; j++)
            scratch[(size_t)i * d + j] *= values[j] > 0 ? sqrt(sqrt(values[j])) : 0;
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, d, d, d, 1, scratch, d, scratch, d, 0, root, d);
    return NULL;
}

/* tr (cov1^1/2 cov2 cov1^1/2)^1/2 */
static ts_status root_trace(int d, const double *cov1, const double *cov2, double *work, double *trace)
{
    const size_t square = (size_t)d * d;
    double *root = work, *product = root + square, *scratch = product + square, *values = scratch + square;
    TS_TRY(matrix_root(d, cov1, root, scratch, values));
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, d, d, d, 1, root, d, cov2, d, 0, scratch, d);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, d, d, d, 1, scratch, d, root, d, 0, product, d);
    for (int i = 0; i < d; i++)
        for (int j = 0; j < i; j++) {
            const double middle = 0.5 * (product[(size_t)i * d + j] + product[(size_t)j * d + i]);
            product[(size_t)i * d + j] = product[(size_t)j * d + i] = middle;
        }
    TS_TRY(eigen(d, product, values));
    *trace = 0;
    for (int i = 0; i < d; i++)
        *trace += values[i] > 0 ? sqrt(values[i]) : 0;
    return NULL;
}

ts_status ts_frechet_gaussians(int d, const double *mean1, const double *cov1, const double *mean2,
                               const double *cov2, double *distance)
{
    const size_t square = (size_t)d * d;
    double total = 0;
    for (int i = 0; i < d; i++)
        total +=
            (mean1[i] - mean2[i]) * (mean1[i] - mean2[i]) + cov1[(size_t)i * d + i] + cov2[(size_t)i * d + i];
    for (size_t i = 0; i < square; i++)
        if (!isfinite(cov1[i]) || !isfinite(cov2[i]))
            total = NAN;
    if (!isfinite(total))
        return ts_error(TS_NOT_FINITE, "Frechet distance: a mean or covariance is not finite");
    double *work, trace = 0;
    TS_TRY(allocate((int64_t)(3 * square + d), &work));
    ts_status status = root_trace(d, cov1, cov2, work, &trace);
    free(work);
    TS_TRY(status);
    *distance = fmax(0, total - 2 * trace);
    return NULL;
}

/* ---- features ---- */

struct ts_features {
    ts_features_kind kind;
    int d, count;             /* of the data, of the features */
    double *mean, *principal; /* [d], [count,d]; NULL: the data themselves */
};

/* Leading eigenvectors of the covariance of `images` (centred, [n,d]) by the smaller Gram matrix [n,n]. */
static ts_status principal_components(ts_features *f, const double *images, int n, double *gram,
                                      double *values)
{
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, n, f->d, 1, images, f->d, images, f->d, 0, gram,
                n);
    TS_TRY(eigen(n, gram, values));
    for (int k = 0; k < f->count; k++) {
        const int column = n - 1 - k;
        const double scale = values[column] > 0 ? 1 / sqrt(values[column]) : 0;
        cblas_dgemv(CblasRowMajor, CblasTrans, n, f->d, scale, images, f->d, gram + column, n, 0,
                    f->principal + (size_t)k * f->d, 1);
    }
    return NULL;
}

static ts_status fit_principal(ts_features *f, const float *train, int n)
{
    double *images = NULL, *gram = NULL, *values = NULL;
    ts_status status;
    TS_GOTO(allocate(f->d, &f->mean), done);
    TS_GOTO(allocate((int64_t)f->count * f->d, &f->principal), done);
    TS_GOTO(allocate((int64_t)n * f->d, &images), done);
    TS_GOTO(allocate((int64_t)n * n, &gram), done);
    TS_GOTO(allocate(n, &values), done);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < f->d; j++)
            f->mean[j] += train[(size_t)i * f->d + j] / (double)n;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < f->d; j++)
            images[(size_t)i * f->d + j] = train[(size_t)i * f->d + j] - f->mean[j];
    status = principal_components(f, images, n, gram, values);
done:
    free(values);
    free(gram);
    free(images);
    return status;
}

ts_status ts_features_create(const float *train, int64_t n, int h, int w, int c, ts_features **features)
{
    ts_features *f = calloc(1, sizeof *f);
    if (!f)
        return ts_error(TS_NO_MEMORY, "features: no memory");
    f->d = f->count = h * w * c;
    f->kind = h == 1 && w == 1 ? TS_FEATURES_COORDINATES : TS_FEATURES_PIXELS;
    if (f->d > PLAIN_FEATURES) {
        if (n <= PRINCIPAL_COMPONENTS) {
            free(f);
            return ts_error(TS_INVALID,
                            "features: %d principal components need more than %lld training images",
                            PRINCIPAL_COMPONENTS, (long long)n);
        }
        f->kind = TS_FEATURES_PCA64;
        f->count = PRINCIPAL_COMPONENTS;
        ts_status status = fit_principal(f, train, (int)(n < PRINCIPAL_IMAGES ? n : PRINCIPAL_IMAGES));
        if (status) {
            ts_features_free(f);
            return status;
        }
    }
    *features = f;
    return NULL;
}

void ts_features_free(ts_features *features)
{
    if (!features)
        return;
    free(features->mean);
    free(features->principal);
    free(features);
}

ts_features_kind ts_features_kind_of(const ts_features *features)
{
    return features->kind;
}

static void features_of(const ts_features *f, const float *point, double *centred, double *out)
{
    if (!f->principal) {
        for (int j = 0; j < f->d; j++)
            out[j] = point[j];
        return;
    }
    for (int j = 0; j < f->d; j++)
        centred[j] = point[j] - f->mean[j];
    cblas_dgemv(CblasRowMajor, CblasNoTrans, f->count, f->d, 1, f->principal, f->d, centred, 1, 0, out, 1);
}

/* The mean [q] and unbiased covariance [q,q] of the features of n points. */
static ts_status fit_gaussian(const ts_features *f, const float *points, int64_t n, double *mean,
                              double *covariance)
{
    const int q = f->count;
    double *rows, *centred = NULL;
    TS_TRY(allocate(n * q, &rows));
    ts_status status = allocate(f->d, &centred);
    if (!status) {
        memset(mean, 0, sizeof *mean * (size_t)q);
        for (int64_t i = 0; i < n; i++) {
            features_of(f, points + i * f->d, centred, rows + i * q);
            for (int j = 0; j < q; j++)
                mean[j] += rows[i * q + j] / (double)n;
        }
        for (int64_t i = 0; i < n; i++)
            for (int j = 0; j < q; j++)
                rows[i * q + j] -= mean[j];
        cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, q, q, (int)n, 1.0 / (double)(n - 1), rows, q,
                    rows, q, 0, covariance, q);
    }
    free(centred);
    free(rows);
    return status;
}

ts_status ts_frechet_sets(const ts_features *features, const float *a, int64_t n, const float *b, int64_t m,
                          double *distance)
{
    if (n < 2 || m < 2 || n > INT32_MAX || m > INT32_MAX)
        return ts_error(TS_INVALID,
                        "Frechet distance: needs at least two points in each set (has %lld, %lld)",
                        (long long)n, (long long)m);
    const int64_t q = features->count;
    double *work;
    TS_TRY(allocate(2 * (q + q * q), &work));
    double *mean1 = work, *mean2 = mean1 + q, *cov1 = mean2 + q, *cov2 = cov1 + q * q;
    ts_status status = fit_gaussian(features, a, n, mean1, cov1);
    if (!status)
        status = fit_gaussian(features, b, m, mean2, cov2);
    if (!status)
        status = ts_frechet_gaussians((int)q, mean1, cov1, mean2, cov2, distance);
    free(work);
    return status;
}
