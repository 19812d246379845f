/*
 * A static graph: built once for a fixed batch size, its backward half derived from the forward tape, all
 * memory planned into one arena.
 *
 * Building: the functions below append one operation each and return its output.  An error (a shape that does
 * not fit, an operation the device lacks) is remembered, later calls return a dummy, and `ts_graph_plan`
 * reports the first one; so builder code reads like the formula it builds.
 *
 * Memory: `ts_graph_plan` gives every tensor an offset in one arena; tensors whose lifetimes do not overlap
 * share memory.  The result is bitwise that of a plan without reuse (`TS_PLAN_NO_REUSE`).
 *
 * What lives in this folder: params.* (parameters, their gradients and moments); tape.* (nodes, steps,
 * buffers, as building appends them), operations*.c (the builders below: checks, shapes, forward steps),
 * rows.c (a row an operation: name, FLOPs, gradient), backward.c (the walk back along the tape), plan.c and
 * layout.c (lifetimes, offsets), run.c, check.c (guards), profile.c and timing.c.
 *
 * Invariants
 *   Every tensor is NHWC: [n,h,w,c], vectors [n,1,1,c], of the device's activation type; vectors [n] of times
 *   and log-densities are float32.
 *   The graph owns its arena; parameters belong to `params` and outlive it; the caller owns nothing but
 *   what it writes into inputs and seeds.
 *   A backward pass adds to the gradients of parameters (+=), which the optimiser zeroes, and assigns those
 *   of activations (=), which only where a tensor has several readers are added to.
 *   A pass is a fixed sequence of calls with fixed arguments and addresses, so it can be recorded as it is.
 */
#ifndef TS_GRAPH_GRAPH_H
#define TS_GRAPH_GRAPH_H

#include "graph/params.h"

typedef struct ts_graph ts_graph;
typedef int ts_tensor; /* index; -1: none */

ts_status ts_graph_create(ts_device *device, ts_params *params, ts_graph **graph);
void ts_graph_destroy(ts_graph *graph);

/* Where dropout draws its masks; needed when a graph has dropout. Device memory owned by the caller. */
void ts_graph_set_state(ts_graph *graph, const ts_step_state *state);

/* ---- inputs and outputs ---- */

/* An activation [n,h,w,c] that the caller writes before each run; it keeps its memory through the run. */
ts_tensor ts_graph_input(ts_graph *graph, const char *name, int n, int h, int w, int c);
/* A float32 vector [n] (diffusion times) or per-image scalar. */
ts_tensor ts_graph_input_vector(ts_graph *graph, const char *name, int n);
/* Keeps a tensor readable after a run, and, if `seeded`, makes it a start of the backward pass: the caller
 * writes its gradient (ts_graph_gradient) before ts_graph_backward. */
void ts_graph_output(ts_graph *graph, ts_tensor tensor, bool seeded);

/* ---- layers ---- */

/* The operations appended from here on belong to the layer of this name, and their gradients too: what
 * profilers show around their kernels.  NULL: to none. */
void ts_graph_layer(ts_graph *graph, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- operations: the formulas are in kernels/operations.h ----
 *
 * Each has the name of its kernel; where the kernel's arguments have that name already (no _forward), the
 * builder is ts_graph_NAME.  -1 stands for a tensor or parameter that is not there. */

/* x [n,h,w,ci], residual [n,h,w,channels] -> scale (conv3x3(x) + bias + residual) [n,h,w,channels]. */
ts_tensor ts_conv(ts_graph *graph, ts_tensor x, ts_param weight, ts_param bias, int channels,
                  ts_tensor residual, float scale);
/* x [n,h,w,ci], residual [n,h,w,channels] -> scale (f(x) W^T + bias + residual) [n,h,w,channels], f SiLU or
 * identity.  weight may be the first of several adjacent parameters that together have `channels` rows; bias
 * likewise. */
ts_tensor ts_dense(ts_graph *graph, ts_tensor x, bool silu_input, ts_param weight, ts_param bias,
                   int channels, ts_tensor residual, float scale);
/* 1x1 convolution with a matrix that is itself a tensor of the graph (Glow): x [n,h,w,c], weight [1,1,c,c]
 * from ts_glow_matrix -> [n,h,w,c]. */
ts_tensor ts_dense_matrix(ts_graph *graph, ts_tensor x, ts_tensor weight);
/* qkv [n,h,w,3c] -> [n,h,w,c], over the h w positions. */
ts_tensor ts_attention(ts_graph *graph, ts_tensor qkv);
/* x [n,h,w,c], shift [n,1,1,c] -> act(gamma GN(x + shift) + beta) [n,h,w,c]. */
ts_tensor ts_group_norm(ts_graph *graph, ts_tensor x, ts_tensor shift, ts_param gamma, ts_param beta,
                        int groups, float epsilon, bool silu, float dropout);
/* Without shift and dropout, the output halved or, with `up`, doubled in height and width; `x_resampled` gets
 * the input likewise, or is NULL. */
ts_tensor ts_group_norm_resampled(ts_graph *graph, ts_tensor x, ts_param gamma, ts_param beta, int groups,
                                  float epsilon, bool silu, bool up, ts_tensor *x_resampled);
ts_tensor ts_silu(ts_graph *graph, ts_tensor x);
ts_tensor ts_graph_add_scaled(ts_graph *graph, ts_tensor x, ts_tensor y, float scale); /* scale (x + y) */
/* a [n,h,w,ca], b [n,h,w,cb] -> [n,h,w,ca+cb]. */
ts_tensor ts_concat(ts_graph *graph, ts_tensor a, ts_tensor b);
/* x [n,h,w,c] -> its channels first .. first + channels - 1, [n,h,w,channels]. */
ts_tensor ts_slice(ts_graph *graph, ts_tensor x, int first, int channels);
/* t [n] -> [n,1,1,channels]. */
ts_tensor ts_graph_time_embedding(ts_graph *graph, ts_tensor t, const ts_sde *sde, ts_time_input_kind input,
                                  int channels);
ts_tensor ts_graph_fourier_embedding(ts_graph *graph, ts_tensor t, const ts_sde *sde,
                                     ts_time_input_kind input, ts_param frequencies, int channels);
/* x [n,h,w,c] -> scale x + offset, or with t [n] scale s(t) x + offset, [n,h,w,c]; the SDE is needed with
 * t. */
ts_tensor ts_graph_affine(ts_graph *graph, ts_tensor x, ts_tensor t, const ts_sde *sde, float scale,
                          float offset);
/* What a network gives for x at t [n], net as x [n,h,w,c] -> the noise that it stands for, [n,h,w,c]; net
 * itself where it predicts that. */
ts_tensor ts_graph_to_noise(ts_graph *graph, ts_tensor net, ts_tensor x, ts_tensor t, const ts_sde *sde,
                            ts_predicts_kind predicts);
/* x [n,h,w,c], residual [n,oh,ow,c] -> scale (filtered x + residual) [n,oh,ow,c]; of the filter oh, ow, up,
 * down, pad, taps and k are given. */
ts_tensor ts_graph_fir(ts_graph *graph, ts_tensor x, const ts_fir *filter, ts_tensor residual, float scale);
/* x [n,h,w,ci], residual [n,oh,ow,co] -> act(conv(x) + bias + residual) [n,oh,ow,co]; of the convolution co, groups,
 * window and relu are given.  No gradient passes, as through the next. */
ts_tensor ts_graph_conv2d(ts_graph *graph, ts_tensor x, ts_param weight, ts_param bias, const ts_conv2d *like,
                          ts_tensor residual);
/* x [n,h,w,c] -> [n,oh,ow,c]; window, kind and count_padding are given. */
ts_tensor ts_graph_pool(ts_graph *graph, ts_tensor x, const ts_pool *like);
/* x [n,h,w,c] -> [n,h/2,w/2,4c], or back. */
ts_tensor ts_graph_squeeze(ts_graph *graph, ts_tensor x, bool inverse);
/* x [n,h,w,c] -> [n,h,w,c].  `initialize`: ts_graph_forward_initialize sets bias and logs from this
 * operation's input. */
ts_tensor ts_actnorm(ts_graph *graph, ts_tensor x, ts_param bias, ts_param logs, float factor, bool relu,
                     bool inverse, bool initialize);
/* x [n,h,w,c], with h [n,1,1,2c] -> [n,h,w,c].  logdet: where to put the [n] log-determinant tensor, or NULL. */
ts_tensor ts_image_norm(ts_graph *graph, ts_tensor x, ts_tensor h, bool inverse, ts_tensor *logdet);
/* t [n] -> [n,1,1,1 + 2 waves], for t in [t_min, t_max], over which the slowest sine goes through a quarter of its
 * period. */
ts_tensor ts_graph_lambda_embedding(ts_graph *graph, ts_tensor t, const ts_sde *sde, double t_min,
                                    double t_max, int waves);
/* -> [1,1,c,c], the matrix of a 1x1 convolution or its inverse. */
ts_tensor ts_glow_matrix(ts_graph *graph, ts_param permutation, ts_param lower, ts_param upper, ts_param sign,
                         ts_param log_s, int c, bool inverse);
/* x, h [n,h,w,c] -> [n,h,w,c].  logdet: where to put the [n] log-determinant tensor, or NULL with
 * `inverse`. */
ts_tensor ts_coupling(ts_graph *graph, ts_tensor x, ts_tensor h, bool inverse, ts_tensor *logdet);
/* x [n,h,w,c], h [n,h,w,2 channels] (mean, logs) -> ln N of channels first .. first + channels - 1, [n]. */
ts_tensor ts_gaussian(ts_graph *graph, ts_tensor x, int first, int channels, ts_tensor h, bool interleaved);
/* x [n,h,w,c], t [n] -> [n,h,w,c], whitened or with `inverse` back, by the Gaussian and the process of `like`,
 * whose addresses outlive the graph.  logdet: where to put the [n] log-determinants, or NULL with `inverse`. */
ts_tensor ts_graph_whiten(ts_graph *graph, ts_tensor x, ts_tensor t, const ts_whiten *like, bool inverse,
                          ts_tensor *logdet);
/* -> factor times the sum of the parameter's values, n times: [n]. */
ts_tensor ts_parameter_sum(ts_graph *graph, ts_param p, int n, float factor);
/* `count` vectors [n] -> their sum [n]. */
ts_tensor ts_graph_vector_sum(ts_graph *graph, const ts_tensor *vectors, int count);

/* A tensor [n,h,w,c] of zeros (Glow's learned prior is computed from one). */
ts_tensor ts_zeros(ts_graph *graph, int n, int h, int w, int c);

/* [n,h,w,channels] drawn from N(mean, (temperature exp(logs))^2), h [n,h,w,2 channels] (inverse Glow); no
 * gradient passes. */
ts_tensor ts_gaussian_draw(ts_graph *graph, ts_tensor h, int channels, bool interleaved, float temperature,
                           const ts_step_state *state, uint32_t stream, uint32_t element);

/* ---- planning and running ---- */

typedef enum ts_plan_flags {
    TS_PLAN_FORWARD = 0,
    TS_PLAN_PARAM_GRADIENTS = 1, /* derive the backward half for all trained parameters */
    TS_PLAN_INPUT_GRADIENTS = 2, /* and for the inputs */
    TS_PLAN_NO_REUSE = 4,        /* every tensor its own memory (tests) */
    TS_PLAN_GUARDS = 8,  /* guard values around every tensor, NaN in it before it is written (tests) */
    TS_PLAN_MEASURE = 16 /* lay the memory out and no more: sizes can be asked for, it cannot run */
} ts_plan_flags;

/* The parameters must have been committed, and have gradients for PARAM_GRADIENTS.  Too little memory is an
 * error that says how much the plan needs. */
ts_status ts_graph_plan(ts_graph *graph, unsigned flags);
size_t ts_graph_arena_bytes(const ts_graph *graph);    /* what the plan takes */
size_t ts_graph_no_reuse_bytes(const ts_graph *graph); /* the sum of all tensors */
/* Of one forward, or one backward, pass: multiply-adds counted twice; matrix work only. */
double ts_graph_flops(const ts_graph *graph, bool backward);

/* Device addresses, fixed from planning on; NULL for a tensor whose memory is not kept. Data: inputs and
 * outputs.  Gradients: seeded outputs, which are the caller's to write (once is enough if they stay the
 * same), and with INPUT_GRADIENTS the inputs [n,h,w,c] that an output depends on. */
void *ts_graph_data(const ts_graph *graph, ts_tensor tensor);
void *ts_graph_gradient(const ts_graph *graph, ts_tensor tensor);
void ts_graph_shape(const ts_graph *graph, ts_tensor tensor, int shape[4]);

ts_status ts_graph_forward(ts_graph *graph);
/* Once after each forward: it overwrites activations that nothing after it reads, and gradients that it was
 * given where nothing keeps them. */
ts_status ts_graph_backward(ts_graph *graph);
/* After runs of a plan with TS_PLAN_GUARDS: whether every operation kept to its own memory. */
ts_status ts_graph_check_guards(const ts_graph *graph);

/* Data-dependent initialisation (Glow): runs forward and calls actnorm_initialize on every actnorm made with
 * `initialize`, with its true input, before it is applied. */
ts_status ts_graph_forward_initialize(ts_graph *graph);

/* Runs forward, and with `backward` backward, timing each kernel call by itself (timing.h); the first time it
 * counts what devices make ready at first use.  `shape` is that of the operation's first input, `bytes` what
 * it reads and writes.  Parameter gradients are added to, perhaps repeatedly: zero them afterwards. */
typedef void ts_graph_observer(void *context, const char *operation, const int shape[4], double flops,
                               double bytes, double seconds);
ts_status ts_graph_profile(ts_graph *graph, bool backward, ts_graph_observer *observer, void *context);

#endif
