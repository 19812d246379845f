/* The loss of denoising score matching, its gradient, and where in t it arises. */
#include "kernels/cpu/cpu.h"

/* Sum of (net - z)^2 over one image; dnet = factor (net - z) if wanted. */
static double squared_error(int d, float factor, const float *restrict net, const float *restrict z,
                            float *restrict dnet)
{
    double sum = 0.0;
    if (dnet) {
#pragma omp simd reduction(+ : sum)
        for (int j = 0; j < d; j++) {
            float e = net[j] - z[j];
            dnet[j] = factor * e;
            sum += (double)e * (double)e;
        }
    } else {
#pragma omp simd reduction(+ : sum)
        for (int j = 0; j < d; j++) {
            float e = net[j] - z[j];
            sum += (double)e * (double)e;
        }
    }
    return sum;
}

static int bin_of(const ts_score_loss *a, double t)
{
    double share = (t - a->t_min) / (a->t_max - a->t_min) * a->bins;
    return share >= a->bins ? a->bins - 1 : share > 0.0 ? (int)share : 0;
}

ts_status ts_cpu_score_loss(ts_device *device, const ts_score_loss *a)
{
    void *memory;
    TS_TRY(ts_cpu_scratch(device, 0, 3 * (size_t)a->n * sizeof(double), &memory));
    double *error = memory, *weight = error + a->n, *factor = weight + a->n; /* mean over d, w(t), f(t) */
#pragma omp parallel for schedule(static) num_threads(device->threads) if ((int64_t)a->n * a->d > 65536)
    for (int i = 0; i < a->n; i++) {
        const int64_t at = (int64_t)i * a->d;
        factor[i] = ts_sde_noise_factor(&a->sde, a->predicts, a->t[i]);
        weight[i] = ts_loss_weight_of(a, factor[i], a->t[i]);
        error[i] =
            squared_error(a->d, (float)(2.0 * weight[i] / ((double)a->d * a->n)), (const float *)a->net + at,
                          (const float *)a->z + at, a->dnet ? (float *)a->dnet + at : NULL) /
            a->d;
    }
    double total = 0.0;
    for (int i = 0; i < a->n; i++) {
        a->loss[i] = (float)(weight[i] * error[i]);
        total += weight[i] * error[i];
        if (a->profile) {
            double *bin = a->profile + 2 * (int64_t)bin_of(a, a->t[i]);
            bin[0] += factor[i] * error[i];
            bin[1] += 1.0;
        }
    }
    if (a->total)
        *a->total += total;
    return NULL;
}
