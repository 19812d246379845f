/*
 * Random numbers of the CPU device: Philox words in blocks of counters, one counter a vector lane, and
 * cuRAND's transforms of them (philox.h).  Every block goes through the same vector loop, ranges that end
 * within a block included, so that the value of an element depends on nothing but its number.
 */
#include <math.h>
#include <string.h>
#include "kernels/cpu/cpu.h"

enum { LANES = 64, BLOCK = 4 * LANES };

/* Natural logarithm of u in [2^-33, 1], to 1 unit in the last place, exactly 0 at 1 and nowhere positive: the
 * exponent is split off so that m lies in [sqrt(1/2), sqrt(2)), then a polynomial in m - 1 (Cephes logf). */
static inline float log_unit(float u)
{
    int32_t bits;
    memcpy(&bits, &u, sizeof bits);
    int32_t exponent = (bits - 0x3f3504f3) >> 23;
    bits -= (int32_t)((uint32_t)exponent << 23);
    float m;
    memcpy(&m, &bits, sizeof m);
    float f = m - 1.0f, e = (float)exponent, square = f * f;
    float p = 7.0376836292e-2f;
    p = p * f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    float tail = p * f * square + e * -2.12194440e-4f - 0.5f * square;
    return f + tail + e * 0.693359375f;
}

/* sin v and cos v of v in [0, 2 pi], to 1e-7: reduction to [-pi/4, pi/4] by the nearest multiple of pi/2,
 * whose leading part is short enough for exact products, then the Cephes polynomials. */
static inline void sine_cosine(float v, float *sine, float *cosine)
{
    int32_t quadrant = (int32_t)(v * 0.63661977f + 0.5f);
    float k = (float)quadrant;
    float r = v - k * 1.5703125f - k * 4.83751296997e-4f - k * 7.5497899548e-8f;
    float x = r * r;
    float s = ((-1.9515295891e-4f * x + 8.3321608736e-3f) * x - 1.6666654611e-1f) * x * r + r;
    float c = ((2.443315711809948e-5f * x - 1.388731625493765e-3f) * x + 4.166664568298827e-2f) * x * x -
              0.5f * x + 1.0f;
    float a = quadrant & 1 ? c : s, b = quadrant & 1 ? s : c;
    *sine = quadrant & 2 ? -a : a;
    *cosine = (quadrant + 1) & 2 ? -b : b;
}

/* curand_normal.h's Box-Muller. */
static inline void box_muller(uint32_t x, uint32_t y, float *first, float *second)
{
    const float turn = 2.3283064e-10f * 6.2831855f;
    float u = ts_uniform_from(x), v = (float)y * turn + turn / 2;
    float s = sqrtf(-2.0f * log_unit(u)), sine, cosine;
    sine_cosine(v, &sine, &cosine);
    *first = s * sine;
    *second = s * cosine;
}

static void normal_block(const ts_step_state *state, uint32_t stream, uint32_t block, float *restrict out)
{
    const ts_step_state s = *state;
#pragma omp simd
    for (uint32_t lane = 0; lane < LANES; lane++) {
        ts_philox_words w = ts_random_words(&s, stream, block + lane);
        float z0, z1, z2, z3;
        box_muller(w.v[0], w.v[1], &z0, &z1);
        box_muller(w.v[2], w.v[3], &z2, &z3);
        out[4 * lane] = z0;
        out[4 * lane + 1] = z1;
        out[4 * lane + 2] = z2;
        out[4 * lane + 3] = z3;
    }
}

static void uniform_block(const ts_step_state *state, uint32_t stream, uint32_t block, float *restrict out)
{
    const ts_step_state s = *state;
#pragma omp simd
    for (uint32_t lane = 0; lane < LANES; lane++) {
        ts_philox_words w = ts_random_words(&s, stream, block + lane);
        out[4 * lane] = ts_uniform_from(w.v[0]);
        out[4 * lane + 1] = ts_uniform_from(w.v[1]);
        out[4 * lane + 2] = ts_uniform_from(w.v[2]);
        out[4 * lane + 3] = ts_uniform_from(w.v[3]);
    }
}

typedef void block_function(const ts_step_state *state, uint32_t stream, uint32_t block, float *out);

static void fill(block_function *function, const ts_step_state *state, uint32_t stream, uint64_t first,
                 int64_t count, float *out)
{
    uint32_t block = (uint32_t)(first / 4);
    int64_t i = 0;
    for (; i + BLOCK <= count; i += BLOCK, block += LANES)
        function(state, stream, block, out + i);
    if (i < count) {
        float last[BLOCK];
        function(state, stream, block, last);
        memcpy(out + i, last, (size_t)(count - i) * sizeof *out);
    }
}

void ts_cpu_normals(const ts_step_state *state, uint32_t stream, uint64_t first, int64_t count, float *out)
{
    fill(normal_block, state, stream, first, count, out);
}

void ts_cpu_uniforms(const ts_step_state *state, uint32_t stream, uint64_t first, int64_t count, float *out)
{
    fill(uniform_block, state, stream, first, count, out);
}
