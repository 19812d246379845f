/*
 * Draws from a Gaussian mixture at time t of the forward process.  A row takes the same random numbers
 * whichever batch it is drawn in: its first block of four words chooses the component, the following ones are
 * its normals.
 */
#include "kernels/cuda/mixture.cuh"
#include "kernels/cuda/random.cuh"

namespace
{
struct draw {
    ts_mixture_sample s;
    double a, std; /* x_t = a x0 + std z */
};
} // namespace

static __device__ int choose(const ts_mixture_view &m, double u)
{
    double below = 0.0;
    for (int k = 0; k < m.k - 1; k++) {
        below += m.weights[k];
        if (u <= below)
            return k;
    }
    return m.k - 1;
}

/* noise <- sqrt(a^2 lambda_k + s^2) z, and behind it the factors' numbers a y; both from the blocks after
 * `block`. */
template <int LANES>
static __device__ void scaled_noise(const draw &w, const ts_step_state &state, uint32_t block, int k,
                                    int lane, const ts_mixture_vector<LANES> &noise)
{
    const int d = w.s.mixture.d, count = d + w.s.mixture.rank;
    const double *const value = ts_mixture_values(w.s.mixture, k);
    for (int q = lane; 4 * q < count; q += LANES) {
        float z[4];
        ts_normal4(&state, w.s.stream, block + 1 + (uint32_t)q, z);
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int i = 4 * q + j;
            if (i < count)
                noise[i] = (i < d ? sqrt(w.a * w.a * value[i] + w.std * w.std) : w.a) * (double)z[j];
        }
    }
}

/* x = a mu_k + V_k noise; of factors a mu_k + noise + a F_k^T y */
template <int LANES> static __global__ void sample(const draw w, double *scratch)
{
    const ts_mixture_view &m = w.s.mixture;
    const ts_step_state state = *w.s.state;
    const int d = m.d, count = d + m.rank, blocks = 1 + (count + 3) / 4 /* of a row */;
    const int lane = (int)threadIdx.x % LANES;
    const auto noise = ts_mixture_room<LANES>(ts_mixture_rooms<LANES>(scratch, count), count, 0);
    for (int64_t row = ts_thread() / LANES; row < w.s.n; row += ts_threads() / LANES) {
        const uint32_t block = (uint32_t)((uint64_t)(w.s.start + row) * (uint64_t)blocks);
        float u[4];
        ts_uniform4(&state, w.s.stream, block, u);
        const int k = choose(m, u[0]);
        const double *const mean = ts_mixture_mean(m, k), *const vectors = ts_mixture_vectors(m, k);
        ts_mixture_meet<LANES>();
        scaled_noise<LANES>(w, state, block, k, lane, noise);
        ts_mixture_meet<LANES>();
        for (int i = lane; i < d; i += LANES) {
            double sum = w.a * mean[i] + (vectors ? 0.0 : noise[i]);
            for (int j = 0; vectors && j < d; j++)
                sum += vectors[(int64_t)i * d + j] * noise[j];
            for (int j = 0; j < m.rank; j++)
                sum += ts_mixture_factor(m, k, j)[i] * noise[d + j];
            w.s.x[row * d + i] = (float)sum;
        }
    }
}

ts_status ts_cuda_mixture_sample(ts_device *device, const ts_mixture_sample *a)
{
    const draw w = {*a, a->t == 0.0 ? 1.0 : ts_sde_mean(&a->sde, a->t),
                    a->t == 0.0 ? 0.0 : ts_sde_std(&a->sde, a->t)};
    const int count = a->mixture.d + a->mixture.rank;
    if (count <= TS_MIXTURE_FEW)
        return ts_mixture_launch<1>(device, sample<1>, a->n, count, w);
    return ts_mixture_launch<TS_CUDA_WARP>(device, sample<TS_CUDA_WARP>, a->n, count, w);
}
