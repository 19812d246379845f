/*
 * Draws from a Gaussian mixture at time t of the forward process.  A row takes the same random numbers
 * whichever batch it is drawn in: its first block of four words chooses the component, the following ones are
 * its normals.
 */
#include <math.h>
#include "kernels/cpu/cpu.h"

enum { ROWS = 64 }; /* that share one call of the generator */

static int choose(const ts_mixture_view *m, double u)
{
    double below = 0.0;
    for (int k = 0; k < m->k - 1; k++) {
        below += m->weights[k];
        if (u <= below)
            return k;
    }
    return m->k - 1;
}

/* x = a mu_k + V_k sqrt(a^2 lambda_k + s^2) z; of factors a mu_k + a F_k^T y + sqrt(a^2 lambda_k + s^2) z, with
 * the numbers y behind the d of z. */
static void sample_row(const ts_mixture_view *m, int k, double a, double s, const float *z, float *x)
{
    const int d = m->d;
    const double *mean = m->means + (size_t)k * d, *value = m->values + (size_t)k * d;
    const double *vectors = m->vectors ? m->vectors + (size_t)k * d * d : NULL;
    for (int i = 0; i < d; i++) {
        double sum = a * mean[i];
        if (vectors)
            for (int j = 0; j < d; j++)
                sum += vectors[(size_t)i * d + j] * sqrt(a * a * value[j] + s * s) * (double)z[j];
        else
            sum += sqrt(a * a * value[i] + s * s) * (double)z[i];
        for (int j = 0; j < m->rank; j++)
            sum += a * m->factors[((size_t)k * m->rank + j) * d + i] * (double)z[d + j];
        x[i] = (float)sum;
    }
}

ts_status ts_cpu_mixture_sample(ts_device *device, const ts_mixture_sample *a)
{
    const ts_mixture_view *m = &a->mixture;
    const double mean = a->t == 0.0 ? 1.0 : ts_sde_mean(&a->sde, a->t);
    const double std = a->t == 0.0 ? 0.0 : ts_sde_std(&a->sde, a->t);
    const int blocks = 1 + (m->d + m->rank + 3) / 4; /* of a row */
    const int groups = (a->n + ROWS - 1) / ROWS;
    const size_t stride = (size_t)ROWS * blocks * 4;
    void *memory;
    TS_TRY(ts_cpu_scratch(device, 0, (size_t)groups * stride * sizeof(float), &memory));
#pragma omp parallel for schedule(static) num_threads(device->threads)
    for (int group = 0; group < groups; group++) {
        float *z = (float *)memory + (size_t)group * stride;
        const int first = group * ROWS, rows = a->n - first < ROWS ? a->n - first : ROWS;
        const uint64_t block = (uint64_t)(a->start + first) * (uint64_t)blocks;
        ts_cpu_normals(a->state, a->stream, 4 * block, (int64_t)rows * blocks * 4, z);
        for (int i = 0; i < rows; i++) {
            const ts_philox_words w =
                ts_random_words(a->state, a->stream, (uint32_t)(block + (uint64_t)i * (uint64_t)blocks));
            sample_row(m, choose(m, ts_uniform_from(w.v[0])), mean, std, z + ((size_t)i * blocks + 1) * 4,
                       a->x + (size_t)(first + i) * m->d);
        }
    }
    return NULL;
}
