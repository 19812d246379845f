/*
 * What cuDNN and cuBLASLt do on a card, as plain loops: the operations around them run here with all their
 * padding, strides and fallbacks.  With TSTAR_PLAIN_LIBRARIES set they know only the plainest forms.
 */
#include <stdlib.h>
#include <vector>
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/library.h"

namespace
{
bool plain_only()
{
    return getenv("TSTAR_PLAIN_LIBRARIES") != nullptr;
}

double get(const void *p, bool bf16, int64_t i)
{
    return bf16 ? (double)__bfloat162float(static_cast<const __nv_bfloat16 *>(p)[i])
                : (double)static_cast<const float *>(p)[i];
}

void put(void *p, bool bf16, int64_t i, double value)
{
    if (bf16)
        static_cast<__nv_bfloat16 *>(p)[i] = __float2bfloat16_rn((float)value);
    else
        static_cast<float *>(p)[i] = (float)value;
}

/* ---- convolutions ---- */

struct position {
    int image, y, x;
};

/* Calls visit(x's pixel, y's pixel, tap) for every pair that a 3x3 window joins. */
template <class F> void for_windows(const ts_cuda_graph_key *k, F visit)
{
    for (int64_t out = 0; out < (int64_t)k->n * k->h * k->w; out++) {
        const position p = {(int)(out / k->w / k->h), (int)(out / k->w % k->h), (int)(out % k->w)};
        for (int tap = 0; tap < 9; tap++) {
            const int y = p.y + tap / 3 - 1, x = p.x + tap % 3 - 1;
            if (y >= 0 && y < k->h && x >= 0 && x < k->w)
                visit(((int64_t)p.image * k->h + y) * k->w + x, out, tap);
        }
    }
}

void forward(const ts_cuda_graph_key *k, const ts_cuda_graph_data *d)
{
    const bool bf16 = k->bf16;
    std::vector<double> sum((size_t)k->n * k->h * k->w * k->co);
    for_windows(k, [&](int64_t in, int64_t out, int tap) {
        for (int o = 0; o < k->co; o++)
            for (int i = 0; i < k->ci; i++)
                sum[out * k->co + o] += get(d->x, bf16, in * k->ci + i) *
                                        get(d->weight, bf16, ((int64_t)o * 9 + tap) * k->ci + i);
    });
    for (size_t i = 0; i < sum.size(); i++) {
        const double residual = k->residual ? get(d->residual, bf16, (int64_t)i) : 0;
        const double bias = k->bias ? get(d->bias, bf16, (int64_t)i % k->co) : 0;
        put(d->y, bf16, (int64_t)i, (double)k->scale * (sum[i] + residual) + bias);
    }
}

void input_gradient(const ts_cuda_graph_key *k, const ts_cuda_graph_data *d)
{
    const bool bf16 = k->bf16;
    std::vector<double> sum((size_t)k->n * k->h * k->w * k->ci);
    for_windows(k, [&](int64_t in, int64_t out, int tap) {
        for (int o = 0; o < k->co; o++)
            for (int i = 0; i < k->ci; i++)
                sum[in * k->ci + i] += get(d->y, bf16, out * k->co + o) *
                                       get(d->weight, bf16, ((int64_t)o * 9 + tap) * k->ci + i);
    });
    for (size_t i = 0; i < sum.size(); i++)
        put(d->x, bf16, (int64_t)i, sum[i] + (k->accumulate ? get(d->x, bf16, (int64_t)i) : 0));
}

void weight_gradient(const ts_cuda_graph_key *k, const ts_cuda_graph_data *d)
{
    const bool bf16 = k->bf16, to_bf16 = bf16 && k->rounded;
    std::vector<double> sum((size_t)k->co * 9 * k->ci);
    for_windows(k, [&](int64_t in, int64_t out, int tap) {
        for (int o = 0; o < k->co; o++)
            for (int i = 0; i < k->ci; i++)
                sum[((size_t)o * 9 + tap) * k->ci + i] +=
                    get(d->y, bf16, out * k->co + o) * get(d->x, bf16, in * k->ci + i);
    });
    for (size_t i = 0; i < sum.size(); i++)
        put(d->weight, to_bf16, (int64_t)i,
            sum[i] + (k->accumulate ? get(d->weight, to_bf16, (int64_t)i) : 0));
}

/* ---- attention ---- */

void attend(const ts_cuda_graph_key *k, const ts_cuda_graph_data *d)
{
    const int tokens = k->h, c = k->ci;
    const bool bf16 = k->bf16;
    std::vector<double> p((size_t)tokens);
    for (int64_t row = 0; row < (int64_t)k->n * tokens; row++) {
        const int64_t first = row / tokens * tokens;
        double sum = 0;
        for (int j = 0; j < tokens; j++) {
            double score = 0;
            for (int i = 0; i < c; i++)
                score += get(d->x, bf16, row * 3 * c + i) * get(d->x, bf16, (first + j) * 3 * c + c + i);
            sum += p[(size_t)j] = exp(score / sqrt((double)c));
        }
        for (int i = 0; i < c; i++) {
            double y = 0;
            for (int j = 0; j < tokens; j++)
                y += p[(size_t)j] / sum * get(d->x, bf16, (first + j) * 3 * c + 2 * c + i);
            put(d->y, bf16, row * c + i, y);
        }
    }
}
} // namespace

ts_status ts_cuda_graph_supported(ts_device *, const ts_cuda_graph_key *key, bool *supported)
{
    const bool plain = !key->bias && !key->residual && !key->accumulate &&
                       (key->pass != TS_CUDA_CONV_WEIGHTS || key->rounded);
    *supported = key->pass == TS_CUDA_ATTENTION ? !plain_only() && key->ci % 8 == 0 : plain || !plain_only();
    return NULL;
}

ts_status ts_cuda_graph_run(ts_device *device, const ts_cuda_graph_key *key, const ts_cuda_graph_data *data)
{
    bool supported = false;
    TS_TRY(ts_cuda_graph_supported(device, key, &supported));
    const bool bf16 = device->activation == TS_BF16;
    if (!supported || key->bf16 != bf16 || (key->residual && (!key->bias || data->residual == data->y)) ||
        (key->scale != 1.0f && !key->residual) || (bf16 && (key->ci % 8 || key->co % 8)))
        return ts_error(TS_INVALID, "a graph that no library would take: pass %d, %d to %d channels",
                        key->pass, key->ci, key->co);
    void (*const passes[TS_CUDA_PASSES])(const ts_cuda_graph_key *, const ts_cuda_graph_data *) = {
        forward, input_gradient, weight_gradient, attend};
    passes[key->pass](key, data);
    return NULL;
}

ts_status ts_cuda_product_supported(ts_device *, const ts_cuda_product *p, bool *supported)
{
    *supported = !p->bias || !plain_only();
    return NULL;
}

ts_status ts_cuda_multiply(ts_device *device, const ts_cuda_product *p)
{
    bool supported = false;
    TS_TRY(ts_cuda_product_supported(device, p, &supported));
    if (!supported)
        return ts_error(TS_INVALID, "a product that no library would take");
    const bool bf16 = p->type == TS_BF16, bf16_d = p->type_d == TS_BF16;
    for (int image = 0; image < p->batch; image++)
        for (int i = 0; i < p->m; i++)
            for (int j = 0; j < p->n; j++) {
                double sum = 0;
                for (int k = 0; k < p->k; k++) {
                    const int64_t a = p->transpose_a ? k * p->row_a + i : i * p->row_a + k;
                    const int64_t b = p->transpose_b ? j * p->row_b + k : k * p->row_b + j;
                    sum += get(p->a, bf16, image * p->step_a + a) * get(p->b, bf16, image * p->step_b + b);
                }
                const int64_t d = image * p->step_d + i * p->row_d + j;
                sum *= (double)p->alpha;
                if (p->beta != 0.0f)
                    sum += (double)p->beta * get(p->c, bf16_d, d);
                if (p->bias)
                    sum += get(p->bias, bf16_d, j);
                put(p->d, bf16_d, d, sum);
            }
    return NULL;
}
