/*
 * What the two directions of group normalisation share.  A block takes some channels (whole groups) of one
 * image and keeps them in shared memory, so they come from device memory once; where they do not fit they are
 * read again.  A thread stays with N neighbouring channels, a column, and walks down the positions.
 *
 * Positions are centred before anything is summed, so a mean far from zero costs no digits: x minus the
 * group's mean is (x - centre) - rest, where centre is the float32 next to what has to be subtracted and rest
 * is what that rounding left.
 */
#ifndef TS_KERNELS_CUDA_GROUP_NORM_CUH
#define TS_KERNELS_CUDA_GROUP_NORM_CUH

#include "kernels/cuda/random.cuh"
#include "kernels/cuda/reduce.cuh"

typedef struct ts_gn_layout {
    int channels; /* of a block: whole groups */
    int width;    /* channels of a group */
    int cell;     /* neighbouring channels that are of one thread and of one group */
    int columns, rows;
    int stride; /* of partial sums: `rows`, made odd against bank conflicts */
    int threads;
    bool held;
} ts_gn_layout;

/* Threads of a block: the most whose registers leave room for several blocks. */
template <int N> struct ts_gn_block {
    enum { threads = N == 1 ? 1024 : 256 };
};

enum { TS_GN_BYTES = 64 << 10, TS_GN_SEGMENT = 32 }; /* a block's slice, a position's part of it */

static inline int ts_gn_divisor(int a, int b)
{
    while (b) {
        const int rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Bytes of shared memory: `copies` slices of T, one float a thread and cell in `sums` arrays of partial sums,
 * and `floats` a channel. */
static inline size_t ts_gn_shared(const ts_gn_layout *l, int hw, size_t element, int copies, int cells,
                                  int floats)
{
    const size_t slice = l->held ? (size_t)hw * l->channels * element * copies : 0;
    return (slice + 15) / 16 * 16 +
           sizeof(float) * ((size_t)cells * l->stride + (size_t)floats * l->channels);
}

static inline void ts_gn_fill(ts_gn_layout *l, int n, int most, int hw)
{
    l->columns = l->channels / n;
    l->rows = most / l->columns < hw ? most / l->columns : hw;
    l->stride = l->rows | 1;
    l->threads = (l->rows * l->columns + TS_CUDA_WARP - 1) / TS_CUDA_WARP * TS_CUDA_WARP;
}

/* The channels of a block: enough of them that a position's part is a whole memory transaction, then as many
 * as let several blocks share a multiprocessor and leave none without. */
static inline ts_status ts_gn_plan(ts_device *device, int n, int hw, int c, int groups, int wide, int most,
                                   size_t element, int copies, int floats, ts_gn_layout *l)
{
    const ts_cuda_device *const d = ts_cuda(device);
    const int width = c / groups, step = width / ts_gn_divisor(width, wide) * wide, steps = c / step;
    *l = (ts_gn_layout){};
    for (int k = 1; k <= steps; k++) {
        if (steps % k != 0 || step * k / wide > most)
            continue;
        const bool fits = (size_t)hw * step * k * element * copies <= TS_GN_BYTES;
        const bool fills = (int64_t)n * (steps / k) >= 4 * (int64_t)d->multiprocessors;
        const bool first = l->channels == 0, narrow = (size_t)l->channels * element < TS_GN_SEGMENT;
        if (first || narrow || (fits && fills))
            l->channels = step * k;
    }
    if (l->channels == 0)
        return ts_error(TS_UNSUPPORTED,
                        "group normalisation of %d channels in %d groups: a group has %d, at most %d are "
                        "possible",
                        c, groups, width, most * wide);
    l->width = width;
    l->cell = ts_gn_divisor(width, wide);
    l->held = true;
    ts_gn_fill(l, wide, most, hw);
    l->held = ts_gn_shared(l, hw, element, copies, l->channels, floats) <= d->block_shared;
    return NULL;
}

/* ---- within a block ---- */

/* Where a thread is: its column and the positions it takes, end = 0 where it has none. */
typedef struct ts_gn_place {
    int image, first; /* channel of the block */
    int column;       /* channel of the thread, from `first` */
    int row, end;
    int64_t offset; /* of position 0 of the column, among all channels */
} ts_gn_place;

template <int N>
static __device__ __forceinline__ ts_gn_place ts_gn_find(const ts_gn_layout &l, int hw, int c)
{
    const int blocks = c / l.channels;
    ts_gn_place p;
    p.image = (int)blockIdx.x / blocks;
    p.first = ((int)blockIdx.x - p.image * blocks) * l.channels;
    p.row = (int)threadIdx.x / l.columns;
    p.column = ((int)threadIdx.x - p.row * l.columns) * N;
    p.end = p.row < l.rows ? hw : 0;
    p.offset = (int64_t)p.image * hw * c + p.first + p.column;
    return p;
}

/* Where the channels from one on are in the input or its gradient: which of its two tensors, the distance of
 * its positions, and the element at position 0.  A column is of one tensor. */
typedef struct ts_gn_source {
    bool second;
    int pitch;
    int64_t start;
} ts_gn_source;

template <class A>
static __device__ __forceinline__ ts_gn_source ts_gn_source_of(const A &a, int image, int channel)
{
    const int width = a.c - a.c2; /* of the first */
    ts_gn_source s;
    s.second = channel >= width;
    s.pitch = s.second ? a.c2 : width;
    s.start = (int64_t)image * a.hw * s.pitch + (s.second ? channel - width : channel);
    return s;
}

template <class T, class A>
static __device__ __forceinline__ const T *ts_gn_input(const A &a, const ts_gn_source &s)
{
    return (const T *)(s.second ? a.x2 : a.x) + s.start;
}

/* Positions of the output for `hw` of the input. */
static __device__ __forceinline__ int ts_gn_resampled(ts_resampling resample, int hw)
{
    return resample == TS_RESAMPLE_HALVE ? hw / 4 : resample == TS_RESAMPLE_DOUBLE ? 4 * hw : hw;
}

/* The position of the upper left of the four of the fine image, `w` wide, that belong to one of
 * the coarse. */
static __device__ __forceinline__ int ts_gn_corner(int coarse, int w)
{
    const int half = w / 2, line = coarse / half;
    return 2 * line * w + 2 * (coarse - line * half);
}

/* The position of part 0 .. 3 of the four. */
static __device__ __forceinline__ int ts_gn_part(int corner, int w, int part)
{
    return corner + (part >> 1) * w + (part & 1);
}

/* Whether all rows of activations are made of whole columns of N. */
template <class A> static inline bool ts_gn_wide(const A *a, int n)
{
    return ts_aligned(a->x) && ts_aligned(a->x2) && a->c % n == 0 && a->c2 % n == 0;
}

/* Loads N elements and keeps a copy of them. */
template <bool held, class T>
static __device__ __forceinline__ void ts_gn_take(const T *from, T *copy, float (&v)[1])
{
    const T raw = *from;
    if (held)
        *copy = raw;
    v[0] = ts_float(raw);
}

template <bool held, class T, int N>
static __device__ __forceinline__ void ts_gn_take(const T *from, T *copy, float (&v)[N])
{
    const uint4 raw = *reinterpret_cast<const uint4 *>(from);
    if (held)
        *reinterpret_cast<uint4 *>(copy) = raw;
    ts_unpack(raw, v);
}

/* sum + rest = a + b without error (Knuth's two-sum) */
static __device__ __forceinline__ void ts_gn_add(float a, float b, float &sum, float &rest)
{
    sum = a + b;
    const float part = sum - a;
    rest = (a - (sum - part)) + (b - part);
}

/* group[j] = the group of channel first + j, counted like `first`; one division for all. */
template <int N> static __device__ __forceinline__ void ts_gn_groups(int first, int width, int (&group)[N])
{
    int g = first / width, next = (g + 1) * width - first;
#pragma unroll
    for (int j = 0; j < N; j++) {
        if (j == next) {
            g++;
            next += width;
        }
        group[j] = g;
    }
}

/* result[i] = f(the sum of parts[i count .. i count + count) [0 .. rows)), i < items; begins and ends with a
 * barrier. */
template <class F>
static __device__ __forceinline__ void ts_gn_finish(const ts_gn_layout &l, const float *parts, int items,
                                                    int count, float *result, F f)
{
    const int lane = (int)threadIdx.x % TS_CUDA_WARP;
    __syncthreads();
    if (count * l.rows <= TS_CUDA_WARP) {
        for (int i = (int)threadIdx.x; i < items; i += (int)blockDim.x) {
            float sum = 0;
            for (int k = i * count; k < (i + 1) * count; k++)
                for (int row = 0; row < l.rows; row++)
                    sum += parts[k * l.stride + row];
            result[i] = f(sum);
        }
    } else {
        for (int i = (int)threadIdx.x / TS_CUDA_WARP; i < items; i += (int)blockDim.x / TS_CUDA_WARP) {
            float sum = 0;
            for (int k = i * count; k < (i + 1) * count; k++)
                for (int row = lane; row < l.rows; row += TS_CUDA_WARP)
                    sum += parts[k * l.stride + row];
            sum = ts_warp_sum(sum);
            if (lane == 0)
                result[i] = f(sum);
        }
    }
    __syncthreads();
}

/* result[g] = f(the sum over the block of what threads have for the channels of group g). */
template <int N, class F>
static __device__ __forceinline__ void ts_gn_sum_groups(const ts_gn_layout &l, const ts_gn_place &p,
                                                        const float (&v)[N], float *parts, float *result, F f)
{
    float sum = 0, *part = parts + p.column / l.cell * l.stride + p.row;
    if (p.row < l.rows)
#pragma unroll
        for (int k = 0; k < N; k++) {
            sum += v[k];
            if (((k + 1) & (l.cell - 1)) == 0) { /* a cell divides N: it is a power of two */
                *part = sum;
                part += l.stride;
                sum = 0;
            }
        }
    ts_gn_finish(l, parts, l.channels / l.width, l.width / l.cell, result, f);
}

/* result[k] = the sum over the block for every channel. */
template <int N>
static __device__ __forceinline__ void ts_gn_sum_channels(const ts_gn_layout &l, const ts_gn_place &p,
                                                          const float (&v)[N], float *parts, float *result)
{
    if (p.row < l.rows)
#pragma unroll
        for (int k = 0; k < N; k++)
            parts[(p.column + k) * l.stride + p.row] = v[k];
    ts_gn_finish(l, parts, l.channels, 1, result, [](float sum) { return sum; });
}

/* Multiplies v with the dropout factors of elements i .. i + N; i is a multiple of 4 unless N is 1. */
static __device__ __forceinline__ void ts_gn_drop(const ts_step_state &state, uint32_t layer, float p,
                                                  int64_t i, float (&v)[1])
{
    const ts_philox_words w = ts_random_words(&state, TS_STREAM_DROPOUT + layer, (uint32_t)(i / 4));
    v[0] *= ts_uniform_from(w.v[i % 4]) > p ? 1.0f / (1.0f - p) : 0.0f;
}

template <int N>
static __device__ __forceinline__ void ts_gn_drop(const ts_step_state &state, uint32_t layer, float p,
                                                  int64_t i, float (&v)[N])
{
#pragma unroll
    for (int k = 0; k < N; k += 4) {
        float factor[4];
        ts_dropout4(&state, layer, p, (uint32_t)(i / 4) + (uint32_t)k / 4, factor);
#pragma unroll
        for (int j = 0; j < 4; j++)
            v[k + j] *= factor[j];
    }
}

#endif
