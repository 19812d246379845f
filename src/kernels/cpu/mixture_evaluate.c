/*
 * The exact score of a Gaussian mixture under the forward process, its log-density and the score's Jacobian
 * times a vector, each row at its own time, all in double.
 *
 * Component k of p_t is N(a mu_k, P_k^-1) with P_k = (a^2 C_k + s^2 I)^-1.  With responsibilities r_k and
 * h_k = -P_k (x - a mu_k):
 *   grad log p_t = g = sum_k r_k h_k,   Hessian = sum_k r_k (h_k h_k^T - P_k) - g g^T.
 *
 * Of C = F^T F + Psi, with D = a^2 Psi + s^2 and the Cholesky factor L of M = I + a^2 F D^-1 F^T [rank,rank]
 * (Woodbury):
 *   w = M^-1 a F D^-1 e,   P e = D^-1 (e - a F^T w),   e^T P e = |D^-1/2 (e - a F^T w)|^2 + |w|^2,
 *   ln |P^-1| = ln |D| + ln |M|.
 * The square is the least over w: what w is wrong by counts twice, and nothing large cancels.
 */
#include <math.h>
#include <omp.h>
#include <string.h>
#include "kernels/cpu/cpu.h"

/* The components at one time: 1 / (a^2 values + s^2) [k,d], ln |2 pi P^-1| [k], and L [k,rank,rank]. */
typedef struct instant {
    double a, s, *precision, *log_determinant, *cholesky;
} instant;

/* One thread's room: its rows' own time; P (x - a mu) [k,d], in each component's eigenvectors; log-weights [k];
 * w [rank]; and three vectors [d]. */
typedef struct scratch {
    instant own;
    double *u, *logit, *w, *h, *g, *product;
} scratch;

static size_t instant_doubles(const ts_mixture_view *m)
{
    return (size_t)m->k * ((size_t)m->d + 1 + (size_t)m->rank * (size_t)m->rank);
}

static size_t scratch_doubles(const ts_mixture_view *m)
{
    return instant_doubles(m) + (size_t)m->k * m->d + (size_t)m->k + (size_t)m->rank + 3 * (size_t)m->d;
}

static instant instant_of(const ts_mixture_view *m, double *memory)
{
    const size_t kd = (size_t)m->k * m->d;
    return (instant){0, 0, memory, memory + kd, memory + kd + m->k};
}

static scratch scratch_of(const ts_mixture_view *m, double *memory)
{
    scratch w = {.own = instant_of(m, memory), .u = memory + instant_doubles(m)};
    w.logit = w.u + (size_t)m->k * m->d;
    w.w = w.logit + m->k;
    w.h = w.w + m->rank;
    w.g = w.h + m->d;
    w.product = w.g + m->d;
    return w;
}

/* ---- a component at a time ---- */

static double dot(int d, const double *restrict x, const double *restrict y)
{
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int j = 0; j < d; j++)
        sum += x[j] * y[j];
    return sum;
}

static double dot_weighted(int d, const double *restrict x, const double *restrict weight,
                           const double *restrict y)
{
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int j = 0; j < d; j++)
        sum += x[j] * weight[j] * y[j];
    return sum;
}

/* factors [rank,d] -> L, row by row; returns ln |M|.  Of a matrix I + ... no pivot is below 1. */
static double factorise(int rank, int d, double a, const double *factors, const double *precision, double *L)
{
    double log_determinant = 0.0;
    for (int i = 0; i < rank; i++)
        for (int j = 0; j <= i; j++) {
            const double entry = a * a *
                                 dot_weighted(d, factors + (size_t)i * d, precision, factors + (size_t)j * d),
                         rest = entry - dot(j, L + i * rank, L + j * rank);
            L[i * rank + j] = i == j ? sqrt(1.0 + fmax(rest, 0.0)) : rest / L[j * rank + j];
            log_determinant += i == j ? log1p(fmax(rest, 0.0)) : 0.0;
        }
    return log_determinant;
}

static void component_at(const ts_mixture_view *m, int k, const instant *t)
{
    const int d = m->d;
    const double *value = m->values + (size_t)k * d;
    double *precision = t->precision + (size_t)k * d, determinant = 0.0;
    for (int j = 0; j < d; j++) {
        const double variance = t->a * t->a * value[j] + t->s * t->s;
        precision[j] = 1.0 / variance;
        determinant += log(2.0 * M_PI * variance);
    }
    if (m->rank)
        determinant += factorise(m->rank, d, t->a, m->factors + (size_t)k * m->rank * d, precision,
                                 t->cholesky + (size_t)k * m->rank * m->rank);
    t->log_determinant[k] = determinant;
}

static void set_time(const ts_mixture_evaluate *e, double t, instant *at)
{
    at->a = ts_sde_mean(&e->sde, t);
    at->s = ts_sde_std(&e->sde, t);
}

/* ---- a component's precision times a vector ---- */

/* y = V^T x or, with `back`, y = V x; V [d,d] or NULL for the identity. */
static void rotate(const double *vectors, int d, bool back, const double *restrict x, double *restrict y)
{
    if (!vectors) {
        memcpy(y, x, sizeof *y * (size_t)d);
        return;
    }
    for (int j = 0; j < d; j++)
        y[j] = 0.0;
    for (int i = 0; i < d; i++)
        for (int j = 0; j < d; j++)
            if (back)
                y[i] += vectors[(size_t)i * d + j] * x[j];
            else
                y[j] += vectors[(size_t)i * d + j] * x[i];
}

static const double *vectors_of(const ts_mixture_view *m, int k)
{
    return m->vectors ? m->vectors + (size_t)k * m->d * m->d : NULL;
}

/* w <- M^-1 w */
static void solve(int rank, const double *L, double *w)
{
    for (int i = 0; i < rank; i++)
        w[i] = (w[i] - dot(i, L + i * rank, w)) / L[i * rank + i];
    for (int i = rank - 1; i >= 0; i--) {
        w[i] /= L[i * rank + i];
        for (int j = 0; j < i; j++)
            w[j] -= L[i * rank + j] * w[i];
    }
}

/* y <- P_k e, in the component's eigenvectors where it has such; e is lost.  Returns e^T P_k e. */
static double multiply(const ts_mixture_view *m, int k, const instant *t, double *w, double *restrict e,
                       double *restrict y)
{
    const int d = m->d, rank = m->rank;
    const double *precision = t->precision + (size_t)k * d;
    for (int i = 0; i < rank; i++)
        w[i] = t->a * dot_weighted(d, m->factors + ((size_t)k * rank + i) * d, precision, e);
    if (rank)
        solve(rank, t->cholesky + (size_t)k * rank * rank, w);
    for (int i = 0; i < rank; i++) {
        const double *factor = m->factors + ((size_t)k * rank + i) * d, share = t->a * w[i];
        for (int j = 0; j < d; j++)
            e[j] -= share * factor[j];
    }
    rotate(vectors_of(m, k), d, false, e, y);
    const double square = dot_weighted(d, y, precision, y) + dot(rank, w, w);
    for (int j = 0; j < d; j++)
        y[j] *= precision[j];
    return square;
}

/* ---- a row ---- */

/* Returns log p_t(x); afterwards logit[k] are responsibilities and u = V^T P (x - a mu). */
static double responsibilities(const ts_mixture_view *m, const instant *t, const float *x, scratch *w)
{
    const int d = m->d;
    double largest = -INFINITY, sum = 0.0;
    for (int k = 0; k < m->k; k++) {
        const double *mean = m->means + (size_t)k * d;
        for (int j = 0; j < d; j++)
            w->h[j] = (double)x[j] - t->a * mean[j];
        const double square = multiply(m, k, t, w->w, w->h, w->u + (size_t)k * d);
        w->logit[k] = log(m->weights[k]) - 0.5 * (square + t->log_determinant[k]);
        largest = fmax(largest, w->logit[k]);
    }
    for (int k = 0; k < m->k; k++)
        sum += w->logit[k] = exp(w->logit[k] - largest);
    for (int k = 0; k < m->k; k++)
        w->logit[k] /= sum;
    return largest + log(sum);
}

/* g += r_k h_k for all k; with v also product += r_k (h_k (h_k . v) - P_k v), then product -= g (g . v). */
static void derivatives(const ts_mixture_view *m, const instant *t, const float *v, scratch *w)
{
    const int d = m->d;
    for (int j = 0; j < d; j++)
        w->g[j] = w->product[j] = 0.0;
    for (int k = 0; k < m->k; k++) {
        const double r = w->logit[k], *vectors = vectors_of(m, k);
        double *u = w->u + (size_t)k * d, along = 0.0;
        if (r == 0.0)
            continue;
        rotate(vectors, d, true, u, w->h);
        for (int j = 0; j < d; j++)
            w->g[j] -= r * w->h[j];
        if (!v)
            continue;
        for (int j = 0; j < d; j++)
            along += w->h[j] * (double)v[j];
        for (int j = 0; j < d; j++)
            w->product[j] += r * along * w->h[j];
        for (int j = 0; j < d; j++)
            w->h[j] = v[j];
        multiply(m, k, t, w->w, w->h, u);
        rotate(vectors, d, true, u, w->h);
        for (int j = 0; j < d; j++)
            w->product[j] -= r * w->h[j];
    }
    double along = 0.0;
    for (int j = 0; v && j < d; j++)
        along += w->g[j] * (double)v[j];
    for (int j = 0; j < d; j++)
        w->product[j] -= along * w->g[j];
}

/* `first` is of the first row's time, which many rows share. */
static void evaluate_row(const ts_mixture_evaluate *e, int i, const instant *first, scratch *w)
{
    const int d = e->mixture.d;
    const size_t row = (size_t)i * d;
    const instant *t = first;
    if (e->t[i] != e->t[0]) {
        set_time(e, e->t[i], &w->own);
        for (int k = 0; k < e->mixture.k; k++)
            component_at(&e->mixture, k, &w->own);
        t = &w->own;
    }
    const double log_prob = responsibilities(&e->mixture, t, e->x + row, w);
    if (e->log_prob)
        e->log_prob[i] = log_prob;
    if (!e->net && !e->vjp)
        return;
    derivatives(&e->mixture, t, e->vjp ? e->v + row : NULL, w);
    for (int j = 0; e->net && j < d; j++)
        e->net[row + j] = (float)(-t->s * w->g[j]);
    for (int j = 0; e->vjp && j < d; j++)
        e->vjp[row + j] = (float)(-t->s * w->product[j]);
}

ts_status ts_cpu_mixture_evaluate(ts_device *device, const ts_mixture_evaluate *a)
{
    const size_t doubles = (scratch_doubles(&a->mixture) + 7) / 8 * 8,
                 shared = (instant_doubles(&a->mixture) + 7) / 8 * 8;
    const int64_t work = (int64_t)a->n * a->mixture.k * a->mixture.d;
    void *memory;
    TS_TRY(ts_cpu_scratch(device, 0, (shared + (size_t)device->threads * doubles) * sizeof(double), &memory));
    instant first = instant_of(&a->mixture, memory);
    set_time(a, a->t[0], &first);
#pragma omp parallel num_threads(device->threads) if (work > TS_CPU_PARALLEL)
    {
        scratch w =
            scratch_of(&a->mixture, (double *)memory + shared + (size_t)omp_get_thread_num() * doubles);
#pragma omp for schedule(static)
        for (int k = 0; k < a->mixture.k; k++)
            component_at(&a->mixture, k, &first);
#pragma omp for schedule(static)
        for (int i = 0; i < a->n; i++)
            evaluate_row(a, i, &first, &w);
    }
    return NULL;
}
