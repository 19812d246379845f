/*
 * The operations of the table in kernels.h: what each computes, by its arguments; those of Glow are in
 * operations_glow.h, those of networks that look at images in operations_images.h.
 *
 * Conventions
 *   Activations are NHWC, dense, of the device's activation type (float32; bfloat16 on a fast GPU device):
 *   `void *`.  Parameters, their gradients, statistics and per-image scalars are float32; `double` where a
 *   bound is accumulated.
 *   All pointers are device memory unless a comment says host.
 *   Gradients of parameters accumulate (+=).  Gradients of activations assign (=) unless `accumulate` is set.
 *   A NULL gradient pointer means that the gradient is not wanted.
 *   Operations are queued in order; `synchronize` waits.  Arguments passed by value are frozen when a launch
 *   sequence is recorded; what changes by step is read from `state`, which lives in device memory.
 *   Every operation is deterministic for a fixed device and thread count.
 */
#ifndef TS_KERNELS_OPERATIONS_H
#define TS_KERNELS_OPERATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "kernels/operations_glow.h"
#include "kernels/operations_images.h"
#include "kernels/philox.h"
#include "kernels/sde.h"

typedef enum ts_dtype { TS_F32, TS_BF16, TS_F64, TS_U8, TS_I32 } ts_dtype;

/* ---- convolution, dense layers, attention -------------------------------------------------------------- */

/* y = scale (conv3x3(x) + bias + residual), stride 1, zero padding 1.  x [n,h,w,ci], y and residual
 * [n,h,w,co], weight [co,3,3,ci] (cross-correlation), bias [co]; bias and residual may be NULL. */
typedef struct ts_conv_forward {
    int n, h, w, ci, co;
    const void *x, *residual;
    const float *weight, *bias;
    float scale;
    void *y;
} ts_conv_forward;

/* dy is the gradient of the bracket above (the caller applies `scale`).  Any of dx, dweight, dbias may be
 * NULL. */
typedef struct ts_conv_backward {
    int n, h, w, ci, co;
    const void *x, *dy;
    const float *weight;
    void *dx;
    bool accumulate;
    float *dweight, *dbias;
} ts_conv_backward;

/* y = scale (f(x) W^T + bias + residual), f identity or SiLU.  x [rows,in], weight [out,in], y, residual
 * [rows,out].  Also every 1x1 convolution, with rows = n h w.  With x2, the input is [x, x2] along the last
 * axis: x [rows,in-in2], x2 [rows,in2], 0 < in2 < in; else in2 = 0. */
typedef struct ts_dense_forward {
    int rows, in, out, in2;
    bool silu_input;
    const void *x, *x2, *residual;
    const float *weight, *bias;
    float scale;
    void *y;
    bool computed_weight; /* another operation computes the weight: no packed copy of it can be kept */
} ts_dense_forward;

/* dy is the gradient of the bracket; dx and dx2 are those of x and x2. */
typedef struct ts_dense_backward {
    int rows, in, out, in2;
    bool silu_input;
    const void *x, *x2, *dy;
    const float *weight;
    void *dx, *dx2;
    bool accumulate, accumulate2;
    float *dweight, *dbias;
    bool computed_weight;
} ts_dense_backward;

/* Single-head self-attention over `tokens` positions: y = softmax(q k^T / sqrt(c)) v, with q, k, v the three
 * thirds of the last axis of qkv [n,tokens,3c]; y [n,tokens,c]; probabilities [n,tokens,tokens] are kept for
 * the backward pass (device's activation type), NULL where there is none. */
typedef struct ts_attention_forward {
    int n, tokens, c;
    const void *qkv;
    void *probabilities, *y;
} ts_attention_forward;

typedef struct ts_attention_backward {
    int n, tokens, c;
    const void *qkv, *probabilities, *dy;
    void *dqkv;
} ts_attention_backward;

/* ---- normalisation and element-wise layers ------------------------------------------------------------- */

/* Halving: the mean of 2x2.  Doubling: nearest neighbour. */
typedef enum ts_resampling { TS_RESAMPLE_NONE, TS_RESAMPLE_HALVE, TS_RESAMPLE_DOUBLE } ts_resampling;

/* y = dropout(act(gamma (x' - mean) rstd + beta)), x' = x + shift, statistics over each image's hw positions
 * and c/groups channels, biased variance, act SiLU or identity.  x, y [n,hw,c]; shift [n,c] or NULL; gamma,
 * beta [c]; mean, rstd [n,groups] are outputs.  Dropout (inverted, off at 0) keeps element i when
 * uniform(state, TS_STREAM_DROPOUT + layer, i) > dropout.  With x2, the input is [x, x2] along the channels,
 * x [n,hw,c-c2], x2 [n,hw,c2], 0 < c2 < c; a group may have channels of both.  Else c2 = 0.
 *
 * With `resample`, height and width of the output are halved (both even) or doubled: y = R act(..)
 * [n,hw/4,c] or [n,4hw,c], and x_resampled = R x likewise, or NULL; w is the input's width.  There is no
 * shift and no dropout then. */
typedef struct ts_group_norm_forward {
    int n, hw, c, groups, c2;
    ts_resampling resample;
    int w;
    float epsilon;
    bool silu;
    float dropout;
    uint32_t layer;
    const ts_step_state *state;
    const void *x, *x2, *shift;
    const float *gamma, *beta;
    void *y, *x_resampled;
    float *mean, *rstd;
} ts_group_norm_forward;

/* dx and dx2 as x and x2; dshift [n,c] assigns.  dx_resampled is the gradient of x_resampled, or NULL. */
typedef struct ts_group_norm_backward {
    int n, hw, c, groups, c2;
    ts_resampling resample;
    int w;
    bool silu;
    float dropout;
    uint32_t layer;
    const ts_step_state *state;
    const void *x, *x2, *shift, *dy, *dx_resampled;
    const float *gamma, *beta, *mean, *rstd;
    void *dx, *dx2, *dshift;
    bool accumulate, accumulate2;
    float *dgamma, *dbeta;
} ts_group_norm_backward;

/* y = silu(x), count elements. */
typedef struct ts_silu_forward {
    int64_t count;
    const void *x;
    void *y;
} ts_silu_forward;

typedef struct ts_silu_backward {
    int64_t count;
    const void *x, *dy;
    void *dx;
    bool accumulate;
} ts_silu_backward;

/* y = scale x, or y += scale x. */
typedef struct ts_add_scaled {
    int64_t count;
    float scale;
    const void *x;
    void *y;
    bool accumulate;
} ts_add_scaled;

/* y = [a, b] along the channels: a [rows,ca], b [rows,cb], y [rows,ca+cb]. */
typedef struct ts_concat_forward {
    int64_t rows;
    int ca, cb;
    const void *a, *b;
    void *y;
} ts_concat_forward;

typedef struct ts_concat_backward {
    int64_t rows;
    int ca, cb;
    const void *dy;
    void *da, *db;
    bool accumulate_a, accumulate_b;
} ts_concat_backward;

/* y = x[:, first : first + c_out]; x [rows,c_in], y [rows,c_out]. */
typedef struct ts_slice_forward {
    int64_t rows;
    int c_in, first, c_out;
    const void *x;
    void *y;
} ts_slice_forward;

/* Without `accumulate` the channels outside the slice become zero. */
typedef struct ts_slice_backward {
    int64_t rows;
    int c_in, first, c_out;
    const void *dy;
    void *dx;
    bool accumulate;
} ts_slice_backward;

/* Transformer sinusoids (Vaswani et al. 2017 as in score_sde) of u(t), what networks are told of t
 * (ts_sde_condition): 999 t, for VE sigma(t), or 25 log-SNR.  With half = c/2 and w_j = exp(-j ln(10000)/(half-1)),
 * y[i] = [sin(u(t_i) w_j), cos(u(t_i) w_j)].  t [n] float, y [n,c], c even. */
typedef struct ts_time_embedding {
    int n, c;
    ts_sde sde;
    ts_time_input_kind input;
    const float *t;
    void *y;
} ts_time_embedding;

/* Random Fourier features (Tancik et al. 2020 as in score_sde) of l(t) = ln u(t), or ln(s/a) where the input
 * is the log-SNR (ts_sde_log_condition), with frequencies f [c/2]:
 * y[i] = [sin(2 pi f_j l(t_i)), cos(2 pi f_j l(t_i))]. */
typedef struct ts_fourier_embedding {
    int n, c;
    ts_sde sde;
    ts_time_input_kind input;
    const float *t, *frequencies;
    void *y;
} ts_fourier_embedding;

/* y = scale x + offset, or with t [n] y = scale s(t_i) x + offset in row i; x, y [n,d]. With offset 0 it is
 * its own backward pass; accumulate adds. */
typedef struct ts_affine {
    int n, d;
    ts_sde sde;
    const float *t;
    float scale, offset;
    const void *x;
    void *y;
    bool accumulate;
} ts_affine;

/* The noise that a network's output stands for: y = of_x(t_i) x_t + of_p(t_i) net in row i, by ts_sde_noise of
 * what it predicts; x_t, net, y [n,d].  Without net (NULL) or without x_t that term is left out: of the
 * gradient of y in the place of the other, it is its own backward pass; accumulate adds. */
typedef struct ts_to_noise {
    int n, d;
    ts_sde sde;
    ts_predicts_kind predicts;
    const float *t;
    const void *xt, *net;
    void *y;
    bool accumulate;
} ts_to_noise;

/* Resampling by a separable filter k (as upfirdn_2d of Karras et al. 2020): x [n,h,w,c], residual and y
 * [n,oh,ow,c],
 *
 *     y[i,j] = scale (sum_{a,b < taps} k[a] k[b] X[down i + a - pad, down j + b - pad] + residual[i,j]),
 *
 * X the image with up - 1 zeros after every pixel and zeros all around; up and down are 1 or 2; residual
 * may be NULL; accumulate adds y to what is there. The transpose is the same operation with up and down
 * exchanged, k reversed and taps - 1 - pad for pad: the backward pass. */
enum { TS_FIR_TAPS = 8 };

typedef struct ts_fir {
    int n, h, w, c, oh, ow;
    int up, down, pad, taps;
    float k[TS_FIR_TAPS], scale;
    const void *x, *residual;
    void *y;
    bool accumulate;
} ts_fir;

/* ---- the training loop --------------------------------------------------------------------------------- */

typedef enum ts_time_sampling { TS_TIME_UNIFORM, TS_TIME_IMPORTANCE, TS_TIME_STRUCTURE } ts_time_sampling;

/* t[i] on [t_min, t_max]: uniform; with density proportional to g^2/s^2 (uniform in Lambda); or uniform in
 * ln(s^2/(a^2 + s^2)), for VP with density proportional to g^2/s^2 a^2: where there is something of the data left to
 * learn.  Low discrepancy spreads one uniform draw of the batch, element 0, as (u + i/n) mod 1, independent draws use
 * element i.  Stream TS_STREAM_TIME.  t is rounded to float32 so that it does not leave the interval. */
typedef struct ts_draw_times {
    int n;
    ts_sde sde;
    double t_min, t_max;
    ts_time_sampling sampling;
    bool low_discrepancy;
    const ts_step_state *state;
    float *t;
} ts_draw_times;

/* Fills a batch of data on the device: x0[i] = the (shuffled) example of this step, float32 in model scale.
 * Bytes become byte * scale + offset.  With `shuffle`, position step*n + i is mapped through a permutation of
 * the epoch it falls in (ts_shuffle_index); without, x0[i] is example (start + i) mod count.  Flips mirror an
 * image horizontally with probability 1/2: where uniform(state, TS_STREAM_FLIP, i) > 0.5.  Exactly one of
 * bytes, floats is set. */
typedef struct ts_gather {
    int n, h, w, c; /* vectors: h = w = 1 */
    int64_t count, start;
    bool shuffle, flip;
    float scale, offset;
    const uint8_t *bytes; /* [count,h,w,c] */
    const float *floats;
    const ts_step_state *state;
    float *x0;
} ts_gather;

/* x_t = a(t) x0 + s(t) z, and in z what is to be predicted: z itself, v or x0 (ts_sde_target).  z is drawn
 * from TS_STREAM_NOISE, element i*d + j.  With `wide`, both are float32 whatever the activation type, as a
 * bound needs them. */
typedef struct ts_perturb {
    int n, d;
    ts_sde sde;
    const ts_step_state *state;
    const float *x0, *t;
    void *xt, *z;
    bool wide;
    ts_predicts_kind predicts;
} ts_perturb;

/* A training batch of images or vectors in one: the times that draw_times gives, and x_t and z [n,d] of
 * perturb for the x0 that gather gives, all of `times.state`.  n is that of data and times; x0 is
 * not kept. */
typedef struct ts_noisy_batch {
    ts_gather data; /* without x0 */
    ts_draw_times times;
    void *xt, *z;
    ts_predicts_kind predicts;
} ts_noisy_batch;

/* Of the squared error of what is predicted, of the noise that it stands for, and of that g^2/s^2. */
typedef enum ts_loss_weight { TS_WEIGHT_ONE, TS_WEIGHT_NOISE, TS_WEIGHT_LIKELIHOOD } ts_loss_weight;

/* net and z are predictions (`predicts`), f(t) mean_d (net - z)^2 the error of the noise that they stand for
 * (ts_sde_noise_factor).  loss[i] = w(t_i) mean_d (net - z)^2 with w = 1, f or f g^2/s^2; dnet = gradient of
 * the batch mean of loss; total (one double) += sum of loss; profile [bins][2] (double) += (sum of f mean
 * (net - z)^2, count) in the bin of t over [t_min, t_max].  dnet, total and profile may be NULL. */
typedef struct ts_score_loss {
    int n, d, bins;
    ts_sde sde;
    ts_predicts_kind predicts;
    ts_loss_weight weight;
    double t_min, t_max;
    const float *t;
    const void *net, *z;
    float *loss;
    void *dnet;
    double *total, *profile;
} ts_score_loss;

/* w(t), for devices; `factor`: f(t). */
TS_FN double ts_loss_weight_of(const ts_score_loss *a, double factor, double t)
{
    if (a->weight == TS_WEIGHT_ONE)
        return 1.0;
    return a->weight == TS_WEIGHT_NOISE ? factor : factor * ts_sde_likelihood_weight(&a->sde, t);
}

/* Global norm, clipping, Adam (Kingma and Ba 2015) with linear warm-up, and EMA with a warm-up ramp
 * min(decay, (1 + step)/(10 + step)), over all parameters at once; step counts from 0 in state.  Gradients
 * are zeroed.  If the norm is not finite nothing is updated and report->skipped counts up.  ema may
 * be NULL. */
typedef struct ts_optimizer_report {
    float norm;             /* of the gradient, before clipping */
    uint32_t skipped;       /* steps with a gradient that was not finite */
    uint32_t first_skipped; /* state->step of the first of them */
} ts_optimizer_report;

typedef struct ts_optimizer_step {
    int64_t count;
    float rate, beta1, beta2, epsilon, clip; /* clip <= 0: none */
    float ema_decay;
    uint32_t warmup; /* steps of linear warm-up */
    const ts_step_state *state;
    float *parameters, *gradients, *first, *second, *ema;
    ts_optimizer_report *report;
} ts_optimizer_step;

/* state->step += 1. */
typedef struct ts_advance {
    ts_step_state *state;
} ts_advance;

/* ---- sampling ------------------------------------------------------------------------------------------ */

/* out[i] = scale * normal(state, stream, element + i), activation type, or float32 with `wide`; with
 * `rademacher`, +1 where uniform(...) > 0.5, else -1, unscaled.  element: multiple of 4. */
typedef struct ts_fill_random {
    int64_t count;
    float scale;
    bool rademacher;
    uint32_t stream, element;
    const ts_step_state *state;
    void *out;
    bool wide;
} ts_fill_random;

/* t[i] = times[state->step] for all i; state NULL: times[0]. */
typedef struct ts_fill_time {
    int n;
    const float *times;
    const ts_step_state *state;
    float *t;
} ts_fill_time;

/* Row i of y is that of `above` where t[i] > T, else that of `below`; all float32, [n,d]. */
typedef struct ts_rows_by_time {
    int n, d;
    float T;
    const float *t, *above, *below;
    float *y;
} ts_rows_by_time;

/* One step of a reverse SDE with its noise: x <- c0 x + c1 net + c2 z, c = coefficients[state->step]
 * ([steps][3], device), z from TS_STREAM_SAMPLER.  x and net are float32, [count]. */
typedef struct ts_sde_step {
    int64_t count;
    const float *coefficients;
    const ts_step_state *state;
    const float *net;
    float *x;
} ts_sde_step;

/* The coefficients of a linear combination: `value`, or, where `table` is set, its row state->step ([steps]
 * rows `stride` apart in device memory; state NULL: the first), so that what changes by the step is not
 * frozen. */
typedef struct ts_coefficients {
    float value[8];
    const float *table;
    int stride;
    const ts_step_state *state;
} ts_coefficients;

/* y = sum_k c[k] x[k], float32, terms <= 8; y may equal any x. */
typedef struct ts_linear_combine {
    int64_t count;
    int terms;
    ts_coefficients c;
    const float *x[8];
    float *y;
} ts_linear_combine;

/* error (one double) = sqrt(mean((e / (atol + rtol max(|y0|, |y1|)))^2)), e = sum c[k] x[k]. */
typedef struct ts_error_norm {
    int64_t count;
    int terms;
    ts_coefficients c;
    const float *x[8];
    const float *y0, *y1;
    double rtol, atol;
    double *error;
} ts_error_norm;

/* The coefficients of a Langevin step, which goes by the whole batch: with r = sum_i |z_i| / sum_i |net_i|,
 * out = {1, c0 r^2, c1 r} of x, net and z (Song et al. 2021, algorithm 4), c the two coefficients of `c`.  The
 * norms are given squared [n], as row_dot leaves them. */
typedef struct ts_langevin_scale {
    int n;
    ts_coefficients c;
    const double *net_squared, *z_squared;
    float *out; /* [3] */
} ts_langevin_scale;

/* float32 -> activation type, or back. */
typedef struct ts_convert {
    int64_t count;
    bool to_float;
    const void *x;
    void *y;
} ts_convert;

/* ---- the bound ----------------------------------------------------------------------------------------- */

/* out[i] (double) = sum_d (net - z)^2, both float32 [n,d]. */
typedef struct ts_squared_error {
    int n, d;
    const float *net, *z;
    double *out;
} ts_squared_error;

/* out[i] (double) = affine[0] + affine[1] sum_d x y, x and y float32 [n,d]; affine (device) NULL: 0 and 1.
 * rounded[i] = out[i] as float32; may be NULL. */
typedef struct ts_row_dot {
    int n, d;
    const float *x, *y;
    double *out;
    const double *affine;
    float *rounded;
} ts_row_dot;

/* out[i] (double) = sum_d ln p(x0 | x), p(k|x) proportional to N(x; a v_k, s^2) over `levels` levels
 * v_k = first + k spacing; x0 lies on a level (nearest taken).  Both float32 [n,d]. */
typedef struct ts_reconstruction {
    int n, d, levels;
    double first, spacing, a, s;
    const float *x0, *x;
    double *out;
} ts_reconstruction;

/* out[i] (double) = ln N(x_i; 0, sigma^2 I). */
typedef struct ts_normal_log_prob {
    int n, d;
    double sigma;
    const float *x;
    double *out;
} ts_normal_log_prob;

enum { TS_MIXTURE_FACTORS = 64 }; /* of a component, at most */

/* A Gaussian mixture in d dimensions, in device memory: weights [k], means [k,d], and each covariance by its
 * eigenvectors [k,d,d] (columns; NULL: diagonal covariances) and eigenvalues [k,d]; or, with rank above 0, as
 * F^T F + diag(values) by its factors F [k,rank,d], vectors NULL. */
typedef struct ts_mixture_view {
    int k, d;
    const double *weights, *means, *vectors, *values;
    int rank;
    const double *factors;
} ts_mixture_view;

/* For each row i with its own t: net = -s(t) grad log p_t(x) (the noise that an exact network would predict)
 * and log_prob = ln p_t(x); vjp = J^T v with J = d net / d x, v [n,d].  Each output may be NULL. */
typedef struct ts_mixture_evaluate {
    int n;
    ts_sde sde;
    ts_mixture_view mixture;
    const float *x, *t, *v;
    float *net, *vjp;
    double *log_prob;
} ts_mixture_evaluate;

/* x0 [n,d] drawn from the mixture at t (0: the data), TS_STREAM_MIXTURE, row index start + i. */
typedef struct ts_mixture_sample {
    int n;
    int64_t start;
    ts_sde sde;
    double t;
    ts_mixture_view mixture;
    const ts_step_state *state;
    uint32_t stream;
    float *x;
} ts_mixture_sample;

/* name of the entry and its argument type; the table, the tests and the benchmarks are made from this list */
#define TS_OPERATIONS(X)                                                                                     \
    X(conv_forward)                                                                                          \
    X(conv_backward)                                                                                         \
    X(dense_forward)                                                                                         \
    X(dense_backward)                                                                                        \
    X(attention_forward)                                                                                     \
    X(attention_backward)                                                                                    \
    X(group_norm_forward)                                                                                    \
    X(group_norm_backward)                                                                                   \
    X(silu_forward)                                                                                          \
    X(silu_backward)                                                                                         \
    X(add_scaled)                                                                                            \
    X(concat_forward)                                                                                        \
    X(concat_backward)                                                                                       \
    X(slice_forward)                                                                                         \
    X(slice_backward)                                                                                        \
    X(time_embedding)                                                                                        \
    X(fourier_embedding)                                                                                     \
    X(affine)                                                                                                \
    X(to_noise)                                                                                              \
    X(fir)                                                                                                   \
    X(conv2d)                                                                                                \
    X(pool)                                                                                                  \
    X(resize)                                                                                                \
    X(squeeze)                                                                                               \
    X(actnorm_forward)                                                                                       \
    X(actnorm_backward)                                                                                      \
    X(actnorm_initialize)                                                                                    \
    X(image_norm_forward)                                                                                    \
    X(image_norm_backward)                                                                                   \
    X(lambda_embedding)                                                                                      \
    X(glow_matrix_forward)                                                                                   \
    X(glow_matrix_backward)                                                                                  \
    X(coupling_forward)                                                                                      \
    X(coupling_backward)                                                                                     \
    X(gaussian_forward)                                                                                      \
    X(gaussian_backward)                                                                                     \
    X(gaussian_sample)                                                                                       \
    X(whiten)                                                                                                \
    X(parameter_sum_forward)                                                                                 \
    X(parameter_sum_backward)                                                                                \
    X(vector_sum)                                                                                            \
    X(draw_times)                                                                                            \
    X(gather)                                                                                                \
    X(perturb)                                                                                               \
    X(noisy_batch)                                                                                           \
    X(score_loss)                                                                                            \
    X(optimizer_step)                                                                                        \
    X(advance)                                                                                               \
    X(fill_random)                                                                                           \
    X(fill_time)                                                                                             \
    X(rows_by_time)                                                                                          \
    X(sde_step)                                                                                              \
    X(linear_combine)                                                                                        \
    X(error_norm)                                                                                            \
    X(langevin_scale)                                                                                        \
    X(convert)                                                                                               \
    X(squared_error)                                                                                         \
    X(row_dot)                                                                                               \
    X(reconstruction)                                                                                        \
    X(normal_log_prob)                                                                                       \
    X(mixture_evaluate)                                                                                      \
    X(mixture_sample)

/* The row of the table, for devices; NULL: the values stand in the arguments. */
TS_FN const float *ts_coefficient_row(const ts_coefficients *c)
{
    return c->table ? c->table + (int64_t)c->stride * (c->state ? c->state->step : 0) : NULL;
}

#endif
