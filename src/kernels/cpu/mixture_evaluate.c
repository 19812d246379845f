/*
 * The exact score of a Gaussian mixture under the forward process, its log-density and the score's Jacobian
 * times a vector, each row at its own time, all in double.
 *
 * Component k of p_t is N(a mu_k, P_k^-1) with P_k = (a^2 C_k + s^2 I)^-1.  With responsibilities r_k and
 * h_k = -P_k (x - a mu_k):
 *   grad log p_t = g = sum_k r_k h_k,   Hessian = sum_k r_k (h_k h_k^T - P_k) - g g^T.
 */
#include <math.h>
#include <omp.h>
#include "kernels/cpu/cpu.h"

/* One thread's room: projections and precisions [k,d] in each component's eigenvectors, log-weights [k], and
 * three vectors [d]. */
typedef struct scratch {
    double *u, *precision, *logit, *h, *g, *product;
} scratch;

static size_t scratch_doubles(const ts_mixture_view *m)
{
    return 2 * (size_t)m->k * m->d + (size_t)m->k + 3 * (size_t)m->d;
}

static scratch scratch_of(const ts_mixture_view *m, double *memory)
{
    const size_t kd = (size_t)m->k * m->d;
    scratch w = {memory, memory + kd, memory + 2 * kd, NULL, NULL, NULL};
    w.h = w.logit + m->k;
    w.g = w.h + m->d;
    w.product = w.g + m->d;
    return w;
}

/* y = V^T x or, with `back`, y = V x; V [d,d] or NULL for the identity. */
static void rotate(const double *vectors, int d, bool back, const double *restrict x, double *restrict y)
{
    if (!vectors) {
        for (int j = 0; j < d; j++)
            y[j] = x[j];
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

/* Returns log p_t(x); afterwards logit[k] are responsibilities and u = V^T P (x - a mu). */
static double responsibilities(const ts_mixture_view *m, double a, double s, const float *x, scratch *w)
{
    const int d = m->d;
    double largest = -INFINITY, sum = 0.0;
    for (int k = 0; k < m->k; k++) {
        const double *mean = m->means + (size_t)k * d, *value = m->values + (size_t)k * d;
        double *u = w->u + (size_t)k * d, *precision = w->precision + (size_t)k * d;
        for (int j = 0; j < d; j++)
            w->h[j] = (double)x[j] - a * mean[j];
        rotate(vectors_of(m, k), d, false, w->h, u);
        double quadratic = 0.0, determinant = 0.0;
        for (int j = 0; j < d; j++) {
            const double variance = a * a * value[j] + s * s;
            precision[j] = 1.0 / variance;
            determinant += log(2.0 * M_PI * variance);
            quadratic += u[j] * u[j] * precision[j];
            u[j] *= precision[j];
        }
        w->logit[k] = log(m->weights[k]) - 0.5 * (quadratic + determinant);
        largest = fmax(largest, w->logit[k]);
    }
    for (int k = 0; k < m->k; k++)
        sum += w->logit[k] = exp(w->logit[k] - largest);
    for (int k = 0; k < m->k; k++)
        w->logit[k] /= sum;
    return largest + log(sum);
}

/* g += r_k h_k for all k; with v also product += r_k (h_k (h_k . v) - P_k v), then product -= g (g . v). */
static void derivatives(const ts_mixture_view *m, const float *v, scratch *w)
{
    const int d = m->d;
    for (int j = 0; j < d; j++)
        w->g[j] = w->product[j] = 0.0;
    for (int k = 0; k < m->k; k++) {
        const double r = w->logit[k], *vectors = vectors_of(m, k);
        double *u = w->u + (size_t)k * d, *precision = w->precision + (size_t)k * d, along = 0.0;
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
        rotate(vectors, d, false, w->h, u);
        for (int j = 0; j < d; j++)
            u[j] *= precision[j];
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

static void evaluate_row(const ts_mixture_evaluate *e, int i, scratch *w)
{
    const int d = e->mixture.d;
    const size_t row = (size_t)i * d;
    const double a = ts_sde_mean(&e->sde, e->t[i]), s = ts_sde_std(&e->sde, e->t[i]);
    const double log_prob = responsibilities(&e->mixture, a, s, e->x + row, w);
    if (e->log_prob)
        e->log_prob[i] = log_prob;
    if (!e->net && !e->vjp)
        return;
    derivatives(&e->mixture, e->vjp ? e->v + row : NULL, w);
    for (int j = 0; e->net && j < d; j++)
        e->net[row + j] = (float)(-s * w->g[j]);
    for (int j = 0; e->vjp && j < d; j++)
        e->vjp[row + j] = (float)(-s * w->product[j]);
}

ts_status ts_cpu_mixture_evaluate(ts_device *device, const ts_mixture_evaluate *a)
{
    const size_t doubles = (scratch_doubles(&a->mixture) + 7) / 8 * 8;
    void *memory;
    TS_TRY(ts_cpu_scratch(device, 0, (size_t)device->threads * doubles * sizeof(double), &memory));
#pragma omp parallel num_threads(device->threads) if (a->n > 64)
    {
        scratch w = scratch_of(&a->mixture, (double *)memory + (size_t)omp_get_thread_num() * doubles);
#pragma omp for schedule(static)
        for (int i = 0; i < a->n; i++)
            evaluate_row(a, i, &w);
    }
    return NULL;
}
