/* Group normalisation with shift, SiLU and dropout, forward: one launch, x read once. */
#include "kernels/cuda/group_norm.cuh"

/* What a thread knows of its N channels. */
template <int N> struct column {
    float centre[N], rest[N];
    int group[N]; /* within the block */
};

/* Centres the channels on the group's first element, which is no further from the mean than the others. */
template <class T, int N>
static __device__ __forceinline__ void centre_on_pivot(const ts_group_norm_forward &a, const ts_gn_layout &l,
                                                       int image, int channel, column<N> &k)
{
    const T *const x = (const T *)a.x + (int64_t)image * a.hw * a.c;
    const T *const shift = (const T *)a.shift + (int64_t)image * a.c;
#pragma unroll
    for (int j = 0; j < N; j++) {
        const int group = (channel + j) / l.width;
        const float pivot = ts_float(x[group * l.width]);
        ts_gn_add(pivot, a.shift ? -ts_float(shift[channel + j]) : 0.0f, k.centre[j], k.rest[j]);
        k.group[j] = group - channel / l.channels * (l.channels / l.width);
    }
}

/* Moves the centres on by the mean, which is relative to the pivot: sum / size. */
template <int N>
static __device__ __forceinline__ void centre_on_mean(const float *sum, float size, column<N> &k)
{
#pragma unroll
    for (int j = 0; j < N; j++) {
        float moved, rest;
        ts_gn_add(k.centre[j], sum[k.group[j]] / size + k.rest[j], moved, rest);
        k.centre[j] = moved;
        k.rest[j] = rest;
    }
}

template <class T, int N, bool held>
static __global__ void __launch_bounds__(ts_gn_block<N>::threads, N == 1 ? 1 : 3)
    forward(const ts_group_norm_forward a, const ts_gn_layout l)
{
    TS_DYNAMIC_SHARED(unsigned char, memory);
    const size_t slice = held ? ((size_t)a.hw * l.channels * sizeof(T) + 15) / 16 * 16 : 0;
    float *const parts = reinterpret_cast<float *>(memory + slice);
    float *const total = parts + l.channels / l.cell * l.stride; /* [groups], of x' - pivot */
    float *const spread = total + l.channels / l.width;          /* [groups], of (x' - mean)^2 */
    float *const error = spread + l.channels / l.width; /* [groups], of x' - mean: 0 but for rounding */

    const int blocks = a.c / l.channels, image = (int)blockIdx.x / blocks;
    const int first = (int)blockIdx.x % blocks * l.channels;
    const int at = (int)threadIdx.x % l.columns, start = (int)threadIdx.x / l.columns;
    const int channel = first + at * N, end = start < l.rows ? a.hw : 0;
    const int64_t offset = (int64_t)image * a.hw * a.c + channel;
    const T *const x = (const T *)a.x + offset;
    T *const kept = reinterpret_cast<T *>(memory) + at * N;
    const T *const again = held ? kept : x;
    const int64_t pitch = held ? l.channels : a.c;

    column<N> k;
    float sum[N] = {}, v[N];
    centre_on_pivot<T>(a, l, image, channel, k);
#pragma unroll 4
    for (int row = start; row < end; row += l.rows) {
        ts_gn_take<held>(x + (int64_t)row * a.c, kept + row * l.channels, v);
#pragma unroll
        for (int j = 0; j < N; j++)
            sum[j] += v[j] - k.centre[j];
    }
    const float rows = (float)(start < end ? (end - start + l.rows - 1) / l.rows : 0);
#pragma unroll
    for (int j = 0; j < N; j++)
        sum[j] -= rows * k.rest[j];
    ts_gn_sum_groups(l, at, start, sum, parts, total);

    const float size = (float)a.hw * (float)l.width;
    float rounding[N];
    centre_on_mean(total, size, k);
#pragma unroll
    for (int j = 0; j < N; j++)
        sum[j] = rounding[j] = 0;
#pragma unroll 4
    for (int row = start; row < end; row += l.rows) {
        ts_load(again + row * pitch, v);
#pragma unroll
        for (int j = 0; j < N; j++) {
            const float d = v[j] - k.centre[j] - k.rest[j];
            sum[j] += d * d;
            rounding[j] += d;
        }
    }
    ts_gn_sum_groups(l, at, start, sum, parts, spread);
    if (sizeof(T) == sizeof(float)) /* more digits for a mean that is small beside its pivot */
        ts_gn_sum_groups(l, at, start, rounding, parts, error);

    float scale[N], bias[N];
#pragma unroll
    for (int j = 0; j < N; j++) {
        scale[j] = a.gamma[channel + j] / sqrtf(spread[k.group[j]] / size + a.epsilon);
        bias[j] = a.beta[channel + j] - k.rest[j] * scale[j];
    }
    const ts_step_state state = a.dropout > 0 ? *a.state : ts_step_state();
    T *const y = (T *)a.y + offset;
#pragma unroll 4
    for (int row = start; row < end; row += l.rows) {
        ts_load(again + row * pitch, v);
#pragma unroll
        for (int j = 0; j < N; j++) {
            const float u = (v[j] - k.centre[j]) * scale[j] + bias[j];
            v[j] = a.silu ? ts_silu<T>(u) : u;
        }
        if (a.dropout > 0)
            ts_gn_drop(state, a.layer, a.dropout, offset + (int64_t)row * a.c, v);
        ts_store(y + (int64_t)row * a.c, v);
    }

    for (int g = (int)threadIdx.x; g < l.channels / l.width; g += (int)blockDim.x) {
        const int64_t group = (int64_t)image * a.groups + first / l.width + g;
        const int64_t pivot = (int64_t)image * a.hw * a.c + first + g * l.width;
        a.mean[group] = ts_float(((const T *)a.x)[pivot]) + total[g] / size +
                        (sizeof(T) == sizeof(float) ? error[g] / size : 0.0f);
        a.rstd[group] = 1.0f / sqrtf(spread[g] / size + a.epsilon);
    }
}

template <class T, int N> static ts_status run(ts_device *device, const ts_group_norm_forward *a)
{
    ts_gn_layout l;
    TS_TRY(ts_gn_plan(device, a->n, a->hw, a->c, a->groups, N, ts_gn_block<N>::threads, sizeof(T), 1, 3, &l));
    return ts_launch(device, l.held ? forward<T, N, true> : forward<T, N, false>,
                     (unsigned)(a->n * (a->c / l.channels)), (unsigned)l.threads,
                     ts_gn_shared(&l, a->hw, sizeof(T), 1, l.channels / l.cell, 3), *a, l);
}

ts_status ts_cuda_group_norm_forward(ts_device *device, const ts_group_norm_forward *a)
{
    const bool aligned = ts_aligned(a->x) && ts_aligned(a->y);
    TS_DISPATCH(device, T, {
        enum { SIZE = ts_wide<T>::size };
        return aligned && a->c % SIZE == 0 ? run<T, SIZE>(device, a) : run<T, 1>(device, a);
    });
}
