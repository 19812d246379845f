/*
 * Single-head self-attention.  Images are independent: each thread takes whole images, with small products
 * inside; when there are fewer images than threads the products use all of them instead.
 */
#include <math.h>
#include <omp.h>
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/conv/onednn.h"
#include "kernels/cpu/vector_math.h"

/* C [m,n] = alpha op(A) op(B), row-major with the given row lengths. */
static dnnl_status_t multiply(char transpose_a, char transpose_b, int m, int n, int k, float alpha,
                              const float *a, int row_a, const float *b, int row_b, float *c, int row_c)
{
    return dnnl_sgemm(transpose_a, transpose_b, m, n, k, alpha, a, row_a, b, row_b, 0.0f, c, row_c);
}

static void softmax_row(float *restrict p, int count)
{
    float top = p[0], sum = 0;
#pragma omp simd reduction(max : top)
    for (int j = 0; j < count; j++)
        top = top > p[j] ? top : p[j];
#pragma omp simd reduction(+ : sum)
    for (int j = 0; j < count; j++) {
        p[j] = ts_exp(p[j] - top);
        sum += p[j];
    }
    const float factor = 1.0f / sum;
#pragma omp simd
    for (int j = 0; j < count; j++)
        p[j] *= factor;
}

/* p [tokens,tokens]: where the probabilities go. */
static dnnl_status_t image_forward(const ts_attention_forward *a, int image, float *p)
{
    const int tokens = a->tokens, c = a->c;
    const float *const q = (const float *)a->qkv + (int64_t)image * tokens * 3 * c, *const k = q + c;
    const float *const v = k + c;
    float *const y = (float *)a->y + (int64_t)image * tokens * c;
    dnnl_status_t status =
        multiply('N', 'T', tokens, tokens, c, 1.0f / sqrtf((float)c), q, 3 * c, k, 3 * c, p, tokens);
    for (int i = 0; i < tokens; i++)
        softmax_row(p + (int64_t)i * tokens, tokens);
    return status ? status : multiply('N', 'N', tokens, c, tokens, 1.0f, p, tokens, v, 3 * c, y, c);
}

/* In place: from the gradient of the probabilities to that of the scores, p (dp - sum p dp) scale. */
static void softmax_row_backward(const float *restrict p, float *restrict dp, int count, float scale)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int j = 0; j < count; j++)
        sum += p[j] * dp[j];
#pragma omp simd
    for (int j = 0; j < count; j++)
        dp[j] = p[j] * (dp[j] - sum) * scale;
}

static dnnl_status_t image_backward(const ts_attention_backward *a, int image, float *dp)
{
    const int tokens = a->tokens, c = a->c;
    const float *const q = (const float *)a->qkv + (int64_t)image * tokens * 3 * c, *const k = q + c;
    const float *const v = k + c;
    const float *const p = (const float *)a->probabilities + (int64_t)image * tokens * tokens;
    const float *const dy = (const float *)a->dy + (int64_t)image * tokens * c;
    float *const dq = (float *)a->dqkv + (int64_t)image * tokens * 3 * c, *const dk = dq + c,
                 *const dv = dk + c;
    const float scale = 1.0f / sqrtf((float)c);
    dnnl_status_t status = multiply('T', 'N', tokens, c, tokens, 1.0f, p, tokens, dy, c, dv, 3 * c);
    if (!status)
        status = multiply('N', 'T', tokens, tokens, c, 1.0f, dy, c, v, 3 * c, dp, tokens);
    for (int i = 0; i < tokens; i++)
        softmax_row_backward(p + (int64_t)i * tokens, dp + (int64_t)i * tokens, tokens, scale);
    if (!status)
        status = multiply('N', 'N', tokens, c, tokens, 1.0f, dp, tokens, k, 3 * c, dq, 3 * c);
    if (!status)
        status = multiply('T', 'N', tokens, c, tokens, 1.0f, dp, tokens, q, 3 * c, dk, 3 * c);
    return status;
}

static ts_status report(dnnl_status_t status, int n, int tokens, int c)
{
    if (status == dnnl_success)
        return NULL;
    return ts_error(status == dnnl_out_of_memory ? TS_NO_MEMORY : TS_DEVICE,
                    "attention of %d images, %d tokens, %d channels failed (oneDNN status %d)", n, tokens, c,
                    (int)status);
}

ts_status ts_cpu_attention_forward(ts_device *device, const ts_attention_forward *a)
{
    const bool by_image = a->n >= device->threads;
    const size_t square = (size_t)a->tokens * (size_t)a->tokens, room = (square + 15) / 16 * 16;
    int failed = dnnl_success;
    void *memory = NULL;
    if (!a->probabilities)
        TS_TRY(ts_cpu_scratch(device, 0, (size_t)device->threads * room * sizeof(float), &memory));
    omp_set_num_threads(device->threads);
#pragma omp parallel for num_threads(by_image ? device->threads : 1) schedule(static) reduction(max : failed)
    for (int i = 0; i < a->n; i++) {
        float *const p = a->probabilities ? (float *)a->probabilities + (size_t)i * square
                                          : (float *)memory + (size_t)omp_get_thread_num() * room;
        const int status = (int)image_forward(a, i, p);
        failed = status > failed ? status : failed;
    }
    return report((dnnl_status_t)failed, a->n, a->tokens, a->c);
}

ts_status ts_cpu_attention_backward(ts_device *device, const ts_attention_backward *a)
{
    const bool by_image = a->n >= device->threads;
    const size_t square = ((size_t)a->tokens * (size_t)a->tokens + 15) / 16 * 16;
    int failed = dnnl_success;
    void *memory = NULL;
    TS_TRY(ts_cpu_scratch(device, 0, (size_t)device->threads * square * sizeof(float), &memory));
    omp_set_num_threads(device->threads);
#pragma omp parallel for num_threads(by_image ? device->threads : 1) schedule(static) reduction(max : failed)
    for (int i = 0; i < a->n; i++) {
        float *const dp = (float *)memory + (size_t)omp_get_thread_num() * square;
        const int status = (int)image_backward(a, i, dp);
        failed = status > failed ? status : failed;
    }
    return report((dnnl_status_t)failed, a->n, a->tokens, a->c);
}
