/*
 * What evaluating and sampling Gaussian mixtures share.  A row of a batch belongs to LANES threads: one where
 * there are few dimensions, else a warp.  Vectors [d] and matrices that its threads share lie in shared memory,
 * or in scratch where they do not fit.
 */
#ifndef TS_KERNELS_CUDA_MIXTURE_CUH
#define TS_KERNELS_CUDA_MIXTURE_CUH

#include "kernels/cuda/reduce.cuh"

enum { TS_MIXTURE_THREADS = 128, TS_MIXTURE_FEW = 8 /* dimensions */, TS_MIXTURE_SHARED = 48 << 10 };

/* A vector of the row's threads.  Those of single threads interleave, so that a warp's accesses do not all
 * meet in one bank. */
template <int LANES> struct ts_mixture_vector {
    double *first;
    __device__ double &operator[](int j) const
    {
        return first[LANES == 1 ? j * TS_MIXTURE_THREADS : j];
    }
};

/* The vector that begins at number `first` of the `count` numbers of the thread's row; `room` begins with the
 * first row of the block. */
template <int LANES>
static __device__ ts_mixture_vector<LANES> ts_mixture_room(double *room, int count, int first)
{
    const int thread = (int)threadIdx.x;
    if (LANES == 1)
        return {room + (int64_t)first * TS_MIXTURE_THREADS + thread};
    return {room + (int64_t)(thread / LANES) * count + first};
}

/* Where the block's numbers begin: in `scratch` or, without it, in shared memory. */
template <int LANES> static __device__ double *ts_mixture_rooms(double *scratch, int count)
{
    TS_DYNAMIC_SHARED(double, room);
    return scratch ? scratch + (int64_t)blockIdx.x * (TS_MIXTURE_THREADS / LANES) * count : room;
}

/* After the row's threads have written what others of them read, or before it is overwritten. */
template <int LANES> static __device__ __forceinline__ void ts_mixture_meet(void)
{
    if constexpr (LANES > 1)
        __syncwarp();
}

template <int LANES> static __device__ __forceinline__ double ts_mixture_sum(double v)
{
    if constexpr (LANES > 1)
        return ts_warp_sum(v);
    else
        return v;
}

/* Where component k begins. */
static __device__ __forceinline__ const double *ts_mixture_mean(const ts_mixture_view &m, int k)
{
    return m.means + (int64_t)k * m.d;
}

static __device__ __forceinline__ const double *ts_mixture_values(const ts_mixture_view &m, int k)
{
    return m.values + (int64_t)k * m.d;
}

static __device__ __forceinline__ const double *ts_mixture_vectors(const ts_mixture_view &m, int k)
{
    return m.vectors ? m.vectors + (int64_t)k * m.d * m.d : NULL;
}

static __device__ __forceinline__ const double *ts_mixture_factor(const ts_mixture_view &m, int k, int i)
{
    return m.factors + ((int64_t)k * m.rank + i) * m.d;
}

/* After `arguments` the kernel gets scratch (or NULL) for `count` numbers a row, in a grid that it fits. */
template <int LANES, class K, class... A>
static inline ts_status ts_mixture_launch(ts_device *device, K kernel, int n, int count,
                                          const A &...arguments)
{
    const int rows = TS_MIXTURE_THREADS / LANES;
    const size_t room = (size_t)rows * (size_t)count * sizeof(double);
    unsigned grid = ts_grid(device, n, rows);
    if (room <= TS_MIXTURE_SHARED)
        return ts_launch(device, kernel, grid, TS_MIXTURE_THREADS, room, arguments..., (double *)NULL);
    const unsigned most = 2 * (unsigned)ts_cuda(device)->multiprocessors; /* the scratch stays small */
    grid = grid < most ? grid : most;
    void *scratch;
    TS_TRY(ts_cuda_scratch(device, 0, grid * room, &scratch));
    return ts_launch(device, kernel, grid, TS_MIXTURE_THREADS, 0, arguments..., (double *)scratch);
}

#endif
