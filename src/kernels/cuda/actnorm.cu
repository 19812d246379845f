/* Per-channel affine layers of Glow with optional ReLU, and their data-dependent initialisation. */
#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/reduce.cuh"

enum { THREADS = TS_COLUMN_THREADS, FOLD_CHANNELS = 32, FOLD_PARTS = THREADS / FOLD_CHANNELS };

/* exp(factor logs) of the thread's channels, worked out in double once a channel and block: rounded, and what
 * rounding took away. */
template <int N>
static __device__ __forceinline__ void load_scales(const ts_column &at, int c, float factor,
                                                   const float *logs, float (&scale)[N], float (&rest)[N])
{
    TS_SHARED(float2, told, [THREADS * N]);
    const int place = (int)threadIdx.x % ts_column_width(c / N) * N;
    if (at.active && at.row == 0)
#pragma unroll
        for (int k = 0; k < N; k++) {
            const double exact = exp((double)factor * logs[at.channel + k]);
            const float rounded = (float)exact;
            told[place + k] = make_float2(rounded, (float)(exact - rounded));
        }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < N; k++) {
        scale[k] = at.active ? told[place + k].x : 0.0f;
        rest[k] = at.active ? told[place + k].y : 0.0f;
    }
}

/* ---- forward ---- */

template <class T, int N> static __global__ void forward(const ts_actnorm_forward a)
{
    const ts_column at = ts_column_of_thread<N>(a.c);
    const int height = ts_column_height(a.c / N);
    float scale[N], rest[N], bias[N];
    load_scales(at, a.c, a.inverse ? -a.factor : a.factor, a.logs, scale, rest);
    if (!at.active)
        return;
#pragma unroll
    for (int k = 0; k < N; k++)
        bias[k] = a.bias ? a.bias[at.channel + k] : 0.0f;
    for (int64_t row = (int64_t)blockIdx.x * height + at.row; row < a.rows;
         row += (int64_t)gridDim.x * height) {
        float v[N];
        ts_load((const T *)a.x + row * a.c + at.channel, v);
#pragma unroll
        for (int k = 0; k < N; k++) {
            if (a.inverse) /* the terms may cancel */
                v[k] = fmaf(v[k], rest[k], fmaf(v[k], scale[k], -bias[k]));
            else
                v[k] = (v[k] + bias[k]) * scale[k];
            if (a.relu && !a.inverse)
                v[k] = v[k] < 0 ? 0 : v[k]; /* keeps a NaN */
        }
        ts_store((T *)a.y + row * a.c + at.channel, v);
    }
}

template <class T> static ts_status run(ts_device *device, const ts_actnorm_forward *a)
{
    TS_COLUMN_DISPATCH(T, a->c, ts_aligned(a->x) && ts_aligned(a->y), N, {
        const int groups = a->c / N;
        const dim3 grid(ts_grid(device, a->rows, ts_column_height(groups)), ts_column_blocks(groups));
        return ts_launch(device, forward<T, N>, grid, THREADS, 0, *a);
    });
}

ts_status ts_cuda_actnorm_forward(ts_device *device, const ts_actnorm_forward *a)
{
    TS_DISPATCH(device, T, return run<T>(device, a));
}

/* ---- backward ---- */

/* dx; with `sums` also sum dy' and sum dy' y over the block's rows, dy' = dy where the ReLU let it through:
 * partial [block][2][c]. */
template <class T, int N, bool sums>
static __global__ void backward(const ts_actnorm_backward a, int rows_of_thread, float *partial)
{
    const ts_column at = ts_column_of_thread<N>(a.c);
    const int height = ts_column_height(a.c / N);
    const int64_t first = (int64_t)blockIdx.x * rows_of_thread * height + at.row;
    float scale[N], rest[N], sum[2 * N] = {};
    load_scales(at, a.c, a.factor, a.logs, scale, rest);
    for (int i = 0; at.active && i < rows_of_thread && first + (int64_t)i * height < a.rows; i++) {
        const int64_t place = (first + (int64_t)i * height) * a.c + at.channel;
        float y[N], g[N], dx[N] = {};
        ts_load((const T *)a.dy + place, g);
        if (sums || a.relu)
            ts_load((const T *)a.y + place, y);
        if (a.dx && a.accumulate)
            ts_load((const T *)a.dx + place, dx);
#pragma unroll
        for (int k = 0; k < N; k++) {
            if (a.relu && !(y[k] > 0))
                g[k] = 0;
            if constexpr (sums) {
                sum[k] += g[k];
                sum[N + k] += g[k] * y[k];
            }
            dx[k] += g[k] * scale[k];
        }
        if (a.dx)
            ts_store((T *)a.dx + place, dx);
    }
    if constexpr (sums) {
        TS_SHARED(float, room, [2 * N * THREADS]);
        ts_column_sum(a.c / N, at.row, at.active, room, sum);
        if (!at.active || at.row > 0)
            return;
#pragma unroll
        for (int k = 0; k < N; k++) {
            partial[2 * (int64_t)blockIdx.x * a.c + at.channel + k] = sum[k];
            partial[(2 * (int64_t)blockIdx.x + 1) * a.c + at.channel + k] = sum[N + k];
        }
    }
}

/* dbias += scale sum dy', dlogs += factor sum dy' y: the blocks' sums in double, FOLD_PARTS threads a
 * channel. */
static __global__ void fold(const ts_actnorm_backward a, int blocks, const float *partial)
{
    TS_SHARED(double, sums, [2][FOLD_PARTS][FOLD_CHANNELS]);
    const int lane = (int)threadIdx.x % FOLD_CHANNELS, part = (int)threadIdx.x / FOLD_CHANNELS;
    const int channel = (int)blockIdx.x * FOLD_CHANNELS + lane;
    double sum = 0, product = 0;
    for (int b = part; channel < a.c && b < blocks; b += FOLD_PARTS) {
        sum += partial[2 * (int64_t)b * a.c + channel];
        product += partial[(2 * (int64_t)b + 1) * a.c + channel];
    }
    sums[0][part][lane] = sum;
    sums[1][part][lane] = product;
    __syncthreads();
    if (part > 0 || channel >= a.c)
        return;
    for (int p = 1; p < FOLD_PARTS; p++) {
        sum += sums[0][p][lane];
        product += sums[1][p][lane];
    }
    if (a.dbias)
        a.dbias[channel] += (float)(exp((double)a.factor * a.logs[channel]) * sum);
    if (a.dlogs)
        a.dlogs[channel] += (float)(a.factor * product);
}

template <class T> static ts_status run(ts_device *device, const ts_actnorm_backward *a)
{
    const bool aligned = ts_aligned(a->y) && ts_aligned(a->dy) && ts_aligned(a->dx);
    TS_COLUMN_DISPATCH(T, a->c, aligned, N, {
        const int groups = a->c / N;
        const int rows = ts_column_rows(device, a->rows, groups), block = rows * ts_column_height(groups);
        const dim3 grid((unsigned)((a->rows + block - 1) / block), ts_column_blocks(groups));
        if (!a->dbias && !a->dlogs)
            return ts_launch(device, backward<T, N, false>, grid, THREADS, 0, *a, rows, (float *)NULL);
        void *memory;
        TS_TRY(ts_cuda_scratch(device, 0, 2 * sizeof(float) * grid.x * (size_t)a->c, &memory));
        float *const partial = (float *)memory;
        TS_TRY(ts_launch(device, backward<T, N, true>, grid, THREADS, 0, *a, rows, partial));
        const unsigned tiles = (unsigned)((a->c + FOLD_CHANNELS - 1) / FOLD_CHANNELS);
        return ts_launch(device, fold, tiles, THREADS, 0, *a, (int)grid.x, (const float *)partial);
    });
}

ts_status ts_cuda_actnorm_backward(ts_device *device, const ts_actnorm_backward *a)
{
    TS_DISPATCH(device, T, return run<T>(device, a));
}

/* ---- initialisation ---- */

/* A block takes a channel: once in a run, so in the plainest way. */
template <class T> static __global__ void initialize(const ts_actnorm_initialize a)
{
    const T *const x = (const T *)a.x;
    for (int j = (int)blockIdx.x; j < a.c; j += (int)gridDim.x) {
        double sum = 0, square = 0;
        for (int64_t i = threadIdx.x; i < a.rows; i += THREADS)
            sum += (double)ts_float(x[i * a.c + j]);
        const double mean = ts_block_sum(sum) / (double)a.rows;
        for (int64_t i = threadIdx.x; i < a.rows; i += THREADS) {
            const double d = (double)ts_float(x[i * a.c + j]) - mean;
            square += d * d;
        }
        square = ts_block_sum(square);
        if (threadIdx.x != 0)
            continue;
        if (a.bias)
            a.bias[j] = (float)-mean;
        a.logs[j] = (float)(-log(sqrt(square / (double)a.rows) + 1e-6) / a.factor);
    }
}

ts_status ts_cuda_actnorm_initialize(ts_device *device, const ts_actnorm_initialize *a)
{
    TS_DISPATCH(device, T, return ts_launch(device, initialize<T>, (unsigned)a->c, THREADS, 0, *a));
}
