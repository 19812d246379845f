/*
 * The exact score of a Gaussian mixture under the forward process, its log-density and the score's Jacobian
 * times a vector, each row at its own time, all in double.
 *
 * Component k of p_t is N(a mu_k, P_k^-1) with P_k = (a^2 C_k + s^2 I)^-1.  With responsibilities r_k and
 * h_k = P_k (x - a mu_k):
 *   grad log p_t = -g, g = sum_k r_k h_k,   Hessian = sum_k r_k (h_k h_k^T - P_k) - g g^T.
 * Components are taken in one pass: sums are kept relative to the largest density so far.
 */
#include "kernels/cuda/mixture.cuh"

enum { VECTORS = 5 };

namespace
{
template <int LANES> struct row {
    typedef ts_mixture_vector<LANES> vector;
    const ts_mixture_view &m;
    const float *x, *v; /* v NULL: no product is wanted */
    double a, s;
    bool score;           /* whether anything but the density is wanted */
    vector h, u, y;       /* the component's; its coordinates in eigenvectors; what is rotated */
    vector g, product;    /* sums */
    double largest, mass; /* log-density and, relative to it, sum of the components so far */
    int lane;

    /* out = V^T in or, with `back`, V in. */
    __device__ void rotate(const double *vectors, bool back, const vector &in, const vector &out) const
    {
        ts_mixture_meet<LANES>();
        for (int i = lane; i < m.d; i += LANES) {
            double sum = vectors ? 0.0 : in[i];
            for (int j = 0; vectors && j < m.d; j++)
                sum += (back ? vectors[(int64_t)i * m.d + j] : vectors[(int64_t)j * m.d + i]) * in[j];
            out[i] = sum;
        }
        ts_mixture_meet<LANES>();
    }

    /* Log-density of component k, with its weight; u <- V^T P (x - a mu). */
    __device__ double component(int k) const
    {
        const double *const mean = ts_mixture_mean(m, k), *const value = ts_mixture_values(m, k);
        double exponent = 0;
        for (int j = lane; j < m.d; j += LANES)
            y[j] = (double)x[j] - a * mean[j];
        rotate(ts_mixture_vectors(m, k), false, y, u);
        for (int j = lane; j < m.d; j += LANES) {
            const double variance = a * a * value[j] + s * s;
            exponent += u[j] * u[j] / variance + log(2.0 * M_PI * variance);
            u[j] /= variance;
        }
        return log(m.weights[k]) - 0.5 * ts_mixture_sum<LANES>(exponent);
    }

    /* Makes `log_density` the reference of the sums. */
    __device__ void rescale(double log_density)
    {
        const double factor = exp(largest - log_density);
        mass *= factor;
        for (int j = lane; score && j < m.d; j += LANES) {
            g[j] *= factor;
            product[j] *= factor;
        }
        largest = log_density;
    }

    /* g += r h and, with v, product += r (h (h . v) - P v); u as component() left it. */
    __device__ void add(int k, double r) const
    {
        const double *const vectors = ts_mixture_vectors(m, k), *const value = ts_mixture_values(m, k);
        double along = 0;
        rotate(vectors, true, u, h);
        for (int j = lane; j < m.d; j += LANES) {
            g[j] += r * h[j];
            along += v ? h[j] * (double)v[j] : 0.0;
        }
        if (!v)
            return;
        along = ts_mixture_sum<LANES>(along);
        for (int j = lane; j < m.d; j += LANES) {
            product[j] += r * along * h[j];
            y[j] = v[j];
        }
        rotate(vectors, false, y, u);
        for (int j = lane; j < m.d; j += LANES)
            u[j] /= a * a * value[j] + s * s;
        rotate(vectors, true, u, h);
        for (int j = lane; j < m.d; j += LANES)
            product[j] -= r * h[j];
    }

    __device__ void all_components(void)
    {
        largest = -INFINITY;
        mass = 0;
        for (int j = lane; score && j < m.d; j += LANES)
            g[j] = product[j] = 0;
        for (int k = 0; k < m.k; k++) {
            const double log_density = component(k);
            if (log_density == -INFINITY) /* no weight, or too far to tell */
                continue;
            if (log_density > largest)
                rescale(log_density);
            const double r = exp(log_density - largest);
            mass += r;
            if (score && r != 0.0)
                add(k, r);
        }
    }

    /* net and vjp of the row, each or NULL. */
    __device__ void write(float *net, float *vjp) const
    {
        double along = 0;
        for (int j = lane; v && j < m.d; j += LANES)
            along += g[j] / mass * (double)v[j];
        along = ts_mixture_sum<LANES>(along);
        for (int j = lane; j < m.d; j += LANES) {
            if (net)
                net[j] = (float)(s * g[j] / mass);
            if (vjp)
                vjp[j] = (float)(-s * (product[j] - along * g[j]) / mass);
        }
    }
};
} // namespace

template <int LANES> static __global__ void evaluate(const ts_mixture_evaluate e, double *scratch)
{
    const int d = e.mixture.d;
    double *const room = ts_mixture_rooms<LANES>(scratch, VECTORS, d);
    for (int64_t i = ts_thread() / LANES; i < e.n; i += ts_threads() / LANES) {
        const double t = e.t[i];
        row<LANES> r = {e.mixture,
                        e.x + i * d,
                        e.vjp ? e.v + i * d : NULL,
                        ts_sde_mean(&e.sde, t),
                        ts_sde_std(&e.sde, t),
                        e.net || e.vjp,
                        ts_mixture_room<LANES>(room, VECTORS, 0, d),
                        ts_mixture_room<LANES>(room, VECTORS, 1, d),
                        ts_mixture_room<LANES>(room, VECTORS, 2, d),
                        ts_mixture_room<LANES>(room, VECTORS, 3, d),
                        ts_mixture_room<LANES>(room, VECTORS, 4, d),
                        0,
                        0,
                        (int)threadIdx.x % LANES};
        r.all_components();
        if (e.log_prob && r.lane == 0)
            e.log_prob[i] = r.largest + log(r.mass);
        if (r.score)
            r.write(e.net ? e.net + i * d : NULL, e.vjp ? e.vjp + i * d : NULL);
    }
}

ts_status ts_cuda_mixture_evaluate(ts_device *device, const ts_mixture_evaluate *a)
{
    const int d = a->mixture.d;
    if (d <= TS_MIXTURE_FEW)
        return ts_mixture_launch<1>(device, evaluate<1>, *a, a->n, VECTORS, d);
    return ts_mixture_launch<TS_CUDA_WARP>(device, evaluate<TS_CUDA_WARP>, *a, a->n, VECTORS, d);
}
