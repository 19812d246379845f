/*
 * The exact score of a Gaussian mixture under the forward process, its log-density and the score's Jacobian
 * times a vector, each row at its own time, all in double.
 *
 * Component k of p_t is N(a mu_k, P_k^-1) with P_k = (a^2 C_k + s^2 I)^-1.  With responsibilities r_k and
 * h_k = P_k (x - a mu_k):
 *   grad log p_t = -g, g = sum_k r_k h_k,   Hessian = sum_k r_k (h_k h_k^T - P_k) - g g^T.
 * Components are taken in one pass: sums are kept relative to the largest density so far.
 *
 * Of C = F^T F + Psi, with D = a^2 Psi + s^2 and the Cholesky factor L of M = I + a^2 F D^-1 F^T [rank,rank]
 * (Woodbury):
 *   w = M^-1 a F D^-1 e,   P e = D^-1 (e - a F^T w),   e^T P e = |D^-1/2 (e - a F^T w)|^2 + |w|^2,
 *   ln |P^-1| = ln |D| + ln |M|.
 * The square is the least over w: what w is wrong by counts twice, and nothing large cancels.  The L of the first
 * row's time are made once, for many rows share it.
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
    vector w, own;        /* w; L of the row's time, of one component */
    const double *first;  /* L and ln |M| of the components at the row's time, or NULL */
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

    /* L <- that of component k, row by row; returns ln |M|.  Of a matrix I + ... no pivot is below 1. */
    __device__ double factorise(int k, const vector &L) const
    {
        const double *const value = ts_mixture_values(m, k);
        double log_determinant = 0;
        for (int i = 0; i < m.rank; i++)
            for (int j = 0; j <= i; j++) {
                double rest = 0;
                for (int c = lane; c < m.d; c += LANES)
                    rest += ts_mixture_factor(m, k, i)[c] * ts_mixture_factor(m, k, j)[c] /
                            (a * a * value[c] + s * s);
                rest = a * a * ts_mixture_sum<LANES>(rest);
                for (int c = 0; c < j; c++)
                    rest -= L[i * m.rank + c] * L[j * m.rank + c];
                if (i == j) {
                    rest = rest > 0 ? rest : 0;
                    log_determinant += log1p(rest);
                }
                if (lane == 0)
                    L[i * m.rank + j] = i == j ? sqrt(1 + rest) : rest / L[j * m.rank + j];
                ts_mixture_meet<LANES>();
            }
        return log_determinant;
    }

    /* w <- M^-1 w, one unknown after the other. */
    __device__ void solve(const vector &L) const
    {
        for (int i = 0; i < m.rank; i++) {
            ts_mixture_meet<LANES>();
            const double known = w[i] / L[i * m.rank + i];
            ts_mixture_meet<LANES>();
            for (int j = i + lane; j < m.rank; j += LANES)
                w[j] = j == i ? known : w[j] - L[j * m.rank + i] * known;
        }
        for (int i = m.rank - 1; i >= 0; i--) {
            ts_mixture_meet<LANES>();
            const double known = w[i] / L[i * m.rank + i];
            ts_mixture_meet<LANES>();
            for (int j = lane; j <= i; j += LANES)
                w[j] = j == i ? known : w[j] - L[i * m.rank + j] * known;
        }
        ts_mixture_meet<LANES>();
    }

    /* y -= a F^T w; returns the lane's part of |w|^2. */
    __device__ double leave_factors(int k, const vector &L) const
    {
        double square = 0;
        ts_mixture_meet<LANES>();
        for (int i = 0; i < m.rank; i++) {
            double along = 0;
            for (int j = lane; j < m.d; j += LANES)
                along += ts_mixture_factor(m, k, i)[j] * y[j] / (a * a * ts_mixture_values(m, k)[j] + s * s);
            along = a * ts_mixture_sum<LANES>(along);
            if (lane == 0)
                w[i] = along;
        }
        solve(L);
        for (int j = lane; j < m.d; j += LANES)
            for (int i = 0; i < m.rank; i++)
                y[j] -= a * w[i] * ts_mixture_factor(m, k, i)[j];
        for (int i = lane; i < m.rank; i += LANES)
            square += w[i] * w[i];
        return square;
    }

    /* L of component k; adds ln |M| to *log_determinant. */
    __device__ vector factors_of(int k, double *log_determinant) const
    {
        const int size = m.rank * m.rank;
        if (m.rank && first) {
            const double *const L = first + (int64_t)k * (size + 1);
            *log_determinant += L[size];
            return {const_cast<double *>(L)};
        }
        if (m.rank)
            *log_determinant += factorise(k, own);
        return own;
    }

    /* Log-density of component k, with its weight; u <- V^T P (x - a mu). */
    __device__ double component(int k) const
    {
        const double *const mean = ts_mixture_mean(m, k), *const value = ts_mixture_values(m, k);
        double log_determinant = 0;
        for (int j = lane; j < m.d; j += LANES)
            y[j] = (double)x[j] - a * mean[j];
        const vector L = factors_of(k, &log_determinant);
        double exponent = m.rank ? leave_factors(k, L) : 0;
        rotate(ts_mixture_vectors(m, k), false, y, u);
        for (int j = lane; j < m.d; j += LANES) {
            const double variance = a * a * value[j] + s * s;
            exponent += u[j] * u[j] / variance + log(2.0 * M_PI * variance);
            u[j] /= variance;
        }
        return log(m.weights[k]) - 0.5 * (ts_mixture_sum<LANES>(exponent) + log_determinant);
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
        if (m.rank) /* L is still what component() made */
            leave_factors(k, first ? vector{const_cast<double *>(first) + (int64_t)k * (m.rank * m.rank + 1)}
                                   : own);
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

/* Numbers of a row: five vectors, w and L. */
static __host__ __device__ __forceinline__ int numbers_of(const ts_mixture_view &m)
{
    return VECTORS * m.d + m.rank + m.rank * m.rank;
}

/* Row i, its numbers in `room`. */
template <int LANES>
static __device__ row<LANES> row_of(const ts_mixture_evaluate &e, int64_t i, double *room,
                                    const double *first)
{
    const int d = e.mixture.d, count = numbers_of(e.mixture);
    const double t = e.t[i];
    return {e.mixture,
            e.x + i * d,
            e.vjp ? e.v + i * d : NULL,
            ts_sde_mean(&e.sde, t),
            ts_sde_std(&e.sde, t),
            e.net || e.vjp,
            ts_mixture_room<LANES>(room, count, 0),
            ts_mixture_room<LANES>(room, count, d),
            ts_mixture_room<LANES>(room, count, 2 * d),
            ts_mixture_room<LANES>(room, count, 3 * d),
            ts_mixture_room<LANES>(room, count, 4 * d),
            ts_mixture_room<LANES>(room, count, 5 * d),
            ts_mixture_room<LANES>(room, count, 5 * d + e.mixture.rank),
            first,
            0,
            0,
            (int)threadIdx.x % LANES};
}

/* first [k, rank^2 + 1] <- L and ln |M| at the first row's time, a component a warp. */
static __global__ void factorise_first(const ts_mixture_evaluate e, double *first)
{
    const int size = e.mixture.rank * e.mixture.rank;
    row<TS_CUDA_WARP> r = row_of<TS_CUDA_WARP>(e, 0, NULL, NULL);
    for (int64_t k = ts_thread() / TS_CUDA_WARP; k < e.mixture.k; k += ts_threads() / TS_CUDA_WARP) {
        double *const L = first + k * (size + 1);
        const double log_determinant = r.factorise((int)k, {L});
        if (r.lane == 0)
            L[size] = log_determinant;
    }
}

template <int LANES>
static __global__ void evaluate(const ts_mixture_evaluate e, const double *first, double *scratch)
{
    const int d = e.mixture.d;
    double *const room = ts_mixture_rooms<LANES>(scratch, numbers_of(e.mixture));
    for (int64_t i = ts_thread() / LANES; i < e.n; i += ts_threads() / LANES) {
        row<LANES> r = row_of<LANES>(e, i, room, e.t[i] == e.t[0] ? first : NULL);
        r.all_components();
        if (e.log_prob && r.lane == 0)
            e.log_prob[i] = r.largest + log(r.mass);
        if (r.score)
            r.write(e.net ? e.net + i * d : NULL, e.vjp ? e.vjp + i * d : NULL);
    }
}

ts_status ts_cuda_mixture_evaluate(ts_device *device, const ts_mixture_evaluate *a)
{
    const ts_mixture_view &m = a->mixture;
    const int count = numbers_of(m);
    void *first = NULL;
    if (m.d <= TS_MIXTURE_FEW && !m.rank)
        return ts_mixture_launch<1>(device, evaluate<1>, a->n, count, *a, (const double *)NULL);
    if (m.rank) {
        const int warps = TS_MIXTURE_THREADS / TS_CUDA_WARP;
        const size_t each = (size_t)m.rank * (size_t)m.rank + 1;
        TS_TRY(ts_cuda_scratch(device, 1, (size_t)m.k * each * sizeof(double), &first));
        TS_TRY(ts_launch(device, factorise_first, ts_grid(device, m.k, warps), TS_MIXTURE_THREADS, 0, *a,
                         (double *)first));
    }
    return ts_mixture_launch<TS_CUDA_WARP>(device, evaluate<TS_CUDA_WARP>, a->n, count, *a,
                                           (const double *)first);
}
