/*
 * Clipping, Adam, EMA and zeroing of gradients in one pass over all parameters, after one pass for the norm.
 * Both are bound by memory; the second moves 10 floats a parameter.
 */
#include <math.h>
#include <string.h>
#include "kernels/cpu/cpu.h"

enum { SHARE = 16384 }; /* parameters a task: fixed, so that the norm does not depend on the thread count */

static double sum_of_squares(const float *restrict g, int64_t count)
{
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < count; j++)
        sum += (double)g[j] * (double)g[j];
    return sum;
}

static ts_status gradient_norm(ts_device *device, const ts_optimizer_step *a, double *norm)
{
    const int64_t tasks = (a->count + SHARE - 1) / SHARE;
    void *memory;
    TS_TRY(ts_cpu_scratch(device, 0, (size_t)tasks * sizeof(double), &memory));
    double *partial = memory, sum = 0.0;
#pragma omp parallel for schedule(static) num_threads(device->threads) if (tasks > 1)
    for (int64_t i = 0; i < tasks; i++) {
        int64_t first = i * SHARE;
        partial[i] =
            sum_of_squares(a->gradients + first, a->count - first < SHARE ? a->count - first : SHARE);
    }
    for (int64_t i = 0; i < tasks; i++)
        sum += partial[i];
    *norm = sqrt(sum);
    return NULL;
}

/* What one step's update needs besides the parameters themselves. */
typedef struct coefficients {
    float clip; /* factor of the gradient */
    float rate; /* with warm-up, over 1 - beta1^(step + 1) */
    float root; /* 1/sqrt(1 - beta2^(step + 1)), factor of the second moment's root */
    float ema;  /* 1 - decay */
} coefficients;

static coefficients coefficients_of(const ts_optimizer_step *a, double norm)
{
    const double step = a->state->step, next = step + 1.0;
    const double ramp = (1.0 + step) / (10.0 + step), decay = a->ema_decay < ramp ? a->ema_decay : ramp;
    const double warm = next < a->warmup ? next / a->warmup : 1.0;
    const double clip = a->clip > 0.0f && norm > a->clip ? a->clip / norm : 1.0;
    const double left1 = -expm1(next * log(a->beta1)), left2 = -expm1(next * log(a->beta2));
    coefficients c = {
        .clip = (float)clip,
        .rate = (float)(a->rate * warm / left1),
        .root = (float)(1.0 / sqrt(left2)),
        .ema = (float)(1.0 - decay),
    };
    return c;
}

/* One parameter with gradient g; the bias corrections are folded into rate and root. */
static inline float adam(float parameter, float g, float *m, float *v, float beta1, float beta2, float rate,
                         float root, float epsilon)
{
    *m = beta1 * *m + (1.0f - beta1) * g;
    *v = beta2 * *v + (1.0f - beta2) * g * g;
    return parameter - rate * *m / (sqrtf(*v) * root + epsilon);
}

static void update(const ts_optimizer_step *a, const coefficients *c, int64_t first, int64_t count)
{
    float *restrict p = a->parameters + first, *restrict g = a->gradients + first;
    float *restrict m = a->first + first, *restrict v = a->second + first;
    const float beta1 = a->beta1, beta2 = a->beta2, epsilon = a->epsilon;
    const float clip = c->clip, rate = c->rate, root = c->root, share = c->ema;
    if (!a->ema) {
        for (int64_t j = 0; j < count; j++) {
            p[j] = adam(p[j], clip * g[j], &m[j], &v[j], beta1, beta2, rate, root, epsilon);
            g[j] = 0.0f;
        }
        return;
    }
    float *restrict ema = a->ema + first;
    for (int64_t j = 0; j < count; j++) {
        p[j] = adam(p[j], clip * g[j], &m[j], &v[j], beta1, beta2, rate, root, epsilon);
        g[j] = 0.0f;
        ema[j] += share * (p[j] - ema[j]);
    }
}

ts_status ts_cpu_optimizer_step(ts_device *device, const ts_optimizer_step *a)
{
    double norm;
    TS_TRY(gradient_norm(device, a, &norm));
    const bool finite = isfinite((float)norm);
    const coefficients c = coefficients_of(a, norm);
    a->report->norm = (float)norm;
    if (!finite && !a->report->skipped++)
        a->report->first_skipped = a->state->step;
#pragma omp parallel for schedule(static) num_threads(device->threads) if (a->count > SHARE)
    for (int64_t i = 0; i < a->count; i += SHARE) {
        int64_t count = a->count - i < SHARE ? a->count - i : SHARE;
        if (finite)
            update(a, &c, i, count);
        else
            memset(a->gradients + i, 0, (size_t)count * sizeof(float));
    }
    if (finite)
        device->k->weights_changed(device);
    return NULL;
}
