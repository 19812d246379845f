/* The time of an integrator's step, for every row of a batch. */
#include "kernels/cuda/launch.cuh"

static __global__ void fill(const ts_fill_time a)
{
    const float t = a.times[a.state ? a.state->step : 0];
    for (int64_t i = ts_thread(); i < a.n; i += ts_threads())
        a.t[i] = t;
}

ts_status ts_cuda_fill_time(ts_device *device, const ts_fill_time *a)
{
    return ts_launch(device, fill, ts_grid(device, a->n, 256), 256, 0, *a);
}
