/*
 * Batches of data: which examples, as float32 in model scale, perhaps mirrored.  A warp or, where images are
 * large, a block copies an image; each of its threads works out which example it is, which costs less than
 * telling the others.
 */
#include "kernels/cuda/gather.cuh"

enum { THREADS = 256 };

template <class S, int LANES, int N> static __global__ void gather(const ts_gather a, const S *data)
{
    const ts_step_state state = *a.state;
    const int d = a.h * a.w * a.c, lane = (int)threadIdx.x % LANES;
    for (int64_t i = ts_thread() / LANES; i < a.n; i += ts_threads() / LANES) {
        const S *const image = data + ts_gather_example(a, state, i) * d;
        const bool mirrored = ts_gather_flips(a, state, i);
        for (int j = N * lane; j < d; j += N * LANES) {
            float v[N];
            ts_gather_elements(a, image, mirrored, j, v);
            ts_store(a.x0 + i * d + j, v);
        }
    }
}

template <class S, int LANES> static ts_status run(ts_device *device, const ts_gather *a, const S *data)
{
    const unsigned grid = ts_grid(device, a->n, THREADS / LANES);
    const bool wide = a->h * a->w * a->c % 4 == 0 && (uintptr_t)data % (4 * sizeof(S)) == 0;
    if (wide && ts_aligned(a->x0))
        return ts_launch(device, gather<S, LANES, 4>, grid, THREADS, 0, *a, data);
    return ts_launch(device, gather<S, LANES, 1>, grid, THREADS, 0, *a, data);
}

template <class S> static ts_status run(ts_device *device, const ts_gather *a, const S *data)
{
    if (a->h * a->w * a->c >= 4 * THREADS)
        return run<S, THREADS>(device, a, data);
    return run<S, TS_CUDA_WARP>(device, a, data);
}

ts_status ts_cuda_gather(ts_device *device, const ts_gather *a)
{
    return a->floats ? run(device, a, a->floats) : run(device, a, a->bytes);
}
