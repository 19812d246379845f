/*
 * Batches of data: which examples, as float32 in model scale, perhaps mirrored.  A warp or, where images are
 * large, a block copies an image; each of its threads works out which example it is, which costs less than
 * telling the others.
 */
#include "kernels/cuda/random.cuh"

enum { THREADS = 256 };

static __device__ int64_t example_of(const ts_gather &a, const ts_step_state &state, int64_t i)
{
    if (!a.shuffle)
        return (int64_t)(((uint64_t)a.start + (uint64_t)i) % (uint64_t)a.count);
    /* A batch may straddle epochs: each of its positions belongs to an epoch of its own. */
    const uint64_t position = (uint64_t)state.step * (uint64_t)a.n + (uint64_t)i;
    const uint32_t epoch = (uint32_t)(position / (uint64_t)a.count);
    return ts_shuffle_index(&state, epoch, (int64_t)(position % (uint64_t)a.count), a.count);
}

static __device__ __forceinline__ void load(const uint8_t *p, float (&v)[1])
{
    v[0] = p[0];
}

static __device__ __forceinline__ void load(const uint8_t *p, float (&v)[4])
{
    const uchar4 u = *reinterpret_cast<const uchar4 *>(p);
    v[0] = u.x, v[1] = u.y, v[2] = u.z, v[3] = u.w;
}

template <int N> static __device__ __forceinline__ void load(const float *p, float (&v)[N])
{
    ts_load(p, v);
}

/* N elements from j of an image [h,w,c] whose columns run the other way. */
template <class S, int N>
static __device__ __forceinline__ void load_mirrored(const ts_gather &a, const S *image, int j, float (&v)[N])
{
#pragma unroll
    for (int k = 0; k < N; k++) {
        const int column = (j + k) / a.c % a.w;
        v[k] = (float)image[j + k + (a.w - 1 - 2 * column) * a.c];
    }
}

template <class S, int LANES, int N> static __global__ void gather(const ts_gather a, const S *data)
{
    const ts_step_state state = *a.state;
    const int d = a.h * a.w * a.c, lane = (int)threadIdx.x % LANES;
    const bool bytes = sizeof(S) == 1;
    for (int64_t i = ts_thread() / LANES; i < a.n; i += ts_threads() / LANES) {
        const S *const image = data + example_of(a, state, i) * d;
        float u[1] = {0.0f};
        if (a.flip)
            ts_uniforms(&state, TS_STREAM_FLIP, (uint64_t)i, u);
        for (int j = N * lane; j < d; j += N * LANES) {
            float v[N];
            if (u[0] > 0.5f)
                load_mirrored(a, image, j, v);
            else
                load(image + j, v);
#pragma unroll
            for (int k = 0; k < N; k++)
                v[k] = bytes ? v[k] * a.scale + a.offset : v[k];
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
