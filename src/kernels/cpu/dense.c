/*
 * Dense layers and 1x1 convolutions: oneDNN's sgemm, which shares the OpenMP threads of everything else.
 */
#include <omp.h>
#include <string.h>
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/conv/onednn.h"
#include "kernels/cpu/reduce.h"
#include "kernels/cpu/vector_math.h"

enum { SLOT_SUMS, SLOT_ACTIVATED, SLOT_GRADIENT };

/* C [m,n] = alpha op(A) op(B) + beta C, row-major; `a`, `b`, `c` and the distances of their rows. */
typedef struct product {
    bool transpose_a, transpose_b;
    int m, n, k;
    float alpha, beta;
    const float *a, *b;
    float *c;
    int row_a, row_b, row_c;
} product;

static ts_status multiply(ts_device *device, const product *p)
{
    omp_set_num_threads(device->threads); /* oneDNN has no setting of its own */
    const dnnl_status_t status =
        dnnl_sgemm(p->transpose_a ? 'T' : 'N', p->transpose_b ? 'T' : 'N', p->m, p->n, p->k, p->alpha, p->a,
                   p->row_a, p->b, p->row_b, p->beta, p->c, p->row_c);
    if (status == dnnl_success)
        return NULL;
    return ts_error(status == dnnl_out_of_memory ? TS_NO_MEMORY : TS_DEVICE,
                    "matrix product of %dx%d by %dx%d failed (oneDNN status %d)", p->m, p->k, p->k, p->n,
                    (int)status);
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
    const bool add = a->bias || a->residual;
    if (add)
        prefill(device, a);
    for (int part = 0; part < (a->x2 ? 2 : 1); part++) {
        const int in = part ? a->in2 : a->in - a->in2;
        product p = {.transpose_b = true, .m = a->rows, .n = a->out, .k = in, .alpha = a->scale};
        TS_TRY(activate(device, a->silu_input, (int64_t)a->rows * in, part ? a->x2 : a->x, &p.a));
        p.row_a = in;
        p.b = a->weight + (part ? a->in - a->in2 : 0), p.row_b = a->in;
        p.c = a->y, p.row_c = a->out;
        p.beta = add || part ? 1.0f : 0.0f;
        TS_TRY(multiply(device, &p));
    }
    return NULL;
}

/* ---- backward ---- */

/* One of the tensors that are the input, its gradient, and where its columns of the weights begin. */
typedef struct source {
    int in, first;
    const float *x;
    float *dx;
    bool accumulate;
} source;

static ts_status input_gradient(ts_device *device, const ts_dense_backward *a, const source *s)
{
    const int64_t count = (int64_t)a->rows * s->in;
    product p = {.m = a->rows, .n = s->in, .k = a->out, .alpha = 1.0f};
    p.a = a->dy, p.row_a = a->out;
    p.b = a->weight + s->first, p.row_b = a->in;
    p.c = s->dx, p.row_c = s->in;
    p.beta = s->accumulate ? 1.0f : 0.0f;
    if (!a->silu_input)
        return multiply(device, &p);
    void *memory = NULL;
    TS_TRY(ts_cpu_scratch(device, SLOT_GRADIENT, (size_t)count * sizeof(float), &memory));
    p.c = memory;
    p.beta = 0.0f;
    TS_TRY(multiply(device, &p));
    const ts_silu_backward silu = {
        .count = count, .x = s->x, .dy = memory, .dx = s->dx, .accumulate = s->accumulate};
    return ts_cpu_silu_backward(device, &silu);
}

static ts_status weight_gradient(ts_device *device, const ts_dense_backward *a, const source *s)
{
    product p = {.transpose_a = true, .m = a->out, .n = s->in, .k = a->rows, .alpha = 1.0f, .beta = 1.0f};
    p.a = a->dy, p.row_a = a->out;
    TS_TRY(activate(device, a->silu_input, (int64_t)a->rows * s->in, s->x, &p.b));
    p.row_b = s->in;
    p.c = a->dweight + s->first, p.row_c = a->in;
    return multiply(device, &p);
}

ts_status ts_cpu_dense_backward(ts_device *device, const ts_dense_backward *a)
{
    const int in = a->in - a->in2;
    const source sources[2] = {{in, 0, a->x, a->dx, a->accumulate},
                               {a->in2, in, a->x2, a->dx2, a->accumulate2}};
    for (int i = 0; i < (a->x2 ? 2 : 1); i++) {
        if (sources[i].dx)
            TS_TRY(input_gradient(device, a, &sources[i]));
        if (a->dweight)
            TS_TRY(weight_gradient(device, a, &sources[i]));
    }
    if (a->dbias)
        return ts_cpu_add_column_sums(device, SLOT_SUMS, a->rows, a->out, a->dy, a->dbias);
    return NULL;
}
