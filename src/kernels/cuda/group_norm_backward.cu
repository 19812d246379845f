/*
 * Group normalisation, backward.  With u = gamma xhat + beta and du = dy dropout act'(u), the sums over an
 * image's group of gamma du and gamma du xhat are A and B, m elements each:
 *   dx = rstd (gamma du - A/m - xhat B/m).
 * The first walk computes du, which stays in shared memory beside x, and all sums; the second dx.  The
 * images' parts of dgamma and dbeta are added up by a second launch.
 */
#include "kernels/cuda/group_norm.cuh"

/* What a thread knows of its N channels: x' - mean = (x - centre) - rest, u = (x' - mean) scale + beta. */
template <int N> struct column {
    float centre[N], rest[N], scale[N], beta[N];
};

template <class T, int N>
static __device__ __forceinline__ void prepare(const ts_group_norm_backward &a, int image, int channel,
                                               int width, column<N> &k)
{
    const T *const shift = (const T *)a.shift + (int64_t)image * a.c;
#pragma unroll
    for (int j = 0; j < N; j++) {
        const int64_t group = (int64_t)image * a.groups + (channel + j) / width;
        ts_gn_add(a.mean[group], a.shift ? -ts_float(shift[channel + j]) : 0.0f, k.centre[j], k.rest[j]);
        k.scale[j] = a.rstd[group] * a.gamma[channel + j];
        k.beta[j] = a.beta[channel + j];
    }
}

/* From v = x and d = dy of elements i .. i + N: v = x' - mean, d = du. */
template <class T, int N>
static __device__ __forceinline__ void differentiate(const ts_group_norm_backward &a,
                                                     const ts_step_state &state, const column<N> &k,
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

/* From the sums of a block's channels those of its groups, weighted with gamma. */
static __device__ __forceinline__ void weigh(const ts_group_norm_backward &a, const ts_gn_layout &l,
                                             int first, const float *sum, const float *product,
                                             float *group_sum, float *group_product)
{
    for (int g = (int)threadIdx.x; g < l.channels / l.width; g += (int)blockDim.x) {
        float s = 0, p = 0;
        for (int k = g * l.width; k < (g + 1) * l.width; k++) {
            s += a.gamma[first + k] * sum[k];
            p += a.gamma[first + k] * product[k];
        }
        group_sum[g] = s;
        group_product[g] = p;
    }
    __syncthreads();
}

/* What the channels of a block pass on: the gradient of the shift and the image's parts [2][c] of the
 * gradients of gamma and beta.. */
template <class T>
static __device__ __forceinline__ void pass_on(const ts_group_norm_backward &a, const ts_gn_layout &l,
                                               int image, int first, const float *sum, const float *product,
                                               const float *input, const float *group_sum,
                                               const float *group_product, float *partial)
{
    const float size = (float)a.hw * (float)l.width;
    for (int k = (int)threadIdx.x; k < l.channels; k += (int)blockDim.x) {
        const int channel = first + k, g = k / l.width;
        const float rstd = a.rstd[(int64_t)image * a.groups + channel / l.width];
        if (partial) {
            partial[(int64_t)image * 2 * a.c + channel] = rstd * product[k];
            partial[(int64_t)image * 2 * a.c + a.c + channel] = sum[k];
        }
        if (a.dshift)
            ((T *)a.dshift)[(int64_t)image * a.c + channel] = ts_cast<T>(
                rstd * (a.gamma[channel] * sum[k] -
                        (group_sum[g] * (float)a.hw + rstd * rstd * group_product[g] * input[k]) / size));
    }
}

template <class T, int N, bool held>
static __global__ void __launch_bounds__(ts_gn_block<N>::threads, N == 1 ? 1 : 2)
    backward(const ts_group_norm_backward a, const ts_gn_layout l, float *partial)
{
    TS_DYNAMIC_SHARED(unsigned char, memory);
    T *const slice = reinterpret_cast<T *>(memory);
    const size_t bytes = held ? ((size_t)2 * a.hw * l.channels * sizeof(T) + 15) / 16 * 16 : 0;
    float *const parts = reinterpret_cast<float *>(memory + bytes);
    float *const sums = parts + l.channels * l.stride; /* [channels] of du */
    float *const products = sums + l.channels;         /* of du (x' - mean) */
    float *const inputs = products + l.channels;       /* of x' - mean */
    float *const group_sums = inputs + l.channels;
    float *const group_products = group_sums + l.channels;

    const int blocks = a.c / l.channels, image = (int)blockIdx.x / blocks;
    const int first = (int)blockIdx.x % blocks * l.channels;
    const int at = (int)threadIdx.x % l.columns, start = (int)threadIdx.x / l.columns;
    const int channel = first + at * N, end = start < l.rows ? a.hw : 0;
    const int64_t offset = (int64_t)image * a.hw * a.c + channel;
    const T *const x = (const T *)a.x + offset, *const dy = (const T *)a.dy + offset;
    T *const kept = slice + at * N, *const kept_du = kept + a.hw * l.channels;
    const ts_step_state state = a.dropout > 0 ? *a.state : ts_step_state();

    column<N> k;
    float sum[N] = {}, product[N] = {}, input[N] = {}, v[N], d[N];
    prepare<T>(a, image, channel, l.width, k);
#pragma unroll 2
    for (int row = start; row < end; row += l.rows) {
        ts_gn_take<held>(x + (int64_t)row * a.c, kept + row * l.channels, v);
        ts_load(dy + (int64_t)row * a.c, d);
        differentiate<T>(a, state, k, offset + (int64_t)row * a.c, v, d);
        if (held)
            ts_store(kept_du + row * l.channels, d);
#pragma unroll
        for (int j = 0; j < N; j++) {
            sum[j] += d[j];
            product[j] += d[j] * v[j];
            input[j] += v[j];
        }
    }
    ts_gn_sum_channels(l, at, start, sum, parts, sums);
    ts_gn_sum_channels(l, at, start, product, parts, products);
    if (a.dshift)
        ts_gn_sum_channels(l, at, start, input, parts, inputs);
    weigh(a, l, first, sums, products, group_sums, group_products);
    pass_on<T>(a, l, image, first, sums, products, inputs, group_sums, group_products, partial);
    if (!a.dx)
        return;

    /* dx = scale du + pull (x' - mean) + constant */
    const float size = (float)a.hw * (float)l.width;
    float pull[N], constant[N];
#pragma unroll
    for (int j = 0; j < N; j++) {
        const int g = (at * N + j) / l.width;
        const float rstd = a.rstd[(int64_t)image * a.groups + first / l.width + g];
        pull[j] = -rstd * rstd * rstd * group_products[g] / size;
        constant[j] = -rstd * group_sums[g] / size;
    }
    T *const dx = (T *)a.dx + offset;
#pragma unroll 2
    for (int row = start; row < end; row += l.rows) {
        float out[N] = {};
        if (held) {
            ts_load(kept + row * l.channels, v);
            ts_load(kept_du + row * l.channels, d);
#pragma unroll
            for (int j = 0; j < N; j++)
                v[j] = v[j] - k.centre[j] - k.rest[j];
        } else {
            ts_load(x + (int64_t)row * a.c, v);
            ts_load(dy + (int64_t)row * a.c, d);
            differentiate<T>(a, state, k, offset + (int64_t)row * a.c, v, d);
        }
        if (a.accumulate)
            ts_load(dx + (int64_t)row * a.c, out);
#pragma unroll
        for (int j = 0; j < N; j++)
            out[j] += k.scale[j] * d[j] + (pull[j] * v[j] + constant[j]);
        ts_store(dx + (int64_t)row * a.c, out);
    }
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

template <class T, int N>
static ts_status run(ts_device *device, const ts_group_norm_backward *a, float *partial)
{
    ts_gn_layout l;
    TS_TRY(ts_gn_plan(device, a->n, a->hw, a->c, a->groups, N, ts_gn_block<N>::threads, sizeof(T), 2, 5, &l));
    return ts_launch(device, l.held ? backward<T, N, true> : backward<T, N, false>,
                     (unsigned)(a->n * (a->c / l.channels)), (unsigned)l.threads,
                     ts_gn_shared(&l, a->hw, sizeof(T), 2, l.channels, 5), *a, l, partial);
}

template <class T>
static ts_status dispatch(ts_device *device, const ts_group_norm_backward *a, float *partial)
{
    enum { SIZE = ts_wide<T>::size };
    const bool aligned = ts_aligned(a->x) && ts_aligned(a->dy) && ts_aligned(a->dx);
    return aligned && a->c % SIZE == 0 ? run<T, SIZE>(device, a, partial) : run<T, 1>(device, a, partial);
}

ts_status ts_cuda_group_norm_backward(ts_device *device, const ts_group_norm_backward *a)
{
    void *partial = NULL;
    if (a->dgamma || a->dbeta)
        TS_TRY(ts_cuda_scratch(device, 0, (size_t)a->n * 2 * a->c * sizeof(float), &partial));
    TS_DISPATCH(device, T, TS_TRY(dispatch<T>(device, a, (float *)partial)));
    if (!partial)
        return NULL;
    return ts_launch(device, add_parts, dim3((unsigned)(a->c + TS_CUDA_WARP - 1) / TS_CUDA_WARP, 2),
                     TS_CUDA_WARP * TS_CUDA_WARP, 0, a->n, a->c, (const float *)partial, a->dgamma, a->dbeta);
}
