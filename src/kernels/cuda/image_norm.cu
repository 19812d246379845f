/* An affine map per image and channel: an actnorm that is told what differs from image to image. */
#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/row_sum.cuh"

enum { THREADS = TS_COLUMN_THREADS };

template <class T> static __device__ __forceinline__ float exp_of(float x)
{
    return sizeof(T) == 2 ? __expf(x) : expf(x);
}

/* ---- forward and inverse ---- */

namespace
{
template <class T, bool inverse> struct image_transform {
    int hw, c;
    const T *x, *h;
    T *y;
    float *logdet;
    /* Elements j .. j + N of the image's [hw,c]. */
    template <int N> __device__ double part(int64_t image, int64_t j) const
    {
        const int64_t at = image * hw * c + j, own = image * 2 * c + j % c;
        float v[N], bias[N], logs[N];
        double sum = 0;
        ts_load(x + at, v);
        ts_load(h + own, bias);
        ts_load(h + own + c, logs);
#pragma unroll
        for (int k = 0; k < N; k++) {
            const float factor = exp_of<T>(logs[k]);
            v[k] = inverse ? v[k] / factor - bias[k] : (v[k] + bias[k]) * factor;
            sum += (double)logs[k];
        }
        ts_store(y + at, v);
        return sum;
    }
    __device__ void finish(int64_t image, double sum) const
    {
        if (logdet)
            logdet[image] = (float)sum;
    }
};
} // namespace

template <class T, bool inverse> static ts_status run(ts_device *device, const ts_image_norm_forward *a)
{
    const bool four = a->c % 4 == 0 && ts_aligned(a->x) && ts_aligned(a->h) && ts_aligned(a->y);
    return ts_row_sums<4>(
        device, a->n, (int64_t)a->hw * a->c, four,
        image_transform<T, inverse>{a->hw, a->c, (const T *)a->x, (const T *)a->h, (T *)a->y, a->logdet});
}

ts_status ts_cuda_image_norm_forward(ts_device *device, const ts_image_norm_forward *a)
{
    TS_DISPATCH(device, T, return a->inverse ? run<T, true>(device, a) : run<T, false>(device, a));
}

/* ---- backward ---- */

/* A block takes an image at a time: dx = dy exp(logs), dbias = exp(logs) sum dy, dlogs = sum dy y + hw
 * dlogdet. */
template <class T, int N> static __global__ void backward(const ts_image_norm_backward a)
{
    TS_SHARED(float, room, [2 * N * THREADS]);
    const ts_column at = ts_column_of_thread<N>(a.c);
    const int height = ts_column_height(a.c / N);
    for (int64_t image = blockIdx.x; image < a.n; image += gridDim.x) {
        const int64_t own = image * 2 * a.c + at.channel;
        float factor[N], sum[2 * N] = {};
        if (at.active)
            ts_load((const T *)a.h + own + a.c, factor);
#pragma unroll
        for (int k = 0; k < N; k++)
            factor[k] = at.active ? exp_of<T>(factor[k]) : 0.0f;
        for (int q = at.row; at.active && q < a.hw; q += height) {
            const int64_t place = (image * a.hw + q) * a.c + at.channel;
            float y[N], g[N], dx[N] = {};
            ts_load((const T *)a.y + place, y);
            ts_load((const T *)a.dy + place, g);
            if (a.dx && a.accumulate)
                ts_load((const T *)a.dx + place, dx);
#pragma unroll
            for (int k = 0; k < N; k++) {
                sum[k] += g[k];
                sum[N + k] += g[k] * y[k];
                dx[k] += g[k] * factor[k];
            }
            if (a.dx)
                ts_store((T *)a.dx + place, dx);
        }
        ts_column_sum(a.c / N, at.row, at.active, room, sum);
        if (!a.dh || !at.active || at.row > 0)
            continue;
        const float dlogdet = a.dlogdet ? (float)a.hw * a.dlogdet[image] : 0.0f;
        float dbias[N], dlogs[N];
#pragma unroll
        for (int k = 0; k < N; k++) {
            dbias[k] = factor[k] * sum[k];
            dlogs[k] = sum[N + k] + dlogdet;
        }
        ts_store((T *)a.dh + own, dbias);
        ts_store((T *)a.dh + own + a.c, dlogs);
    }
}

template <class T> static ts_status run(ts_device *device, const ts_image_norm_backward *a)
{
    const bool aligned =
        ts_aligned(a->y) && ts_aligned(a->h) && ts_aligned(a->dy) && ts_aligned(a->dx) && ts_aligned(a->dh);
    TS_COLUMN_DISPATCH(T, a->c, aligned, N, {
        const dim3 grid(ts_grid(device, a->n, 1), ts_column_blocks(a->c / N));
        return ts_launch(device, backward<T, N>, grid, THREADS, 0, *a);
    });
}

ts_status ts_cuda_image_norm_backward(ts_device *device, const ts_image_norm_backward *a)
{
    TS_DISPATCH(device, T, return run<T>(device, a));
}
