/*
 * The loss of denoising score matching, its gradient, and where in t it arises: a first pass over all
 * elements leaves each image's error, a second of one block adds them up in their order.
 */
#include "kernels/cuda/row_sum.cuh"

enum { THREADS = TS_ROW_THREADS };

namespace
{
/* What the first pass leaves for the second, [n] each: mean over d, times f(t) and times w(t). */
struct errors {
    double *noise, *weighted;
};
} // namespace

template <class T, int N>
static __device__ __forceinline__ double elements(const ts_score_loss &a, int64_t at, float factor)
{
    float net[N], z[N];
    double sum = 0;
    ts_load((const T *)a.net + at, net);
    ts_load((const T *)a.z + at, z);
#pragma unroll
    for (int k = 0; k < N; k++) {
        const float e = net[k] - z[k];
        sum += (double)e * (double)e;
        net[k] = factor * e;
    }
    if (a.dnet)
        ts_store((T *)a.dnet + at, net);
    return sum;
}

/* w(t), worked out by the first thread of the row: functions of doubles are dear on most cards.  `factor`,
 * f(t), is that thread's alone. */
template <int LANES>
static __device__ double weight_of(const ts_score_loss &a, double factor, int64_t row, int lane)
{
    if (a.weight == TS_WEIGHT_ONE)
        return 1.0;
    return ts_row_broadcast<LANES>(lane == 0 ? ts_loss_weight_of(&a, factor, a.t[row]) : 0.0);
}

template <class T, int LANES, int N> static __global__ void images(const ts_score_loss a, const errors out)
{
    const int lane = (int)threadIdx.x % LANES;
    for (int64_t row = ts_thread() / LANES; row < a.n; row += ts_threads() / LANES) {
        const double factor = lane == 0 ? ts_sde_noise_factor(&a.sde, a.predicts, a.t[row]) : 0.0;
        const double weight = weight_of<LANES>(a, factor, row, lane);
        const float slope = (float)(2.0 * weight / ((double)a.d * a.n));
        double sum = 0;
        for (int64_t j = (int64_t)N * lane; j < a.d; j += N * LANES)
            sum += elements<T, N>(a, row * a.d + j, slope);
        sum = ts_row_sum<LANES>(sum) / a.d;
        if (lane == 0) {
            out.noise[row] = factor * sum;
            out.weighted[row] = weight * sum;
            a.loss[row] = (float)(weight * sum);
        }
    }
}

static __device__ int bin_of(const ts_score_loss &a, double t)
{
    const double share = (t - a.t_min) / (a.t_max - a.t_min) * a.bins;
    return share >= a.bins ? a.bins - 1 : share > 0.0 ? (int)share : 0;
}

/* A thread fills a bin. */
static __global__ void totals(const ts_score_loss a, const errors in)
{
    TS_SHARED(double, error, [THREADS]);
    TS_SHARED(int, bin, [THREADS]);
    double sum = 0;
    for (int first = 0; first < a.n; first += THREADS) {
        const int thread = (int)threadIdx.x, i = first + thread;
        const int count = a.n - first < THREADS ? a.n - first : THREADS;
        if (thread < count) {
            sum += in.weighted[i];
            error[thread] = in.noise[i];
            bin[thread] = a.profile ? bin_of(a, a.t[i]) : 0;
        }
        __syncthreads();
        for (int b = thread; a.profile && b < a.bins; b += THREADS) {
            double mass = a.profile[2 * b], images = a.profile[2 * b + 1];
            for (int k = 0; k < count; k++)
                if (bin[k] == b) {
                    mass += error[k];
                    images += 1.0;
                }
            a.profile[2 * b] = mass;
            a.profile[2 * b + 1] = images;
        }
        __syncthreads();
    }
    sum = ts_block_sum(sum);
    if (a.total && threadIdx.x == 0)
        *a.total += sum;
}

template <class T, int LANES> static ts_status run(ts_device *device, const ts_score_loss *a, const errors &e)
{
    enum { N = ts_wide<T>::size };
    const unsigned grid = ts_grid(device, a->n, THREADS / LANES);
    if (a->d % N == 0 && ts_aligned(a->net) && ts_aligned(a->z) && ts_aligned(a->dnet))
        return ts_launch(device, images<T, LANES, N>, grid, THREADS, 0, *a, e);
    return ts_launch(device, images<T, LANES, 1>, grid, THREADS, 0, *a, e);
}

template <class T> static ts_status run(ts_device *device, const ts_score_loss *a, const errors &e)
{
    if (a->d > TS_ROW_LONG)
        return run<T, THREADS>(device, a, e);
    return run<T, TS_CUDA_WARP>(device, a, e);
}

ts_status ts_cuda_score_loss(ts_device *device, const ts_score_loss *a)
{
    void *memory;
    TS_TRY(ts_cuda_scratch(device, 0, 2 * (size_t)a->n * sizeof(double), &memory));
    const errors e = {(double *)memory, (double *)memory + a->n};
    TS_DISPATCH(device, T, TS_TRY(run<T>(device, a, e)));
    if (!a->total && !a->profile)
        return NULL;
    return ts_launch(device, totals, 1, THREADS, 0, *a, e);
}
