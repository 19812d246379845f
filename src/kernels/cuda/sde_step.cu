/* One step of a reverse SDE, its noise included. */
#include "kernels/cuda/random.cuh"

namespace
{
struct noisy_step {
    const ts_step_state *state;
    const float *coefficients, *net;
    float *x;
    template <int N> __device__ void run(int64_t i) const
    {
        const ts_step_state s = *state;
        const float *const c = coefficients + 3 * (int64_t)s.step;
        const float c0 = c[0], c1 = c[1], c2 = c[2];
        float v[N], f[N], z[N];
        ts_load(x + i, v);
        ts_load(net + i, f);
        ts_normals(&s, TS_STREAM_SAMPLER, (uint64_t)i, z);
#pragma unroll
        for (int k = 0; k < N; k++)
            v[k] = c0 * v[k] + c1 * f[k] + c2 * z[k];
        ts_store(x + i, v);
    }
};
} // namespace

ts_status ts_cuda_sde_step(ts_device *device, const ts_sde_step *a)
{
    return ts_each<4>(device, a->count, ts_aligned(a->x) && ts_aligned(a->net),
                      noisy_step{a->state, a->coefficients, a->net, a->x});
}
