/* Diffusion times of a batch. */
#include <math.h>
#include "kernels/cpu/cpu.h"

/* Element i's uniform, in (0, 1]. */
static double uniform(const ts_draw_times *a, uint32_t i)
{
    ts_philox_words words = ts_random_words(a->state, TS_STREAM_TIME, i / 4);
    return ts_uniform_from(words.v[i % 4]);
}

/* The float nearest to t that does not leave the interval. */
static float round_into(double t, double t_min, double t_max)
{
    float rounded = (float)fmin(fmax(t, t_min), t_max);
    if (rounded < t_min)
        rounded = nextafterf(rounded, INFINITY);
    else if (rounded > t_max)
        rounded = nextafterf(rounded, -INFINITY);
    return rounded;
}

ts_status ts_cpu_draw_times(ts_device *device, const ts_draw_times *a)
{
    (void)device;
    const double common = a->low_discrepancy ? uniform(a, 0) : 0.0;
    double low = a->t_min, high = a->t_max;
    if (a->sampling == TS_TIME_IMPORTANCE) {
        low = ts_sde_lambda(&a->sde, a->t_min);
        high = ts_sde_lambda(&a->sde, a->t_max);
    } else if (a->sampling == TS_TIME_STRUCTURE) {
        low = ts_sde_log_noise_share(&a->sde, a->t_min);
        high = ts_sde_log_noise_share(&a->sde, a->t_max);
    }
    for (int i = 0; i < a->n; i++) {
        double u = a->low_discrepancy ? fmod(common + (double)i / a->n, 1.0) : uniform(a, (uint32_t)i);
        double t = low + u * (high - low);
        if (a->sampling == TS_TIME_IMPORTANCE)
            t = ts_sde_lambda_inverse(&a->sde, t);
        else if (a->sampling == TS_TIME_STRUCTURE)
            t = ts_sde_time_of_log_noise_share(&a->sde, t);
        a->t[i] = round_into(t, a->t_min, a->t_max);
    }
    return NULL;
}
