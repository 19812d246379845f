/*
 * The operations of Glow (Kingma and Dhariwal 2018); conventions as in operations.h.
 */
#ifndef TS_KERNELS_OPERATIONS_GLOW_H
#define TS_KERNELS_OPERATIONS_GLOW_H

#include <stdbool.h>
#include <stdint.h>
#include "kernels/philox.h"
#include "kernels/sde.h"

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

/* An actnorm that differs from image to image: y = (x + bias_i) exp(logs_i), h [n,2c] the bias and then the logs
 * of each image i; logdet[i] = hw sum of logs_i, or NULL; with `inverse`, y = x exp(-logs_i) - bias_i.
 * x, y [n,hw,c]. */
typedef struct ts_image_norm_forward {
    int n, hw, c;
    bool inverse;
    const void *x, *h;
    void *y;
    float *logdet;
} ts_image_norm_forward;

/* Of the forward direction; y is the forward output, dlogdet [n] the cotangent of logdet, or NULL. */
typedef struct ts_image_norm_backward {
    int n, hw, c;
    const void *y, *h, *dy;
    const float *dlogdet;
    void *dx, *dh;
    bool accumulate; /* of dx; dh assigns */
} ts_image_norm_backward;

/* What a flow for all T is told of t: the logarithm of the share that unit data have of the variance,
 * ln(a^2/(a^2 + s^2)), and for u = (Lambda(t) - low) scale, sin((j + 1) u) and behind them cos((j + 1) u), j < waves.
 * t [n] float, y [n,1 + 2 waves]. */
typedef struct ts_lambda_embedding {
    int n, waves;
    ts_sde sde;
    double low, scale;
    const float *t;
    void *y;
} ts_lambda_embedding;

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

/* x[.., first : first + c] = mean + temperature exp(logs) z, x [n,hw,stride], h [n,hw,2c] as above; z from
 * (state, stream), numbered as x [n,hw,c] lies in memory, from `element` on. */
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

/*
 * Whitening by the Gaussian of the data at each row's own time: with the data's mean m [d], the eigenvectors of
 * their covariance, one a row of `vectors` V [d,d], and its eigenvalues l [d], and v = a(t_i)^2 l + s(t_i)^2,
 *
 *     y_i = V^T diag(v^(-1/2)) V (x_i - a(t_i) m),      log_det[i] = -1/2 sum_j ln v_j,
 *
 * or with `inverse` back, y_i = V^T diag(v^(1/2)) V x_i + a(t_i) m.  x, y [n,d], t [n]; products and sums are in
 * double; log_det [n] is that of the direction x to y, or NULL.  Without a mean (NULL) it is its own backward
 * pass; accumulate adds.
 */
typedef struct ts_whiten {
    int n, d;
    bool inverse;
    ts_sde sde;
    const float *t;
    const double *mean, *values, *vectors;
    const void *x;
    void *y;
    bool accumulate;
    float *log_det;
} ts_whiten;

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

#endif
