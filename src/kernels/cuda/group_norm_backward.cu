/*
 * Group normalisation, backward.  With u = gamma xhat + beta and du = dy dropout act'(u), the sums over an
 * image's group of gamma du and gamma du xhat are A and B, m elements each:
 *   dx = rstd (gamma du - A/m - xhat B/m).
 * Where the output is resampled, dy stands for what comes back through the resampling, and what comes back
 * from the resampled input is added to dx. The first walk computes du, which stays in shared memory beside x,
 * and all sums; the second dx.  The images' parts of dgamma and dbeta are added up by a second launch.
 */
#include "kernels/cuda/group_norm.cuh"

/* What a thread knows of its N channels: x' - mean = (x - centre) - rest, u = (x' - mean) scale + beta. */
template <int N> struct gradient_column {
    float centre[N], rest[N], scale[N], beta[N];
};

template <class T, int N>
static __device__ __forceinline__ void prepare(const ts_group_norm_backward &a, int image, int channel,
                                               int width, gradient_column<N> &k)
{
    const T *const shift = (const T *)a.shift + (int64_t)image * a.c;
    int groups[N];
    ts_gn_groups(channel, width, groups);
#pragma unroll
    for (int j = 0; j < N; j++) {
        const int64_t group = (int64_t)image * a.groups + groups[j];
        ts_gn_add(a.mean[group], a.shift ? -ts_float(shift[channel + j]) : 0.0f, k.centre[j], k.rest[j]);
        k.scale[j] = a.rstd[group] * a.gamma[channel + j];
        k.beta[j] = a.beta[channel + j];
    }
}

/* From v = x and d = dy of elements i .. i + N: v = x' - mean, d = du. */
template <class T, int N>
static __device__ __forceinline__ void differentiate(const ts_group_norm_backward &a,
                                                     const ts_step_state &state, const gradient_column<N> &k,
                                                     int64_t i, float (&v)[N], float (&d)[N])
{
#pragma unroll
    for (int j = 0; j < N; j++) {
        v[j] = v[j] - k.centre[j] - k.rest[j];
        if (a.silu)
            d[j] *= ts_silu_slope<T>(v[j] * k.scale[j] + k.beta[j]);
    }
    if (a.dropout > 0)
        ts_gn_drop(state, a.layer, a.dropout, i, d);
}

/* What position `row` of the input gets of a gradient of the output, which begins at `g`: for a resampled
 * output, of all those that it went into. */
template <bool resampled, class T, int N>
static __device__ __forceinline__ void load_back(const ts_group_norm_backward &a, const T *g, int row,
                                                 float (&v)[N])
{
    if (!resampled) {
        ts_load(g + (int64_t)row * a.c, v);
    } else if (a.resample == TS_RESAMPLE_HALVE) {
        const int line = row / a.w, column = row - line * a.w;
        ts_load(g + (int64_t)(line / 2 * (a.w / 2) + column / 2) * a.c, v);
#pragma unroll
        for (int j = 0; j < N; j++)
            v[j] *= 0.25f;
    } else {
        const int corner = ts_gn_corner(row, 2 * a.w);
#pragma unroll
        for (int j = 0; j < N; j++)
            v[j] = 0;
#pragma unroll
        for (int part = 0; part < 4; part++) {
            float u[N];
            ts_load(g + (int64_t)ts_gn_part(corner, 2 * a.w, part) * a.c, u);
#pragma unroll
            for (int j = 0; j < N; j++)
                v[j] += u[j];
        }
    }
}

/* Where the column begins in a gradient of the output. */
template <bool resampled>
static __device__ __forceinline__ int64_t start_of(const ts_group_norm_backward &a, const ts_gn_place &p)
{
    if (!resampled)
        return p.offset;
    return (int64_t)p.image * ts_gn_resampled(a.resample, a.hw) * a.c + p.first + p.column;
}

/* From the sums of a block's channels what its groups add to dx = scale du + pull (x' - mean) + constant. */
static __device__ __forceinline__ void weigh(const ts_group_norm_backward &a, const ts_gn_layout &l,
                                             const ts_gn_place &p, const float *sum, const float *product,
                                             float *pull, float *constant)
{
    const float size = (float)a.hw * (float)l.width;
    for (int g = (int)threadIdx.x; g < l.channels / l.width; g += (int)blockDim.x) {
        const float rstd = a.rstd[(int64_t)p.image * a.groups + p.first / l.width + g];
        float s = 0, t = 0;
        for (int k = g * l.width; k < (g + 1) * l.width; k++) {
            s += a.gamma[p.first + k] * sum[k];
            t += a.gamma[p.first + k] * product[k];
        }
        pull[g] = -rstd * rstd * rstd * t / size;
        constant[g] = -rstd * s / size;
    }
    __syncthreads();
}

/* What the channels of a block pass on: the gradient of the shift, which is the sum of dx, and the image's
 * parts [2][c] of the gradients of gamma and beta. */
template <class T>
static __device__ __forceinline__ void
pass_on(const ts_group_norm_backward &a, const ts_gn_layout &l, const ts_gn_place &p, const float *sum,
        const float *product, const float *input, const float *pull, const float *constant, float *partial)
{
    for (int k = (int)threadIdx.x; k < l.channels; k += (int)blockDim.x) {
        const int channel = p.first + k, g = k / l.width;
        const float rstd = a.rstd[(int64_t)p.image * a.groups + p.first / l.width + g];
        if (partial) {
            partial[(int64_t)p.image * 2 * a.c + channel] = rstd * product[k];
            partial[(int64_t)p.image * 2 * a.c + a.c + channel] = sum[k];
        }
        if (a.dshift)
            ((T *)a.dshift)[(int64_t)p.image * a.c + channel] =
                ts_cast<T>(rstd * a.gamma[channel] * sum[k] + pull[g] * input[k] + constant[g] * (float)a.hw);
    }
}

/* First walk: x and dy are read, x and du kept; the sums of the channels. */
template <bool held, bool resampled, class T, int N>
static __device__ __forceinline__ void
find_sums(const ts_group_norm_backward &a, const ts_gn_layout &l, const ts_gn_place &p,
          const ts_gn_source &from, const ts_step_state &state, const gradient_column<N> &k, T *kept,
          T *kept_du, float *parts, float *sums, float *products, float *inputs)
{
    const T *const x = ts_gn_input<T>(a, from), *const dy = (const T *)a.dy + start_of<resampled>(a, p);
    float sum[N] = {}, product[N] = {}, input[N] = {};
#pragma unroll 2
    for (int row = p.row; row < p.end; row += l.rows) {
        float v[N], d[N];
        ts_gn_take<held>(x + (int64_t)row * from.pitch, kept + row * l.channels, v);
        load_back<resampled>(a, dy, row, d);
        differentiate<T>(a, state, k, p.offset + (int64_t)row * a.c, v, d);
        if (held)
            ts_store(kept_du + row * l.channels, d);
#pragma unroll
        for (int j = 0; j < N; j++) {
            sum[j] += d[j];
            product[j] += d[j] * v[j];
            input[j] += v[j];
        }
    }
    ts_gn_sum_channels(l, p, sum, parts, sums);
    ts_gn_sum_channels(l, p, product, parts, products);
    if (a.dshift)
        ts_gn_sum_channels(l, p, input, parts, inputs);
}

/* Second walk: dx. */
template <bool held, bool resampled, class T, int N>
static __device__ __forceinline__ void
write_dx(const ts_group_norm_backward &a, const ts_gn_layout &l, const ts_gn_place &p,
         const ts_gn_source &from, const ts_step_state &state, const gradient_column<N> &k, const T *kept,
         const T *kept_du, const float *pulls, const float *constants)
{
    const T *const x = ts_gn_input<T>(a, from), *const dy = (const T *)a.dy + start_of<resampled>(a, p);
    const T *const plain =
        resampled && a.dx_resampled ? (const T *)a.dx_resampled + start_of<resampled>(a, p) : NULL;
    T *const dx = (T *)(from.second ? a.dx2 : a.dx) + from.start;
    const bool accumulate = from.second ? a.accumulate2 : a.accumulate;
    int group[N];
    ts_gn_groups(p.column, l.width, group);
#pragma unroll 2
    for (int row = p.row; row < p.end; row += l.rows) {
        float v[N], d[N], out[N] = {};
        if (held) {
            ts_load(kept + row * l.channels, v);
            ts_load(kept_du + row * l.channels, d);
#pragma unroll
            for (int j = 0; j < N; j++)
                v[j] = v[j] - k.centre[j] - k.rest[j];
        } else {
            ts_load(x + (int64_t)row * from.pitch, v);
            load_back<resampled>(a, dy, row, d);
            differentiate<T>(a, state, k, p.offset + (int64_t)row * a.c, v, d);
        }
        if (accumulate)
            ts_load(dx + (int64_t)row * from.pitch, out);
#pragma unroll
        for (int j = 0; j < N; j++)
            out[j] += k.scale[j] * d[j] + (pulls[group[j]] * v[j] + constants[group[j]]);
        if (plain) {
            load_back<resampled>(a, plain, row, d);
#pragma unroll
            for (int j = 0; j < N; j++)
                out[j] += d[j];
        }
        ts_store(dx + (int64_t)row * from.pitch, out);
    }
}

template <class T, int N, bool held, bool resampled>
static __global__ void __launch_bounds__(ts_gn_block<N>::threads, N == 1 ? 1 : 2)
    backward(const ts_group_norm_backward a, const ts_gn_layout l, float *partial)
{
    TS_DYNAMIC_SHARED(unsigned char, memory);
    const size_t bytes = held ? ((size_t)2 * a.hw * l.channels * sizeof(T) + 15) / 16 * 16 : 0;
    float *const parts = reinterpret_cast<float *>(memory + bytes);
    float *const sums = parts + l.channels * l.stride; /* [channels] of du */
    float *const products = sums + l.channels;         /* of du (x' - mean) */
    float *const inputs = products + l.channels;       /* of x' - mean */
    float *const pulls = inputs + l.channels;          /* [groups] */
    float *const constants = pulls + l.channels;
    const ts_gn_place p = ts_gn_find<N>(l, a.hw, a.c);
    T *const kept = reinterpret_cast<T *>(memory) + p.column, *const kept_du = kept + a.hw * l.channels;
    const ts_gn_source from = ts_gn_source_of(a, p.image, p.first + p.column);
    const ts_step_state state = a.dropout > 0 ? *a.state : ts_step_state();

    gradient_column<N> k;
    prepare<T>(a, p.image, p.first + p.column, l.width, k);
    find_sums<held, resampled>(a, l, p, from, state, k, kept, kept_du, parts, sums, products, inputs);
    weigh(a, l, p, sums, products, pulls, constants);
    pass_on<T>(a, l, p, sums, products, inputs, pulls, constants, partial);
    if (from.second ? a.dx2 : a.dx)
        write_dx<held, resampled>(a, l, p, from, state, k, kept, kept_du, pulls, constants);
}

/* dgamma and dbeta += the images' parts [n][2][c], in their order within each of the block's 32 rows. */
static __global__ void add_parts(int n, int c, const float *partial, float *dgamma, float *dbeta)
{
    TS_SHARED(float, sums, [TS_CUDA_WARP][TS_CUDA_WARP + 1]);
    const int lane = (int)threadIdx.x % TS_CUDA_WARP, row = (int)threadIdx.x / TS_CUDA_WARP;
    const int channel = (int)blockIdx.x * TS_CUDA_WARP + lane;
    float *const out = blockIdx.y ? dbeta : dgamma;
    float sum = 0;
    if (!out)
        return;
    if (channel < c)
        for (int image = row; image < n; image += TS_CUDA_WARP)
            sum += partial[((int64_t)image * 2 + blockIdx.y) * c + channel];
    sums[row][lane] = sum;
    __syncthreads();
    sum = ts_warp_sum(sums[lane][row]); /* of channel `row` of the block */
    if (lane == 0 && (int)blockIdx.x * TS_CUDA_WARP + row < c)
        out[(int)blockIdx.x * TS_CUDA_WARP + row] += sum;
}

template <class T, int N, bool resampled>
static ts_status run(ts_device *device, const ts_group_norm_backward *a, float *partial)
{
    ts_gn_layout l;
    TS_TRY(ts_gn_plan(device, a->n, a->hw, a->c, a->groups, N, ts_gn_block<N>::threads, sizeof(T), 2, 5, &l));
    return ts_launch(device, l.held ? backward<T, N, true, resampled> : backward<T, N, false, resampled>,
                     (unsigned)(a->n * (a->c / l.channels)), (unsigned)l.threads,
                     ts_gn_shared(&l, a->hw, sizeof(T), 2, l.channels, 5), *a, l, partial);
}

template <class T, bool resampled>
static ts_status dispatch(ts_device *device, const ts_group_norm_backward *a, float *partial)
{
    enum { SIZE = ts_wide<T>::size };
    const bool aligned =
        ts_aligned(a->dy) && ts_aligned(a->dx) && ts_aligned(a->dx2) && ts_aligned(a->dx_resampled);
    return ts_gn_wide(a, SIZE) && aligned ? run<T, SIZE, resampled>(device, a, partial)
                                          : run<T, 1, resampled>(device, a, partial);
}

ts_status ts_cuda_group_norm_backward(ts_device *device, const ts_group_norm_backward *a)
{
    void *partial = NULL;
    if (a->dgamma || a->dbeta)
        TS_TRY(ts_cuda_scratch(device, 0, (size_t)a->n * 2 * a->c * sizeof(float), &partial));
    float *const parts = static_cast<float *>(partial);
    TS_DISPATCH(device, T, {
        const bool resampled = a->resample != TS_RESAMPLE_NONE;
        TS_TRY((resampled ? dispatch<T, true> : dispatch<T, false>)(device, a, parts));
    });
    if (!partial)
        return NULL;
    return ts_launch(device, add_parts, dim3((unsigned)(a->c + TS_CUDA_WARP - 1) / TS_CUDA_WARP, 2),
                     TS_CUDA_WARP * TS_CUDA_WARP, 0, a->n, a->c, (const float *)parts, a->dgamma, a->dbeta);
}
