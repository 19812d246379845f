/*
 * Gradients of the weights by winograd.h, the adjoint of its forward pass: at each of the 36 points a product
 * of the transformed output gradients and the transformed inputs, summed over all tiles, and the sums
 * transformed back once.
 */
#include "kernels/cpu/conv/winograd.h"
#include "kernels/cpu/conv/winograd_tile.h"

enum { SLOT_SUMS = 2, SLOT_BLOCKS = 3 };

/* ROWS outputs by `blocks` groups of inputs: to (+)= the products of dy and x summed over the tiles. */
TS_WG_INLINE void multiply(int blocks, bool add, int tiles, const float *dy, const float *x, int64_t x_step,
                           float *to, int64_t to_step)
{
    const int vectors = blocks * TS_WG_PER_GROUP;
    ts_wg_vector sum[TS_WG_ROWS][TS_WG_BLOCKS * TS_WG_PER_GROUP] = {0};
#pragma GCC unroll 4
    for (int t = 0; t < tiles; t++, dy += TS_WG_GROUP, x += TS_WG_GROUP)
#pragma GCC unroll 8
        for (int r = 0; r < TS_WG_ROWS; r++)
#pragma GCC unroll 8
            for (int v = 0; v < vectors; v++)
                sum[r][v] +=
                    dy[r] * ts_wg_load(x + v / TS_WG_PER_GROUP * x_step + v % TS_WG_PER_GROUP * TS_WG_LANES);
#pragma GCC unroll 8
    for (int r = 0; r < TS_WG_ROWS; r++)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) {
            float *const at = to + r * to_step + v * TS_WG_LANES;
            ts_wg_store(at, add ? ts_wg_load(at) + sum[r][v] : sum[r][v]);
        }
}

TS_WG_INLINE void multiply_chunks(int blocks, bool add, int tiles, const float *dy, const float *x,
                                  int64_t step, float *to, int64_t to_step)
{
    for (int t = 0; t < tiles; t += TS_WG_CHUNK) {
        const int count = tiles - t < TS_WG_CHUNK ? tiles - t : TS_WG_CHUNK;
        multiply(blocks, add || t > 0, count, dy + t * TS_WG_GROUP, x + t * TS_WG_GROUP, step, to, to_step);
    }
}

static void multiply_point(int ci, int co, bool add, int tiles, const float *dy, const float *x, float *to)
{
    const int64_t step = (int64_t)tiles * TS_WG_GROUP;
    for (int i = 0; i < ci; i += TS_WG_PANEL) {
        const float *const panel = x + i / TS_WG_GROUP * step;
        const bool whole = ci - i >= TS_WG_PANEL;
        for (int o = 0; o < co; o += TS_WG_ROWS) {
            const float *const rows = dy + o / TS_WG_GROUP * step + o % TS_WG_GROUP;
            float *const sums = to + (int64_t)o * ci + i;
            if (whole)
                multiply_chunks(TS_WG_BLOCKS, add, tiles, rows, panel, step, sums, ci);
            else
                multiply_chunks(1, add, tiles, rows, panel, step, sums, ci);
        }
    }
}

/* dweight [9][ci] of one output += G^T (the sums of all threads) G */
static void transform_sums(int ci, int64_t stride, int parts, int64_t part, const float *sums, float *dweight)
{
    for (int k = 0; k < ci; k += TS_WG_LANES) {
        ts_wg_vector rows[TS_WG_SIDE][3];
        for (int i = 0; i < TS_WG_SIDE; i++) {
            ts_wg_vector m[TS_WG_SIDE];
            for (int j = 0; j < TS_WG_SIDE; j++) {
                const float *const from = sums + (i * TS_WG_SIDE + j) * stride + k;
                m[j] = ts_wg_load(from);
                for (int t = 1; t < parts; t++)
                    m[j] += ts_wg_load(from + t * part);
            }
            ts_wg_filter_adjoint(m, rows[i]);
        }
        for (int j = 0; j < 3; j++) {
            ts_wg_vector m[TS_WG_SIDE], g[3];
            for (int i = 0; i < TS_WG_SIDE; i++)
                m[i] = rows[i][j];
            ts_wg_filter_adjoint(m, g);
            for (int i = 0; i < 3; i++) {
                float *const to = dweight + (i * 3 + j) * (int64_t)ci + k;
                ts_wg_store(to, ts_wg_load(to) + g[i]);
            }
        }
    }
}

ts_status ts_cpu_winograd_weight_gradient(ts_device *device, const ts_conv_backward *a)
{
    const int threads = device->threads, ci = a->ci, co = a->co;
    const ts_wg_grid grid = ts_wg_grid_of(a->n, a->h, a->w, 1, 1);
    const int tiles = ts_wg_block_tiles(grid.tiles, ci, co, threads);
    const int64_t blocks = (grid.tiles + tiles - 1) / tiles;
    const int parts = blocks < threads ? (int)blocks : threads; /* each with sums of its own */
    const int64_t x_stride = ts_wg_point_stride(tiles, ci), y_stride = ts_wg_point_stride(tiles, co);
    const int64_t stride = ts_wg_point_stride(ci, co), each = TS_WG_POINTS * (x_stride + y_stride);
    const int most = ci > co ? ci : co;
    void *memory, *scratch;
    TS_TRY(ts_cpu_scratch(device, SLOT_SUMS, (size_t)(parts * TS_WG_POINTS * stride + most) * sizeof(float),
                          &memory));
    TS_TRY(ts_cpu_scratch(device, SLOT_BLOCKS, (size_t)(parts * each) * sizeof(float), &scratch));
    float *const sums = memory, *const zeros = sums + parts * TS_WG_POINTS * stride;
    memset(zeros, 0, (size_t)most * sizeof *zeros);
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(static)
        for (int t = 0; t < parts; t++) {
            float *const x = (float *)scratch + t * each, *const y = x + TS_WG_POINTS * x_stride;
            const int64_t first = blocks * t / parts;
            for (int64_t b = first; b < blocks * (t + 1) / parts; b++) {
                const ts_wg_block block = {b * tiles, tiles};
                ts_wg_transform_input(&grid, block, ci, a->x, zeros, x);
                ts_wg_transform_gradient(&grid, block, co, a->dy, zeros, y);
                for (int p = 0; p < TS_WG_POINTS; p++)
                    multiply_point(ci, co, b > first, tiles, y + p * y_stride, x + p * x_stride,
                                   sums + (t * TS_WG_POINTS + p) * stride);
            }
        }
#pragma omp for schedule(static)
        for (int o = 0; o < co; o++)
            transform_sums(ci, stride, parts, TS_WG_POINTS * stride, sums + (int64_t)o * ci,
                           a->dweight + (int64_t)o * 9 * ci);
    }
    return NULL;
}
