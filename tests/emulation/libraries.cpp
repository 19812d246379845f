/*
 * What cuDNN and cuBLASLt do on a card, as plain loops in double precision: the operations around them run
 * here with all their padding, strides and fallbacks.  With TSTAR_PLAIN_LIBRARIES set they know only the
 * plainest forms.
 */
#include <stdio.h>
#include <stdlib.h>
#include <vector>
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/vendor/library.h"
#include "libraries.hpp"

namespace
{
typedef std::vector<double> doubles;

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

/* count elements from `first` on. */
doubles get_all(const void *p, bool bf16, int64_t first, int64_t count)
{
    doubles all((size_t)count);
    for (int64_t i = 0; i < count; i++)
        all[(size_t)i] = get(p, bf16, first + i);
    return all;
}

/* Element (i, j) of the matrix goes to (j, i). */
doubles get_transposed(const void *p, bool bf16, int64_t first, int64_t stride, int64_t rows, int64_t columns)
{
    doubles all((size_t)(rows * columns));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            all[(size_t)(j * rows + i)] = get(p, bf16, first + i * stride + j);
    return all;
}

/* y += a x */
void add(double *__restrict y, double a, const double *__restrict x, int count)
{
    for (int i = 0; i < count; i++)
        y[i] += a * x[i];
}

/* ---- convolutions ---- */

struct position {
    int image, y, x;
};

int64_t places(const ts_cuda_graph_key *k)
{
    return (int64_t)k->n * ts_cuda_graph_oh(k) * ts_cuda_graph_ow(k);
}

int taps(const ts_cuda_graph_key *k)
{
    return k->window.h * k->window.w;
}

/* Calls visit(x's pixel, y's pixel, tap) for every pair that a window joins. */
template <class F> void for_windows(const ts_cuda_graph_key *k, F visit)
{
    const ts_window &w = k->window;
    const int oh = ts_cuda_graph_oh(k), ow = ts_cuda_graph_ow(k);
    for (int64_t out = 0; out < places(k); out++) {
        const position p = {(int)(out / ow / oh), (int)(out / ow % oh), (int)(out % ow)};
        for (int tap = 0; tap < taps(k); tap++) {
            const int y = p.y * w.stride_h + tap / w.w - w.pad_h, x = p.x * w.stride_w + tap % w.w - w.pad_w;
            if (y >= 0 && y < k->h && x >= 0 && x < k->w)
                visit(((int64_t)p.image * k->h + y) * k->w + x, out, tap);
        }
    }
}

int64_t pixels(const ts_cuda_graph_key *k)
{
    return (int64_t)k->n * k->h * k->w;
}

void forward(const ts_cuda_graph_key *k, const ts_cuda_graph_data *d)
{
    const bool bf16 = k->bf16;
    const doubles x = get_all(d->x, bf16, 0, pixels(k) * k->ci);
    const doubles w =
        get_transposed(d->weight, bf16, 0, taps(k) * k->ci, k->co, taps(k) * k->ci); /* [tap,ci,co] */
    doubles sum((size_t)(places(k) * k->co));
    for_windows(k, [&](int64_t in, int64_t out, int tap) {
        for (int i = 0; i < k->ci; i++)
            add(&sum[out * k->co], x[in * k->ci + i], &w[((int64_t)tap * k->ci + i) * k->co], k->co);
    });
    for (size_t i = 0; i < sum.size(); i++) {
        const double residual = k->residual ? get(d->residual, bf16, (int64_t)i) : 0;
        const double bias = k->bias ? get(d->bias, bf16, (int64_t)i % k->co) : 0;
        const double y = (double)k->scale * (sum[i] + residual) + bias;
        put(d->y, bf16, (int64_t)i, k->relu && y < 0 ? 0 : y);
    }
}

void input_gradient(const ts_cuda_graph_key *k, const ts_cuda_graph_data *d)
{
    const bool bf16 = k->bf16;
    const doubles dy = get_all(d->y, bf16, 0, pixels(k) * k->co);
    const doubles w = get_all(d->weight, bf16, 0, (int64_t)k->co * 9 * k->ci);
    doubles sum((size_t)(pixels(k) * k->ci));
    for_windows(k, [&](int64_t in, int64_t out, int tap) {
        for (int o = 0; o < k->co; o++)
            add(&sum[in * k->ci], dy[out * k->co + o], &w[((int64_t)o * 9 + tap) * k->ci], k->ci);
    });
    for (size_t i = 0; i < sum.size(); i++)
        put(d->x, bf16, (int64_t)i, sum[i] + (k->accumulate ? get(d->x, bf16, (int64_t)i) : 0));
}

void weight_gradient(const ts_cuda_graph_key *k, const ts_cuda_graph_data *d)
{
    const bool bf16 = k->bf16, to_bf16 = bf16 && k->rounded;
    const doubles x = get_all(d->x, bf16, 0, pixels(k) * k->ci);
    const doubles dy = get_all(d->y, bf16, 0, pixels(k) * k->co);
    doubles sum((size_t)k->co * 9 * k->ci);
    for_windows(k, [&](int64_t in, int64_t out, int tap) {
        for (int o = 0; o < k->co; o++)
            add(&sum[((size_t)o * 9 + tap) * k->ci], dy[out * k->co + o], &x[in * k->ci], k->ci);
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
    doubles p((size_t)tokens), y((size_t)c);
    for (int image = 0; image < k->n; image++) {
        const int64_t first = (int64_t)image * tokens * 3 * c;
        const doubles qkv = get_all(d->x, bf16, first, (int64_t)tokens * 3 * c);
        const doubles keys = get_transposed(d->x, bf16, first + c, 3 * c, tokens, c); /* [c,tokens] */
        for (int row = 0; row < tokens; row++) {
            double sum = 0;
            p.assign(p.size(), 0);
            y.assign(y.size(), 0);
            for (int i = 0; i < c; i++)
                add(p.data(), qkv[(size_t)row * 3 * c + i] / sqrt((double)c), &keys[(size_t)i * tokens],
                    tokens);
            for (double &each : p)
                sum += each = exp(each);
            for (int j = 0; j < tokens; j++)
                add(y.data(), p[(size_t)j] / sum, &qkv[((size_t)j * 3 + 2) * c], c);
            for (int i = 0; i < c; i++)
                put(d->y, bf16, ((int64_t)image * tokens + row) * c + i, y[(size_t)i]);
        }
    }
}

/* ---- products ---- */

void multiply(const ts_cuda_product *p)
{
    const bool bf16 = p->type == TS_BF16, bf16_d = p->type_d == TS_BF16;
    doubles sum((size_t)p->n);
    for (int64_t image = 0; image < p->batch; image++) {
        const int64_t b_rows = p->transpose_b ? p->n : p->k, b_columns = p->transpose_b ? p->k : p->n;
        doubles b; /* [k,n] */
        if (p->transpose_b)
            b = get_transposed(p->b, bf16, image * p->step_b, p->row_b, b_rows, b_columns);
        for (int64_t k = 0; !p->transpose_b && k < p->k; k++) {
            const doubles row = get_all(p->b, bf16, image * p->step_b + k * p->row_b, p->n);
            b.insert(b.end(), row.begin(), row.end());
        }
        for (int64_t i = 0; i < p->m; i++) {
            sum.assign(sum.size(), 0);
            for (int64_t k = 0; k < p->k; k++) {
                const int64_t a = p->transpose_a ? k * p->row_a + i : i * p->row_a + k;
                add(sum.data(), (double)p->alpha * get(p->a, bf16, image * p->step_a + a),
                    &b[(size_t)(k * p->n)], p->n);
            }
            for (int64_t j = 0; j < p->n; j++) {
                const int64_t d = image * p->step_d + i * p->row_d + j;
                double value = sum[(size_t)j];
                if (p->beta != 0.0f)
                    value += (double)p->beta * get(p->c, bf16_d, d);
                if (p->bias)
                    value += get(p->bias, bf16_d, j);
                put(p->d, bf16_d, d, value);
            }
        }
    }
}
} // namespace

ts_status ts_cuda_graph_supported(ts_device *, const ts_cuda_graph_key *key, bool *supported)
{
    const bool plain = !key->bias && !key->residual && !key->relu && !key->accumulate &&
                       (key->pass != TS_CUDA_CONV_WEIGHTS || key->rounded);
    *supported = key->pass == TS_CUDA_ATTENTION ? !plain_only() && key->ci % 8 == 0 : plain || !plain_only();
    return NULL;
}

ts_status ts_cuda_graph_run(ts_device *device, const ts_cuda_graph_key *key, const ts_cuda_graph_data *data)
{
    bool supported = false;
    char name[160];
    TS_TRY(ts_cuda_graph_supported(device, key, &supported));
    const bool bf16 = device->activation == TS_BF16;
    if (!supported || key->bf16 != bf16 || (key->residual && (!key->bias || data->residual == data->y)) ||
        (key->scale != 1.0f && !key->residual) || (key->relu && !key->bias) ||
        (bf16 && (key->ci % 8 || key->co % 8)))
        return ts_error(TS_INVALID, "a graph that no library would take: pass %d, %d to %d channels",
                        key->pass, key->ci, key->co);
    for (const void *p : {data->x, data->weight, data->bias, data->residual, data->y})
        if ((uintptr_t)p % 16 != 0) /* as its tensors say */
            return ts_error(TS_INVALID, "a graph over tensors that are not aligned: pass %d", key->pass);
    const ts_window &w = key->window;
    snprintf(name, sizeof name, "graph %d %d %d %d %d %d %d %d %d %d %d %d,%d,%d,%d,%d,%d %a", key->pass,
             key->n, key->h, key->w, key->ci, key->co, key->bias, key->residual, key->accumulate,
             key->rounded, key->relu, w.h, w.w, w.stride_h, w.stride_w, w.pad_h, w.pad_w, (double)key->scale);
    TS_TRY(emulated_choose(device, name));
    static void (*const passes[TS_CUDA_PASSES])(const ts_cuda_graph_key *, const ts_cuda_graph_data *) = {
        forward, input_gradient, weight_gradient, attend};
    device->launches++;
    simt::queue([k = *key, d = *data] { passes[k.pass](&k, &d); });
    return ts_cuda_launched(device, NULL);
}

ts_status ts_cuda_product_supported(ts_device *, const ts_cuda_product *p, bool *supported)
{
    *supported = !p->bias || !plain_only();
    return NULL;
}

ts_status ts_cuda_multiply(ts_device *device, const ts_cuda_product *p)
{
    bool supported = false;
    char name[160];
    TS_TRY(ts_cuda_product_supported(device, p, &supported));
    if (!supported)
        return ts_error(TS_INVALID, "a product that no library would take");
    snprintf(name, sizeof name, "product %d %d %d %d %d %d %d %d %d %d", p->m, p->n, p->k, p->batch,
             p->transpose_a, p->transpose_b, p->type, p->type_d, p->beta != 0.0f, p->bias != NULL);
    TS_TRY(emulated_choose(device, name));
    device->launches++;
    simt::queue([product = *p] { multiply(&product); });
    return ts_cuda_launched(device, NULL);
}
