/* Whitening by the Gaussian of the data: two products with its eigenvectors, all in double. */
#include <cblas.h>
#include <math.h>
#include <omp.h>
#include "kernels/cpu/cpu.h"

enum { ROWS = 16 }; /* a task; fixed, so that the sums do not depend on the thread count */

/* u[j] *= v_j^(-1/2), or with `inverse` v_j^(1/2); returns the log-determinant of row i. */
static double scale_row(const ts_whiten *a, int i, double *restrict u)
{
    const double mean = ts_sde_mean(&a->sde, a->t[i]), std = ts_sde_std(&a->sde, a->t[i]);
    double sum = 0;
    for (int j = 0; j < a->d; j++) {
        const double variance = mean * mean * a->values[j] + std * std, root = sqrt(variance);
        u[j] *= a->inverse ? root : 1 / root;
        sum += log(variance);
    }
    return a->inverse ? 0.5 * sum : -0.5 * sum;
}

/* row + factor m, m the mean if there is one */
static void shift_row(const ts_whiten *a, double factor, double *restrict row)
{
    for (int j = 0; a->mean && j < a->d; j++)
        row[j] += factor * a->mean[j];
}

/* Rows first .. first + n; x and u [ROWS,d] are room. */
static void whiten_rows(const ts_whiten *a, int first, int n, double *x, double *u)
{
    const size_t d = (size_t)a->d, count = (size_t)n * d;
    const float *const restrict from = (const float *)a->x + (size_t)first * d;
    float *const restrict to = (float *)a->y + (size_t)first * d;
    for (size_t j = 0; j < count; j++)
        x[j] = (double)from[j];
    for (int i = 0; !a->inverse && i < n; i++)
        shift_row(a, -ts_sde_mean(&a->sde, a->t[first + i]), x + (size_t)i * d);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, a->d, a->d, 1, x, a->d, a->vectors, a->d, 0, u,
                a->d);
    for (int i = 0; i < n; i++) {
        const double log_det = scale_row(a, first + i, u + (size_t)i * d);
        if (a->log_det)
            a->log_det[first + i] = (float)log_det;
    }
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, a->d, a->d, 1, u, a->d, a->vectors, a->d, 0, x,
                a->d);
    for (int i = 0; a->inverse && i < n; i++)
        shift_row(a, ts_sde_mean(&a->sde, a->t[first + i]), x + (size_t)i * d);
    for (size_t j = 0; j < count; j++)
        to[j] = (float)(x[j] + (a->accumulate ? (double)to[j] : 0));
}

ts_status ts_cpu_whiten(ts_device *device, const ts_whiten *a)
{
    const int tasks = (a->n + ROWS - 1) / ROWS;
    const size_t room = ROWS * (size_t)a->d;
    void *memory;
    TS_TRY(ts_cpu_scratch(device, 0, 2 * (size_t)device->threads * room * sizeof(double), &memory));
#pragma omp parallel num_threads(device->threads) if (tasks > 1)
    {
        double *const x = (double *)memory + 2 * (size_t)omp_get_thread_num() * room;
#pragma omp for schedule(static)
        for (int i = 0; i < tasks; i++)
            whiten_rows(a, i * ROWS, a->n - i * ROWS < ROWS ? a->n - i * ROWS : ROWS, x, x + room);
    }
    return NULL;
}
