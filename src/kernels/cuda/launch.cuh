/*
 * Launching kernels, and the access to activations that all kernels share.
 *
 *     template <class T> static __global__ void halve(int64_t count, const T *x, T *y) { ... }
 *
 *     ts_status ts_cuda_halve(ts_device *device, const ts_halve *a)
 *     {
 *         TS_DISPATCH(device, T,
 *             return ts_launch(device, halve<T>, ts_grid(device, a->count, 256), 256, 0, a->count,
 *                              (const T *)a->x, (T *)a->y));
 *     }
 *
 * Under nvcc these are CUDA launches; otherwise the emulated grid of the tests, whose simt.hpp is included
 * ahead of every file, runs them.  Blocks have a multiple of 32 threads.  Shared memory is declared by
 * TS_SHARED and TS_DYNAMIC_SHARED; kernels use no other features than those that simt.hpp lists.
 */
#ifndef TS_KERNELS_CUDA_LAUNCH_CUH
#define TS_KERNELS_CUDA_LAUNCH_CUH

#include <string.h>
#include "kernels/cuda/cuda.h"

#ifdef __CUDACC__
/* TS_SHARED(float, sums, [32]) declares float sums[32] in the block's shared memory. */
#define TS_SHARED(type, name, dimensions) __shared__ type name dimensions
/* TS_DYNAMIC_SHARED(float, slice) declares float *slice, the `shared` bytes of the launch,
 * 16-byte aligned. */
#define TS_DYNAMIC_SHARED(type, name)                                                                        \
    extern __shared__ uint4 ts_dynamic_shared_[];                                                            \
    type *const name = reinterpret_cast<type *>(ts_dynamic_shared_)
#else
#define TS_SHARED(type, name, dimensions)                                                                    \
    static const char name##_tag_ = 0;                                                                       \
    auto &name = simt::shared<type dimensions>(&name##_tag_)
#define TS_DYNAMIC_SHARED(type, name) type *const name = static_cast<type *>(simt::dynamic_shared())
#endif

/* Queues kernel<<<grid, block, shared>>>(arguments...) on the device's stream. */
template <class... P, class... A>
static inline ts_status ts_launch(ts_device *device, void (*kernel)(P...), dim3 grid, dim3 block,
                                  size_t shared, A... arguments)
{
    device->launches++;
#ifdef __CUDACC__
    if (shared > 48 << 10)
        TS_TRY(ts_cuda_allow_shared(device, reinterpret_cast<const void *>(kernel), shared));
    kernel<<<grid, block, shared, ts_cuda(device)->stream>>>(static_cast<P>(arguments)...);
#else
    simt::launch(grid, block, shared, [=] { kernel(static_cast<P>(arguments)...); });
#endif
    return ts_cuda_launched(device, reinterpret_cast<const void *>(kernel));
}

/* Blocks for `count` items, `per_block` of them a pass, in a grid-stride loop: at most sixteen blocks a
 * multiprocessor, at least one. */
static inline unsigned ts_grid(ts_device *device, int64_t count, int per_block)
{
    const int64_t blocks = (count + per_block - 1) / per_block;
    const int64_t most = (int64_t)ts_cuda(device)->multiprocessors * 16;
    return (unsigned)(blocks < 1 ? 1 : blocks < most ? blocks : most);
}

/* Runs the statements with T = the device's activation type, float or __nv_bfloat16. */
#define TS_DISPATCH(device, T, ...)                                                                          \
    do {                                                                                                     \
        if ((device)->activation == TS_BF16) {                                                               \
            typedef __nv_bfloat16 T;                                                                         \
            __VA_ARGS__;                                                                                     \
        } else {                                                                                             \
            typedef float T;                                                                                 \
            __VA_ARGS__;                                                                                     \
        }                                                                                                    \
    } while (0)

/* ---- grid-stride loops ---- */

static __device__ __forceinline__ int64_t ts_thread(void)
{
    return (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
}

static __device__ __forceinline__ int64_t ts_threads(void)
{
    return (int64_t)gridDim.x * blockDim.x;
}

/* ---- activations ---- */

static __device__ __forceinline__ float ts_float(float x)
{
    return x;
}

static __device__ __forceinline__ float ts_float(__nv_bfloat16 x)
{
    return __bfloat162float(x);
}

template <class T> static __device__ __forceinline__ T ts_cast(float x);

template <> __device__ __forceinline__ float ts_cast<float>(float x)
{
    return x;
}

template <> __device__ __forceinline__ __nv_bfloat16 ts_cast<__nv_bfloat16>(float x)
{
    return __float2bfloat16_rn(x);
}

/* Elements in sixteen bytes. */
template <class T> struct ts_wide {
    enum { size = 16 / sizeof(T) };
};

/* Whether sixteen-byte accesses may start at p; NULL does no harm. */
static inline bool ts_aligned(const void *p)
{
    return (uintptr_t)p % 16 == 0;
}

/* The N activations at p as floats, N = 1, 4 or 8: one access, or two for eight floats; p is a multiple of
 * its size (16 bytes at most). */
static __device__ __forceinline__ void ts_load(const float *p, float (&v)[1])
{
    v[0] = *p;
}

static __device__ __forceinline__ void ts_load(const __nv_bfloat16 *p, float (&v)[1])
{
    v[0] = __bfloat162float(*p);
}

static __device__ __forceinline__ void ts_load(const float *p, float (&v)[4])
{
    const float4 u = *reinterpret_cast<const float4 *>(p);
    v[0] = u.x, v[1] = u.y, v[2] = u.z, v[3] = u.w;
}

static __device__ __forceinline__ void ts_load(const float *p, float (&v)[8])
{
    const float4 u = reinterpret_cast<const float4 *>(p)[0], w = reinterpret_cast<const float4 *>(p)[1];
    v[0] = u.x, v[1] = u.y, v[2] = u.z, v[3] = u.w;
    v[4] = w.x, v[5] = w.y, v[6] = w.z, v[7] = w.w;
}

/* A bfloat16 is the upper half of a float. */
static __device__ __forceinline__ void ts_unpack(unsigned word, float &low, float &high)
{
    low = __uint_as_float(word << 16);
    high = __uint_as_float(word & 0xFFFF0000u);
}

static __device__ __forceinline__ unsigned ts_pack(float low, float high)
{
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    unsigned word;
    memcpy(&word, &pair, sizeof word);
    return word;
}

static __device__ __forceinline__ void ts_load(const __nv_bfloat16 *p, float (&v)[4])
{
    const uint2 u = *reinterpret_cast<const uint2 *>(p);
    ts_unpack(u.x, v[0], v[1]);
    ts_unpack(u.y, v[2], v[3]);
}

/* Sixteen bytes of bfloat16 or float. */
static __device__ __forceinline__ void ts_unpack(uint4 u, float (&v)[8])
{
    ts_unpack(u.x, v[0], v[1]);
    ts_unpack(u.y, v[2], v[3]);
    ts_unpack(u.z, v[4], v[5]);
    ts_unpack(u.w, v[6], v[7]);
}

static __device__ __forceinline__ void ts_unpack(uint4 u, float (&v)[4])
{
    v[0] = __uint_as_float(u.x), v[1] = __uint_as_float(u.y);
    v[2] = __uint_as_float(u.z), v[3] = __uint_as_float(u.w);
}

static __device__ __forceinline__ void ts_load(const __nv_bfloat16 *p, float (&v)[8])
{
    ts_unpack(*reinterpret_cast<const uint4 *>(p), v);
}

/* The same the other way, rounded to nearest. */
static __device__ __forceinline__ void ts_store(float *p, const float (&v)[1])
{
    *p = v[0];
}

static __device__ __forceinline__ void ts_store(__nv_bfloat16 *p, const float (&v)[1])
{
    *p = __float2bfloat16_rn(v[0]);
}

static __device__ __forceinline__ void ts_store(float *p, const float (&v)[4])
{
    *reinterpret_cast<float4 *>(p) = make_float4(v[0], v[1], v[2], v[3]);
}

static __device__ __forceinline__ void ts_store(float *p, const float (&v)[8])
{
    reinterpret_cast<float4 *>(p)[0] = make_float4(v[0], v[1], v[2], v[3]);
    reinterpret_cast<float4 *>(p)[1] = make_float4(v[4], v[5], v[6], v[7]);
}

static __device__ __forceinline__ void ts_store(__nv_bfloat16 *p, const float (&v)[4])
{
    *reinterpret_cast<uint2 *>(p) = make_uint2(ts_pack(v[0], v[1]), ts_pack(v[2], v[3]));
}

static __device__ __forceinline__ void ts_store(__nv_bfloat16 *p, const float (&v)[8])
{
    *reinterpret_cast<uint4 *>(p) =
        make_uint4(ts_pack(v[0], v[1]), ts_pack(v[2], v[3]), ts_pack(v[4], v[5]), ts_pack(v[6], v[7]));
}

/* ---- element-wise kernels ----
 *
 *     template <class T> struct halve {
 *         const T *x;
 *         T *y;
 *         template <int N> __device__ void run(int64_t i) const      elements i .. i + N
 *         {
 *             float v[N];
 *             ts_load(x + i, v);
 *             ...
 *             ts_store(y + i, v);
 *         }
 *     };
 *     return ts_each<ts_wide<T>::size>(device, count, ts_aligned(x) && ts_aligned(y), halve<T>{x, y}); */
template <int N, class F> static __global__ void ts_each_kernel(int64_t wide, int64_t count, F f)
{
    for (int64_t i = ts_thread(); i < wide; i += ts_threads())
        f.template run<N>(i * N);
    for (int64_t i = wide * N + ts_thread(); i < count; i += ts_threads())
        f.template run<1>(i);
}

/* f over 0 .. count - 1, N at a time where `aligned` allows, the rest one by one. */
template <int N, class F> static inline ts_status ts_each(ts_device *device, int64_t count, bool aligned, F f)
{
    const int64_t wide = aligned ? count / N : 0;
    return ts_launch(device, ts_each_kernel<N, F>, ts_grid(device, aligned ? wide : count, 256), 256, 0, wide,
                     count, f);
}

/* ---- elementary functions: to float32 rounding for float, to a few units of 2^-22 for bfloat16 ---- */

template <class T> static __device__ __forceinline__ float ts_sigmoid(float x)
{
    if (sizeof(T) == 2)
        return __fdividef(1.0f, 1.0f + __expf(-x));
    return 1.0f / (1.0f + expf(-x));
}

template <class T> static __device__ __forceinline__ float ts_silu(float x)
{
    return x * ts_sigmoid<T>(x);
}

/* d/dx (x sigmoid(x)) */
template <class T> static __device__ __forceinline__ float ts_silu_slope(float x)
{
    const float s = ts_sigmoid<T>(x);
    return s + x * s * (1.0f - s);
}

#endif
