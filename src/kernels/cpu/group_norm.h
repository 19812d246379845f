/*
 * What the two directions of group normalisation share.  A thread takes whole images and walks each in
 * chunks of rows that stay in its first-level cache; sums run in float32 within a chunk and in double across
 * chunks.
 */
#ifndef TS_KERNELS_CPU_GROUP_NORM_H
#define TS_KERNELS_CPU_GROUP_NORM_H

#include "kernels/cpu/cpu.h"

/* The width of the machine's vectors; each lane is a channel of its own, so no result depends on it. */
#if defined(__AVX512F__)
enum { TS_GN_LANES = 16 };
#elif defined(__AVX__)
enum { TS_GN_LANES = 8 };
#else
enum { TS_GN_LANES = 4 };
#endif
enum { TS_GN_MOST_ROWS = 64, TS_GN_CHUNK = 4096 };

typedef float ts_gn_vector __attribute__((vector_size(4 * TS_GN_LANES), aligned(4), may_alias));

/* Rows of c channels that go together. */
static inline int ts_gn_chunk_rows(int c)
{
    const int rows = TS_GN_CHUNK / c;
    return rows < 1 ? 1 : rows > TS_GN_MOST_ROWS ? TS_GN_MOST_ROWS : rows;
}

/* A vector of channels from `k` on; lanes beyond c are zero. */
static inline ts_gn_vector ts_gn_load(const float *p, int k, int c)
{
    if (k + TS_GN_LANES <= c)
        return *(const ts_gn_vector *)(p + k);
    ts_gn_vector v = {0};
    for (int j = 0; j < c - k; j++)
        v[j] = p[k + j];
    return v;
}

/* One of the tensors that lie side by side along the channels: its channels are first .. first + width of the
 * whole. */
typedef struct ts_gn_source {
    const float *x;
    int first, width;
} ts_gn_source;

/* The sources of an input of c channels, c2 of them in x2 (NULL: none), from row `row` on; returns
 * how many. */
static inline int ts_gn_sources(const void *x, const void *x2, int c, int c2, int64_t row, ts_gn_source s[2])
{
    const int width = c - c2;
    s[0] = (ts_gn_source){(const float *)x + row * width, 0, width};
    s[1] = (ts_gn_source){x2 ? (const float *)x2 + row * c2 : NULL, width, c2};
    return x2 ? 2 : 1;
}

static inline void ts_gn_add(double *totals, int k, int c, ts_gn_vector v)
{
    for (int j = 0; j < TS_GN_LANES && k + j < c; j++)
        totals[k + j] += (double)v[j];
}

/* coarse [w,..] = factor (sum of 2x2 of fine, two lines [2w,..]), `channels` of every position, which are
 * pitch_fine and pitch_coarse apart */
static inline void ts_gn_halve_line(int w, int channels, float factor, const float *fine, int pitch_fine,
                                    float *coarse, int pitch_coarse)
{
    const int64_t next = (int64_t)2 * w * pitch_fine;
    for (int column = 0; column < w; column++) {
        const float *const restrict left = fine + (int64_t)2 * column * pitch_fine;
        const float *const restrict right = left + pitch_fine;
        float *const restrict to = coarse + (int64_t)column * pitch_coarse;
        for (int k = 0; k < channels; k++)
            to[k] = factor * (left[k] + right[k] + left[next + k] + right[next + k]);
    }
}

/* One of the two lines [2w,..] that come from coarse [w,..], times factor. */
static inline void ts_gn_double_line(int w, int channels, float factor, const float *coarse, int pitch_coarse,
                                     float *fine, int pitch_fine)
{
    for (int column = 0; column < 2 * w; column++) {
        const float *const restrict from = coarse + (int64_t)(column / 2) * pitch_coarse;
        float *const restrict to = fine + (int64_t)column * pitch_fine;
        for (int k = 0; k < channels; k++)
            to[k] = factor * from[k];
    }
}

/* Dropout factors, 0 or 1/(1-p), of elements first .. first + count; returns where they start in `buffer`
 * (count + 4 floats). */
static inline float *ts_gn_dropout(const ts_step_state *state, uint32_t layer, float p, uint64_t first,
                                   int64_t count, float *buffer)
{
    const uint64_t aligned = first & ~(uint64_t)3;
    const int64_t offset = (int64_t)(first - aligned);
    ts_cpu_uniforms(state, TS_STREAM_DROPOUT + layer, aligned, offset + count, buffer);
    const float keep = 1.0f / (1.0f - p);
    float *const factor = buffer + offset;
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        factor[i] = factor[i] > p ? keep : 0.0f;
    return factor;
}

#endif
