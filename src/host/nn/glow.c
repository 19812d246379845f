/*
 * Glow (Kingma and Dhariwal 2018): L levels of squeeze, K steps of [actnorm, invertible 1x1 convolution by
 * its LU factors, affine coupling], split; Gaussian priors, learned at the top.
 */
#include <lapacke.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "nn/nn.h"

enum { MAX_LEVELS = 16, MAX_STEPS = 1024, MAX_CHANNELS = 1 << 16 };

/* What a conditional flow is told: TOLD_HIDDEN numbers made of waves over Lambda(t), and behind them the logarithm of
 * the share that the data have in x_t. */
enum { WAVES = 8, TOLD_HIDDEN = 64, SHARE = TOLD_HIDDEN, TOLD };

/* An actnorm; after a convolution it stands in the convolution's place for a bias. */
typedef struct norm {
    ts_param bias, logs;
} norm;

/* A convolution that begins as zero; its output is multiplied by exp(3 logs). */
typedef struct zero_conv {
    ts_param weight, bias, logs;
} zero_conv;

typedef struct flow_step {
    char name[40]; /* "level 0 step 3" */
    norm norm;
    ts_param permutation, lower, upper, sign, log_s;
    ts_param first, second; /* weights of the coupling network */
    norm first_norm, second_norm;
    zero_conv last;
    /* conditional: weights from what is told to bias and logs of an actnorm of each image's own, behind `norm`, and in
     * the coupling network behind the first and the last convolution */
    ts_param norm_told, network_told, last_told;
} flow_step;

struct ts_glow {
    ts_glow_config config;
    flow_step *steps; /* [levels][config.steps] */
    zero_conv splits[MAX_LEVELS], top;
    ts_param
        told[4]; /* conditional: weights and biases of the two layers that make of Lambda(t) what is told */
};

/* ---- parameters ---- */

/* What one declaration needs: where to, and the prefix of the names. */
typedef struct scope {
    ts_params *params;
    char prefix[64];
} scope;

static scope scope_of(ts_params *params, const char *format, ...) __attribute__((format(printf, 2, 3)));
static scope scope_of(ts_params *params, const char *format, ...)
{
    scope s = {.params = params};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(s.prefix, sizeof s.prefix, format, arguments);
    va_end(arguments);
    return s;
}

static ts_param add(const scope *s, const char *name, ts_param_info info)
{
    snprintf(info.name, sizeof info.name, "%s.%s", s->prefix, name);
    return ts_params_add(s->params, &info);
}

static ts_param add_conv(const scope *s, const char *name, int out, int in, int size, float deviation)
{
    return add(s, name,
               (ts_param_info){.rank = 4,
                               .shape = {out, in, size, size},
                               .layout = TS_LAYOUT_CONV,
                               .trained = true,
                               .init = deviation > 0 ? TS_INIT_NORMAL : TS_INIT_ZERO,
                               .scale = deviation});
}

/* Initial values that are zero where `given` is NULL. */
static ts_param add_given(const scope *s, const char *name, ts_param_info info, const float *given)
{
    info.init = given ? TS_INIT_GIVEN : TS_INIT_ZERO;
    info.given = given;
    return add(s, name, info);
}

/* actnorm.{bias,logs}, [1,c,1,1]; the bias begins as zero */
static norm add_norm(const scope *s, const char *bias, const char *logs, int c, const float *first_logs)
{
    const ts_param_info info = {.rank = 4, .shape = {1, c, 1, 1}, .trained = true};
    norm n = {.bias = add_given(s, bias, info, NULL)};
    n.logs = add_given(s, logs, info, first_logs);
    return n;
}

static zero_conv add_zero_conv(const scope *s, int out, int in, const float *first_bias)
{
    zero_conv z;
    z.logs = add_given(s, "logs", (ts_param_info){.rank = 3, .shape = {out, 1, 1}, .trained = true}, NULL);
    z.weight = add_conv(s, "conv.weight", out, in, 3, 0);
    z.bias =
        add_given(s, "conv.bias", (ts_param_info){.rank = 1, .shape = {out}, .trained = true}, first_bias);
    return z;
}

/* ---- the initial 1x1 convolution: the LU factors of a random rotation ---- */

static double normal(uint64_t seed, uint32_t layer, uint32_t i)
{
    /* the upper half of the instances: the lower one belongs to ts_params_commit */
    const ts_philox_words w = ts_philox(seed, i, 0, TS_STREAM_INIT, 0x80000000u | layer);
    const double u = (w.v[0] + 0.5) * 0x1p-32, v = w.v[1] * 0x1p-32;
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* a [c,c] <- a rotation: Q of the QR factors of a Gaussian matrix. tau [c]. */
static int rotation(uint64_t seed, uint32_t layer, int c, double *a, double *tau)
{
    for (int i = 0; i < c * c; i++)
        a[i] = normal(seed, layer, (uint32_t)i);
    const int info = LAPACKE_dgeqrf(LAPACK_ROW_MAJOR, c, c, a, c, tau);
    return info ? info : LAPACKE_dorgqr(LAPACK_ROW_MAJOR, c, c, c, a, c, tau);
}

/* a <- its LU factors; order[i] <- which row of a came to row i. */
static int factor(int c, double *a, int *pivots, int *order)
{
    const int info = LAPACKE_dgetrf(LAPACK_ROW_MAJOR, c, c, a, c, pivots);
    for (int i = 0; i < c; i++)
        order[i] = i;
    for (int i = 0; i < c; i++) {
        const int other = pivots[i] - 1, row = order[i];
        order[i] = order[other];
        order[other] = row;
    }
    return info;
}

/* The factors as floats in the order lower, upper, permutation [c,c] each, log_s, sign [c] each. */
static void spread(int c, const double *lu, const int *order, float *out)
{
    float *lower = out, *upper = lower + c * c, *permutation = upper + c * c;
    float *log_s = permutation + c * c, *sign = log_s + c;
    for (int i = 0; i < c; i++) {
        for (int j = 0; j < c; j++) {
            lower[i * c + j] = j < i ? (float)lu[i * c + j] : 0;
            upper[i * c + j] = j > i ? (float)lu[i * c + j] : 0;
            permutation[i * c + j] = 0;
        }
        log_s[i] = (float)log(fabs(lu[i * c + i]));
        sign[i] = lu[i * c + i] < 0 ? -1 : 1;
    }
    for (int i = 0; i < c; i++)
        permutation[order[i] * c + i] = 1; /* W = P L U, and row i of L U is row order[i] of W */
}

static ts_status initial_factors(uint64_t seed, uint32_t layer, int c, float *out)
{
    const size_t square = (size_t)c * (size_t)c;
    double *a = malloc((square + (size_t)c) * sizeof *a);
    int *pivots = malloc(2 * (size_t)c * sizeof *pivots);
    ts_status status = NULL;
    if (!a || !pivots)
        status = ts_error(TS_NO_MEMORY, "Glow: no memory for a rotation of %d channels", c);
    else if (rotation(seed, layer, c, a, a + square) || factor(c, a, pivots, pivots + c))
        status = ts_error(TS_NOT_FINITE, "Glow: LAPACK cannot factor a rotation of %d channels", c);
    else
        spread(c, a, pivots + c, out);
    free(a);
    free(pivots);
    return status;
}

static ts_status add_matrix(const scope *s, flow_step *step, int c, uint64_t seed, uint32_t layer)
{
    const size_t square = (size_t)c * (size_t)c;
    float *f = malloc((3 * square + 2 * (size_t)c) * sizeof *f);
    if (!f)
        return ts_error(TS_NO_MEMORY, "Glow: no memory for a rotation of %d channels", c);
    ts_status status = initial_factors(seed, layer, c, f);
    if (!status) {
        ts_param_info info = {.rank = 2, .shape = {c, c}, .trained = true, .init = TS_INIT_GIVEN};
        info.given = f;
        step->lower = add(s, "invconv.lower", info);
        info.given = f + square;
        step->upper = add(s, "invconv.upper", info);
        info.given = f + 2 * square;
        info.trained = false;
        step->permutation = add(s, "invconv.p", info);
        info = (ts_param_info){.rank = 1, .shape = {c}, .trained = true, .init = TS_INIT_GIVEN};
        info.given = f + 3 * square;
        step->log_s = add(s, "invconv.log_s", info);
        info.given = f + 3 * square + c;
        info.trained = false;
        step->sign = add(s, "invconv.sign_s", info);
    }
    free(f);
    return status;
}

/* ---- the beginning as N(0, I) ---- */

/* A coupling begins as y2 = x2 sigmoid(2).  Whatever comes behind it, the next actnorm or the Gaussian in which
 * the flow ends, begins as what undoes that: ln sigmoid(2) goes to every channel that it made smaller. */
static const double log_shrinks = -0.12692801104297263;

/* `value` at every `step`-th of the `count` places in `room` from `first` on, zero elsewhere; NULL where all
 * begins as zero. */
static const float *beginning(const ts_glow_config *c, float *room, int count, int first, int step,
                              double value)
{
    for (int i = 0; i < count; i++)
        room[i] = i >= first && (i - first) % step == 0 ? (float)value : 0;
    return c->normal ? room : NULL;
}

/* ---- declaring ---- */

/* first_logs: what the actnorm's begin as. */
static ts_status add_step(ts_params *params, int layer, int c, int hidden, uint64_t seed,
                          const float *first_logs, flow_step *step)
{
    const float deviation = 0.05f;
    const scope s = scope_of(params, "flow.layers.%d", layer);
    step->norm = add_norm(&s, "actnorm.bias", "actnorm.logs", c, first_logs);
    TS_TRY(add_matrix(&s, step, c, seed, (uint32_t)layer));
    step->first = add_conv(&s, "block.0.conv.weight", hidden, c / 2, 3, deviation);
    step->first_norm = add_norm(&s, "block.0.actnorm.bias", "block.0.actnorm.logs", hidden, NULL);
    step->second = add_conv(&s, "block.2.conv.weight", hidden, hidden, 1, deviation);
    step->second_norm = add_norm(&s, "block.2.actnorm.bias", "block.2.actnorm.logs", hidden, NULL);
    const scope last = scope_of(params, "flow.layers.%d.block.4", layer);
    step->last = add_zero_conv(&last, c, hidden, NULL);
    return NULL;
}

static ts_status check(const ts_glow_config *c)
{
    if (c->levels < 1 || c->levels > MAX_LEVELS || c->steps < 1 || c->steps > MAX_STEPS || c->hidden < 1 ||
        c->hidden > MAX_CHANNELS)
        return ts_error(
            TS_INVALID,
            "Glow: %d levels of %d steps with %d hidden channels; levels must be 1 to %d, steps 1 to %d, "
            "hidden channels 1 to %d",
            c->levels, c->steps, c->hidden, MAX_LEVELS, MAX_STEPS, MAX_CHANNELS);
    const int multiple = 1 << c->levels;
    if (c->height < 1 || c->width < 1 || c->height % multiple || c->width % multiple)
        return ts_error(TS_INVALID,
                        "Glow: images of %dx%d cannot be halved %d times; both sides must be multiples of %d",
                        c->height, c->width, c->levels, multiple);
    if (c->channels < 1 || (int64_t)c->channels * 4 * multiple > MAX_CHANNELS)
        return ts_error(TS_INVALID, "Glow: %d channels with %d levels; there must be 1 to %d", c->channels,
                        c->levels, MAX_CHANNELS / (4 * multiple));
    return NULL;
}

/* Channels of the flow within a level, which begins with a squeeze and ends, but for the last, with a
 * split. */
static int level_channels(const ts_glow_config *c, int level)
{
    return c->channels * 4 << level;
}

/* [out,in], or for in = 0 a bias [out]; uniform with the variance of PyTorch's layers of `fan` inputs, or zero. */
static ts_param add_dense(const scope *s, const char *name, int out, int in, int fan)
{
    return add(s, name,
               (ts_param_info){.rank = in ? 2 : 1,
                               .shape = {out, in},
                               .trained = true,
                               .init = fan ? TS_INIT_UNIFORM : TS_INIT_ZERO,
                               .scale = fan ? (float)(1 / sqrt(fan)) : 0});
}

/* Weights [2c,TOLD] that begin as a factor of the data's share: a coupling does as much as there is left of the data,
 * so that what it learns where there is much of them is no noise where there is none.  room [2c,TOLD]. */
static ts_param add_gate(const scope *s, int c, float *room)
{
    for (int j = 0; j < 2 * c; j++)
        for (int k = 0; k < TOLD; k++)
            room[j * TOLD + k] = j >= c && k == SHARE;
    return add_given(s, "block.4.weight", (ts_param_info){.rank = 2, .shape = {2 * c, TOLD}, .trained = true},
                     room);
}

/* Behind all others, which thus begin as those of a flow that is told nothing. */
static void declare_told(ts_glow *glow, ts_params *params, float *room)
{
    const ts_glow_config *c = &glow->config;
    const scope s = scope_of(params, "t");
    glow->told[0] = add_dense(&s, "0.weight", TOLD_HIDDEN, 2 * WAVES, 2 * WAVES);
    glow->told[1] = add_dense(&s, "0.bias", TOLD_HIDDEN, 0, 2 * WAVES);
    glow->told[2] = add_dense(&s, "2.weight", TOLD_HIDDEN, TOLD_HIDDEN, TOLD_HIDDEN);
    glow->told[3] = add_dense(&s, "2.bias", TOLD_HIDDEN, 0, TOLD_HIDDEN);
    for (int i = 0; i < c->levels * c->steps; i++) {
        const scope own = scope_of(params, "t.steps.%d", i);
        glow->steps[i].norm_told =
            add_dense(&own, "actnorm.weight", 2 * level_channels(c, i / c->steps), TOLD, 0);
        glow->steps[i].network_told = add_dense(&own, "block.0.weight", 2 * c->hidden, TOLD, 0);
        glow->steps[i].last_told = add_gate(&own, level_channels(c, i / c->steps), room);
    }
}

/* room: for twice the channels of the last level, each TOLD times. */
static ts_status declare(ts_glow *glow, ts_params *params, uint64_t seed, float *room)
{
    const ts_glow_config *c = &glow->config;
    int layer = 0, channels = 0;
    for (int level = 0; level < c->levels; level++) {
        channels = level_channels(c, level);
        layer++; /* the squeeze */
        for (int k = 0; k < c->steps; k++, layer++) {
            flow_step *step = &glow->steps[level * c->steps + k];
            snprintf(step->name, sizeof step->name, "level %d step %d", level, k);
            /* behind a squeeze nothing is smaller: what was has left */
            const float *logs = beginning(c, room, channels, k ? channels / 2 : channels, 1, -log_shrinks);
            TS_TRY(add_step(params, layer, channels, c->hidden, seed, logs, step));
        }
        if (level + 1 < c->levels) {
            const scope s = scope_of(params, "flow.layers.%d.conv", layer++);
            glow->splits[level] =
                add_zero_conv(&s, channels, channels / 2, beginning(c, room, channels, 1, 2, log_shrinks));
        }
    }
    const scope s = scope_of(params, "learn_top_fn");
    glow->top = add_zero_conv(&s, 2 * channels, 2 * channels,
                              beginning(c, room, 2 * channels, channels + channels / 2, 1, log_shrinks));
    if (c->conditional)
        declare_told(glow, params, room);
    return NULL;
}

ts_status ts_glow_create(const ts_glow_config *config, ts_params *params, uint64_t seed, ts_glow **glow)
{
    *glow = NULL;
    TS_TRY(check(config));
    ts_glow *g = calloc(1, sizeof *g);
    float *room = calloc(2 * (size_t)level_channels(config, config->levels - 1) * TOLD, sizeof *room);
    if (g)
        g->steps = calloc((size_t)config->levels * (size_t)config->steps, sizeof *g->steps);
    if (!g || !g->steps || !room) {
        ts_glow_destroy(g);
        free(room);
        return ts_error(TS_NO_MEMORY, "Glow: no memory for %d levels of %d steps", config->levels,
                        config->steps);
    }
    g->config = *config;
    ts_status status = declare(g, params, seed, room);
    free(room);
    if (status)
        ts_glow_destroy(g);
    else
        *glow = g;
    return status;
}

void ts_glow_destroy(ts_glow *glow)
{
    if (glow)
        free(glow->steps);
    free(glow);
}

/* ---- what both directions share ---- */

ts_tensor ts_glow_input_times(const ts_glow *glow, ts_graph *graph, int n)
{
    return glow->config.conditional ? ts_graph_input_vector(graph, "t", n) : -1;
}

/* x [n,h,w,ci] -> conv3x3(x) exp(3 logs) [n,h,w,channels]. */
static ts_tensor apply_zero_conv(ts_graph *graph, ts_tensor x, const zero_conv *z, int channels)
{
    ts_tensor y = ts_conv(graph, x, z->weight, z->bias, channels, -1, 1);
    return ts_actnorm(graph, y, -1, z->logs, 3, false, false, false);
}

/* t [n] -> [n,1,1,TOLD] for a conditional flow; -1 for any other. */
static ts_tensor tell(const ts_glow *glow, ts_graph *graph, ts_tensor t)
{
    const ts_glow_config *c = &glow->config;
    if (!c->conditional)
        return -1;
    ts_graph_layer(graph, "Lambda");
    const ts_tensor all = ts_graph_lambda_embedding(graph, t, &c->sde, c->t_min, c->t_max, WAVES);
    ts_tensor e = ts_slice(graph, all, 1, 2 * WAVES);
    e = ts_dense(graph, e, false, glow->told[0], glow->told[1], TOLD_HIDDEN, -1, 1);
    e = ts_dense(graph, e, true, glow->told[2], glow->told[3], TOLD_HIDDEN, -1, 1);
    return ts_concat(graph, e, ts_slice(graph, all, 0, 1));
}

/* x [n,h,w,c] -> (x + bias) exp(logs) [n,h,w,c] or its inverse, bias and logs W told of each image; what is
 * told nothing passes.  *logdet [n], where it is wanted. */
static ts_tensor apply_told(ts_graph *graph, ts_tensor x, ts_tensor told, ts_param weight, int c,
                            bool inverse, ts_tensor *logdet)
{
    if (told < 0)
        return x;
    return ts_image_norm(graph, x, ts_dense(graph, told, false, weight, -1, 2 * c, -1, 1), inverse, logdet);
}

/* Shift and scale for the second half of the channels, from the first half of x: [n,h,w,c] -> [n,h,w,c], even
 * channels the shifts, odd ones the scales. */
static ts_tensor coupling_network(ts_graph *graph, ts_tensor x, ts_tensor told, const flow_step *s, int c,
                                  int hidden)
{
    ts_graph_layer(graph, "%s network conv0", s->name);
    ts_tensor y = ts_slice(graph, x, 0, c / 2);         /* -> [n,h,w,c/2] */
    y = ts_conv(graph, y, s->first, -1, hidden, -1, 1); /* -> [n,h,w,hidden] */
    y = apply_told(graph, y, told, s->network_told, hidden, false, NULL);
    y = ts_actnorm(graph, y, s->first_norm.bias, s->first_norm.logs, 1, true, false, true);
    ts_graph_layer(graph, "%s network conv1", s->name);
    y = ts_dense(graph, y, false, s->second, -1, hidden, -1, 1); /* [n,h,w,hidden] */
    y = ts_actnorm(graph, y, s->second_norm.bias, s->second_norm.logs, 1, true, false, true);
    ts_graph_layer(graph, "%s network conv2", s->name);
    y = apply_zero_conv(graph, y, &s->last, c); /* -> [n,h,w,c] */
    y = apply_told(graph, y, told, s->last_told, c, false, NULL);
    ts_graph_layer(graph, "%s coupling", s->name);
    return y;
}

/* Mean and log-deviation of the top latent [n,h,w,c], as halves of [n,h,w,2c]: the learned convolution of
 * zeros leaves bias exp(3 logs); its weight has no part. */
static ts_tensor top_prior(const ts_glow *glow, ts_graph *graph, int n)
{
    const ts_glow_config *c = &glow->config;
    const int channels = 2 * level_channels(c, c->levels - 1);
    ts_graph_layer(graph, "top prior");
    ts_tensor zeros = ts_zeros(graph, n, c->height >> c->levels, c->width >> c->levels, channels);
    return ts_actnorm(graph, zeros, glow->top.bias, glow->top.logs, 3, false, false, false);
}

/* ---- density ---- */

/* The terms of the log-density, of which one operation sums up to 64. */
typedef struct terms {
    ts_graph *graph;
    ts_tensor v[64];
    int count;
} terms;

static void add_term(terms *t, ts_tensor v)
{
    if (t->count == 64) {
        t->v[0] = ts_graph_vector_sum(t->graph, t->v, 64);
        t->count = 1;
    }
    t->v[t->count++] = v;
}

/* x [n,h,w,c] -> [n,h,w,c]; its three log-determinants [n] go to the terms. */
static ts_tensor step_forward(ts_graph *graph, ts_tensor x, ts_tensor told, const flow_step *s,
                              const int shape[4], const ts_glow_config *config, terms *t)
{
    const int n = shape[0], c = shape[3];
    const float positions = (float)(shape[1] * shape[2]);
    ts_tensor logdet = -1;
    ts_graph_layer(graph, "%s actnorm", s->name);
    x = ts_actnorm(graph, x, s->norm.bias, s->norm.logs, 1, false, false, !config->normal);
    add_term(t, ts_parameter_sum(graph, s->norm.logs, n, positions));
    x = apply_told(graph, x, told, s->norm_told, c, false, &logdet);
    if (told >= 0)
        add_term(t, logdet);
    ts_graph_layer(graph, "%s matrix", s->name);
    x = ts_dense_matrix(
        graph, x, ts_glow_matrix(graph, s->permutation, s->lower, s->upper, s->sign, s->log_s, c, false));
    add_term(t, ts_parameter_sum(graph, s->log_s, n, positions));
    x = ts_coupling(graph, x, coupling_network(graph, x, told, s, c, config->hidden), false, &logdet);
    add_term(t, logdet);
    return x;
}

ts_tensor ts_glow_log_prob(const ts_glow *glow, ts_graph *graph, ts_tensor x, ts_tensor t, ts_tensor *z_top)
{
    const ts_glow_config *c = &glow->config;
    const ts_tensor told = tell(glow, graph, t);
    terms sum = {.graph = graph};
    int shape[4];
    for (int level = 0; level < c->levels; level++) {
        ts_graph_layer(graph, "level %d squeeze", level);
        x = ts_graph_squeeze(graph, x, false); /* [n,2h,2w,c/4] -> [n,h,w,c], c doubled from level to level */
        ts_graph_shape(graph, x, shape);
        const int half = shape[3] / 2;
        for (int k = 0; k < c->steps; k++)
            x = step_forward(graph, x, told, &glow->steps[level * c->steps + k], shape, c, &sum);
        if (level + 1 < c->levels) {
            ts_graph_layer(graph, "level %d split", level);
            ts_tensor stays = ts_slice(graph, x, 0, half);                               /* -> [n,h,w,c/2] */
            ts_tensor h = apply_zero_conv(graph, stays, &glow->splits[level], shape[3]); /* -> [n,h,w,c] */
            add_term(&sum, ts_gaussian(graph, x, half, half, h, true)); /* the other half leaves: [n] */
            x = stays;
        }
    }
    add_term(&sum, ts_gaussian(graph, x, 0, shape[3], top_prior(glow, graph, shape[0]), false));
    if (z_top)
        *z_top = x;
    ts_graph_layer(graph, NULL);
    return ts_graph_vector_sum(graph, sum.v, sum.count);
}

/* ---- sampling ---- */

/* [n,h,w,c] -> [n,h,w,c]: a step's parts undone in reverse order. */
static ts_tensor step_inverse(ts_graph *graph, ts_tensor x, ts_tensor told, const flow_step *s, int c,
                              int hidden)
{
    x = ts_coupling(graph, x, coupling_network(graph, x, told, s, c, hidden), true, NULL);
    ts_graph_layer(graph, "%s matrix", s->name);
    x = ts_dense_matrix(
        graph, x, ts_glow_matrix(graph, s->permutation, s->lower, s->upper, s->sign, s->log_s, c, true));
    ts_graph_layer(graph, "%s actnorm", s->name);
    x = apply_told(graph, x, told, s->norm_told, c, true, NULL);
    return ts_actnorm(graph, x, s->norm.bias, s->norm.logs, 1, false, true, false);
}

ts_tensor ts_glow_sample(const ts_glow *glow, ts_graph *graph, int n, ts_tensor z_top, ts_tensor t,
                         float temperature, const ts_step_state *state, uint32_t stream)
{
    const ts_glow_config *c = &glow->config;
    const ts_tensor told = tell(glow, graph, t);
    uint32_t element = 0; /* every latent of the batch gets numbers of its own */
    ts_tensor x = z_top;
    for (int level = c->levels - 1; level >= 0; level--) {
        const int channels = level_channels(c, level), last = level == c->levels - 1;
        const int positions = (c->height >> (level + 1)) * (c->width >> (level + 1));
        if (last && z_top < 0)
            x = ts_gaussian_draw(graph, top_prior(glow, graph, n), channels, false, temperature, state,
                                 stream, element);
        if (!last) {
            ts_graph_layer(graph, "level %d split", level);
            /* x [n,h,w,c/2] -> mean and log-deviation [n,h,w,c] of the half that left: [n,h,w,c/2] */
            ts_tensor h = apply_zero_conv(graph, x, &glow->splits[level], channels);
            ts_tensor left =
                ts_gaussian_draw(graph, h, channels / 2, true, temperature, state, stream, element);
            x = ts_concat(graph, x, left); /* -> [n,h,w,c] */
        }
        element += (uint32_t)n * (uint32_t)(positions * (last ? channels : channels / 2));
        for (int k = c->steps - 1; k >= 0; k--)
            x = step_inverse(graph, x, told, &glow->steps[level * c->steps + k], channels, c->hidden);
        ts_graph_layer(graph, "level %d squeeze", level);
        x = ts_graph_squeeze(graph, x, true); /* [n,h,w,c] -> [n,2h,2w,c/4] */
    }
    ts_graph_layer(graph, NULL);
    return x;
}
