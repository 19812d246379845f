/* Diffusion times of a batch, in double until they are rounded. */
#include "kernels/cuda/launch.cuh"

enum { THREADS = 128 };

/* Element i's uniform, in (0, 1]. */
static __device__ double uniform(const ts_step_state *state, uint32_t i)
{
    const ts_philox_words words = ts_random_words(state, TS_STREAM_TIME, i / 4);
    const uint32_t lane = i % 4;
    return ts_uniform_from(lane < 2    ? lane == 0 ? words.v[0] : words.v[1]
                              : lane == 2 ? words.v[2]
                                       : words.v[3]);
}

/* The float nearest to t that does not leave the interval. */
static __device__ float round_into(double t, double t_min, double t_max)
{
    const float rounded = (float)fmin(fmax(t, t_min), t_max);
    if (rounded < t_min)
        return nextafterf(rounded, INFINITY);
    if (rounded > t_max)
        return nextafterf(rounded, -INFINITY);
    return rounded;
}

static __global__ void draw(const ts_draw_times a)
{
    const ts_step_state state = *a.state;
    const bool importance = a.sampling == TS_TIME_IMPORTANCE;
    const double low = importance ? ts_sde_lambda(&a.sde, a.t_min) : a.t_min;
    const double high = importance ? ts_sde_lambda(&a.sde, a.t_max) : a.t_max;
    for (int64_t i = ts_thread(); i < a.n; i += ts_threads()) {
        const double u = a.low_discrepancy ? fmod(uniform(&state, 0) + (double)i / a.n, 1.0)
                                           : uniform(&state, (uint32_t)i);
        const double t = low + u * (high - low);
        a.t[i] = round_into(importance ? ts_sde_lambda_inverse(&a.sde, t) : t, a.t_min, a.t_max);
    }
}

ts_status ts_cuda_draw_times(ts_device *device, const ts_draw_times *a)
{
    return ts_launch(device, draw, ts_grid(device, a->n, THREADS), THREADS, 0, *a);
}
