/*
 * Resampling by a filter, alone and around a 3x3 convolution, beside score_sde's up_or_down_sampling.py
 * taken at its word: upfirdn_2d with its paddings, transposed convolutions and all, in double precision.
 */
#include <stdlib.h>
#include "graph_test.h"
#include "nn/blocks.h"

enum { H = 6, W = 4, IN = 3, OUT = 2, MOST = 32 };

/* One channel of an image. */
typedef struct plane {
    int h, w;
    double v[MOST][MOST];
} plane;

/* Zero-stuffs by `up`, pads (a negative padding crops), convolves with the outer product of k, takes every
 * `down`-th. */
static plane upfirdn(const plane *x, const double *k, int taps, int up, int down, int before, int after)
{
    plane stuffed = {x->h * up + before + after, x->w * up + before + after, {{0}}};
    for (int i = 0; i < x->h; i++)
        for (int j = 0; j < x->w; j++)
            stuffed.v[i * up + before][j * up + before] = x->v[i][j];
    plane y = {(stuffed.h - taps) / down + 1, (stuffed.w - taps) / down + 1, {{0}}};
    for (int i = 0; i < y.h; i++)
        for (int j = 0; j < y.w; j++)
            for (int a = 0; a < taps; a++)
                for (int b = 0; b < taps; b++)
                    y.v[i][j] += k[taps - 1 - a] * k[taps - 1 - b] * stuffed.v[i * down + a][j * down + b];
    return y;
}

/* Adds the correlation with w [3][3], without padding, at every stride-th place. */
static void correlate(const plane *x, const float *w, int stride, plane *y)
{
    y->h = (x->h - 3) / stride + 1;
    y->w = (x->w - 3) / stride + 1;
    for (int i = 0; i < y->h; i++)
        for (int j = 0; j < y->w; j++)
            for (int a = 0; a < 9; a++)
                y->v[i][j] += (double)w[a] * x->v[i * stride + a / 3][j * stride + a % 3];
}

/* Adds the transposed convolution of stride 2 with w flipped, as upsample_conv_2d calls it. */
static void transpose(const plane *x, const float *w, plane *y)
{
    y->h = 2 * x->h + 1;
    y->w = 2 * x->w + 1;
    for (int i = 0; i < x->h; i++)
        for (int j = 0; j < x->w; j++)
            for (int a = 0; a < 9; a++)
                y->v[2 * i + a / 3][2 * j + a % 3] += (double)w[8 - a] * x->v[i][j];
}

static plane padded(const plane *x, int before, int after)
{
    const double one = 1;
    return upfirdn(x, &one, 1, 1, 1, before, after);
}

/* One output channel of Upsample or Downsample with a convolution: x [IN], w [IN][3][3]. */
static plane reference(const plane *x, const nn_filter *filter, bool up, const float *w, double bias)
{
    double k[TS_FIR_TAPS], sum = 0;
    const int taps = filter->taps, excess = taps - 2;
    plane y = {0};
    for (int i = 0; i < taps; i++)
        sum += (double)filter->k[i];
    for (int i = 0; i < taps; i++)
        k[i] = (double)filter->k[i] / sum * (up ? 2 : 1);
    for (int c = 0; c < IN; c++) {
        if (!taps && up) {
            const double pair[] = {1, 1};
            plane nearest = upfirdn(&x[c], pair, 2, 2, 1, 1, 0);
            nearest = padded(&nearest, 1, 1);
            correlate(&nearest, w + 9 * c, 1, &y);
        } else if (!taps) {
            const plane p = padded(&x[c], 0, 1);
            correlate(&p, w + 9 * c, 2, &y);
        } else if (up) {
            transpose(&x[c], w + 9 * c, &y);
        } else {
            const int p = excess + 2;
            const plane filtered = upfirdn(&x[c], k, taps, 1, 1, (p + 1) / 2, p / 2);
            correlate(&filtered, w + 9 * c, 2, &y);
        }
    }
    if (taps && up) {
        const int p = excess - 2;
        y = upfirdn(&y, k, taps, 1, 1, (p + 1) / 2 + 1, (p + 2) / 2);
    }
    for (int i = 0; i < y.h; i++)
        for (int j = 0; j < y.w; j++)
            y.v[i][j] += bias;
    return y;
}

static void check(const nn_filter *filter, bool up)
{
    enum { COUNT = OUT * IN * 9 };
    ts_params *params;
    ts_graph *graph;
    float weight[COUNT], bias[OUT];
    plane x[IN] = {{0}};
    uint32_t seed = 5;
    graph_must(ts_params_create(graph_device, &params));
    const nn_declaring d = {.params = params};
    ts_param pair[2];
    nn_conv(&d, "", IN, OUT, 3, 1, pair);
    graph_must(ts_params_commit(params, 1));
    for (int i = 0; i < COUNT; i++)
        weight[i] = graph_random(&seed);
    for (int i = 0; i < OUT; i++)
        bias[i] = graph_random(&seed);
    graph_must(ts_params_set(params, pair[0], TS_BUFFER_VALUE, weight)); /* [OUT,IN,3,3] */
    graph_must(ts_params_set(params, pair[1], TS_BUFFER_VALUE, bias));
    graph_must(ts_graph_create(graph_device, params, &graph));
    const ts_tensor in = ts_graph_input(graph, "x", 1, H, W, IN);
    const ts_tensor out = nn_resample_conv(graph, in, filter, up, pair, OUT, -1, 1);
    ts_graph_output(graph, out, false);
    graph_must(ts_graph_plan(graph, TS_PLAN_FORWARD));
    float *values = ts_graph_data(graph, in);
    for (int i = 0; i < H * W * IN; i++) {
        values[i] = graph_random(&seed);
        x[i % IN].h = H;
        x[i % IN].w = W;
        x[i % IN].v[i / IN / W][i / IN % W] = (double)values[i];
    }
    graph_must(ts_graph_forward(graph));
    const float *got = ts_graph_data(graph, out);
    for (int o = 0; o < OUT; o++) {
        const plane y = reference(x, filter, up, weight + (ptrdiff_t)o * IN * 9, (double)bias[o]);
        assert_int_equal(y.h, up ? 2 * H : H / 2);
        assert_int_equal(y.w, up ? 2 * W : W / 2);
        for (int i = 0; i < y.h * y.w; i++)
            if (!(fabs((double)got[i * OUT + o] - y.v[i / y.w][i % y.w]) < 1e-5))
                fail_msg("%d taps %s, channel %d, pixel %d: %g instead of %g", filter->taps,
                         up ? "up" : "down", o, i, (double)got[i * OUT + o], y.v[i / y.w][i % y.w]);
    }
    ts_graph_destroy(graph);
    ts_params_destroy(params);
}

void filters_around_convolutions(void **state)
{
    (void)state;
    static const nn_filter filters[] = {
        {0}, {4, {1, 3, 3, 1}}, {4, {1, 2, 4, 1}}, {3, {1, 2, 1}}, {6, {1, 5, 10, 10, 5, 1}}};
    for (int i = 0; i < 5; i++)
        for (int up = 0; up < 2; up++)
            check(&filters[i], up);
}
