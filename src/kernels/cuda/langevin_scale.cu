/* The coefficients of a Langevin step, from the norms of its batch: one block adds them up. */
#include "kernels/cuda/reduce.cuh"

enum { THREADS = 256 };

static __global__ void scale(const ts_langevin_scale a)
{
    double sums[2] = {0, 0};
    for (int i = (int)threadIdx.x; i < a.n; i += THREADS) {
        sums[0] += sqrt(a.z_squared[i]);
        sums[1] += sqrt(a.net_squared[i]);
    }
    ts_block_sum(sums);
    if (threadIdx.x > 0)
        return;
    const float *const row = ts_coefficient_row(&a.c);
    const float c0 = row ? row[0] : a.c.value[0], c1 = row ? row[1] : a.c.value[1];
    const double r = sums[0] / sums[1];
    a.out[0] = 1.0f;
    a.out[1] = (float)((double)c0 * r * r);
    a.out[2] = (float)((double)c1 * r);
}

ts_status ts_cuda_langevin_scale(ts_device *device, const ts_langevin_scale *a)
{
    return ts_launch(device, scale, 1, THREADS, 0, *a);
}
