/*
 * The error that steers an adaptive step, in double precision: blocks leave partial sums, and one block adds
 * them up.
 */
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/terms.cuh"

enum { THREADS = 256 };

template <int N> static __device__ __forceinline__ double squares(const ts_error_norm &a, int64_t i)
{
    float y0[N], y1[N];
    double error[N], sum = 0;
    ts_terms_sum(a, i, error);
    ts_load(a.y0 + i, y0);
    ts_load(a.y1 + i, y1);
#pragma unroll
    for (int k = 0; k < N; k++) {
        const double size0 = fabs((double)y0[k]), size1 = fabs((double)y1[k]);
        const double scaled = error[k] / (a.atol + a.rtol * (size0 > size1 ? size0 : size1));
        sum += scaled * scaled;
    }
    return sum;
}

static __global__ void partial_sums(const ts_error_norm a, int64_t wide, double *partial)
{
    double sum = 0;
    for (int64_t i = ts_thread(); i < wide; i += ts_threads())
        sum += squares<4>(a, 4 * i);
    for (int64_t i = 4 * wide + ts_thread(); i < a.count; i += ts_threads())
        sum += squares<1>(a, i);
    sum = ts_block_sum(sum);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = sum;
}

static __global__ void whole_sum(const double *partial, int partials, int64_t count, double *error)
{
    double sum = 0;
    for (int i = (int)threadIdx.x; i < partials; i += THREADS)
        sum += partial[i];
    sum = ts_block_sum(sum);
    if (threadIdx.x == 0)
        *error = sqrt(sum / (double)count);
}

ts_status ts_cuda_error_norm(ts_device *device, const ts_error_norm *a)
{
    const bool aligned = ts_terms_aligned(a) && ts_aligned(a->y0) && ts_aligned(a->y1);
    const int64_t wide = aligned ? a->count / 4 : 0;
    const unsigned grid = ts_grid(device, aligned ? wide : a->count, THREADS);
    void *memory;
    TS_TRY(ts_cuda_scratch(device, 0, grid * sizeof(double), &memory));
    double *const partial = (double *)memory;
    TS_TRY(ts_launch(device, partial_sums, grid, THREADS, 0, *a, wide, partial));
    return ts_launch(device, whole_sum, 1, THREADS, 0, partial, (int)grid, a->count, a->error);
}
