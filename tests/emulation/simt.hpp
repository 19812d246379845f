/*
 * A CUDA grid on the CPU, enough of it for this project's kernels: their .cu files compile as plain C++ with
 * this header included ahead.  Blocks run one after another; every thread of a block is a fiber that runs
 * until it waits (barrier, warp operation) or ends.  The order of lanes, warps and blocks is a parameter:
 * results that depend on it betray a missing barrier.  Shared memory is filled with NaN before every block.
 * What hardware leaves undefined ends the program with a message: threads at different barriers, warp
 * operations whose lanes do not all arrive, values taken from lanes that take no part, blocks that are not
 * whole warps, accesses of vectors that are not aligned (under UBSan).
 *
 * It shows neither what one block sees of another that runs at the same time, nor speed.  Arithmetic is the
 * CPU's: fast intrinsics are the exact functions.
 */
#ifndef TS_TESTS_SIMT_HPP
#define TS_TESTS_SIMT_HPP

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <functional>

/* Names of simt.cpp. */
namespace simt
{
enum order { FORWARD, REVERSED, SHUFFLED, ORDERS };

void set_order(order wanted);

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

struct uint3 {
    unsigned x, y, z;
};

/* Where the running thread is. */
struct place {
    uint3 thread, block;
    dim3 block_size, grid_size;
    unsigned lane; /* of its warp */
};
extern place here;

/* Work on the stream, done at once or later: what it names by address is the device's.  Whoever stands in for
 * the runtime defines it. */
void queue(std::function<void()> work);

void run_grid(dim3 grid, dim3 block, size_t shared, void (*body)(void *), void *context);

template <class F> static inline void launch(dim3 grid, dim3 block, size_t shared, F body)
{
    queue([=]() mutable {
        run_grid(
            grid, block, shared, [](void *context) { (*static_cast<F *>(context))(); }, &body);
    });
}

/* The block's memory of one declaration: `tag` is the address of a static object beside it. */
void *shared_memory(const void *tag, size_t bytes);
void *dynamic_shared();

template <class V> static inline V &shared(const void *tag)
{
    return *static_cast<V *>(shared_memory(tag, sizeof(V)));
}

enum operation { SHUFFLE, BALLOT, SYNCHRONIZE };

void block_barrier(const char *file, int line);
/* Waits for the lanes of `mask`; copies the value of lane `source` (SHUFFLE), returns the lanes whose value
 * is true (BALLOT). */
uint32_t warp_operation(operation kind, uint32_t mask, unsigned source, void *value, size_t bytes,
                        const char *file, int line);

template <class V>
static inline V shuffle(uint32_t mask, V value, unsigned source, const char *file, int line)
{
    static_assert(sizeof(V) <= 16, "a value of a shuffle has at most 16 bytes");
    warp_operation(SHUFFLE, mask, source, &value, sizeof value, file, line);
    return value;
}

static inline uint32_t ballot(uint32_t mask, bool value, const char *file, int line)
{
    return warp_operation(BALLOT, mask, 0, &value, sizeof value, file, line);
}
} // namespace simt

/* ---- the language ---- */

using simt::dim3;
using simt::uint3;
typedef struct simt_stream *cudaStream_t;

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__    __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define threadIdx    (simt::here.thread)
#define blockIdx     (simt::here.block)
#define blockDim     (simt::here.block_size)
#define gridDim      (simt::here.grid_size)

struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) double2 {
    double x, y;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(8) int2 {
    int x, y;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(4) uchar4 {
    unsigned char x, y, z, w;
};

static inline float2 make_float2(float x, float y)
{
    return {x, y};
}
static inline float4 make_float4(float x, float y, float z, float w)
{
    return {x, y, z, w};
}
static inline double2 make_double2(double x, double y)
{
    return {x, y};
}
static inline uint2 make_uint2(unsigned x, unsigned y)
{
    return {x, y};
}
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w)
{
    return {x, y, z, w};
}
static inline int2 make_int2(int x, int y)
{
    return {x, y};
}
static inline int4 make_int4(int x, int y, int z, int w)
{
    return {x, y, z, w};
}
static inline uchar4 make_uchar4(unsigned char x, unsigned char y, unsigned char z, unsigned char w)
{
    return {x, y, z, w};
}

/* ---- synchronisation and warp operations ---- */

#define SIMT_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()

static inline void __syncthreads(SIMT_SITE)
{
    simt::block_barrier(file, line);
}

static inline void __syncwarp(unsigned mask = 0xFFFFFFFFu, SIMT_SITE)
{
    simt::warp_operation(simt::SYNCHRONIZE, mask, 0, nullptr, 0, file, line);
}

template <class V> static inline V __shfl_sync(unsigned mask, V v, int source, int width = 32, SIMT_SITE)
{
    const unsigned w = (unsigned)width, base = simt::here.lane & ~(w - 1);
    return simt::shuffle(mask, v, base + ((unsigned)source & (w - 1)), file, line);
}

template <class V> static inline V __shfl_xor_sync(unsigned mask, V v, int bits, int width = 32, SIMT_SITE)
{
    const unsigned lane = simt::here.lane, source = lane ^ (unsigned)bits, w = (unsigned)width;
    return simt::shuffle(mask, v, source >= (lane & ~(w - 1)) + w ? lane : source, file, line);
}

template <class V>
static inline V __shfl_down_sync(unsigned mask, V v, unsigned delta, int width = 32, SIMT_SITE)
{
    const unsigned lane = simt::here.lane, w = (unsigned)width;
    return simt::shuffle(mask, v, (lane & (w - 1)) + delta < w ? lane + delta : lane, file, line);
}

template <class V>
static inline V __shfl_up_sync(unsigned mask, V v, unsigned delta, int width = 32, SIMT_SITE)
{
    const unsigned lane = simt::here.lane, w = (unsigned)width;
    return simt::shuffle(mask, v, (lane & (w - 1)) >= delta ? lane - delta : lane, file, line);
}

static inline unsigned __ballot_sync(unsigned mask, int predicate, SIMT_SITE)
{
    return simt::ballot(mask, predicate != 0, file, line);
}

static inline int __any_sync(unsigned mask, int predicate, SIMT_SITE)
{
    return simt::ballot(mask, predicate != 0, file, line) != 0;
}

static inline int __all_sync(unsigned mask, int predicate, SIMT_SITE)
{
    return simt::ballot(mask, predicate != 0, file, line) == mask;
}

/* Blocks run one after another, so fences have nothing to do and atomics are plain; there are none of
 * floating point, whose sums would depend on the order. */
static inline void __threadfence() {}

template <class V> static inline V simt_integer_add(V *p, V v)
{
    const V old = *p;
    *p = old + v;
    return old;
}
static inline unsigned atomicAdd(unsigned *p, unsigned v)
{
    return simt_integer_add(p, v);
}
static inline int atomicAdd(int *p, int v)
{
    return simt_integer_add(p, v);
}
static inline unsigned long long atomicAdd(unsigned long long *p, unsigned long long v)
{
    return simt_integer_add(p, v);
}

/* ---- arithmetic ---- */

#define __expf expf /* the C library has names of its own like these */
#define __logf logf
static inline float __fdividef(float x, float y)
{
    return x / y;
}
static inline float rsqrtf(float x)
{
    return 1.0f / sqrtf(x);
}
static inline double rsqrt(double x)
{
    return 1.0 / sqrt(x);
}
static inline float __uint_as_float(unsigned u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}
static inline unsigned __float_as_uint(float x)
{
    unsigned u;
    memcpy(&u, &x, sizeof u);
    return u;
}
static inline int __popc(unsigned u)
{
    return __builtin_popcount(u);
}
static inline int __ffs(int u)
{
    return __builtin_ffs(u);
}
static inline int __clz(int u)
{
    return u ? __builtin_clz((unsigned)u) : 32;
}
template <class V> static inline V __ldg(const V *p)
{
    return *p;
}
template <class V> static inline V min(V a, V b)
{
    return b < a ? b : a;
}
template <class V> static inline V max(V a, V b)
{
    return a < b ? b : a;
}

/* ---- bfloat16 ---- */

struct __nv_bfloat16 {
    uint16_t bits;
};
struct alignas(4) __nv_bfloat162 {
    __nv_bfloat16 x, y;
};

static inline float __bfloat162float(__nv_bfloat16 b)
{
    return __uint_as_float((unsigned)b.bits << 16);
}

/* To nearest, ties to even; NaN stays NaN. */
static inline __nv_bfloat16 __float2bfloat16_rn(float x)
{
    const unsigned u = __float_as_uint(x);
    if (x != x)
        return {0x7FFF};
    return {(uint16_t)((u + 0x7FFFu + (u >> 16 & 1u)) >> 16)};
}

static inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y)
{
    return {__float2bfloat16_rn(x), __float2bfloat16_rn(y)};
}

#endif
