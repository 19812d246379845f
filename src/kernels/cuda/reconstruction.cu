/*
 * The log-probability that x0's levels have given x: a softmax of Gaussian exponents over the levels.
 *
 * The exponent -(x - a v_k)^2/(2 s^2) is a concave parabola in k, so the sum starts at the level nearest to
 * x/a and walks outwards until terms are below its rounding: a few levels when s is well below their spacing,
 * all of them when it is not.
 */
#include "kernels/cuda/row_sum.cuh"

/* Terms that are exp(-40) of the largest: 1000 of them change a sum of doubles by less than its rounding. */
#define NEGLIGIBLE 40.0

static __device__ int nearest_level(double position, int levels)
{
    const double k = nearbyint(position);
    return k >= levels - 1 ? levels - 1 : k > 0.0 ? (int)k : 0; /* NaN gives 0 and shows in the exponents */
}

static __device__ double level_log_prob(const ts_reconstruction &a, double x0, double x)
{
    const double scale = 0.5 / (a.s * a.s);
    const int own = nearest_level((x0 - a.first) / a.spacing, a.levels);
    const int best = nearest_level((x / a.a - a.first) / a.spacing, a.levels);
    const double e0 = x - a.a * (a.first + best * a.spacing), largest = -scale * e0 * e0;
    double sum = 1.0;
    for (int side = -1; side <= 1; side += 2)
        for (int k = best + side; k >= 0 && k < a.levels; k += side) {
            const double e = x - a.a * (a.first + k * a.spacing), exponent = -scale * e * e - largest;
            if (exponent < -NEGLIGIBLE)
                break;
            sum += exp(exponent);
        }
    const double e = x - a.a * (a.first + own * a.spacing);
    return -scale * e * e - largest - log(sum);
}

namespace
{
struct levels {
    ts_reconstruction a;
    template <int N> __device__ double part(int64_t row, int64_t j) const
    {
        float x0[N], x[N];
        double sum = 0;
        ts_load(a.x0 + row * a.d + j, x0);
        ts_load(a.x + row * a.d + j, x);
#pragma unroll
        for (int k = 0; k < N; k++)
            sum += level_log_prob(a, x0[k], x[k]);
        return sum;
    }
    __device__ void finish(int64_t row, double sum) const
    {
        a.out[row] = sum;
    }
};
} // namespace

ts_status ts_cuda_reconstruction(ts_device *device, const ts_reconstruction *a)
{
    return ts_row_sums<1>(device, a->n, a->d, false, levels{*a}); /* arithmetic, not memory, is the limit */
}
