/* The sum of a parameter, once for every image: log-determinants that do not depend on the data. */
#include "kernels/cuda/reduce.cuh"

enum { THREADS = 256 };

/* factor sum x[0 .. count), in every thread of the block */
static __device__ float scaled_sum(int count, float factor, const float *x)
{
    double sum = 0;
    for (int i = (int)threadIdx.x; i < count; i += THREADS)
        sum += (double)x[i];
    return (float)(factor * ts_block_sum(sum));
}

static __global__ void forward(const ts_parameter_sum_forward a)
{
    const float y = scaled_sum(a.count, a.factor, a.p);
    for (int i = (int)threadIdx.x; i < a.n; i += THREADS)
        a.y[i] = y;
}

static __global__ void backward(const ts_parameter_sum_backward a)
{
    const float dp = scaled_sum(a.n, a.factor, a.dy);
    for (int j = (int)threadIdx.x; j < a.count; j += THREADS)
        a.dp[j] += dp;
}

ts_status ts_cuda_parameter_sum_forward(ts_device *device, const ts_parameter_sum_forward *a)
{
    return ts_launch(device, forward, 1, THREADS, 0, *a);
}

ts_status ts_cuda_parameter_sum_backward(ts_device *device, const ts_parameter_sum_backward *a)
{
    return ts_launch(device, backward, 1, THREADS, 0, *a);
}
