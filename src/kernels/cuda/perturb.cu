/*
 * The forward process: x_t = a(t) x0 + s(t) z, with what is to be predicted of it, in one pass.  A block takes
 * a tile of the flattened batch, whatever images it cuts, and works out the factors of those once, in double.
 */
#include "kernels/cuda/random.cuh"

enum { THREADS = 256, TILE = 2048 };

template <class T, int N> static __global__ void perturb(const ts_perturb a, int64_t count, bool aligned)
{
    TS_DYNAMIC_SHARED(float4, coefficients); /* of the tile's images: a, s; of x0 and z in the target */
    const ts_step_state state = *a.state;
    const unsigned d = (unsigned)a.d;
    for (int64_t first = (int64_t)blockIdx.x * TILE; first < count; first += (int64_t)gridDim.x * TILE) {
        const int64_t image = first / d;
        const unsigned length = count - first < TILE ? (unsigned)(count - first) : (unsigned)TILE;
        const unsigned before = (unsigned)(first - image * d), images = (before + length - 1) / d + 1;
        for (unsigned k = threadIdx.x; k < images; k += THREADS) {
            const double t = a.t[image + k];
            const ts_sde_mix target = ts_sde_target(&a.sde, a.predicts, t);
            coefficients[k] = make_float4((float)ts_sde_mean(&a.sde, t), (float)ts_sde_std(&a.sde, t),
                                          (float)target.of_x, (float)target.of_other);
        }
        __syncthreads();
        for (unsigned e = threadIdx.x * N; e < length; e += THREADS * N) {
            const int64_t at = first + e;
            const bool whole = aligned && e + N <= length;
            float x[N], z[N];
            ts_normals(&state, TS_STREAM_NOISE, (uint64_t)at, z);
            if (whole)
                ts_load(a.x0 + at, x);
            else
                for (unsigned k = 0; k < N; k++)
                    x[k] = e + k < length ? a.x0[at + k] : 0.0f;
            unsigned i = (before + e) / d, left = (i + 1) * d - (before + e); /* of image i from here */
#pragma unroll
            for (int k = 0; k < N; k++) {
                const float4 c = coefficients[i];
                const float x0 = x[k];
                x[k] = c.x * x0 + c.y * z[k];
                z[k] = c.z * x0 + c.w * z[k];
                if (--left == 0 && e + k + 1 < length) {
                    left = d;
                    i++;
                }
            }
            T *const xt = (T *)a.xt + at, *const target = (T *)a.z + at;
            if (whole) {
                ts_store(xt, x);
                ts_store(target, z);
            } else {
                for (unsigned k = 0; k < N && e + k < length; k++) {
                    xt[k] = ts_cast<T>(x[k]);
                    target[k] = ts_cast<T>(z[k]);
                }
            }
        }
        __syncthreads(); /* the next tile has other coefficients */
    }
}

template <class T> static ts_status run(ts_device *device, const ts_perturb *a)
{
    const int64_t count = (int64_t)a->n * a->d;
    const size_t images = (size_t)(TILE - 1) / (size_t)a->d + 2; /* most that a tile cuts */
    const bool aligned = ts_aligned(a->x0) && ts_aligned(a->xt) && ts_aligned(a->z);
    return ts_launch(device, perturb<T, ts_wide<T>::size>, ts_grid(device, count, TILE), THREADS,
                     images * sizeof(float4), *a, count, aligned);
}

ts_status ts_cuda_perturb(ts_device *device, const ts_perturb *a)
{
    if (a->wide)
        return run<float>(device, a);
    TS_DISPATCH(device, T, return run<T>(device, a));
}
