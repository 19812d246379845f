/*
 * Tiles, points and vectors of winograd.h.  A tile is 4x4 outputs, made from 6x6 inputs; both are transformed
 * to 6x6 points.  For a block of tiles the transformed data lie as [36][channels / 16][tiles][16]: a point's
 * matrix can be read tile by tile (the products of forward) or channel by channel (those of the weights'
 * gradient) at constant strides.
 */
#ifndef TS_KERNELS_CPU_CONV_WINOGRAD_TILE_H
#define TS_KERNELS_CPU_CONV_WINOGRAD_TILE_H

#include <string.h>
#include "kernels/cpu/cpu.h"

enum { TS_WG_TILE = 4, TS_WG_SIDE = 6, TS_WG_POINTS = 36, TS_WG_GROUP = 16 };

/* The register block of the products: ROWS x BLOCKS groups of 16 channels in vectors of LANES. */
#if defined __AVX512F__
enum { TS_WG_LANES = 16, TS_WG_ROWS = 8, TS_WG_BLOCKS = 2 };
#elif defined __AVX__
enum { TS_WG_LANES = 8, TS_WG_ROWS = 4, TS_WG_BLOCKS = 1 };
#elif defined __aarch64__
enum { TS_WG_LANES = 4, TS_WG_ROWS = 4, TS_WG_BLOCKS = 1 };
#else
enum { TS_WG_LANES = 4, TS_WG_ROWS = 2, TS_WG_BLOCKS = 1 };
#endif
/* Vectors in a group, and columns of a full register block. */
enum { TS_WG_PER_GROUP = TS_WG_GROUP / TS_WG_LANES, TS_WG_PANEL = TS_WG_BLOCKS * TS_WG_GROUP };

/* Products are summed in registers over as many terms, and such sums in memory: the error then hardly grows
 * with the channels. */
enum { TS_WG_CHUNK = 32 };

typedef float ts_wg_vector __attribute__((vector_size(TS_WG_LANES * sizeof(float))));
#define TS_WG_INLINE static inline __attribute__((always_inline))

TS_WG_INLINE ts_wg_vector ts_wg_load(const float *from)
{
    ts_wg_vector v;
    memcpy(&v, from, sizeof v);
    return v;
}

TS_WG_INLINE void ts_wg_store(float *to, ts_wg_vector v)
{
    memcpy(to, &v, sizeof v);
}

TS_WG_INLINE ts_wg_vector ts_wg_relu(ts_wg_vector v)
{
    typedef int mask __attribute__((vector_size(sizeof(ts_wg_vector))));
    const ts_wg_vector zero = {0};
    return (ts_wg_vector)((mask)v & (v > zero));
}

/* ---- the transforms of one row or column, for points 0, a, -a, b, -b, infinity ---- */

#define TS_WG_A 0x1.6a09e6p-1f /* 1/sqrt(2) */
#define TS_WG_B 0x1.6a09e6p+0f /* sqrt(2) */

/* to = B^T d */
TS_WG_INLINE void ts_wg_input(const ts_wg_vector d[6], ts_wg_vector to[6])
{
    const ts_wg_vector even_a = d[4] - 2.0f * d[2], odd_a = d[3] - 2.0f * d[1];
    const ts_wg_vector even_b = d[4] - 0.5f * d[2], odd_b = d[3] - 0.5f * d[1];
    to[0] = (d[0] + d[4]) - 2.5f * d[2];
    to[1] = even_a + TS_WG_A * odd_a;
    to[2] = even_a - TS_WG_A * odd_a;
    to[3] = even_b + TS_WG_B * odd_b;
    to[4] = even_b - TS_WG_B * odd_b;
    to[5] = (d[1] + d[5]) - 2.5f * d[3];
}

/* to = A^T m */
TS_WG_INLINE void ts_wg_output(const ts_wg_vector m[6], ts_wg_vector to[4])
{
    const ts_wg_vector even_a = m[1] + m[2], odd_a = m[1] - m[2];
    const ts_wg_vector even_b = m[3] + m[4], odd_b = m[3] - m[4];
    to[0] = m[0] + (even_a + even_b);
    to[1] = TS_WG_A * odd_a + TS_WG_B * odd_b;
    to[2] = 0.5f * even_a + 2.0f * even_b;
    to[3] = m[5] + ((0.5f * TS_WG_A) * odd_a + (2.0f * TS_WG_B) * odd_b);
}

/* to = A y, the adjoint of ts_wg_output */
TS_WG_INLINE void ts_wg_output_adjoint(const ts_wg_vector y[4], ts_wg_vector to[6])
{
    const ts_wg_vector even_a = y[0] + 0.5f * y[2], odd_a = y[1] + 0.5f * y[3];
    const ts_wg_vector even_b = y[0] + 2.0f * y[2], odd_b = y[1] + 2.0f * y[3];
    to[0] = y[0];
    to[1] = even_a + TS_WG_A * odd_a;
    to[2] = even_a - TS_WG_A * odd_a;
    to[3] = even_b + TS_WG_B * odd_b;
    to[4] = even_b - TS_WG_B * odd_b;
    to[5] = y[3];
}

/* to = G g */
TS_WG_INLINE void ts_wg_filter(const ts_wg_vector g[3], ts_wg_vector to[6])
{
    const ts_wg_vector even_a = (-2.0f / 3) * g[0] - (1.0f / 3) * g[2], odd_a = (-2.0f / 3 * TS_WG_A) * g[1];
    const ts_wg_vector even_b = (1.0f / 6) * g[0] + (1.0f / 3) * g[2], odd_b = (1.0f / 6 * TS_WG_B) * g[1];
    to[0] = g[0];
    to[1] = even_a + odd_a;
    to[2] = even_a - odd_a;
    to[3] = even_b + odd_b;
    to[4] = even_b - odd_b;
    to[5] = g[2];
}

/* to = G^T m */
TS_WG_INLINE void ts_wg_filter_adjoint(const ts_wg_vector m[6], ts_wg_vector to[3])
{
    const ts_wg_vector even_a = m[1] + m[2], odd_a = m[1] - m[2];
    const ts_wg_vector even_b = m[3] + m[4], odd_b = m[3] - m[4];
    to[0] = m[0] + ((1.0f / 6) * even_b - (2.0f / 3) * even_a);
    to[1] = (1.0f / 6 * TS_WG_B) * odd_b - (2.0f / 3 * TS_WG_A) * odd_a;
    to[2] = m[5] + (1.0f / 3) * (even_b - even_a);
}

/* ---- tiles ---- */

typedef struct ts_wg_grid {
    int in_h, in_w, pad_h, pad_w; /* of the inputs; zeros around them */
    int h, w, rows, columns;      /* of the outputs of an image: pixels, tiles */
    int64_t tiles;                /* of all images */
} ts_wg_grid;

/* Of inputs [n,h,w]. */
static inline ts_wg_grid ts_wg_grid_of(int n, int h, int w, int pad_h, int pad_w)
{
    const int oh = h + 2 * pad_h - 2, ow = w + 2 * pad_w - 2;
    const int rows = (oh + TS_WG_TILE - 1) / TS_WG_TILE, columns = (ow + TS_WG_TILE - 1) / TS_WG_TILE;
    return (ts_wg_grid){h, w, pad_h, pad_w, oh, ow, rows, columns, (int64_t)n * rows * columns};
}

/* Tile `index`: its image, and the pixel of its first output. */
typedef struct ts_wg_place {
    int64_t image;
    int y, x;
} ts_wg_place;

static inline ts_wg_place ts_wg_place_of(const ts_wg_grid *g, int64_t index)
{
    const int64_t row = index / g->columns;
    const int x = (int)(index % g->columns) * TS_WG_TILE;
    return (ts_wg_place){row / g->rows, (int)(row % g->rows) * TS_WG_TILE, x};
}

/* A block of tiles as one thread transforms it. */
typedef struct ts_wg_block {
    int64_t first; /* tile */
    int tiles;     /* with what fills up the last register block: tiles of zeros beyond the last */
} ts_wg_block;

/* Floats from one point's matrix to the next; not a power of two, which would put all points of a tile into
 * the same few lines of the cache. */
static inline int64_t ts_wg_point_stride(int64_t rows, int64_t columns)
{
    return rows * columns + TS_WG_GROUP;
}

/* points [36][c / 16][b.tiles][16] of the 6x6 inputs around each tile of x [n,h,w,c]; `zeros` [c]. */
void ts_wg_transform_input(const ts_wg_grid *grid, ts_wg_block b, int c, const float *x, const float *zeros,
                           float *points);
/* points of the 4x4 output gradients: A dy A^T */
void ts_wg_transform_gradient(const ts_wg_grid *grid, ts_wg_block b, int c, const float *dy,
                              const float *zeros, float *points);

/* Tiles in a block, so that what belongs to it stays in a core's own cache where that is possible. */
int ts_wg_block_tiles(int64_t tiles, int ci, int co, int threads);

#endif
