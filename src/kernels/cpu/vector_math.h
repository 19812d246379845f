/*
 * float32 elementary functions as branch-free inline code, which the compiler vectorises inside a loop
 * (`#pragma omp simd`).  Relative error below 2e-7 for finite arguments, NaN propagates.  exp overflows to
 * infinity and goes through the denormals to zero; what is made of sigmoids goes to zero below 2^-126.
 */
#ifndef TS_KERNELS_CPU_VECTOR_MATH_H
#define TS_KERNELS_CPU_VECTOR_MATH_H

#include <stdint.h>
#include <string.h>

static inline uint32_t ts_float_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float ts_bits_float(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* exp(x) = 2^n exp(r) with n = round(x / ln 2): returns exp(r) by Cephes' polynomial on |r| <= ln(2)/2 and n
 * in *exponent. */
static inline float ts_exp_split(float x, int32_t *exponent)
{
    const float magic = 0x1.8p23f; /* adding it rounds to an integer, which then is in the low bits */
    const float shifted = x * 0x1.715476p+0f + magic;
    const float n = shifted - magic;
    const float r = (x - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f; /* ln 2 in two parts, n high exact */
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    *exponent = (int32_t)(ts_float_bits(shifted) - ts_float_bits(magic));
    return p * (r * r) + r + 1.0f;
}

static inline float ts_exp(float x)
{
    /* Beyond these the result is infinity or 0; NaN passes both comparisons. */
    x = x > 89.0f ? 89.0f : x;
    x = x < -104.0f ? -104.0f : x;
    int32_t n;
    const float p = ts_exp_split(x, &n);
    /* 2^n in two factors: one alone cannot reach 2^128 or the denormals. */
    const int32_t half = n >> 1;
    return p * ts_bits_float((uint32_t)(half + 127) << 23) * ts_bits_float((uint32_t)(n - half + 127) << 23);
}

/* exp(-|x|); 0 below 2^-126. */
static inline float ts_exp_minus_abs(float x)
{
    x = x < 0.0f ? x : -x;
    x = x < -88.0f ? -88.0f : x; /* n = -127: the factor is 0 */
    int32_t n;
    const float p = ts_exp_split(x, &n);
    return p * ts_bits_float((uint32_t)(n + 127) << 23);
}

/* 1 / (1 + exp(-x)), small values in full relative precision */
static inline float ts_sigmoid(float x)
{
    const float e = ts_exp_minus_abs(x);
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

static inline float ts_silu_of(float x)
{
    return x * ts_sigmoid(x);
}

/* d/dx (x sigmoid(x)) = sigmoid(x) (1 + x sigmoid(-x)) */
static inline float ts_silu_slope(float x)
{
    const float e = ts_exp_minus_abs(x);
    const float large = 1.0f / (1.0f + e), small = e * large;
    return (x < 0.0f ? small : large) * (1.0f + x * (x < 0.0f ? large : small));
}

#endif
