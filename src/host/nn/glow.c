/*
 * Glow (Kingma and Dhariwal 2018): L levels of squeeze, K steps of [actnorm, invertible 1x1 convolution by
 * its LU factors, affine coupling], split; Gaussian priors, learned at the top.
 */
#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "nn/nn.h"

enum { MAX_LEVELS = 16, MAX_STEPS = 1024, MAX_CHANNELS = 1 << 16 };

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
} flow_step;

struct ts_glow {
    ts_glow_config config;
    flow_step *steps; /* [levels][config.steps] */
    zero_conv splits[MAX_LEVELS], top;
    ts_whiten whitening; /* of d > 0 where it is whitened: then there are no splits, no top, and */
    norm end;            /* undoes the shrinking of the last coupling */
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

/* actnorm.{bias,logs}, [1,c,1,1], zero but for first_logs [c] (NULL: too). */
static norm add_norm(const scope *s, const char *bias, const char *logs, int c, const float *first_logs)
{
    ts_param_info info = {.rank = 4, .shape = {1, c, 1, 1}, .trained = true, .init = TS_INIT_ZERO};
    norm n = {.bias = add(s, bias, info)};
    info.init = first_logs ? TS_INIT_GIVEN : TS_INIT_ZERO;
    info.given = first_logs;
    n.logs = add(s, logs, info);
    return n;
}

static zero_conv add_zero_conv(const scope *s, int out, int in)
{
    zero_conv z;
    z.logs = add(s, "logs",
                 (ts_param_info){.rank = 3, .shape = {out, 1, 1}, .trained = true, .init = TS_INIT_ZERO});
    z.weight = add_conv(s, "conv.weight", out, in, 3, 0);
    z.bias = add(s, "conv.bias",
                 (ts_param_info){.rank = 1, .shape = {out}, .trained = true, .init = TS_INIT_ZERO});
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

/* The rotations of a level, one after the other.  Where the flow is to begin as the identity, the last one turns
 * back what the others turned. */
typedef struct turns {
    uint64_t seed;
    bool identity;
    double *product, *next; /* [c,c] each, of the rotations so far */
} turns;

/* a [c,c] <- the rotation of a layer, `last` of its level; tau [c]. */
static int turn(turns *t, uint32_t layer, bool last, int c, double *a, double *tau)
{
    if (!t->identity)
        return rotation(t->seed, layer, c, a, tau);
    if (last) {
        for (int i = 0; i < c; i++)
            for (int j = 0; j < c; j++)
                a[i * c + j] = t->product[j * c + i];
        return 0;
    }
    const int info = rotation(t->seed, layer, c, a, tau);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, c, c, c, 1, a, c, t->product, c, 0, t->next, c);
    memcpy(t->product, t->next, sizeof *t->next * (size_t)c * (size_t)c);
    return info;
}

static ts_status initial_factors(turns *t, uint32_t layer, bool last, int c, float *out)
{
    const size_t square = (size_t)c * (size_t)c;
    double *a = malloc((square + (size_t)c) * sizeof *a);
    int *pivots = malloc(2 * (size_t)c * sizeof *pivots);
    ts_status status = NULL;
    if (!a || !pivots)
        status = ts_error(TS_NO_MEMORY, "Glow: no memory for a rotation of %d channels", c);
    else if (turn(t, layer, last, c, a, a + square) || factor(c, a, pivots, pivots + c))
        status = ts_error(TS_NOT_FINITE, "Glow: LAPACK cannot factor a rotation of %d channels", c);
    else
        spread(c, a, pivots + c, out);
    free(a);
    free(pivots);
    return status;
}

static ts_status add_matrix(const scope *s, flow_step *step, int c, turns *t, uint32_t layer, bool last)
{
    const size_t square = (size_t)c * (size_t)c;
    float *f = malloc((3 * square + 2 * (size_t)c) * sizeof *f);
    if (!f)
        return ts_error(TS_NO_MEMORY, "Glow: no memory for a rotation of %d channels", c);
    ts_status status = initial_factors(t, layer, last, c, f);
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

/* ---- declaring ---- */

/* A coupling begins as y2 = x2 sigmoid(2).  Where the flow is to begin as the identity, the next actnorm undoes it:
 * logs [c] begins as -ln sigmoid(2) for the second half of the channels. */
static const float *undoing(float *logs, int c)
{
    for (int i = 0; i < c; i++)
        logs[i] = i < c / 2 ? 0 : 0.126928011f;
    return logs;
}

/* first_logs: what the actnorm's begin as; last: of its level. */
static ts_status add_step(ts_params *params, int layer, int c, int hidden, turns *t, const float *first_logs,
                          bool last, flow_step *step)
{
    const float deviation = 0.05f;
    const scope s = scope_of(params, "flow.layers.%d", layer);
    step->norm = add_norm(&s, "actnorm.bias", "actnorm.logs", c, first_logs);
    TS_TRY(add_matrix(&s, step, c, t, (uint32_t)layer, last));
    step->first = add_conv(&s, "block.0.conv.weight", hidden, c / 2, 3, deviation);
    step->first_norm = add_norm(&s, "block.0.actnorm.bias", "block.0.actnorm.logs", hidden, NULL);
    step->second = add_conv(&s, "block.2.conv.weight", hidden, hidden, 1, deviation);
    step->second_norm = add_norm(&s, "block.2.actnorm.bias", "block.2.actnorm.logs", hidden, NULL);
    const scope zero = scope_of(params, "flow.layers.%d.block.4", layer);
    step->last = add_zero_conv(&zero, c, hidden);
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
    const int multiple = 1 << c->levels, growth = c->whitening ? multiple * multiple : 4 * multiple;
    if (c->height < 1 || c->width < 1 || c->height % multiple || c->width % multiple)
        return ts_error(TS_INVALID,
                        "Glow: images of %dx%d cannot be halved %d times; both sides must be multiples of %d",
                        c->height, c->width, c->levels, multiple);
    if (c->channels < 1 || (int64_t)c->channels * growth > MAX_CHANNELS)
        return ts_error(TS_INVALID, "Glow: %d channels with %d levels; there must be 1 to %d", c->channels,
                        c->levels, MAX_CHANNELS / growth);
    return NULL;
}

/* Channels of the flow within a level, which begins with a squeeze and ends, but for the last or where there are
 * none, with a split. */
static int level_channels(const ts_glow_config *c, int level)
{
    return c->channels * 4 << (c->whitening ? 2 * level : level);
}

static ts_status declare(ts_glow *glow, ts_params *params, turns *t, float *logs)
{
    const ts_glow_config *c = &glow->config;
    int layer = 0, channels = 0;
    for (int level = 0; level < c->levels; level++) {
        channels = level_channels(c, level);
        layer++; /* the squeeze, which keeps halves of channels what they are */
        for (int i = 0; c->whitening && i < channels * channels; i++)
            t->product[i] = i % (channels + 1) == 0;
        for (int k = 0; k < c->steps; k++, layer++) {
            const float *first = c->whitening && level + k > 0 ? undoing(logs, channels) : NULL;
            flow_step *step = &glow->steps[level * c->steps + k];
            snprintf(step->name, sizeof step->name, "level %d step %d", level, k);
            TS_TRY(add_step(params, layer, channels, c->hidden, t, first, k + 1 == c->steps, step));
        }
        if (level + 1 < c->levels && !c->whitening) {
            const scope s = scope_of(params, "flow.layers.%d.conv", layer++);
            glow->splits[level] = add_zero_conv(&s, channels, channels / 2);
        }
    }
    if (c->whitening) {
        const scope s = scope_of(params, "flow.layers.%d", layer);
        glow->end = add_norm(&s, "actnorm.bias", "actnorm.logs", channels, undoing(logs, channels));
    } else {
        const scope s = scope_of(params, "learn_top_fn");
        glow->top = add_zero_conv(&s, 2 * channels, 2 * channels);
    }
    return NULL;
}

/* With room for what the parameters begin as. */
static ts_status declare_all(ts_glow *glow, ts_params *params, uint64_t seed)
{
    const ts_glow_config *c = &glow->config;
    const size_t most = (size_t)level_channels(c, c->levels - 1);
    turns t = {.seed = seed, .identity = c->whitening};
    float *logs = NULL;
    ts_status status = NULL;
    if (c->whitening) {
        t.product = malloc(2 * most * most * sizeof *t.product);
        t.next = t.product + most * most;
        logs = malloc(most * sizeof *logs);
        if (!t.product || !logs)
            status = ts_error(TS_NO_MEMORY, "Glow: no memory for rotations of %zu channels", most);
    }
    if (!status)
        status = declare(glow, params, &t, logs);
    free(t.product);
    free(logs);
    return status;
}

ts_status ts_glow_create(const ts_glow_config *config, ts_params *params, uint64_t seed, ts_glow **glow)
{
    *glow = NULL;
    TS_TRY(check(config));
    ts_glow *g = calloc(1, sizeof *g);
    if (g)
        g->steps = calloc((size_t)config->levels * (size_t)config->steps, sizeof *g->steps);
    if (!g || !g->steps) {
        ts_glow_destroy(g);
        return ts_error(TS_NO_MEMORY, "Glow: no memory for %d levels of %d steps", config->levels,
                        config->steps);
    }
    g->config = *config;
    if (config->whitening)
        g->whitening = *config->whitening;
    ts_status status = declare_all(g, params, seed);
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

/* x [n,h,w,ci] -> conv3x3(x) exp(3 logs) [n,h,w,channels]. */
static ts_tensor apply_zero_conv(ts_graph *graph, ts_tensor x, const zero_conv *z, int channels)
{
    ts_tensor y = ts_conv(graph, x, z->weight, z->bias, channels, -1, 1);
    return ts_actnorm(graph, y, -1, z->logs, 3, false, false, false);
}

/* Shift and scale for the second half of the channels, from the first half of x: [n,h,w,c] -> [n,h,w,c], even
 * channels the shifts, odd ones the scales. */
static ts_tensor coupling_network(ts_graph *graph, ts_tensor x, const flow_step *s, int c, int hidden)
{
    ts_graph_layer(graph, "%s network conv0", s->name);
    ts_tensor y = ts_slice(graph, x, 0, c / 2);         /* -> [n,h,w,c/2] */
    y = ts_conv(graph, y, s->first, -1, hidden, -1, 1); /* -> [n,h,w,hidden] */
    y = ts_actnorm(graph, y, s->first_norm.bias, s->first_norm.logs, 1, true, false, true);
    ts_graph_layer(graph, "%s network conv1", s->name);
    y = ts_dense(graph, y, false, s->second, -1, hidden, -1, 1); /* [n,h,w,hidden] */
    y = ts_actnorm(graph, y, s->second_norm.bias, s->second_norm.logs, 1, true, false, true);
    ts_graph_layer(graph, "%s network conv2", s->name);
    y = apply_zero_conv(graph, y, &s->last, c); /* -> [n,h,w,c] */
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
static ts_tensor step_forward(ts_graph *graph, ts_tensor x, const flow_step *s, const int shape[4],
                              const ts_glow_config *config, terms *t)
{
    const int n = shape[0], c = shape[3];
    const float positions = (float)(shape[1] * shape[2]);
    ts_tensor logdet;
    ts_graph_layer(graph, "%s actnorm", s->name);
    x = ts_actnorm(graph, x, s->norm.bias, s->norm.logs, 1, false, false, !config->whitening);
    add_term(t, ts_parameter_sum(graph, s->norm.logs, n, positions));
    ts_graph_layer(graph, "%s matrix", s->name);
    x = ts_dense_matrix(
        graph, x, ts_glow_matrix(graph, s->permutation, s->lower, s->upper, s->sign, s->log_s, c, false));
    add_term(t, ts_parameter_sum(graph, s->log_s, n, positions));
    x = ts_coupling(graph, x, coupling_network(graph, x, s, c, config->hidden), false, &logdet);
    add_term(t, logdet);
    return x;
}

/* Channels of the last level, undone: x [n,h,w,c] -> f(x) [n,2^L h,2^L w,c/4^L], whitened by the times t [n]. */
static ts_tensor end_whitened(const ts_glow *glow, ts_graph *graph, ts_tensor x, ts_tensor t,
                              const int shape[4], terms *sum)
{
    const float positions = (float)(shape[1] * shape[2]);
    ts_tensor logdet;
    ts_graph_layer(graph, "whitening");
    x = ts_actnorm(graph, x, glow->end.bias, glow->end.logs, 1, false, false, false);
    add_term(sum, ts_parameter_sum(graph, glow->end.logs, shape[0], positions));
    for (int level = 0; level < glow->config.levels; level++)
        x = ts_graph_squeeze(graph, x, true);
    x = ts_graph_whiten(graph, x, t, &glow->whitening, false, &logdet);
    add_term(sum, logdet);
    return x;
}

/* The parameters of N(0, I) for a tensor of that shape. */
static ts_tensor standard(ts_graph *graph, const int shape[4])
{
    return ts_zeros(graph, shape[0], shape[1], shape[2], 2 * shape[3]);
}

ts_tensor ts_glow_log_prob(const ts_glow *glow, ts_graph *graph, ts_tensor x, ts_tensor t, ts_tensor *z_top)
{
    const ts_glow_config *c = &glow->config;
    terms sum = {.graph = graph};
    int shape[4];
    for (int level = 0; level < c->levels; level++) {
        ts_graph_layer(graph, "level %d squeeze", level);
        x = ts_graph_squeeze(graph, x, false); /* [n,2h,2w,c/4] -> [n,h,w,c], c doubled from level to level */
        ts_graph_shape(graph, x, shape);
        const int half = shape[3] / 2;
        for (int k = 0; k < c->steps; k++)
            x = step_forward(graph, x, &glow->steps[level * c->steps + k], shape, c, &sum);
        if (level + 1 < c->levels && !c->whitening) {
            ts_graph_layer(graph, "level %d split", level);
            ts_tensor stays = ts_slice(graph, x, 0, half);                               /* -> [n,h,w,c/2] */
            ts_tensor h = apply_zero_conv(graph, stays, &glow->splits[level], shape[3]); /* -> [n,h,w,c] */
            add_term(&sum, ts_gaussian(graph, x, half, half, h, true)); /* the other half leaves: [n] */
            x = stays;
        }
    }
    if (c->whitening) {
        x = end_whitened(glow, graph, x, t, shape, &sum);
        ts_graph_shape(graph, x, shape);
    }
    const ts_tensor prior = c->whitening ? standard(graph, shape) : top_prior(glow, graph, shape[0]);
    add_term(&sum, ts_gaussian(graph, x, 0, shape[3], prior, false));
    if (z_top)
        *z_top = x;
    ts_graph_layer(graph, NULL);
    return ts_graph_vector_sum(graph, sum.v, sum.count);
}

/* ---- sampling ---- */

/* [n,h,w,c] -> [n,h,w,c]: a step's parts undone in reverse order. */
static ts_tensor step_inverse(ts_graph *graph, ts_tensor x, const flow_step *s, int c, int hidden)
{
    x = ts_coupling(graph, x, coupling_network(graph, x, s, c, hidden), true, NULL);
    ts_graph_layer(graph, "%s matrix", s->name);
    x = ts_dense_matrix(
        graph, x, ts_glow_matrix(graph, s->permutation, s->lower, s->upper, s->sign, s->log_s, c, true));
    ts_graph_layer(graph, "%s actnorm", s->name);
    return ts_actnorm(graph, x, s->norm.bias, s->norm.logs, 1, false, true, false);
}

/* y [n,h,w,c], -1: drawn from N(0, I), -> the channels of the last level. */
static ts_tensor begin_whitened(const ts_glow *glow, ts_graph *graph, int n, ts_tensor t, ts_tensor y,
                                float temperature, const ts_step_state *state, uint32_t stream)
{
    const ts_glow_config *c = &glow->config;
    const int shape[4] = {n, c->height, c->width, c->channels};
    ts_graph_layer(graph, "whitening");
    if (y < 0)
        y = ts_gaussian_draw(graph, standard(graph, shape), c->channels, false, temperature, state, stream,
                             0);
    ts_tensor x = ts_graph_whiten(graph, y, t, &glow->whitening, true, NULL);
    for (int level = 0; level < c->levels; level++)
        x = ts_graph_squeeze(graph, x, false);
    return ts_actnorm(graph, x, glow->end.bias, glow->end.logs, 1, false, true, false);
}

ts_tensor ts_glow_sample(const ts_glow *glow, ts_graph *graph, int n, ts_tensor t, ts_tensor z_top,
                         float temperature, const ts_step_state *state, uint32_t stream)
{
    const ts_glow_config *c = &glow->config;
    uint32_t element = 0; /* every latent of the batch gets numbers of its own */
    ts_tensor x = z_top;
    if (c->whitening)
        x = begin_whitened(glow, graph, n, t, z_top, temperature, state, stream);
    for (int level = c->levels - 1; level >= 0; level--) {
        const int channels = level_channels(c, level), last = level == c->levels - 1;
        const int positions = (c->height >> (level + 1)) * (c->width >> (level + 1));
        if (last && z_top < 0 && !c->whitening)
            x = ts_gaussian_draw(graph, top_prior(glow, graph, n), channels, false, temperature, state,
                                 stream, element);
        if (!last && !c->whitening) {
            ts_graph_layer(graph, "level %d split", level);
            /* x [n,h,w,c/2] -> mean and log-deviation [n,h,w,c] of the half that left: [n,h,w,c/2] */
            ts_tensor h = apply_zero_conv(graph, x, &glow->splits[level], channels);
            ts_tensor left =
                ts_gaussian_draw(graph, h, channels / 2, true, temperature, state, stream, element);
            x = ts_concat(graph, x, left); /* -> [n,h,w,c] */
        }
        element += (uint32_t)n * (uint32_t)(positions * (last ? channels : channels / 2));
        for (int k = c->steps - 1; k >= 0; k--)
            x = step_inverse(graph, x, &glow->steps[level * c->steps + k], channels, c->hidden);
        ts_graph_layer(graph, "level %d squeeze", level);
        x = ts_graph_squeeze(graph, x, true); /* [n,h,w,c] -> [n,2h,2w,c/4] */
    }
    ts_graph_layer(graph, NULL);
    return x;
}
