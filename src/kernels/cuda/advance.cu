/* The step counter in device memory. */
#include "kernels/cuda/launch.cuh"

static __global__ void advance(ts_step_state *state)
{
    if (threadIdx.x == 0)
        state->step++;
}

ts_status ts_cuda_advance(ts_device *device, const ts_advance *a)
{
    return ts_launch(device, advance, 1, TS_CUDA_WARP, 0, a->state);
}
