/*
 * Convolutions and gradients of their inputs by winograd.h: weights to points once a call, then blocks of
 * tiles, each thread its own: inputs to points, 36 matrix products, points to outputs.
 */
#include "kernels/cpu/conv/winograd.h"
#include "kernels/cpu/conv/winograd_tile.h"

/* ---- where it pays ---- */

/* Channels come in whole groups, and tiles that stick out of the image do not eat up what is won. */
static bool fits(const ts_wg_grid *g, int64_t pixels, int ci, int co)
{
    return ci % TS_WG_GROUP == 0 && co % TS_WG_GROUP == 0 &&
           2 * g->tiles * TS_WG_TILE * TS_WG_TILE <= 3 * pixels;
}

bool ts_cpu_winograd_forward_pays(int n, int h, int w, int ci, int co)
{
    const ts_wg_grid g = ts_wg_grid_of(n, h, w, 1, 1);
    return fits(&g, (int64_t)n * h * w, ci, co) && 16 * g.tiles >= ci + co;
}

bool ts_cpu_winograd_weights_pay(int n, int h, int w, int ci, int co)
{
    const ts_wg_grid g = ts_wg_grid_of(n, h, w, 1, 1);
    return fits(&g, (int64_t)n * h * w, ci, co) && 32 * g.tiles >= ci + co;
}

/* Scratch slots of a convolution's call; those of conv.c are 0 and 1. */
enum { SLOT_WEIGHTS = 2, SLOT_BLOCKS = 3 };

/* y = act(scale (conv(x) + bias + residual)) with `in` and `out` channels.  A weight is at
 * weight[tap * tap_step + input * in_step + output * out_step]. */
typedef struct layer {
    int in, out;
    ts_wg_grid grid;
    const float *x, *weight, *bias, *residual;
    int64_t tap_step, in_step, out_step;
    float scale;
    bool relu;
    float *y;
} layer;

/* ---- weights to points: [36][panels of out][in][panel] ---- */

typedef ts_wg_vector taps[9];

static int panel_width(int out, int first)
{
    return out - first < TS_WG_PANEL ? out - first : TS_WG_PANEL;
}

static void transform_filter(const taps g, float *to, int64_t stride)
{
    ts_wg_vector rows[3][TS_WG_SIDE];
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++)
        ts_wg_filter(g + 3 * i, rows[i]);
#pragma GCC unroll 6
    for (int j = 0; j < TS_WG_SIDE; j++) {
        const ts_wg_vector column[3] = {rows[0][j], rows[1][j], rows[2][j]};
        ts_wg_vector p[TS_WG_SIDE];
        ts_wg_filter(column, p);
#pragma GCC unroll 6
        for (int i = 0; i < TS_WG_SIDE; i++)
            ts_wg_store(to + (i * TS_WG_SIDE + j) * stride, p[i]);
    }
}

/* The taps of outputs o .. o + LANES and inputs k .. k + 16. */
static void load_taps(const layer *l, int o, int k, taps g[TS_WG_GROUP])
{
    for (int tap = 0; tap < 9; tap++) {
        const float *const from = l->weight + tap * l->tap_step + k * l->in_step + o * l->out_step;
        if (l->out_step == 1) {
            for (int i = 0; i < TS_WG_GROUP; i++)
                g[i][tap] = ts_wg_load(from + i * l->in_step);
        } else {
            float square[TS_WG_LANES][TS_WG_GROUP + 1];
            for (int lane = 0; lane < TS_WG_LANES; lane++)
                memcpy(square[lane], from + lane * l->out_step, TS_WG_GROUP * sizeof(float));
            for (int i = 0; i < TS_WG_GROUP; i++)
#pragma GCC unroll 16
                for (int lane = 0; lane < TS_WG_LANES; lane++)
                    g[i][tap][lane] = square[lane][i];
        }
    }
}

static void transform_weights(const layer *l, int o, float *points)
{
    const int64_t stride = ts_wg_point_stride(l->in, l->out);
    const int panel = o / TS_WG_PANEL * TS_WG_PANEL, width = panel_width(l->out, panel);
    taps g[TS_WG_GROUP];
    for (int k = 0; k < l->in; k += TS_WG_GROUP) {
        load_taps(l, o, k, g);
        for (int i = 0; i < TS_WG_GROUP; i++)
            transform_filter(g[i], points + (int64_t)panel * l->in + (k + i) * width + (o - panel), stride);
    }
}

/* ---- products ---- */

/* ROWS tiles by `blocks` groups of outputs: to (+)= from * weights over `in` inputs. */
TS_WG_INLINE void multiply(int blocks, bool add, int in, const float *from, int64_t from_step,
                           const float *weights, float *to, int64_t to_step)
{
    const int vectors = blocks * TS_WG_PER_GROUP;
    ts_wg_vector sum[TS_WG_ROWS][TS_WG_BLOCKS * TS_WG_PER_GROUP] = {0};
    for (int k = 0; k < in; k += TS_WG_GROUP, from += from_step) {
#pragma GCC unroll 4
        for (int i = 0; i < TS_WG_GROUP; i++, weights += vectors * TS_WG_LANES)
#pragma GCC unroll 8
            for (int r = 0; r < TS_WG_ROWS; r++)
#pragma GCC unroll 8
                for (int v = 0; v < vectors; v++)
                    sum[r][v] += from[r * TS_WG_GROUP + i] * ts_wg_load(weights + v * TS_WG_LANES);
    }
#pragma GCC unroll 8
    for (int r = 0; r < TS_WG_ROWS; r++)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) {
            float *const at =
                to + v / TS_WG_PER_GROUP * to_step + r * TS_WG_GROUP + v % TS_WG_PER_GROUP * TS_WG_LANES;
            ts_wg_store(at, add ? ts_wg_load(at) + sum[r][v] : sum[r][v]);
        }
}

TS_WG_INLINE void multiply_chunks(int blocks, int in, const float *from, int64_t step, const float *weights,
                                  float *to)
{
    for (int k = 0; k < in; k += TS_WG_CHUNK) {
        const int count = in - k < TS_WG_CHUNK ? in - k : TS_WG_CHUNK;
        const float *const part = from + k / TS_WG_GROUP * step;
        multiply(blocks, k > 0, count, part, step, weights + (int64_t)k * blocks * TS_WG_GROUP, to, step);
    }
}

static void multiply_point(const layer *l, int tiles, const float *from, const float *weights, float *to)
{
    const int64_t step = (int64_t)tiles * TS_WG_GROUP;
    for (int o = 0; o < l->out; o += TS_WG_PANEL) {
        const float *const panel = weights + (int64_t)o * l->in;
        float *const products = to + o / TS_WG_GROUP * step;
        const bool whole = panel_width(l->out, o) == TS_WG_PANEL;
        for (int64_t t = 0; t < step; t += TS_WG_ROWS * TS_WG_GROUP) {
            if (whole)
                multiply_chunks(TS_WG_BLOCKS, l->in, from + t, step, panel, products + t);
            else
                multiply_chunks(1, l->in, from + t, step, panel, products + t);
        }
    }
}

/* ---- points to outputs ---- */

TS_WG_INLINE void finish(const layer *l, int rows, int columns, int64_t at, int k,
                         ts_wg_vector out[TS_WG_TILE][TS_WG_TILE])
{
    const ts_wg_vector zero = {0}, bias = l->bias ? ts_wg_load(l->bias + k) : zero;
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < columns; j++) {
            const int64_t place = at + ((int64_t)i * l->grid.w + j) * l->out + k;
            ts_wg_vector y = out[i][j] + bias;
            if (l->residual)
                y += ts_wg_load(l->residual + place);
            y *= l->scale;
            ts_wg_store(l->y + place, l->relu ? ts_wg_relu(y) : y);
        }
}

static void transform_output(const layer *l, ts_wg_block b, const float *points)
{
    const ts_wg_grid *const g = &l->grid;
    const int64_t stride = ts_wg_point_stride(b.tiles, l->out);
    for (int tile = 0; tile < b.tiles && b.first + tile < g->tiles; tile++) {
        const ts_wg_place place = ts_wg_place_of(g, b.first + tile);
        const int64_t at = ((place.image * g->h + place.y) * g->w + place.x) * l->out;
        const int rows = g->h - place.y < TS_WG_TILE ? g->h - place.y : TS_WG_TILE;
        const int columns = g->w - place.x < TS_WG_TILE ? g->w - place.x : TS_WG_TILE;
        for (int k = 0; k < l->out; k += TS_WG_LANES) {
            const float *const from =
                points + ((int64_t)(k / TS_WG_GROUP) * b.tiles + tile) * TS_WG_GROUP + k % TS_WG_GROUP;
            ts_wg_vector half[TS_WG_SIDE][TS_WG_TILE], out[TS_WG_TILE][TS_WG_TILE];
#pragma GCC unroll 6
            for (int i = 0; i < TS_WG_SIDE; i++) {
                ts_wg_vector m[TS_WG_SIDE];
#pragma GCC unroll 6
                for (int j = 0; j < TS_WG_SIDE; j++)
                    m[j] = ts_wg_load(from + (i * TS_WG_SIDE + j) * stride);
                ts_wg_output(m, half[i]);
            }
#pragma GCC unroll 4
            for (int j = 0; j < TS_WG_TILE; j++) {
                ts_wg_vector m[TS_WG_SIDE], y[TS_WG_TILE];
#pragma GCC unroll 6
                for (int i = 0; i < TS_WG_SIDE; i++)
                    m[i] = half[i][j];
                ts_wg_output(m, y);
#pragma GCC unroll 4
                for (int i = 0; i < TS_WG_TILE; i++)
                    out[i][j] = y[i];
            }
            if (rows == TS_WG_TILE && columns == TS_WG_TILE)
                finish(l, TS_WG_TILE, TS_WG_TILE, at, k, out);
            else
                finish(l, rows, columns, at, k, out);
        }
    }
}

/* ---- a call ---- */

static void convolve_block(const layer *l, ts_wg_block b, const float *weights, const float *zeros,
                           float *inputs, float *products)
{
    ts_wg_transform_input(&l->grid, b, l->in, l->x, zeros, inputs);
    for (int p = 0; p < TS_WG_POINTS; p++)
        multiply_point(l, b.tiles, inputs + p * ts_wg_point_stride(b.tiles, l->in),
                       weights + p * ts_wg_point_stride(l->in, l->out),
                       products + p * ts_wg_point_stride(b.tiles, l->out));
    transform_output(l, b, products);
}

static ts_status convolve(ts_device *device, const layer *l)
{
    const int threads = device->threads;
    const int tiles = ts_wg_block_tiles(l->grid.tiles, l->in, l->out, threads);
    const int64_t blocks = (l->grid.tiles + tiles - 1) / tiles;
    const int64_t inputs = TS_WG_POINTS * ts_wg_point_stride(tiles, l->in);
    const int64_t each = inputs + TS_WG_POINTS * ts_wg_point_stride(tiles, l->out);
    const size_t weights = TS_WG_POINTS * (size_t)ts_wg_point_stride(l->in, l->out);
    void *memory, *scratch;
    TS_TRY(ts_cpu_scratch(device, SLOT_WEIGHTS, (weights + (size_t)l->in) * sizeof(float), &memory));
    TS_TRY(ts_cpu_scratch(device, SLOT_BLOCKS, (size_t)(threads * each) * sizeof(float), &scratch));
    float *const points = memory, *const zeros = points + weights;
    memset(zeros, 0, (size_t)l->in * sizeof *zeros);
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(static)
        for (int o = 0; o < l->out; o += TS_WG_LANES)
            transform_weights(l, o, points);
#pragma omp for schedule(static)
        for (int t = 0; t < threads; t++) {
            float *const mine = (float *)scratch + t * each;
            for (int64_t b = blocks * t / threads; b < blocks * (t + 1) / threads; b++)
                convolve_block(l, (ts_wg_block){b * tiles, tiles}, points, zeros, mine, mine + inputs);
        }
    }
    return NULL;
}

ts_status ts_cpu_winograd_forward(ts_device *device, const ts_conv2d *a, float scale)
{
    const layer l = {.in = a->ci,
                     .out = a->co,
                     .grid = ts_wg_grid_of(a->n, a->h, a->w, a->window.pad_h, a->window.pad_w),
                     .x = a->x,
                     .weight = a->weight,
                     .bias = a->bias,
                     .residual = a->residual,
                     .tap_step = a->ci,
                     .in_step = 1,
                     .out_step = 9 * (int64_t)a->ci,
                     .scale = scale,
                     .relu = a->relu,
                     .y = a->y};
    return convolve(device, &l);
}

/* The same with the filters rotated by half a turn, from outputs to inputs. */
ts_status ts_cpu_winograd_input_gradient(ts_device *device, const ts_conv_backward *a)
{
    const layer l = {.in = a->co,
                     .out = a->ci,
                     .grid = ts_wg_grid_of(a->n, a->h, a->w, 1, 1),
                     .x = a->dy,
                     .weight = a->weight + 8 * (int64_t)a->ci,
                     .residual = a->accumulate ? a->dx : NULL,
                     .tap_step = -(int64_t)a->ci,
                     .in_step = 9 * (int64_t)a->ci,
                     .out_step = 1,
                     .scale = 1.0f,
                     .y = a->dx};
    return convolve(device, &l);
}
