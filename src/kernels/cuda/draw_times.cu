/* Diffusion times of a batch. */
#include "kernels/cuda/times.cuh"

enum { THREADS = 128 };

static __global__ void draw(const ts_draw_times a)
{
    const ts_step_state state = *a.state;
    const ts_times_range range = ts_times_range_of(a);
    for (int64_t i = ts_thread(); i < a.n; i += ts_threads())
        a.t[i] = ts_time_of(a, range, state, i);
}

ts_status ts_cuda_draw_times(ts_device *device, const ts_draw_times *a)
{
    return ts_launch(device, draw, ts_grid(device, a->n, THREADS), THREADS, 0, *a);
}
