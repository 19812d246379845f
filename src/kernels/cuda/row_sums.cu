/*
 * What a bound sums over the dimensions of each datum, in double: squared error, scalar product, log-density
 * of N(0, sigma^2 I).
 */
#include "kernels/cuda/row_sum.cuh"

namespace
{
struct squared_error {
    int d;
    const float *net, *z;
    double *out;
    template <int N> __device__ double part(int64_t row, int64_t j) const
    {
        float p[N], q[N];
        double sum = 0;
        ts_load(net + row * d + j, p);
        ts_load(z + row * d + j, q);
#pragma unroll
        for (int k = 0; k < N; k++) {
            const double e = (double)p[k] - (double)q[k];
            sum += e * e;
        }
        return sum;
    }
    __device__ void finish(int64_t row, double sum) const
    {
        out[row] = sum;
    }
};

struct dot {
    int d;
    const float *x, *y;
    double *out;
    const double *affine;
    float *rounded;
    template <int N> __device__ double part(int64_t row, int64_t j) const
    {
        float p[N], q[N];
        double sum = 0;
        ts_load(x + row * d + j, p);
        ts_load(y + row * d + j, q);
#pragma unroll
        for (int k = 0; k < N; k++)
            sum += (double)p[k] * (double)q[k];
        return sum;
    }
    __device__ void finish(int64_t row, double sum) const
    {
        if (affine)
            sum = affine[0] + affine[1] * sum;
        out[row] = sum;
        if (rounded)
            rounded[row] = (float)sum;
    }
};

struct normal {
    int d;
    const float *x;
    double *out, precision, constant;
    template <int N> __device__ double part(int64_t row, int64_t j) const
    {
        float p[N];
        double sum = 0;
        ts_load(x + row * d + j, p);
#pragma unroll
        for (int k = 0; k < N; k++)
            sum += (double)p[k] * (double)p[k];
        return sum;
    }
    __device__ void finish(int64_t row, double sum) const
    {
        out[row] = constant - 0.5 * precision * sum;
    }
};
} // namespace

ts_status ts_cuda_squared_error(ts_device *device, const ts_squared_error *a)
{
    return ts_row_sums<4>(device, a->n, a->d, a->d % 4 == 0 && ts_aligned(a->net) && ts_aligned(a->z),
                          squared_error{a->d, a->net, a->z, a->out});
}

ts_status ts_cuda_row_dot(ts_device *device, const ts_row_dot *a)
{
    return ts_row_sums<4>(device, a->n, a->d, a->d % 4 == 0 && ts_aligned(a->x) && ts_aligned(a->y),
                          dot{a->d, a->x, a->y, a->out, a->affine, a->rounded});
}

ts_status ts_cuda_normal_log_prob(ts_device *device, const ts_normal_log_prob *a)
{
    const double variance = a->sigma * a->sigma;
    return ts_row_sums<4>(
        device, a->n, a->d, a->d % 4 == 0 && ts_aligned(a->x),
        normal{a->d, a->x, a->out, 1.0 / variance, -0.5 * a->d * log(2.0 * M_PI * variance)});
}
