/*
 * A training batch in one pass: examples from bytes or floats, mirrored and scaled, their times, the noise
 * and x_t = a(t) x0 + s(t) z.  A block takes a tile of the flattened batch, whatever images it cuts, and
 * works out once for each of those which example it is and where in time.
 */
#include "kernels/cuda/gather.cuh"
#include "kernels/cuda/times.cuh"

enum { THREADS = 256, TILE = 2048 };

namespace
{
/* What a tile knows of one of its images. */
struct subject {
    int64_t start; /* of its example in the data */
    float mean, std;
    float of_x, of_z; /* in what is to be predicted */
    bool mirrored;
};

/* The elements of a tile: from `first` of the flattened batch, `before` of image `image`. */
struct tile {
    int64_t first, image;
    unsigned before, length, images;
};
} // namespace

static __device__ __forceinline__ tile tile_of(int64_t first, int64_t count, unsigned d)
{
    tile t;
    t.first = first;
    t.image = first / d;
    t.length = count - first < TILE ? (unsigned)(count - first) : (unsigned)TILE;
    t.before = (unsigned)(first - t.image * d);
    t.images = (t.before + t.length - 1) / d + 1;
    return t;
}

/* The tile with an image's first element writes its time. */
static __device__ __forceinline__ void find_subjects(const ts_noisy_batch &a, const ts_times_range &range,
                                                     const ts_step_state &state, const tile &t, unsigned d,
                                                     subject *subjects)
{
    for (unsigned k = threadIdx.x; k < t.images; k += THREADS) {
        const int64_t i = t.image + k;
        const float time = ts_time_of(a.times, range, state, i);
        subjects[k].start = ts_gather_example(a.data, state, i) * d;
        subjects[k].mean = (float)ts_sde_mean(&a.times.sde, time);
        subjects[k].std = (float)ts_sde_std(&a.times.sde, time);
        const ts_sde_mix target = ts_sde_target(&a.times.sde, a.predicts, time);
        subjects[k].of_x = (float)target.of_x;
        subjects[k].of_z = (float)target.of_other;
        subjects[k].mirrored = ts_gather_flips(a.data, state, i);
        if (k > 0 || t.before == 0)
            a.times.t[i] = time;
    }
}

/* Elements e .. e + N of the tile, of one image, from j on. */
template <class T, class S, int N>
static __device__ __forceinline__ void mix(const ts_noisy_batch &a, const S *data, const subject &s,
                                           unsigned j, const float (&z)[N], int64_t at)
{
    float x[N], target[N];
    ts_gather_elements(a.data, data + s.start, s.mirrored, (int)j, x);
#pragma unroll
    for (int k = 0; k < N; k++) {
        target[k] = s.of_x * x[k] + s.of_z * z[k];
        x[k] = s.mean * x[k] + s.std * z[k];
    }
    ts_store((T *)a.xt + at, x);
    ts_store((T *)a.z + at, target);
}

template <class T, class S, int N>
static __global__ void noisy_batch(const ts_noisy_batch a, const S *data, int64_t count, bool whole)
{
    TS_DYNAMIC_SHARED(subject, subjects);
    const ts_step_state state = *a.times.state;
    const ts_times_range range = ts_times_range_of(a.times);
    const unsigned d = (unsigned)(a.data.h * a.data.w * a.data.c);
    for (int64_t first = (int64_t)blockIdx.x * TILE; first < count; first += (int64_t)gridDim.x * TILE) {
        const tile t = tile_of(first, count, d);
        find_subjects(a, range, state, t, d, subjects);
        __syncthreads();
        for (unsigned e = threadIdx.x * N; e < t.length; e += THREADS * N) {
            float z[N];
            ts_normals(&state, TS_STREAM_NOISE, (uint64_t)(first + e), z);
            if (whole) { /* images are whole vectors */
                const unsigned i = (t.before + e) / d;
                mix<T, S>(a, data, subjects[i], t.before + e - i * d, z, first + e);
                continue;
            }
#pragma unroll
            for (unsigned k = 0; k < N; k++) {
                const unsigned i = (t.before + e + k) / d;
                const float one[1] = {z[k]};
                if (e + k < t.length)
                    mix<T, S>(a, data, subjects[i], t.before + e + k - i * d, one, first + e + k);
            }
        }
        __syncthreads(); /* the next tile has other subjects */
    }
}

template <class T, class S> static ts_status run(ts_device *device, const ts_noisy_batch *a, const S *data)
{
    enum { N = ts_wide<T>::size };
    const int d = a->data.h * a->data.w * a->data.c;
    const int64_t count = (int64_t)a->data.n * d;
    const size_t images = (size_t)(TILE - 1) / (size_t)d + 2; /* most that a tile cuts */
    const bool whole = d % N == 0 && ts_aligned(a->xt) && ts_aligned(a->z) &&
                       (uintptr_t)data % (sizeof(S) == 1 ? N : 16) == 0;
    return ts_launch(device, noisy_batch<T, S, N>, ts_grid(device, count, TILE), THREADS,
                     images * sizeof(subject), *a, data, count, whole);
}

ts_status ts_cuda_noisy_batch(ts_device *device, const ts_noisy_batch *a)
{
    TS_DISPATCH(device, T, {
        return a->data.floats ? run<T>(device, a, a->data.floats) : run<T>(device, a, a->data.bytes);
    });
}
