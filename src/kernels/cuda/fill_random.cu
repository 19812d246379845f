/* Normals and random signs. */
#include "kernels/cuda/random.cuh"

namespace
{
template <class T, bool signs> struct random_fill {
    const ts_step_state *state;
    uint32_t stream, element;
    float scale;
    T *out;
    template <int N> __device__ void run(int64_t i) const
    {
        const ts_step_state s = *state;
        float v[N];
        if constexpr (signs)
            ts_uniforms(&s, stream, element + (uint64_t)i, v);
        else
            ts_normals(&s, stream, element + (uint64_t)i, v);
#pragma unroll
        for (int k = 0; k < N; k++)
            v[k] = signs ? v[k] > 0.5f ? 1.0f : -1.0f : scale * v[k];
        ts_store(out + i, v);
    }
};
} // namespace

template <class T, bool signs> static ts_status run(ts_device *device, const ts_fill_random *a)
{
    return ts_each<ts_wide<T>::size>(
        device, a->count, ts_aligned(a->out),
        random_fill<T, signs>{a->state, a->stream, a->element, a->scale, (T *)a->out});
}

ts_status ts_cuda_fill_random(ts_device *device, const ts_fill_random *a)
{
    if (a->wide)
        return a->rademacher ? run<float, true>(device, a) : run<float, false>(device, a);
    TS_DISPATCH(device, T, return a->rademacher ? run<T, true>(device, a) : run<T, false>(device, a));
}
