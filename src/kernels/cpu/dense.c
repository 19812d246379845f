/*
 * Dense layers and 1x1 convolutions: oneDNN's sgemm, which shares the OpenMP threads of everything else.
 */
#include <omp.h>
#include <string.h>
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/reduce.h"
#include "kernels/cpu/vector_math.h"

enum { SLOT_SUMS, SLOT_ACTIVATED, SLOT_GRADIENT };

/* C [m,n] = alpha op(A) op(B) + beta C, row-major without gaps. */
static ts_status multiply(ts_device *device, bool transpose_a, bool transpose_b, int m, int n, int k,
                          float alpha, const float *a, const float *b, float beta, float *c)
{
    omp_set_num_threads(device->threads); /* oneDNN has no setting of its own */
    const dnnl_status_t status = dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, alpha,
                                            a, transpose_a ? m : k, b, transpose_b ? k : n, beta, c, n);
    if (status == dnnl_success)
        return NULL;
    return ts_error(status == dnnl_out_of_memory ? TS_NO_MEMORY : TS_DEVICE,
                    "matrix product of %dx%d by %dx%d failed (oneDNN status %d)", m, k, k, n, (int)status);
}

/* The layer's input after f: x itself, or silu(x) in scratch. */
static ts_status activate(ts_device *device, bool silu, int64_t count, const float *x,
                          const float **activated)
{
    *activated = x;
    if (!silu)
        return NULL;
    void *memory = NULL;
    TS_TRY(ts_cpu_scratch(device, SLOT_ACTIVATED, (size_t)count * sizeof(float), &memory));
    float *const restrict s = memory;
#pragma omp parallel for simd simdlen(16) num_threads(device->threads)                                       \
    schedule(static) if (count > TS_CPU_PARALLEL)
    for (int64_t i = 0; i < count; i++)
        s[i] = ts_silu_of(x[i]);
    *activated = s;
    return NULL;
}

/* y = scale (bias + residual): where the product is added. */
static void prefill(const ts_device *device, const ts_dense_forward *a)
{
    const size_t out = (size_t)a->out;
    const float *const bias = a->bias;
    const float scale = a->scale;
#pragma omp parallel for num_threads(device->threads)                                                        \
    schedule(static) if (a->rows * (int64_t)a->out > TS_CPU_PARALLEL)
    for (int row = 0; row < a->rows; row++) {
        float *const y = (float *)a->y + (size_t)row * out;
        const float *const residual = a->residual ? (const float *)a->residual + (size_t)row * out : NULL;
        if (bias && residual) {
            for (size_t k = 0; k < out; k++)
                y[k] = scale * (bias[k] + residual[k]);
        } else {
            const float *const only = bias ? bias : residual;
            for (size_t k = 0; k < out; k++)
                y[k] = scale * only[k];
        }
    }
}

ts_status ts_cpu_dense_forward(ts_device *device, const ts_dense_forward *a)
{
    const float *x = NULL;
    TS_TRY(activate(device, a->silu_input, (int64_t)a->rows * a->in, a->x, &x));
    const bool add = a->bias || a->residual;
    if (add)
        prefill(device, a);
    return multiply(device, false, true, a->rows, a->out, a->in, a->scale, x, a->weight, add ? 1.0f : 0.0f,
                    a->y);
}

static ts_status input_gradient(ts_device *device, const ts_dense_backward *a)
{
    if (!a->silu_input)
        return multiply(device, false, false, a->rows, a->in, a->out, 1.0f, a->dy, a->weight,
                        a->accumulate ? 1.0f : 0.0f, a->dx);
    const int64_t count = (int64_t)a->rows * a->in;
    void *memory = NULL;
    TS_TRY(ts_cpu_scratch(device, SLOT_GRADIENT, (size_t)count * sizeof(float), &memory));
    TS_TRY(multiply(device, false, false, a->rows, a->in, a->out, 1.0f, a->dy, a->weight, 0.0f, memory));
    const ts_silu_backward silu = {
        .count = count, .x = a->x, .dy = memory, .dx = a->dx, .accumulate = a->accumulate};
    return ts_cpu_silu_backward(device, &silu);
}

ts_status ts_cpu_dense_backward(ts_device *device, const ts_dense_backward *a)
{
    if (a->dx)
        TS_TRY(input_gradient(device, a));
    if (a->dweight) {
        const float *x = NULL;
        TS_TRY(activate(device, a->silu_input, (int64_t)a->rows * a->in, a->x, &x));
        TS_TRY(multiply(device, true, false, a->out, a->in, a->rows, 1.0f, a->dy, x, 1.0f, a->dweight));
    }
    if (a->dbias)
        return ts_cpu_add_column_sums(device, SLOT_SUMS, a->rows, a->out, a->dy, a->dbias);
    return NULL;
}
