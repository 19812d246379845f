/*
 * What both directions of winograd.h do to their data: tiles to points.
 */
#include "kernels/cpu/conv/winograd_tile.h"

/* Images [h,w] that tiles are taken from: a tile's first pixel lies (up, left) of that of its outputs. */
typedef struct plane {
    int h, w, up, left;
} plane;

/* Where the side x side pixels of a tile are; `zeros` for those outside the image. */
TS_WG_INLINE void find_pixels(const ts_wg_grid *g, int64_t index, int c, const float *data,
                              const float *zeros, plane of, int side, const float **pixels)
{
    const ts_wg_place place = ts_wg_place_of(g, index);
    for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) {
            const int y = place.y - of.up + i, x = place.x - of.left + j;
            const bool inside = index < g->tiles && y >= 0 && y < of.h && x >= 0 && x < of.w;
            pixels[i * side + j] = inside ? data + ((place.image * of.h + y) * of.w + x) * c : zeros;
        }
}

void ts_wg_transform_input(const ts_wg_grid *grid, ts_wg_block b, int c, const float *x, const float *zeros,
                           float *points)
{
    const int64_t stride = ts_wg_point_stride(b.tiles, c);
    const plane inputs = {grid->in_h, grid->in_w, grid->pad_h, grid->pad_w};
    for (int tile = 0; tile < b.tiles; tile++) {
        const float *pixels[TS_WG_POINTS];
        find_pixels(grid, b.first + tile, c, x, zeros, inputs, TS_WG_SIDE, pixels);
        for (int k = 0; k < c; k += TS_WG_LANES) {
            float *const to =
                points + ((int64_t)(k / TS_WG_GROUP) * b.tiles + tile) * TS_WG_GROUP + k % TS_WG_GROUP;
            ts_wg_vector rows[TS_WG_SIDE][TS_WG_SIDE];
#pragma GCC unroll 6
            for (int i = 0; i < TS_WG_SIDE; i++) {
                ts_wg_vector d[TS_WG_SIDE];
#pragma GCC unroll 6
                for (int j = 0; j < TS_WG_SIDE; j++)
                    d[j] = ts_wg_load(pixels[i * TS_WG_SIDE + j] + k);
                ts_wg_input(d, rows[i]);
            }
#pragma GCC unroll 6
            for (int j = 0; j < TS_WG_SIDE; j++) {
                ts_wg_vector d[TS_WG_SIDE], p[TS_WG_SIDE];
#pragma GCC unroll 6
                for (int i = 0; i < TS_WG_SIDE; i++)
                    d[i] = rows[i][j];
                ts_wg_input(d, p);
#pragma GCC unroll 6
                for (int i = 0; i < TS_WG_SIDE; i++)
                    ts_wg_store(to + (i * TS_WG_SIDE + j) * stride, p[i]);
            }
        }
    }
}

void ts_wg_transform_gradient(const ts_wg_grid *grid, ts_wg_block b, int c, const float *dy,
                              const float *zeros, float *points)
{
    const int64_t stride = ts_wg_point_stride(b.tiles, c);
    const plane outputs = {grid->h, grid->w, 0, 0};
    for (int tile = 0; tile < b.tiles; tile++) {
        const float *pixels[TS_WG_TILE * TS_WG_TILE];
        find_pixels(grid, b.first + tile, c, dy, zeros, outputs, TS_WG_TILE, pixels);
        for (int k = 0; k < c; k += TS_WG_LANES) {
            float *const to =
                points + ((int64_t)(k / TS_WG_GROUP) * b.tiles + tile) * TS_WG_GROUP + k % TS_WG_GROUP;
            ts_wg_vector rows[TS_WG_TILE][TS_WG_SIDE];
#pragma GCC unroll 4
            for (int i = 0; i < TS_WG_TILE; i++) {
                ts_wg_vector y[TS_WG_TILE];
#pragma GCC unroll 4
                for (int j = 0; j < TS_WG_TILE; j++)
                    y[j] = ts_wg_load(pixels[i * TS_WG_TILE + j] + k);
                ts_wg_output_adjoint(y, rows[i]);
            }
#pragma GCC unroll 6
            for (int j = 0; j < TS_WG_SIDE; j++) {
                ts_wg_vector y[TS_WG_TILE], p[TS_WG_SIDE];
#pragma GCC unroll 4
                for (int i = 0; i < TS_WG_TILE; i++)
                    y[i] = rows[i][j];
                ts_wg_output_adjoint(y, p);
#pragma GCC unroll 6
                for (int i = 0; i < TS_WG_SIDE; i++)
                    ts_wg_store(to + (i * TS_WG_SIDE + j) * stride, p[i]);
            }
        }
    }
}

int ts_wg_block_tiles(int64_t tiles, int ci, int co, int threads)
{
    /* Both transformed tensors of a block in about 1 MiB; with many channels the weights do not stay in the
     * cache anyway, and a block is long enough to read them seldom. */
    enum { FLOATS = 1 << 18, LEAST = 32 };
    int64_t most = FLOATS / ((int64_t)TS_WG_POINTS * (ci + co));
    most = most < LEAST ? LEAST : most;
    const int64_t share = (tiles + threads - 1) / threads;
    const int64_t blocks = (share + most - 1) / most;
    const int64_t even = (share + blocks - 1) / blocks;
    return (int)((even + TS_WG_ROWS - 1) / TS_WG_ROWS * TS_WG_ROWS);
}
