/* Linear combinations of states: the stages of the ODE integrators. */
#include "kernels/cuda/terms.cuh"

namespace
{
struct combination {
    ts_linear_combine a;
    template <int N> __device__ void run(int64_t i) const
    {
        float sum[N]; /* y may be one of the x: all are read before */
        ts_terms_sum(a, i, sum);
        ts_store(a.y + i, sum);
    }
};
} // namespace

ts_status ts_cuda_linear_combine(ts_device *device, const ts_linear_combine *a)
{
    return ts_each<4>(device, a->count, ts_terms_aligned(a) && ts_aligned(a->y), combination{*a});
}
