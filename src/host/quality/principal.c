#include "quality/principal.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quality/products.h"

/* An eigenvalue below this share of the largest is rounding. */
#define ROUNDING 1e-12

static void centre(const float *x, int n, int d, int threads, double *mean, double *centred)
{
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int j = 0; j < d; j++) {
        double sum = 0;
        for (int i = 0; i < n; i++)
            sum += x[(size_t)i * d + j] / (double)n;
        mean[j] = sum;
    }
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int i = 0; i < n; i++)
        for (int j = 0; j < d; j++)
            centred[(size_t)i * d + j] = x[(size_t)i * d + j] - mean[j];
}

/* values [count], vectors [count,m] <- the leading eigenpairs of a symmetric matrix [m,m], ascending; the
 * matrix, of which the upper triangle is read, is overwritten. */
static ts_status leading(int m, double *matrix, int count, double *values, double *vectors)
{
    lapack_int found, *support = malloc(sizeof *support * 2 * (size_t)count);
    double *all = malloc(sizeof *all * (size_t)m); /* dsyevr wants room for all */
    if (!support || !all) {
        free(support);
        free(all);
        return ts_error(TS_NO_MEMORY, "principal components: no memory");
    }
    /* a row-major upper triangle is a column-major lower one; columns of eigenvectors are rows here */
    const lapack_int info = LAPACKE_dsyevr(LAPACK_COL_MAJOR, 'V', 'I', 'L', m, matrix, m, 0, 0, m - count + 1,
                                           m, 0, &found, all, vectors, m, support);
    memcpy(values, all, sizeof *values * (size_t)count);
    free(support);
    free(all);
    return info || found != count
               ? ts_error(TS_NOT_FINITE, "principal components: no eigenvectors of a %dx%d matrix", m, m)
               : NULL;
}

/* Row k of principal [count,d] <- the eigenvector of the k-th largest eigenvalue, from those of the
 * covariance [d,d] or of the Gram matrix [n,n]: X^T u / l^1/2. */
static void order(const double *centred, int n, int d, bool gram, int count, const double *values,
                  const double *vectors, double *principal)
{
    const double least = ROUNDING * values[count - 1];
    for (int k = 0; k < count; k++) {
        const int from = count - 1 - k;
        double *row = principal + (size_t)k * d;
        if (!(values[from] > least))
            memset(row, 0, sizeof *row * (size_t)d);
        else if (gram)
            cblas_dgemv(CblasRowMajor, CblasTrans, n, d, 1 / sqrt(values[from]), centred, d,
                        vectors + (size_t)from * n, 1, 0, row, 1);
        else
            memcpy(row, vectors + (size_t)from * d, sizeof *row * (size_t)d);
    }
}

ts_status ts_principal_components(const float *x, int n, int d, int count, int threads, double *mean,
                                  double *principal)
{
    const bool gram = n < d;
    const int m = gram ? n : d;
    double *centred = malloc(sizeof *centred * (size_t)n * (size_t)d);
    double *product = malloc(sizeof *product * (size_t)m * (size_t)m);
    double *vectors = malloc(sizeof *vectors * (size_t)count * (size_t)m);
    double *values = malloc(sizeof *values * (size_t)count);
    ts_status status = NULL;
    if (centred && product && vectors && values) {
        centre(x, n, d, threads, mean, centred);
        ts_symmetric_product(centred, gram ? d : n, m, gram, 0, threads, product);
        status = leading(m, product, count, values, vectors);
        if (!status)
            order(centred, n, d, gram, count, values, vectors, principal);
    } else {
        status = ts_error(TS_NO_MEMORY, "principal components: no memory for %d data of %d values", n, d);
    }
    free(values);
    free(vectors);
    free(product);
    free(centred);
    return status;
}
