/*
 * Whitening by the Gaussian of the data, in double: the factor of every row and eigenvector, the projections
 * times these, and the way back.  Both products take ROWS rows at a time, so that the eigenvectors are read
 * once for so many.
 */
#include "kernels/cuda/reduce.cuh"

enum { THREADS = 256, WARPS = THREADS / TS_CUDA_WARP, ROWS = 8 };

/* factors[i,j] = v_j^(-1/2), or with `inverse` v_j^(1/2); a block a row. */
static __global__ void factors_of(const ts_whiten a, double *factors)
{
    for (int64_t i = blockIdx.x; i < a.n; i += gridDim.x) {
        const double t = a.t[i], mean = ts_sde_mean(&a.sde, t), std = ts_sde_std(&a.sde, t);
        double sum = 0;
        for (int j = (int)threadIdx.x; j < a.d; j += THREADS) {
            const double variance = mean * mean * a.values[j] + std * std, root = sqrt(variance);
            factors[i * a.d + j] = a.inverse ? root : 1.0 / root;
            sum += log(variance);
        }
        sum = ts_block_sum(sum);
        if (threadIdx.x == 0 && a.log_det)
            a.log_det[i] = (float)(a.inverse ? 0.5 * sum : -0.5 * sum);
    }
}

/* What the mean is multiplied by in each row of a block. */
static __device__ __forceinline__ void shifts_of(const ts_whiten &a, bool wanted, int64_t first,
                                                 double (&shift)[ROWS])
{
    if (threadIdx.x < ROWS && first + threadIdx.x < a.n)
        shift[threadIdx.x] = wanted && a.mean ? ts_sde_mean(&a.sde, (double)a.t[first + threadIdx.x]) : 0.0;
    __syncthreads();
}

/* u[i,k] *= sum_j V[k,j] (x[i,j] - shift m_j): a warp an eigenvector, blockIdx.y the rows. */
template <class T> static __global__ void project(const ts_whiten a, double *u)
{
    TS_SHARED(double, shift, [ROWS]);
    const int64_t d = a.d, first = (int64_t)blockIdx.y * ROWS;
    const int rows = a.n - first < ROWS ? (int)(a.n - first) : (int)ROWS;
    const int lane = (int)threadIdx.x % TS_CUDA_WARP;
    const int64_t k = (int64_t)blockIdx.x * WARPS + threadIdx.x / TS_CUDA_WARP;
    const T *const x = (const T *)a.x + first * d;
    shifts_of(a, !a.inverse, first, shift);
    if (k >= d)
        return;
    double sum[ROWS] = {};
    for (int64_t j = lane; j < d; j += TS_CUDA_WARP) {
        const double v = a.vectors[k * d + j], mean = a.mean ? a.mean[j] : 0.0;
#pragma unroll
        for (int i = 0; i < ROWS; i++)
            if (i < rows)
                sum[i] += v * ((double)ts_float(x[i * d + j]) - shift[i] * mean);
    }
#pragma unroll
    for (int i = 0; i < ROWS; i++) {
        sum[i] = ts_warp_sum(sum[i]);
        if (lane == 0 && i < rows)
            u[(first + i) * d + k] *= sum[i];
    }
}

/* y[i,j] = sum_k u[i,k] V[k,j] + shift m_j: a thread a dimension, blockIdx.y the rows. */
template <class T> static __global__ void back(const ts_whiten a, const double *u)
{
    TS_SHARED(double, shift, [ROWS]);
    const int64_t d = a.d, first = (int64_t)blockIdx.y * ROWS;
    const int rows = a.n - first < ROWS ? (int)(a.n - first) : (int)ROWS;
    const int64_t j = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    shifts_of(a, a.inverse, first, shift);
    if (j >= d)
        return;
    double sum[ROWS] = {};
    for (int64_t k = 0; k < d; k++) {
        const double v = a.vectors[k * d + j];
#pragma unroll
        for (int i = 0; i < ROWS; i++)
            if (i < rows)
                sum[i] += v * u[(first + i) * d + k];
    }
    const double mean = a.mean ? a.mean[j] : 0.0;
    for (int i = 0; i < rows; i++) {
        T *const y = (T *)a.y + (first + i) * d + j;
        const double v = sum[i] + shift[i] * mean;
        *y = ts_cast<T>((float)(a.accumulate ? (double)ts_float(*y) + v : v));
    }
}

template <class T> static ts_status run(ts_device *device, const ts_whiten *a)
{
    const int64_t d = a->d;
    const unsigned tiles = (unsigned)((a->n + ROWS - 1) / ROWS);
    void *memory;
    TS_TRY(ts_cuda_scratch(device, 0, sizeof(double) * (size_t)a->n * (size_t)d, &memory));
    double *const u = (double *)memory;
    TS_TRY(ts_launch(device, factors_of, ts_grid(device, a->n, 1), THREADS, 0, *a, u));
    TS_TRY(
        ts_launch(device, project<T>, dim3((unsigned)((d + WARPS - 1) / WARPS), tiles), THREADS, 0, *a, u));
    return ts_launch(device, back<T>, dim3((unsigned)((d + THREADS - 1) / THREADS), tiles), THREADS, 0, *a,
                     u);
}

ts_status ts_cuda_whiten(ts_device *device, const ts_whiten *a)
{
    TS_DISPATCH(device, T, return run<T>(device, a));
}
