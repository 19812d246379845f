/*
 * The table of operations: everything a device can do, as one struct of function pointers.  Host code knows
 * devices through this header alone.  A NULL entry means that the device lacks the operation; the graph
 * builder turns that into an error before anything runs.
 *
 * Conventions
 *   Activations are NHWC, dense, of the device's activation type (float32; bfloat16 on a fast GPU device):
 *   `void *`.  Parameters, their gradients, statistics and per-image scalars are float32; `double` where a
 * bound is accumulated.  All pointers are device memory unless a comment says host. Gradients of parameters
 * accumulate (+=).  Gradients of activations assign (=) unless `accumulate` is set. A NULL gradient pointer
 * means that the gradient is not wanted. Operations are queued in order; `synchronize` waits.  Arguments
 * passed by value are frozen when a launch sequence is captured; what changes by step is read from `state`,
 * which lives in device memory. Every operation is deterministic for a fixed device and thread count.
 */
#ifndef TS_KERNELS_H
#define TS_KERNELS_H

#include <stddef.h>
#include <stdint.h>
#include "base/status.h"
#include "kernels/philox.h"
#include "kernels/sde.h"

typedef enum ts_dtype { TS_F32, TS_BF16, TS_F64, TS_U8, TS_I32 } ts_dtype;

/* ---- convolution, dense layers, attention ----------------------------------------------------------------
 */

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

/* ---- normalisation and element-wise layers ---------------------------------------------------------------
 */

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
typedef struct ts_scale_add {
    int64_t count;
    float scale;
    const void *x;
    void *y;
    bool accumulate;
} ts_scale_add;

/* Halves (mean of 2x2) or doubles (nearest) height and width.  x [n,h,w,c]; y [n,h/2,w/2,c] or [n,2h,2w,c].
 */
typedef struct ts_resample_forward {
    int n, h, w, c;
    bool up;
    const void *x;
    void *y;
} ts_resample_forward;

/* h, w are those of x, the forward input. */
typedef struct ts_resample_backward {
    int n, h, w, c;
    bool up;
    const void *dy;
    void *dx;
    bool accumulate;
} ts_resample_backward;

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

/* Transformer sinusoids of 999 t (Vaswani et al. 2017 as in score_sde): with half = c/2 and
 * w_j = exp(-j ln(10000)/(half-1)), y[i] = [sin(999 t_i w_j), cos(999 t_i w_j)].  t [n] float, y [n,c], c
 * even. */
typedef struct ts_time_embedding {
    int n, c;
    const float *t;
    void *y;
} ts_time_embedding;

/* ---- Glow ------------------------------------------------------------------------------------------------
 */

/* Space to depth: x [n,h,w,c] -> y [n,h/2,w/2,4c], channel 4 c + 2 dy + dx; with `inverse`, back (h, w are
 * then those of y).  Its own transpose, so the backward pass is the same operation the other way; accumulate
 * adds. */
typedef struct ts_squeeze {
    int n, h, w, c; /* of the larger image, whichever side it is on */
    bool inverse;
    const void *x;
    void *y;
    bool accumulate;
} ts_squeeze;

/* y = act((x + bias) exp(factor logs)), act ReLU or identity; with `inverse`, y = x exp(-factor logs) - bias
 * (no ReLU).  x, y [rows,c]; bias may be NULL. */
typedef struct ts_actnorm_forward {
    int64_t rows;
    int c;
    float factor;
    bool relu, inverse;
    const void *x;
    const float *bias, *logs;
    void *y;
} ts_actnorm_forward;

/* Of the forward direction.  y is the forward output. */
typedef struct ts_actnorm_backward {
    int64_t rows;
    int c;
    float factor;
    bool relu;
    const void *x, *y, *dy;
    const float *bias, *logs;
    void *dx;
    bool accumulate;
    float *dbias, *dlogs;
} ts_actnorm_backward;

/* Data-dependent initialisation (Kingma and Dhariwal 2018): bias = -mean, logs = -ln(std + 1e-6) / factor,
 * over the rows of x [rows,c]. */
typedef struct ts_actnorm_initialize {
    int64_t rows;
    int c;
    float factor;
    const void *x;
    float *bias, *logs;
} ts_actnorm_initialize;

/* W = P L (U + diag(sign exp(log_s))), all [c,c] row-major; `lower` is used strictly below the diagonal (ones
 * on it), `upper` strictly above; permutation P is a dense matrix.  With `inverse`, weight = W^-1. */
typedef struct ts_glow_matrix_forward {
    int c;
    bool inverse;
    const float *permutation, *lower, *upper, *sign, *log_s;
    float *weight;
} ts_glow_matrix_forward;

/* Of the direct W; all gradients accumulate; entries outside the triangles get none. */
typedef struct ts_glow_matrix_backward {
    int c;
    const float *permutation, *lower, *upper, *sign, *log_s, *dweight;
    float *dlower, *dupper, *dlog_s;
} ts_glow_matrix_backward;

/* Affine coupling on the second half of the channels: with u = h[even], v = h[odd] channels,
 * y1 = x1, y2 = (x2 + u) sigmoid(v + 2); logdet[i] = sum ln sigmoid(v + 2) over image i; with `inverse`,
 * y2 = x2 / sigmoid(v + 2) - u (logdet may then be NULL).  x, y, h [n,hw,c], c even. */
typedef struct ts_coupling_forward {
    int n, hw, c;
    bool inverse;
    const void *x, *h;
    void *y;
    float *logdet;
} ts_coupling_forward;

/* dlogdet [n] is the cotangent of logdet. */
typedef struct ts_coupling_backward {
    int n, hw, c;
    const void *x, *h, *dy;
    const float *dlogdet;
    void *dx, *dh;
    bool accumulate; /* of dx; dh assigns */
} ts_coupling_backward;

/* logp[i] = sum over positions and c channels of ln N(x; mean, exp(logs)), for channels first .. first + c of
 * x [n,hw,stride].  h [n,hw,2c] holds mean and logs: interleaved (even, odd channels) or as halves. */
typedef struct ts_gaussian_forward {
    int n, hw, c, stride, first;
    bool interleaved;
    const void *x, *h;
    float *logp;
} ts_gaussian_forward;

typedef struct ts_gaussian_backward {
    int n, hw, c, stride, first;
    bool interleaved;
    const void *x, *h;
    const float *dlogp;
    void *dx; /* without `accumulate` the other channels of dx become zero */
    bool accumulate;
    void *dh; /* assigns */
} ts_gaussian_backward;

/* x[.., first : first + c] = mean + temperature exp(logs) z, z from (state, stream), element index i*hw*c +
 * ... */
typedef struct ts_gaussian_sample {
    int n, hw, c, stride, first;
    bool interleaved;
    float temperature;
    const ts_step_state *state;
    uint32_t stream;
    uint32_t element; /* offset added to the element index, a multiple of 4: keeps levels apart */
    const void *h;
    void *x;
} ts_gaussian_sample;

/* y[i] = factor sum_j p[j] for i < n, and its backward: dp[j] += factor sum_i dy[i]. */
typedef struct ts_parameter_sum_forward {
    int n, count;
    float factor;
    const float *p;
    float *y;
} ts_parameter_sum_forward;

typedef struct ts_parameter_sum_backward {
    int n, count;
    float factor;
    const float *dy;
    float *dp;
} ts_parameter_sum_backward;

/* y = sum of `count` float vectors x[k] of length n (host array of device pointers, count <= 64). */
typedef struct ts_vector_sum {
    int n, count;
    const float *x[64];
    float *y;
} ts_vector_sum;

/* ---- the training loop -----------------------------------------------------------------------------------
 */

typedef enum ts_time_sampling { TS_TIME_UNIFORM, TS_TIME_IMPORTANCE } ts_time_sampling;

/* t[i] on [t_min, t_max]: uniform, or with density proportional to g^2/s^2; low discrepancy spreads one
 * uniform draw of the batch, element 0, as (u + i/n) mod 1, independent draws use element i.  Stream
 * TS_STREAM_TIME.  t is rounded to float32 so that it does not leave the interval. */
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

/* x_t = a(t) x0 + s(t) z and z itself, z from TS_STREAM_NOISE, element i*d + j.  With `wide`, x_t and z are
 * float32 whatever the activation type, as a bound needs them. */
typedef struct ts_perturb {
    int n, d;
    ts_sde sde;
    const ts_step_state *state;
    const float *x0, *t;
    void *xt, *z;
    bool wide;
} ts_perturb;

/* A training batch of images or vectors in one: the times that draw_times gives, and x_t and z [n,d] of
 * perturb for the x0 that gather gives, all of `times.state`.  n is that of data and times; x0 is not kept.
 */
typedef struct ts_noisy_batch {
    ts_gather data; /* without x0 */
    ts_draw_times times;
    void *xt, *z;
} ts_noisy_batch;

typedef enum ts_loss_weight { TS_WEIGHT_ONE, TS_WEIGHT_LIKELIHOOD } ts_loss_weight;

/* loss[i] = w(t_i) mean_d (net - z)^2, w = 1 or g^2/s^2; dnet = gradient of the batch mean of loss; total
 * (one double) += sum of loss; profile [bins][2] (double) += (sum of mean (net - z)^2, count) in the bin of t
 * over [t_min, t_max].  dnet, total and profile may be NULL. */
typedef struct ts_score_loss {
    int n, d, bins;
    ts_sde sde;
    ts_loss_weight weight;
    double t_min, t_max;
    const float *t;
    const void *net, *z;
    float *loss;
    void *dnet;
    double *total, *profile;
} ts_score_loss;

/* Global norm, clipping, Adam (Kingma and Ba 2015) with linear warm-up, and EMA with a warm-up ramp
 * min(decay, (1 + step)/(10 + step)), over all parameters at once; step counts from 0 in state.  Gradients
 * are zeroed.  If the norm is not finite nothing is updated and report->skipped counts up.  ema may be NULL.
 */
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

/* ---- sampling --------------------------------------------------------------------------------------------
 */

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

/* One Euler-Maruyama step with its noise: x <- c0 x + c1 net + c2 z, c = coefficients[state->step]
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

/* float32 -> activation type, or back. */
typedef struct ts_convert {
    int64_t count;
    bool to_float;
    const void *x;
    void *y;
} ts_convert;

/* ---- the bound -------------------------------------------------------------------------------------------
 */

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

/* A Gaussian mixture in d dimensions, in device memory: weights [k], means [k,d], and each covariance by its
 * eigenvectors [k,d,d] (columns; NULL: diagonal covariances) and eigenvalues [k,d]. */
typedef struct ts_mixture_view {
    int k, d;
    const double *weights, *means, *vectors, *values;
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
    X(scale_add)                                                                                             \
    X(resample_forward)                                                                                      \
    X(resample_backward)                                                                                     \
    X(concat_forward)                                                                                        \
    X(concat_backward)                                                                                       \
    X(slice_forward)                                                                                         \
    X(slice_backward)                                                                                        \
    X(time_embedding)                                                                                        \
    X(squeeze)                                                                                               \
    X(actnorm_forward)                                                                                       \
    X(actnorm_backward)                                                                                      \
    X(actnorm_initialize)                                                                                    \
    X(glow_matrix_forward)                                                                                   \
    X(glow_matrix_backward)                                                                                  \
    X(coupling_forward)                                                                                      \
    X(coupling_backward)                                                                                     \
    X(gaussian_forward)                                                                                      \
    X(gaussian_backward)                                                                                     \
    X(gaussian_sample)                                                                                       \
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
    X(sde_step)                                                                                              \
    X(linear_combine)                                                                                        \
    X(error_norm)                                                                                            \
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

/* ---- devices ---------------------------------------------------------------------------------------------
 */

typedef struct ts_device ts_device;

typedef struct ts_device_options {
    int threads; /* CPU threads; 0: all */
    int index;   /* which GPU */
    bool fast;   /* reduced precision activations where the device has them */
} ts_device_options;

typedef struct ts_kernels {
    const char *name; /* "cpu", "cuda" */
    ts_status (*open)(const ts_device_options *options, ts_device **device);
    void (*close)(ts_device *device);
    /* The names and versions of the libraries underneath, such as "oneDNN 2.6.3, OpenBLAS 0.3.21"; needs no
     * open device.  NULL where there are none. */
    void (*libraries)(char *text, size_t size);
    /* Memory from `allocate` is 64-byte aligned and zeroed.  Failure is TS_NO_MEMORY and says how much was
     * asked. */
    ts_status (*allocate)(ts_device *device, size_t bytes, void **memory);
    void (*release)(ts_device *device, void *memory);
    /* Both return when the bytes have arrived. */
    ts_status (*upload)(ts_device *device, void *to, const void *host, size_t bytes);
    ts_status (*download)(ts_device *device, void *host, const void *from, size_t bytes);
    ts_status (*copy)(ts_device *device, void *to, const void *from, size_t bytes);
    ts_status (*zero)(ts_device *device, void *memory, size_t bytes);
    ts_status (*synchronize)(ts_device *device);
    /* Bytes that can still be allocated, about; SIZE_MAX where that is not known.  NULL: never known. */
    ts_status (*free_memory)(ts_device *device, size_t *bytes);
    /* Parameters changed behind the device's back (an upload, a load): packed copies of weights are stale.
     * optimizer_step implies it. */
    void (*weights_changed)(ts_device *device);
    /* *flops = floating point operations a second of the device's own product of large matrices of
     * activations (on a CPU 1536 x 1536, with the device's threads), median of several: what benchmarks
     * measure themselves against. */
    ts_status (*ceiling)(ts_device *device, double *flops);
    /* Launch sequences: what is queued between record_begin and record_end is not run but kept, and runs
     * again, with the same arguments, at every replay.  Every operation of it has run once before, with the
     * same shapes; between the two there are no uploads, downloads or allocations.  An error in between ends
     * in record_end all the same, which then returns an error and no recording.  Memory that a recording
     * uses outlives it.  All four are NULL where the device has no such thing. */
    ts_status (*record_begin)(ts_device *device);
    ts_status (*record_end)(ts_device *device, void **recording);
    ts_status (*replay)(ts_device *device, void *recording);
    void (*recording_free)(ts_device *device, void *recording);
    /* Names what is queued until range_pop for a profiler that looks on; ranges nest.  NULL where there is
     * none. */
    void (*range_push)(ts_device *device, const char *name);
    void (*range_pop)(ts_device *device);
    /* What the device chose by timing so far (algorithms that round differently), as text of lines for
     * itself: a device that gets it by choices_import before it runs operations chooses the same and computes
     * the same bits.  Text of another card or library version changes nothing.  The caller frees *text.  Both
     * are NULL where nothing is chosen. */
    ts_status (*choices_export)(ts_device *device, char **text);
    ts_status (*choices_import)(ts_device *device, const char *text);
#define X(name) ts_status (*name)(ts_device *, const ts_##name *);
    TS_OPERATIONS(X)
#undef X
} ts_kernels;

/* What every device begins with. */
struct ts_device {
    const ts_kernels *k;
    ts_dtype activation;
    int threads;
    char description[128];    /* for people: model name, threads or memory */
    char instead[256];        /* "auto" alone: why this is not the GPU that seems to be there; else empty */
    size_t bytes, peak_bytes; /* allocated now and at most, the device's own caches included */
    uint64_t
        allocations; /* calls of allocate and growths of own caches so far: constant after the first step */
    bool unrecorded; /* what could be recorded is queued anew every time, so that profilers see its ranges;
                        set by the user of the device before the first recording, or when one fails */
    char not_recorded[192]; /* why that failed; empty: it did not */
    uint64_t launches; /* kernels, copies and library calls queued or recorded so far, where a device counts
                          them; a replay adds nothing */
};

/* A named range for profilers, where the device has such a thing. */
static inline void ts_range_push(ts_device *device, const char *name)
{
    if (device->k->range_push)
        device->k->range_push(device, name);
}

static inline void ts_range_pop(ts_device *device)
{
    if (device->k->range_pop)
        device->k->range_pop(device);
}

static inline size_t ts_dtype_size(ts_dtype type)
{
    return type == TS_F64 ? 8 : type == TS_U8 ? 1 : type == TS_BF16 ? 2 : 4;
}

/* The position i of a shuffled pass over `count` examples: a permutation of 0 .. count-1 for every (seed,
 * epoch), by a four-round Feistel network with cycle walking (Black and Rogaway 2002), so no index table is
 * stored. */
TS_FN int64_t ts_shuffle_index(const ts_step_state *s, uint32_t epoch, int64_t i, int64_t count)
{
    uint32_t bits = 1;
    while (((uint64_t)1 << (2 * bits)) < (uint64_t)count)
        bits++;
    const uint32_t mask = (uint32_t)(((uint64_t)1 << bits) - 1);
    uint64_t v = (uint64_t)i;
    do {
        uint32_t left = (uint32_t)(v >> bits), right = (uint32_t)v & mask;
        for (uint32_t round = 0; round < 4; round++) {
            uint32_t mixed =
                ts_philox(s->seed, right, epoch, TS_STREAM_SHUFFLE, s->instance ^ round << 24).v[0] & mask;
            uint32_t next = left ^ mixed;
            left = right;
            right = next;
        }
        v = (uint64_t)left << bits | right;
    } while (v >= (uint64_t)count);
    return (int64_t)v;
}

/* The device that `name` asks for: "cpu", "cuda", "cuda:1" or "auto" (a GPU if there is one, else the CPU).
 */
ts_status ts_device_open(const char *name, const ts_device_options *options, ts_device **device);
/* The libraries under the devices called "cpu" or "cuda", of which none need be there; errors as for opening
 * one. */
ts_status ts_device_libraries(const char *name, char *text, size_t size);
void ts_device_close(ts_device *device);

extern const ts_kernels ts_cpu_kernels;

#endif
