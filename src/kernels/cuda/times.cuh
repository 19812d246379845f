/*
 * Diffusion times, in double until they are rounded.
 */
#ifndef TS_KERNELS_CUDA_TIMES_CUH
#define TS_KERNELS_CUDA_TIMES_CUH

#include "kernels/cuda/launch.cuh"

/* Element i's uniform, in (0, 1]. */
static __device__ __forceinline__ double ts_times_uniform(const ts_step_state *state, uint32_t i)
{
    const ts_philox_words words = ts_random_words(state, TS_STREAM_TIME, i / 4);
    const uint32_t lane = i % 4;
    return ts_uniform_from(lane < 2    ? lane == 0 ? words.v[0] : words.v[1]
                              : lane == 2 ? words.v[2]
                                       : words.v[3]);
}

/* The float nearest to t that does not leave the interval. */
static __device__ __forceinline__ float ts_times_round(double t, double t_min, double t_max)
{
    const float rounded = (float)fmin(fmax(t, t_min), t_max);
    if (rounded < t_min)
        return nextafterf(rounded, INFINITY);
    if (rounded > t_max)
        return nextafterf(rounded, -INFINITY);
    return rounded;
}

/* Where times are uniform: t itself, Lambda(t) or the logarithm of the noise's share, from `low` to `high`. */
typedef struct ts_times_range {
    double low, high;
} ts_times_range;

static __device__ __forceinline__ ts_times_range ts_times_range_of(const ts_draw_times &a)
{
    if (a.sampling == TS_TIME_IMPORTANCE)
        return {ts_sde_lambda(&a.sde, a.t_min), ts_sde_lambda(&a.sde, a.t_max)};
    if (a.sampling == TS_TIME_STRUCTURE)
        return {ts_sde_log_noise_share(&a.sde, a.t_min), ts_sde_log_noise_share(&a.sde, a.t_max)};
    return {a.t_min, a.t_max};
}

/* t[i] */
static __device__ __forceinline__ float ts_time_of(const ts_draw_times &a, const ts_times_range &range,
                                                   const ts_step_state &state, int64_t i)
{
    const double u = a.low_discrepancy ? fmod(ts_times_uniform(&state, 0) + (double)i / a.n, 1.0)
                                       : ts_times_uniform(&state, (uint32_t)i);
    const double t = range.low + u * (range.high - range.low);
    return ts_times_round(a.sampling == TS_TIME_IMPORTANCE  ? ts_sde_lambda_inverse(&a.sde, t)
                          : a.sampling == TS_TIME_STRUCTURE ? ts_sde_time_of_log_noise_share(&a.sde, t)
                                                            : t,
                          a.t_min, a.t_max);
}

#endif
