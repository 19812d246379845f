#include "nn/rotations.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "kernels/philox.h"

static double normal(uint64_t seed, uint32_t layer, uint32_t i)
{
    /* the upper half of the instances: the lower one belongs to ts_params_commit */
    const ts_philox_words w = ts_philox(seed, i, 0, TS_STREAM_INIT, 0x80000000u | layer);
    const double u = (w.v[0] + 0.5) * 0x1p-32, v = w.v[1] * 0x1p-32;
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* a [c,c] <- a rotation: Q of the QR factors of a Gaussian matrix. tau [c]. */
static int rotation(uint64_t seed, uint32_t layer, int c, double *a, double *tau)
{
    for (int i = 0; i < c * c; i++)
        a[i] = normal(seed, layer, (uint32_t)i);
    const int info = LAPACKE_dgeqrf(LAPACK_ROW_MAJOR, c, c, a, c, tau);
    return info ? info : LAPACKE_dorgqr(LAPACK_ROW_MAJOR, c, c, c, a, c, tau);
}

/* a <- its LU factors; order[i] <- which row of a came to row i. */
static int factor(int c, double *a, int *pivots, int *order)
{
    const int info = LAPACKE_dgetrf(LAPACK_ROW_MAJOR, c, c, a, c, pivots);
    for (int i = 0; i < c; i++)
        order[i] = i;
    for (int i = 0; i < c; i++) {
        const int other = pivots[i] - 1, row = order[i];
        order[i] = order[other];
        order[other] = row;
    }
    return info;
}

/* The factors as floats in the order lower, upper, permutation [c,c] each, log_s, sign [c] each. */
static void spread(int c, const double *lu, const int *order, float *out)
{
    float *lower = out, *upper = lower + c * c, *permutation = upper + c * c;
    float *log_s = permutation + c * c, *sign = log_s + c;
    for (int i = 0; i < c; i++) {
        for (int j = 0; j < c; j++) {
            lower[i * c + j] = j < i ? (float)lu[i * c + j] : 0;
            upper[i * c + j] = j > i ? (float)lu[i * c + j] : 0;
            permutation[i * c + j] = 0;
        }
        log_s[i] = (float)log(fabs(lu[i * c + i]));
        sign[i] = lu[i * c + i] < 0 ? -1 : 1;
    }
    for (int i = 0; i < c; i++)
        permutation[order[i] * c + i] = 1; /* W = P L U, and row i of L U is row order[i] of W */
}

/* a [c,c] <- the rotation of a layer, `last` of its level; tau [c]. */
static int turn(ts_rotations *t, uint32_t layer, bool last, int c, double *a, double *tau)
{
    if (!t->product)
        return rotation(t->seed, layer, c, a, tau);
    if (last) {
        for (int i = 0; i < c; i++)
            for (int j = 0; j < c; j++)
                a[i * c + j] = t->product[j * c + i];
        return 0;
    }
    const int info = rotation(t->seed, layer, c, a, tau);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, c, c, c, 1, a, c, t->product, c, 0, t->next, c);
    memcpy(t->product, t->next, sizeof *t->next * (size_t)c * (size_t)c);
    return info;
}

ts_status ts_rotations_next(ts_rotations *t, uint32_t layer, bool last, int c, float *out)
{
    const size_t square = (size_t)c * (size_t)c;
    double *a = malloc((square + (size_t)c) * sizeof *a);
    int *pivots = malloc(2 * (size_t)c * sizeof *pivots);
    ts_status status = NULL;
    if (!a || !pivots)
        status = ts_error(TS_NO_MEMORY, "Glow: no memory for a rotation of %d channels", c);
    else if (turn(t, layer, last, c, a, a + square) || factor(c, a, pivots, pivots + c))
        status = ts_error(TS_NOT_FINITE, "Glow: LAPACK cannot factor a rotation of %d channels", c);
    else
        spread(c, a, pivots + c, out);
    free(a);
    free(pivots);
    return status;
}
