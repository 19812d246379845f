/*
 * The matrix of Glow's 1x1 convolution from its factors, W = P L (U + diag(sign exp(log_s))) with unit lower
 * triangular L and strictly upper triangular U (Kingma and Dhariwal 2018, section 3.2).  Small matrices:
 * double precision inside, one thread.
 */
#include <math.h>
#include <string.h>
#include "kernels/cpu/cpu.h"

/* The factors in double precision, every entry outside the triangles in its place. */
static void unpack(int c, const float *lower, const float *upper, const float *sign, const float *log_s,
                   double *l, double *v)
{
    for (int i = 0; i < c; i++)
        for (int j = 0; j < c; j++) {
            const int64_t at = (int64_t)i * c + j;
            l[at] = j < i ? lower[at] : j == i;
            v[at] = j > i ? upper[at] : j == i ? sign[i] * exp((double)log_s[i]) : 0;
        }
}

/* out = A B or A^T B; zeros of A, of which triangles and permutations are full, cost nothing. */
static void multiply(int c, bool transpose, const double *a, const double *b, double *out)
{
    memset(out, 0, sizeof(double) * c * c);
    for (int i = 0; i < c; i++)
        for (int k = 0; k < c; k++) {
            const double factor = transpose ? a[(int64_t)k * c + i] : a[(int64_t)i * c + k];
            if (factor != 0)
                for (int j = 0; j < c; j++)
                    out[(int64_t)i * c + j] += factor * b[(int64_t)k * c + j];
        }
}

/* b <- L^-1 b by forward substitution, then b <- (U + D)^-1 b backwards: b is [c,c]. */
static void solve(int c, const double *l, const double *v, double *b)
{
    for (int i = 0; i < c; i++)
        for (int k = 0; k < i; k++)
            for (int j = 0; j < c; j++)
                b[(int64_t)i * c + j] -= l[(int64_t)i * c + k] * b[(int64_t)k * c + j];
    for (int i = c - 1; i >= 0; i--) {
        for (int k = i + 1; k < c; k++)
            for (int j = 0; j < c; j++)
                b[(int64_t)i * c + j] -= v[(int64_t)i * c + k] * b[(int64_t)k * c + j];
        for (int j = 0; j < c; j++)
            b[(int64_t)i * c + j] /= v[(int64_t)i * c + i];
    }
}

/* `count` matrices of scratch. */
static ts_status matrices(ts_device *device, int c, int count, double **m)
{
    void *memory;
    TS_TRY(ts_cpu_scratch(device, 0, sizeof(double) * c * c * count, &memory));
    for (int i = 0; i < count; i++)
        m[i] = (double *)memory + (int64_t)i * c * c;
    return NULL;
}

ts_status ts_cpu_glow_matrix_forward(ts_device *device, const ts_glow_matrix_forward *a)
{
    const int c = a->c;
    const int64_t count = (int64_t)c * c;
    double *m[4];
    TS_TRY(matrices(device, c, 4, m));
    double *l = m[0], *v = m[1], *p = m[2], *out = m[3];
    unpack(c, a->lower, a->upper, a->sign, a->log_s, l, v);
    if (a->inverse) {
        for (int i = 0; i < c; i++) /* P^-1 = P^T */
            for (int j = 0; j < c; j++)
                out[(int64_t)i * c + j] = a->permutation[(int64_t)j * c + i];
        solve(c, l, v, out);
    } else {
        multiply(c, false, l, v, out);
        for (int64_t i = 0; i < count; i++)
            p[i] = a->permutation[i];
        multiply(c, false, p, out, v);
        out = v;
    }
    for (int64_t i = 0; i < count; i++)
        a->weight[i] = (float)out[i];
    return NULL;
}

/* W = P L V: with G = P^T dW, dL = G V^T and dV = L^T G, on the entries that are free. */
ts_status ts_cpu_glow_matrix_backward(ts_device *device, const ts_glow_matrix_backward *a)
{
    const int c = a->c;
    const int64_t count = (int64_t)c * c;
    double *m[5];
    TS_TRY(matrices(device, c, 5, m));
    double *l = m[0], *v = m[1], *p = m[2], *dw = m[3], *g = m[4];
    unpack(c, a->lower, a->upper, a->sign, a->log_s, l, v);
    for (int64_t i = 0; i < count; i++) {
        p[i] = a->permutation[i];
        dw[i] = a->dweight[i];
    }
    multiply(c, true, p, dw, g);
    if (a->dlower)
        for (int i = 1; i < c; i++)
            for (int j = 0; j < i; j++) {
                double sum = 0;
                for (int k = j; k < c; k++)
                    sum += g[(int64_t)i * c + k] * v[(int64_t)j * c + k];
                a->dlower[(int64_t)i * c + j] += (float)sum;
            }
    double *dv = dw;
    multiply(c, true, l, g, dv);
    for (int i = 0; i < c; i++) {
        if (a->dupper)
            for (int j = i + 1; j < c; j++)
                a->dupper[(int64_t)i * c + j] += (float)dv[(int64_t)i * c + j];
        if (a->dlog_s)
            a->dlog_s[i] += (float)(dv[(int64_t)i * c + i] * v[(int64_t)i * c + i]);
    }
    return NULL;
}
