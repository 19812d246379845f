/*
 * Gaussians whose mean and log-deviation a network gives: what splits off in a Glow, and its top.
 */
#include "kernels/cuda/random.cuh"
#include "kernels/cuda/row_sum.cuh"

namespace
{
/* Which channels are meant, and where their moments lie in h. */
struct layout {
    int64_t hw;
    int c, stride, first;
    bool interleaved;
};
} // namespace

/* The arguments of every operation begin with these. */
template <class A> static layout layout_of(const A *a)
{
    return {a->hw, a->c, a->stride, a->first, a->interleaved};
}

/* Whether four channels at once are always whole; addresses apart. */
template <class A> static bool in_fours(const A *a)
{
    return a->c % 4 == 0 && a->stride % 4 == 0 && a->first % 4 == 0;
}

/* Moments of N channels from `channel` on, of row h [2c]. */
template <int N, class T>
static __device__ __forceinline__ void load_moments(const layout &l, const T *h, int channel,
                                                    float (&mean)[N], float (&logs)[N])
{
    if (!l.interleaved) {
        ts_load(h + channel, mean);
        ts_load(h + l.c + channel, logs);
    } else if constexpr (N == 1) {
        mean[0] = ts_float(h[2 * channel]);
        logs[0] = ts_float(h[2 * channel + 1]);
    } else {
        float p[2 * N];
        ts_load(h + 2 * channel, p);
#pragma unroll
        for (int k = 0; k < N; k++) {
            mean[k] = p[2 * k];
            logs[k] = p[2 * k + 1];
        }
    }
}

template <int N, class T>
static __device__ __forceinline__ void store_moments(const layout &l, T *h, int channel,
                                                     const float (&mean)[N], const float (&logs)[N])
{
    if (!l.interleaved) {
        ts_store(h + channel, mean);
        ts_store(h + l.c + channel, logs);
    } else if constexpr (N == 1) {
        h[2 * channel] = ts_cast<T>(mean[0]);
        h[2 * channel + 1] = ts_cast<T>(logs[0]);
    } else {
        float p[2 * N];
#pragma unroll
        for (int k = 0; k < N; k++) {
            p[2 * k] = mean[k];
            p[2 * k + 1] = logs[k];
        }
        ts_store(h + 2 * channel, p);
    }
}

/* ---- log-density ---- */

namespace
{
template <class T> struct log_density {
    layout l;
    const T *x, *h;
    float *logp;
    /* Elements j .. j + N of the image's [hw,c]. */
    template <int N> __device__ double part(int64_t image, int64_t j) const
    {
        const int64_t row = image * l.hw + j / l.c;
        const int channel = (int)(j % l.c);
        float v[N], mean[N], logs[N];
        double sum = 0;
        ts_load(x + row * l.stride + l.first + channel, v);
        load_moments(l, h + row * 2 * l.c, channel, mean, logs);
#pragma unroll
        for (int k = 0; k < N; k++) {
            const float d = (v[k] - mean[k]) * expf(-logs[k]);
            sum -= (double)(0.5f * d * d + logs[k]);
        }
        return sum;
    }
    __device__ void finish(int64_t image, double sum) const
    {
        const double ln_2pi = 1.8378770664093454836;
        logp[image] = (float)(sum - 0.5 * ln_2pi * (double)(l.hw * l.c));
    }
};
} // namespace

ts_status ts_cuda_gaussian_forward(ts_device *device, const ts_gaussian_forward *a)
{
    const bool wide = in_fours(a) && ts_aligned(a->x) && ts_aligned(a->h);
    TS_DISPATCH(
        device, T,
        return ts_row_sums<4>(device, a->n, (int64_t)a->hw * a->c, wide,
                              log_density<T>{layout_of(a), (const T *)a->x, (const T *)a->h, a->logp}));
}

namespace
{
/* Over all channels of x, those outside of the Gaussian included, which may have to become zero. */
template <class T, bool accumulate> struct gaussian_gradient {
    layout l;
    const T *x, *h;
    const float *dlogp;
    T *dx, *dh;
    template <int N> __device__ void run(int64_t j) const
    {
        const int64_t row = j / l.stride;
        const int channel = (int)(j - row * l.stride) - l.first;
        float v[N] = {}, sum[N] = {}, mean[N], logs[N];
        if (channel < 0 || channel >= l.c) {
            if (dx && !accumulate)
                ts_store(dx + j, v);
            return;
        }
        const float g = dlogp[row / l.hw];
        ts_load(x + j, v);
        load_moments(l, h + row * 2 * l.c, channel, mean, logs);
        if constexpr (accumulate)
            if (dx)
                ts_load(dx + j, sum);
#pragma unroll
        for (int k = 0; k < N; k++) {
            const float r = expf(-logs[k]), d = (v[k] - mean[k]) * r;
            mean[k] = g * d * r;
            logs[k] = g * (d * d - 1);
            sum[k] -= mean[k];
        }
        if (dx)
            ts_store(dx + j, sum);
        if (dh)
            store_moments(l, dh + row * 2 * l.c, channel, mean, logs);
    }
};
} // namespace

template <class T, bool accumulate> static ts_status run(ts_device *device, const ts_gaussian_backward *a)
{
    const bool wide =
        in_fours(a) && ts_aligned(a->x) && ts_aligned(a->h) && ts_aligned(a->dx) && ts_aligned(a->dh);
    return ts_each<4>(device, (int64_t)a->n * a->hw * a->stride, wide,
                      gaussian_gradient<T, accumulate>{layout_of(a), (const T *)a->x, (const T *)a->h,
                                                       a->dlogp, (T *)a->dx, (T *)a->dh});
}

ts_status ts_cuda_gaussian_backward(ts_device *device, const ts_gaussian_backward *a)
{
    TS_DISPATCH(device, T, return a->accumulate ? run<T, true>(device, a) : run<T, false>(device, a));
}

/* ---- samples ---- */

/* Four normals at a time, however few the channels; `wide`: they are whole channels of one row. */
template <class T, bool wide>
static __global__ void sample(const ts_gaussian_sample a, const layout l, int64_t count)
{
    const ts_step_state state = *a.state;
    const T *const h = (const T *)a.h;
    for (int64_t i = 4 * ts_thread(); i < count; i += 4 * ts_threads()) {
        float z[4] = {};
        if (a.temperature != 0) /* at 0 an overflowing deviation must not matter */
            ts_normals(&state, a.stream, a.element + (uint64_t)i, z);
        const int64_t row = i / l.c;
        const int channel = (int)(i - row * l.c);
        if constexpr (wide) {
            float mean[4], logs[4];
            load_moments(l, h + row * 2 * l.c, channel, mean, logs);
#pragma unroll
            for (int k = 0; k < 4; k++)
                mean[k] += a.temperature != 0 ? a.temperature * expf(logs[k]) * z[k] : 0;
            ts_store((T *)a.x + row * l.stride + l.first + channel, mean);
        } else {
#pragma unroll
            for (int k = 0; k < 4; k++) {
                const int64_t of = (i + k) / l.c;
                const int at = (int)(i + k - of * l.c);
                float mean[1], logs[1];
                if (i + k >= count)
                    break;
                load_moments(l, h + of * 2 * l.c, at, mean, logs);
                mean[0] += a.temperature != 0 ? a.temperature * expf(logs[0]) * z[k] : 0;
                ts_store((T *)a.x + of * l.stride + l.first + at, mean);
            }
        }
    }
}

ts_status ts_cuda_gaussian_sample(ts_device *device, const ts_gaussian_sample *a)
{
    const int64_t count = (int64_t)a->n * a->hw * a->c;
    const unsigned grid = ts_grid(device, (count + 3) / 4, 256);
    const bool wide = in_fours(a) && ts_aligned(a->x) && ts_aligned(a->h);
    TS_DISPATCH(device, T,
                return ts_launch(device, wide ? sample<T, true> : sample<T, false>, grid, 256, 0, *a,
                                 layout_of(a), count));
}
