/*
 * Resampling as in score_sde (up_or_down_sampling.py, after Karras et al. 2020): by a separable FIR filter
 * with zeros outside the image, by itself or around a 3x3 convolution.
 *
 * A convolution of stride 2 is computed at every pixel, and every second one is kept: four times its work,
 * which in these networks is one convolution a level among dozens.
 */
#include "nn/blocks.h"

/* taps k scaled to the sum `gain`, in the order in which a convolution (not a correlation) meets them. */
static void set_taps(ts_fir *a, const nn_filter *filter, double gain)
{
    double sum = 0;
    for (int i = 0; i < filter->taps; i++)
        sum += (double)filter->k[i];
    a->taps = filter->taps;
    for (int i = 0; i < filter->taps; i++)
        a->k[i] = (float)((double)filter->k[filter->taps - 1 - i] * gain / sum);
}

/* The filter of two equal taps that stands for none. */
static nn_filter filter_or_box(const nn_filter *filter)
{
    return filter->taps ? *filter : (nn_filter){.taps = 2, .k = {1, 1}};
}

static void size_of(const ts_graph *graph, ts_tensor x, int *h, int *w)
{
    int shape[4] = {0};
    if (x >= 0)
        ts_graph_shape(graph, x, shape);
    *h = shape[1];
    *w = shape[2];
}

/* scale (x' + residual), pixel i of x' being pixel step i + 1 of x: every second, or all but a border of
 * one. */
static ts_tensor pick(ts_graph *graph, ts_tensor x, int step, int h, int w, ts_tensor residual, float scale)
{
    const ts_fir a = {.oh = h, .ow = w, .up = 1, .down = step, .pad = -1, .taps = 1, .k = {1}};
    return ts_graph_fir(graph, x, &a, residual, scale);
}

ts_tensor nn_resample(ts_graph *graph, ts_tensor x, const nn_filter *filter, bool up)
{
    const nn_filter used = filter_or_box(filter);
    const int excess = used.taps - 2;
    int h, w;
    size_of(graph, x, &h, &w);
    ts_fir a = {.up = up ? 2 : 1, .down = up ? 1 : 2};
    a.oh = up ? 2 * h : h / 2;
    a.ow = up ? 2 * w : w / 2;
    a.pad = (excess + 1) / 2 + (up ? 1 : 0);
    set_taps(&a, &used, up ? 2 : 1); /* doubling: each pixel spreads over two along each axis */
    return ts_graph_fir(graph, x, &a, -1, 1);
}

ts_tensor nn_resample_conv(ts_graph *graph, ts_tensor x, const nn_filter *filter, bool up,
                           const ts_param pair[2], int channels, ts_tensor residual, float scale)
{
    int h, w;
    size_of(graph, x, &h, &w);
    if (!filter->taps && up)
        return ts_conv(graph, nn_resample(graph, x, filter, true), pair[0], pair[1], channels, residual,
                       scale);
    if (!filter->taps) { /* zeros after the last row and column alone: the windows begin at even pixels */
        x = ts_conv(graph, x, pair[0], pair[1], channels, -1, 1);
        return pick(graph, x, 2, h / 2, w / 2, residual, scale);
    }
    /* As if filter and convolution saw an infinite image: filtered with a border of one pixel more than the
     * result, whose convolution is then right inside that border. */
    ts_fir a = {.up = up ? 2 : 1, .down = 1};
    const int excess = filter->taps - 2;
    set_taps(&a, filter, up ? 2 : 1);
    a.pad = up ? (excess + 1) / 2 + 2 : (excess + 3) / 2;
    a.oh = up ? 2 * h + 2 : h + 1;
    a.ow = up ? 2 * w + 2 : w + 1;
    x = ts_graph_fir(graph, x, &a, -1, 1);
    x = ts_conv(graph, x, pair[0], pair[1], channels, -1, 1);
    return up ? pick(graph, x, 1, 2 * h, 2 * w, residual, scale)
              : pick(graph, x, 2, h / 2, w / 2, residual, scale);
}
