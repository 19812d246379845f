/* Rows of one of two arrays, by their time: a thread an element, as the rows' lengths are any. */
#include "kernels/cuda/launch.cuh"

static __global__ void choose(const ts_rows_by_time a, int64_t count)
{
    const unsigned d = (unsigned)a.d;
    for (int64_t e = ts_thread(); e < count; e += ts_threads())
        a.y[e] = a.t[e / d] > a.T ? a.above[e] : a.below[e];
}

ts_status ts_cuda_rows_by_time(ts_device *device, const ts_rows_by_time *a)
{
    const int64_t count = (int64_t)a->n * a->d;
    return ts_launch(device, choose, ts_grid(device, count, 256), 256, 0, *a, count);
}
