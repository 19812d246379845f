/* Group normalisation with shift, SiLU and dropout or resampling, forward: one launch, the input
 * read once. */
#include "kernels/cuda/group_norm.cuh"

/* What a thread knows of its N channels. */
template <int N> struct column {
    float centre[N], rest[N];
    int group[N]; /* within the block */
};

/* Statistics of the block's groups; the mean is relative to the pivot, the group's first element, and `error`
 * is what rounding took from it. */
struct statistics {
    float *pivot, *mean, *error, *rstd;
};

static __device__ __forceinline__ statistics statistics_at(float *memory, int groups)
{
    return {memory, memory + groups, memory + 2 * groups, memory + 3 * groups};
}

/* The group's first element. */
template <class T>
static __device__ __forceinline__ float pivot_of(const ts_group_norm_forward &a, const ts_gn_layout &l,
                                                 const ts_gn_place &p, int group)
{
    return ts_float(*ts_gn_input<T>(a, ts_gn_source_of(a, p.image, p.first + group * l.width)));
}

/* Centres the channels on the pivot, which is no further from the mean than other elements are. */
template <class T, int N>
static __device__ __forceinline__ void centre_on_pivot(const ts_group_norm_forward &a, const ts_gn_layout &l,
                                                       const ts_gn_place &p, column<N> &k)
{
    const T *const shift = (const T *)a.shift + (int64_t)p.image * a.c + p.first;
    ts_gn_groups(p.column, l.width, k.group);
#pragma unroll
    for (int j = 0; j < N; j++)
        ts_gn_add(pivot_of<T>(a, l, p, k.group[j]), a.shift ? -ts_float(shift[p.column + j]) : 0.0f,
                  k.centre[j], k.rest[j]);
}

/* Moves the centres on by the mean. */
template <int N> static __device__ __forceinline__ void centre_on_mean(const float *mean, column<N> &k)
{
#pragma unroll
    for (int j = 0; j < N; j++) {
        float moved, rest;
        ts_gn_add(k.centre[j], mean[k.group[j]] + k.rest[j], moved, rest);
        k.centre[j] = moved;
        k.rest[j] = rest;
    }
}

/* First walk: x is read, and kept; mean. */
template <bool held, class T, int N>
static __device__ __forceinline__ void find_mean(const ts_group_norm_forward &a, const ts_gn_layout &l,
                                                 const ts_gn_place &p, const T *x, int64_t pitch, T *kept,
                                                 column<N> &k, float *parts, const statistics &s)
{
    const float size = (float)a.hw * (float)l.width;
    float sum[N] = {}, rows = 0;
    centre_on_pivot<T>(a, l, p, k);
    for (int g = (int)threadIdx.x; g < l.channels / l.width; g += (int)blockDim.x)
        s.pivot[g] = pivot_of<T>(a, l, p, g);
#pragma unroll 4
    for (int row = p.row; row < p.end; row += l.rows, rows++) {
        float v[N];
        ts_gn_take<held>(x + row * pitch, kept + row * l.channels, v);
#pragma unroll
        for (int j = 0; j < N; j++)
            sum[j] += v[j] - k.centre[j];
    }
#pragma unroll
    for (int j = 0; j < N; j++)
        sum[j] -= rows * k.rest[j];
    ts_gn_sum_groups(l, p, sum, parts, s.mean, [=](float total) { return total / size; });
    centre_on_mean(s.mean, k);
}

/* Second walk, over x as it lies at `x` with `pitch` from row to row: the spread about the mean. */
template <class T, int N>
static __device__ __forceinline__ void find_spread(const ts_group_norm_forward &a, const ts_gn_layout &l,
                                                   const ts_gn_place &p, const T *x, int64_t pitch,
                                                   const column<N> &k, float *parts, const statistics &s)
{
    const float size = (float)a.hw * (float)l.width, epsilon = a.epsilon;
    float squares[N] = {}, sum[N] = {};
#pragma unroll 4
    for (int row = p.row; row < p.end; row += l.rows) {
        float v[N];
        ts_load(x + row * pitch, v);
#pragma unroll
        for (int j = 0; j < N; j++) {
            const float d = v[j] - k.centre[j] - k.rest[j];
            squares[j] += d * d;
            sum[j] += d;
        }
    }
    ts_gn_sum_groups(l, p, squares, parts, s.rstd,
                     [=](float total) { return 1.0f / sqrtf(total / size + epsilon); });
    if (sizeof(T) == sizeof(float)) /* the digits of a mean that is small beside its pivot */
        ts_gn_sum_groups(l, p, sum, parts, s.error, [=](float total) { return total / size; });
}

/* y = act((x - centre) scale + bias) */
template <int N> struct affine {
    float scale[N], bias[N];
};

template <int N>
static __device__ __forceinline__ affine<N> affine_of(const ts_group_norm_forward &a, const ts_gn_place &p,
                                                      const column<N> &k, const statistics &s)
{
    affine<N> f;
#pragma unroll
    for (int j = 0; j < N; j++) {
        f.scale[j] = a.gamma[p.first + p.column + j] * s.rstd[k.group[j]];
        f.bias[j] = a.beta[p.first + p.column + j] - k.rest[j] * f.scale[j];
    }
    return f;
}

template <class T, int N>
static __device__ __forceinline__ void activate(const ts_group_norm_forward &a, const column<N> &k,
                                                const affine<N> &f, float (&v)[N])
{
#pragma unroll
    for (int j = 0; j < N; j++) {
        const float u = (v[j] - k.centre[j]) * f.scale[j] + f.bias[j];
        v[j] = a.silu ? ts_silu<T>(u) : u;
    }
}

/* Third walk. */
template <class T, int N>
static __device__ __forceinline__ void apply(const ts_group_norm_forward &a, const ts_gn_layout &l,
                                             const ts_gn_place &p, const T *x, int64_t pitch,
                                             const column<N> &k, const affine<N> &f)
{
    const ts_step_state state = a.dropout > 0 ? *a.state : ts_step_state();
    T *const y = (T *)a.y + p.offset;
#pragma unroll 4
    for (int row = p.row; row < p.end; row += l.rows) {
        float v[N];
        ts_load(x + row * pitch, v);
        activate<T>(a, k, f, v);
        if (a.dropout > 0)
            ts_gn_drop(state, a.layer, a.dropout, p.offset + (int64_t)row * a.c, v);
        ts_store(y + (int64_t)row * a.c, v);
    }
}

/* Third walk, over the outputs, each the mean of four inputs; of x too where `plain` is not NULL. */
template <class T, int N>
static __device__ __forceinline__ void apply_halved(const ts_group_norm_forward &a, const ts_gn_layout &l,
                                                    const ts_gn_place &p, const T *x, int64_t pitch,
                                                    const column<N> &k, const affine<N> &f, T *y, T *plain)
{
    for (int row = p.row; row < p.end / 4; row += l.rows) {
        const int corner = ts_gn_corner(row, a.w);
        float sum[N] = {}, plain_sum[N] = {};
#pragma unroll
        for (int part = 0; part < 4; part++) {
            float v[N];
            ts_load(x + ts_gn_part(corner, a.w, part) * pitch, v);
#pragma unroll
            for (int j = 0; j < N; j++)
                plain_sum[j] += v[j];
            activate<T>(a, k, f, v);
#pragma unroll
            for (int j = 0; j < N; j++)
                sum[j] += v[j];
        }
#pragma unroll
        for (int j = 0; j < N; j++) {
            sum[j] *= 0.25f;
            plain_sum[j] *= 0.25f;
        }
        ts_store(y + (int64_t)row * a.c, sum);
        if (plain)
            ts_store(plain + (int64_t)row * a.c, plain_sum);
    }
}

/* Third walk, over the inputs, each of which is written four times. */
template <class T, int N>
static __device__ __forceinline__ void apply_doubled(const ts_group_norm_forward &a, const ts_gn_layout &l,
                                                     const ts_gn_place &p, const T *x, int64_t pitch,
                                                     const column<N> &k, const affine<N> &f, T *y, T *plain)
{
    for (int row = p.row; row < p.end; row += l.rows) {
        const int corner = ts_gn_corner(row, 2 * a.w);
        float v[N];
        ts_load(x + row * pitch, v);
#pragma unroll
        for (int part = 0; part < 4; part++)
            if (plain)
                ts_store(plain + (int64_t)ts_gn_part(corner, 2 * a.w, part) * a.c, v);
        activate<T>(a, k, f, v);
#pragma unroll
        for (int part = 0; part < 4; part++)
            ts_store(y + (int64_t)ts_gn_part(corner, 2 * a.w, part) * a.c, v);
    }
}

template <class T, int N>
static __device__ __forceinline__ void apply_resampled(const ts_group_norm_forward &a, const ts_gn_layout &l,
                                                       const ts_gn_place &p, const T *x, int64_t pitch,
                                                       const column<N> &k, const affine<N> &f)
{
    const int64_t start = (int64_t)p.image * ts_gn_resampled(a.resample, a.hw) * a.c + p.first + p.column;
    T *const y = (T *)a.y + start, *const plain = a.x_resampled ? (T *)a.x_resampled + start : NULL;
    if (a.resample == TS_RESAMPLE_HALVE)
        apply_halved(a, l, p, x, pitch, k, f, y, plain);
    else
        apply_doubled(a, l, p, x, pitch, k, f, y, plain);
}

template <class T, int N, bool held, bool resampled>
static __global__ void __launch_bounds__(ts_gn_block<N>::threads, N == 1 ? 1 : 3)
    forward(const ts_group_norm_forward a, const ts_gn_layout l)
{
    TS_DYNAMIC_SHARED(unsigned char, memory);
    const size_t slice = held ? ((size_t)a.hw * l.channels * sizeof(T) + 15) / 16 * 16 : 0;
    float *const parts = reinterpret_cast<float *>(memory + slice);
    const int groups = l.channels / l.width;
    const statistics s = statistics_at(parts + l.channels / l.cell * l.stride, groups);
    const ts_gn_place p = ts_gn_find<N>(l, a.hw, a.c);
    T *const kept = reinterpret_cast<T *>(memory) + p.column;
    const ts_gn_source source = ts_gn_source_of(a, p.image, p.first + p.column);
    const T *const x = ts_gn_input<T>(a, source), *const again = held ? kept : x;
    const int64_t pitch = held ? l.channels : source.pitch;

    column<N> k;
    find_mean<held>(a, l, p, x, source.pitch, kept, k, parts, s);
    find_spread(a, l, p, again, pitch, k, parts, s);
    const affine<N> f = affine_of(a, p, k, s);
    if (resampled)
        apply_resampled(a, l, p, again, pitch, k, f);
    else
        apply(a, l, p, again, pitch, k, f);
    for (int g = (int)threadIdx.x; g < groups; g += (int)blockDim.x) {
        const int64_t group = (int64_t)p.image * a.groups + p.first / l.width + g;
        a.mean[group] = s.pivot[g] + s.mean[g] + (sizeof(T) == sizeof(float) ? s.error[g] : 0.0f);
        a.rstd[group] = s.rstd[g];
    }
}

template <class T, int N, bool resampled>
static ts_status run(ts_device *device, const ts_group_norm_forward *a)
{
    ts_gn_layout l;
    TS_TRY(ts_gn_plan(device, a->n, a->hw, a->c, a->groups, N, ts_gn_block<N>::threads, sizeof(T), 1, 4, &l));
    return ts_launch(device, l.held ? forward<T, N, true, resampled> : forward<T, N, false, resampled>,
                     (unsigned)(a->n * (a->c / l.channels)), (unsigned)l.threads,
                     ts_gn_shared(&l, a->hw, sizeof(T), 1, l.channels / l.cell, 4), *a, l);
}

template <class T, bool resampled>
static ts_status dispatch(ts_device *device, const ts_group_norm_forward *a)
{
    enum { SIZE = ts_wide<T>::size };
    const bool aligned = ts_aligned(a->y) && ts_aligned(a->x_resampled);
    return ts_gn_wide(a, SIZE) && aligned ? run<T, SIZE, resampled>(device, a)
                                          : run<T, 1, resampled>(device, a);
}

ts_status ts_cuda_group_norm_forward(ts_device *device, const ts_group_norm_forward *a)
{
    TS_DISPATCH(device, T, {
        return a->resample == TS_RESAMPLE_NONE ? dispatch<T, false>(device, a) : dispatch<T, true>(device, a);
    });
}
