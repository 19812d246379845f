/*
 * Affine coupling with a sigmoid scale (Dinh et al. 2017; Kingma and Dhariwal 2018):
 * x2 -> (x2 + u) sigmoid(v + 2).  A thread takes N channels of the second half, with their counterparts of the
 * first, which go through.
 */
#include "kernels/cuda/row_sum.cuh"

namespace
{
/* sigmoid(a) and sigmoid(-a), a = v + 2, and ln sigmoid(a). */
template <class T> struct sigmoid {
    float s, r, log;
    __device__ explicit sigmoid(float v)
    {
        const float lowest = -60; /* a smaller scale would lose the inverse, and soon leave float32's range */
        const float a = v + 2 < lowest ? lowest : v + 2;
        const float e = sizeof(T) == 2 ? __expf(a < 0 ? a : -a) : expf(a < 0 ? a : -a);
        const float large = 1 / (1 + e), small = e * large;
        s = a < 0 ? small : large;
        r = a < 0 ? large : small;
        log = (a < 0 ? a : 0) - log1pf(e);
    }
};
} // namespace

/* Shift and scale of N channels lie interleaved. */
template <int N, class T> static __device__ __forceinline__ void load_pairs(const T *h, float (&p)[2 * N])
{
    if constexpr (N == 1) {
        p[0] = ts_float(h[0]);
        p[1] = ts_float(h[1]);
    } else {
        ts_load(h, p);
    }
}

template <int N, class T> static __device__ __forceinline__ void store_pairs(T *h, const float (&p)[2 * N])
{
    if constexpr (N == 1) {
        h[0] = ts_cast<T>(p[0]);
        h[1] = ts_cast<T>(p[1]);
    } else {
        ts_store(h, p);
    }
}

/* Whether N channels at once are always whole and aligned. */
template <class T> static bool wide(int c, const void *a, const void *b, const void *d)
{
    return c % 8 == 0 && ts_aligned(a) && ts_aligned(b) && ts_aligned(d);
}

/* ---- forward and inverse ---- */

namespace
{
template <class T, bool inverse> struct transform {
    int64_t hw;
    int half;
    const T *x, *h;
    T *y;
    float *logdet;
    /* Elements j .. j + N of the image's [hw,half]. */
    template <int N> __device__ double part(int64_t image, int64_t j) const
    {
        const int64_t row = image * hw + j / half, first = row * 2 * half + j % half;
        float x1[N], x2[N], p[2 * N];
        double sum = 0;
        ts_load(x + first, x1);
        ts_load(x + first + half, x2);
        load_pairs<N>(h + first + j % half, p);
#pragma unroll
        for (int k = 0; k < N; k++) {
            const sigmoid<T> g(p[2 * k + 1]);
            x2[k] = inverse ? x2[k] / g.s - p[2 * k] : (x2[k] + p[2 * k]) * g.s;
            sum += (double)g.log;
        }
        ts_store(y + first, x1);
        ts_store(y + first + half, x2);
        return sum;
    }
    __device__ void finish(int64_t image, double sum) const
    {
        if (logdet)
            logdet[image] = (float)sum;
    }
};
} // namespace

template <class T, bool inverse> static ts_status run(ts_device *device, const ts_coupling_forward *a)
{
    return ts_row_sums<4>(
        device, a->n, (int64_t)a->hw * (a->c / 2), wide<T>(a->c, a->x, a->h, a->y),
        transform<T, inverse>{a->hw, a->c / 2, (const T *)a->x, (const T *)a->h, (T *)a->y, a->logdet});
}

ts_status ts_cuda_coupling_forward(ts_device *device, const ts_coupling_forward *a)
{
    TS_DISPATCH(device, T, return a->inverse ? run<T, true>(device, a) : run<T, false>(device, a));
}

/* ---- backward ---- */

namespace
{
/* dx2 = du = dy2 s, dv = (dy2 (x2 + u) s + dlogdet) sigmoid(-a) */
template <class T, bool accumulate> struct gradient {
    int64_t hw;
    int half;
    const T *x, *h, *dy;
    const float *dlogdet;
    T *dx, *dh;
    template <int N> __device__ void run(int64_t j) const
    {
        const int64_t row = j / half, channel = j - row * half, first = row * 2 * half + channel;
        const float dlog = dlogdet ? dlogdet[row / hw] : 0;
        float x2[N], p[2 * N], dy1[N] = {}, dy2[N];
        ts_load(x + first + half, x2);
        load_pairs<N>(h + first + channel, p);
        ts_load(dy + first + half, dy2);
        if (dx)
            ts_load(dy + first, dy1);
#pragma unroll
        for (int k = 0; k < N; k++) {
            const sigmoid<T> g(p[2 * k + 1]);
            dy2[k] *= g.s;
            p[2 * k + 1] = (dy2[k] * (x2[k] + p[2 * k]) + dlog) * g.r;
            p[2 * k] = dy2[k];
        }
        if (dh)
            store_pairs<N>(dh + first + channel, p);
        if (!dx)
            return;
        if constexpr (accumulate) {
            float sum1[N], sum2[N];
            ts_load(dx + first, sum1);
            ts_load(dx + first + half, sum2);
#pragma unroll
            for (int k = 0; k < N; k++) {
                dy1[k] += sum1[k];
                dy2[k] += sum2[k];
            }
        }
        ts_store(dx + first, dy1);
        ts_store(dx + first + half, dy2);
    }
};
} // namespace

template <class T, bool accumulate> static ts_status run(ts_device *device, const ts_coupling_backward *a)
{
    const bool four = wide<T>(a->c, a->x, a->h, a->dy) && ts_aligned(a->dx) && ts_aligned(a->dh);
    return ts_each<4>(device, (int64_t)a->n * a->hw * (a->c / 2), four,
                      gradient<T, accumulate>{a->hw, a->c / 2, (const T *)a->x, (const T *)a->h,
                                              (const T *)a->dy, a->dlogdet, (T *)a->dx, (T *)a->dh});
}

ts_status ts_cuda_coupling_backward(ts_device *device, const ts_coupling_backward *a)
{
    TS_DISPATCH(device, T, return a->accumulate ? run<T, true>(device, a) : run<T, false>(device, a));
}
