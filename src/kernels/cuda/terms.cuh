/* Linear combinations of at most eight states, as the stages of the ODE integrators and their errors are. */
#ifndef TS_KERNELS_CUDA_TERMS_CUH
#define TS_KERNELS_CUDA_TERMS_CUH

#include "kernels/cuda/launch.cuh"

/* The arguments of an operation with `terms`, `c` and `x`. */
template <class A> static inline bool ts_terms_aligned(const A *a)
{
    bool aligned = true;
    for (int k = 0; k < a->terms; k++)
        aligned = aligned && ts_aligned(a->x[k]);
    return aligned;
}

/* sum_k c[k] x[k][i .. i + N], in V.  The loop is unrolled so that all loads are under way together
 * and no index into the arguments is left. */
template <class V, int N, class A>
static __device__ __forceinline__ void ts_terms_sum(const A &a, int64_t i, V (&sum)[N])
{
    const float *const row = ts_coefficient_row(&a.c);
    float x[8][N], c[8];
#pragma unroll
    for (int k = 0; k < 8; k++)
        if (k < a.terms) {
            ts_load(a.x[k] + i, x[k]);
            c[k] = row ? row[k] : a.c.value[k];
        }
#pragma unroll
    for (int q = 0; q < N; q++)
        sum[q] = 0;
#pragma unroll
    for (int k = 0; k < 8; k++)
        if (k < a.terms)
#pragma unroll
            for (int q = 0; q < N; q++)
                sum[q] += (V)c[k] * (V)x[k][q];
}

#endif
