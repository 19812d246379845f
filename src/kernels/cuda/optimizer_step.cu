/*
 * Clipping, Adam, EMA and zeroing of gradients in one pass over all parameters, after one pass for the norm.
 * Both are bound by memory; the second moves 10 floats a parameter.  The norm stays on the device: every
 * block of the second pass adds up the partial sums of the first, all in the same order.
 */
#include "kernels/cuda/reduce.cuh"

enum { NORM_THREADS = 1024, UPDATE_THREADS = 256 };

template <int N> static __device__ __forceinline__ double sum_of_squares(const float *g)
{
    float v[N];
    double sum = 0;
    ts_load(g, v);
#pragma unroll
    for (int k = 0; k < N; k++)
        sum += (double)v[k] * (double)v[k];
    return sum;
}

/* partial[block] = the block's share of the sum of squares; gradients from 4 wide on are taken one by one. */
static __global__ void squares(const float *g, int64_t wide, int64_t count, double *partial)
{
    double sum = 0;
    for (int64_t i = ts_thread(); i < wide; i += ts_threads())
        sum += sum_of_squares<4>(g + 4 * i);
    for (int64_t i = 4 * wide + ts_thread(); i < count; i += ts_threads())
        sum += sum_of_squares<1>(g + i);
    sum = ts_block_sum(sum);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = sum;
}

namespace
{
/* What one step's update needs besides the parameters themselves. */
struct coefficients {
    float clip;  /* factor of the gradient */
    float rate;  /* with warm-up, over 1 - beta1^(step + 1) */
    float root;  /* 1/sqrt(1 - beta2^(step + 1)), factor of the second moment's root */
    float ema;   /* 1 - decay */
    bool finite; /* the norm is: otherwise nothing is updated */
};
} // namespace

static __device__ coefficients coefficients_of(const ts_optimizer_step &a, double norm)
{
    const double step = a.state->step, next = step + 1.0;
    const double ramp = (1.0 + step) / (10.0 + step), decay = a.ema_decay < ramp ? a.ema_decay : ramp;
    const double warm = next < a.warmup ? next / a.warmup : 1.0;
    const double clip = a.clip > 0.0f && norm > a.clip ? a.clip / norm : 1.0;
    const double left1 = -expm1(next * log((double)a.beta1)), left2 = -expm1(next * log((double)a.beta2));
    coefficients c;
    c.clip = (float)clip;
    c.rate = (float)(a.rate * warm / left1);
    c.root = (float)(1.0 / sqrt(left2));
    c.ema = (float)(1.0 - decay);
    c.finite = isfinite((float)norm);
    return c;
}

static __device__ void report(const ts_optimizer_step &a, double norm, bool finite)
{
    a.report->norm = (float)norm;
    if (!finite && !a.report->skipped++)
        a.report->first_skipped = a.state->step;
}

/* Parameters i .. i + N; the bias corrections are folded into rate and root. */
template <int N, bool average>
static __device__ __forceinline__ void adam(const ts_optimizer_step &a, const coefficients &c, int64_t i)
{
    float p[N], g[N], m[N], v[N], ema[N], zero[N] = {};
    ts_load(a.gradients + i, g);
    ts_load(a.parameters + i, p);
    ts_load(a.first + i, m);
    ts_load(a.second + i, v);
    if constexpr (average)
        ts_load(a.ema + i, ema);
#pragma unroll
    for (int k = 0; k < N; k++) {
        const float clipped = c.clip * g[k];
        m[k] = a.beta1 * m[k] + (1.0f - a.beta1) * clipped;
        v[k] = a.beta2 * v[k] + (1.0f - a.beta2) * clipped * clipped;
        p[k] -= c.rate * m[k] / (sqrtf(v[k]) * c.root + a.epsilon);
        if constexpr (average)
            ema[k] += c.ema * (p[k] - ema[k]);
    }
    ts_store(a.parameters + i, p);
    ts_store(a.gradients + i, zero);
    ts_store(a.first + i, m);
    ts_store(a.second + i, v);
    if constexpr (average)
        ts_store(a.ema + i, ema);
}

template <bool average>
static __global__ void update(const ts_optimizer_step a, int64_t wide, const double *partial, int partials)
{
    TS_SHARED(coefficients, told, [1]);
    double sum = 0;
    for (int i = (int)threadIdx.x; i < partials; i += UPDATE_THREADS)
        sum += partial[i];
    sum = ts_block_sum(sum);
    if (threadIdx.x == 0) {
        told[0] = coefficients_of(a, sqrt(sum));
        if (blockIdx.x == 0)
            report(a, sqrt(sum), told[0].finite);
    }
    __syncthreads();
    const coefficients c = told[0];
    const float zero[4] = {};
    for (int64_t i = ts_thread(); i < wide; i += ts_threads())
        if (c.finite)
            adam<4, average>(a, c, 4 * i);
        else
            ts_store(a.gradients + 4 * i, zero);
    for (int64_t i = 4 * wide + ts_thread(); i < a.count; i += ts_threads())
        if (c.finite)
            adam<1, average>(a, c, i);
        else
            a.gradients[i] = 0.0f;
}

ts_status ts_cuda_optimizer_step(ts_device *device, const ts_optimizer_step *a)
{
    const bool aligned = ts_aligned(a->parameters) && ts_aligned(a->gradients) && ts_aligned(a->first) &&
                         ts_aligned(a->second) && ts_aligned(a->ema);
    const int64_t wide = aligned ? a->count / 4 : 0;
    const unsigned most = 2 * (unsigned)ts_cuda(device)->multiprocessors; /* that run at a time */
    const unsigned needed = ts_grid(device, aligned ? wide : a->count, NORM_THREADS);
    const unsigned partials = needed < most ? needed : most;
    void *memory;
    TS_TRY(ts_cuda_scratch(device, 0, partials * sizeof(double), &memory));
    double *const partial = (double *)memory;
    TS_TRY(ts_launch(device, squares, partials, NORM_THREADS, 0, a->gradients, wide, a->count, partial));
    TS_TRY(ts_launch(device, a->ema ? update<true> : update<false>,
                     ts_grid(device, aligned ? wide : a->count, UPDATE_THREADS), UPDATE_THREADS, 0, *a, wide,
                     partial, (int)partials));
    ts_cuda(device)->epoch++; /* whether the norm was finite is known to the card alone */
    return NULL;
}
