/*
 * The matrix of Glow's 1x1 convolution from its factors, W = P L (U + diag(sign exp(log_s))) with unit lower
 * triangular L and strictly upper triangular U (Kingma and Dhariwal 2018, section 3.2).  Double precision
 * inside; the matrices are small enough for the caches, and a thread computes one entry, or a warp one column
 * of the inverse.
 */
#include "kernels/cuda/launch.cuh"

enum { THREADS = 128, WARPS = THREADS / TS_CUDA_WARP };

namespace
{
/* The factors, every entry outside the triangles in its place. */
struct factors {
    int c;
    const float *permutation, *lower, *upper, *sign, *log_s;

    __device__ double p(int i, int j) const
    {
        return permutation[(int64_t)i * c + j];
    }
    __device__ double l(int i, int j) const
    {
        return j < i ? lower[(int64_t)i * c + j] : j == i;
    }
    __device__ double diagonal(int i) const
    {
        return sign[i] * exp((double)log_s[i]);
    }
    /* Of V = U + D. */
    __device__ double v(int i, int j) const
    {
        return j > i ? upper[(int64_t)i * c + j] : j == i ? diagonal(i) : 0;
    }
};
} // namespace

/* ---- forward ---- */

/* (L V)[i][j] */
static __device__ double product(const factors &f, int i, int j)
{
    const int last = i < j ? i : j;
    double sum = f.l(i, last) * f.v(last, j);
    for (int k = 0; k < last; k++)
        sum += (double)f.lower[(int64_t)i * f.c + k] * (double)f.upper[(int64_t)k * f.c + j];
    return sum;
}

static __global__ void direct(const factors f, float *weight)
{
    const int64_t count = (int64_t)f.c * f.c;
    for (int64_t at = ts_thread(); at < count; at += ts_threads()) {
        const int i = (int)(at / f.c), j = (int)(at % f.c);
        double sum = 0;
        for (int k = 0; k < f.c; k++)
            if (f.p(i, k) != 0) /* a permutation is nearly all zeros */
                sum += f.p(i, k) * product(f, k, j);
        weight[at] = (float)sum;
    }
}

/* W^-1 = V^-1 L^-1 P^T: a warp solves for a column, entry by entry, each of which then leaves the others. */
static __global__ void inverse(const factors f, float *weight)
{
    TS_DYNAMIC_SHARED(double, room); /* the diagonal, and a column a warp */
    const int c = f.c, lane = (int)threadIdx.x % TS_CUDA_WARP, warp = (int)threadIdx.x / TS_CUDA_WARP;
    double *const diagonal = room, *const b = room + (int64_t)(1 + warp) * c;
    for (int i = (int)threadIdx.x; i < c; i += THREADS)
        diagonal[i] = f.diagonal(i);
    __syncthreads();
    const int column = (int)blockIdx.x * WARPS + warp;
    if (column >= c)
        return;
    for (int i = lane; i < c; i += TS_CUDA_WARP)
        b[i] = f.p(column, i);
    __syncwarp();
    for (int i = 0; i < c; i++) {
        const double known = b[i];
        for (int k = i + 1 + lane; k < c; k += TS_CUDA_WARP)
            b[k] -= f.lower[(int64_t)k * c + i] * known;
        __syncwarp();
    }
    for (int i = c - 1; i >= 0; i--) {
        const double known = b[i] / diagonal[i];
        for (int k = lane; k < i; k += TS_CUDA_WARP)
            b[k] -= f.upper[(int64_t)k * c + i] * known;
        if (lane == 0)
            weight[(int64_t)i * c + column] = (float)known;
        __syncwarp();
    }
}

ts_status ts_cuda_glow_matrix_forward(ts_device *device, const ts_glow_matrix_forward *a)
{
    const factors f = {a->c, a->permutation, a->lower, a->upper, a->sign, a->log_s};
    if (!a->inverse)
        return ts_launch(device, direct, ts_grid(device, (int64_t)a->c * a->c, THREADS), THREADS, 0, f,
                         a->weight);
    return ts_launch(device, inverse, (unsigned)((a->c + WARPS - 1) / WARPS), THREADS,
                     (size_t)(1 + WARPS) * (size_t)a->c * sizeof(double), f, a->weight);
}

/* ---- backward: with G = P^T dW, dL = G V^T and dV = L^T G, on the entries that are free ---- */

static __global__ void unpermute(const factors f, const float *dweight, double *g)
{
    const int64_t count = (int64_t)f.c * f.c;
    for (int64_t at = ts_thread(); at < count; at += ts_threads()) {
        const int i = (int)(at / f.c), j = (int)(at % f.c);
        double sum = 0;
        for (int k = 0; k < f.c; k++)
            if (f.p(k, i) != 0)
                sum += f.p(k, i) * dweight[(int64_t)k * f.c + j];
        g[at] = sum;
    }
}

static __global__ void gradients(const factors f, const double *g, float *dlower, float *dupper,
                                 float *dlog_s)
{
    const int c = f.c;
    const int64_t count = (int64_t)c * c;
    for (int64_t at = ts_thread(); at < count; at += ts_threads()) {
        const int i = (int)(at / c), j = (int)(at % c);
        double sum = 0;
        if (j < i) {
            if (!dlower)
                continue;
            for (int k = j + 1; k < c; k++)
                sum += g[(int64_t)i * c + k] * (double)f.upper[(int64_t)j * c + k];
            dlower[at] += (float)(sum + g[(int64_t)i * c + j] * f.diagonal(j));
            continue;
        }
        for (int k = i + 1; k < c; k++)
            sum += (double)f.lower[(int64_t)k * c + i] * g[(int64_t)k * c + j];
        sum += g[at];
        if (j > i && dupper)
            dupper[at] += (float)sum;
        if (j == i && dlog_s)
            dlog_s[i] += (float)(sum * f.diagonal(i));
    }
}

ts_status ts_cuda_glow_matrix_backward(ts_device *device, const ts_glow_matrix_backward *a)
{
    const factors f = {a->c, a->permutation, a->lower, a->upper, a->sign, a->log_s};
    const unsigned grid = ts_grid(device, (int64_t)a->c * a->c, THREADS);
    void *memory;
    TS_TRY(ts_cuda_scratch(device, 0, sizeof(double) * (size_t)a->c * (size_t)a->c, &memory));
    double *const g = (double *)memory;
    TS_TRY(ts_launch(device, unpermute, grid, THREADS, 0, f, a->dweight, g));
    return ts_launch(device, gradients, grid, THREADS, 0, f, (const double *)g, a->dlower, a->dupper,
                     a->dlog_s);
}
