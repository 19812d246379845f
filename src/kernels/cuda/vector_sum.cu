/* The sum of per-image vectors: log-determinants and log-densities of a flow's layers. */
#include "kernels/cuda/launch.cuh"

static __global__ void add_up(const ts_vector_sum a)
{
    for (int64_t i = ts_thread(); i < a.n; i += ts_threads()) {
        double sum = 0; /* the terms are large and of both signs */
#pragma unroll 8
        for (int k = 0; k < a.count; k++)
            sum += (double)a.x[k][i];
        a.y[i] = (float)sum;
    }
}

ts_status ts_cuda_vector_sum(ts_device *device, const ts_vector_sum *a)
{
    return ts_launch(device, add_up, ts_grid(device, a->n, 128), 128, 0, *a);
}
