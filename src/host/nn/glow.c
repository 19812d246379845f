/*
 * Glow (Kingma and Dhariwal 2018): L levels of squeeze, K steps of [actnorm, invertible 1x1 convolution by
 * its LU factors, affine coupling], split; Gaussian priors, learned at the top.  Over vectors it is one level
 * without a squeeze, and its convolutions are dense layers.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "nn/nn.h"
#include "nn/rotations.h"
#include "nn/told.h"

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
    ts_told_step told; /* conditional: of maps behind `norm`, the first and the last convolution */
} flow_step;

struct ts_glow {
    ts_glow_config config;
    bool vectors;     /* of 1x1 pixel: levels is 1 then */
    flow_step *steps; /* [levels][config.steps] */
    zero_conv splits[MAX_LEVELS], top;
    norm end; /* whitened, there are no splits and no top; this undoes the shrinking of the last coupling */
    ts_told told;
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

static zero_conv add_zero_conv(const scope *s, int out, int in, int size)
{
    zero_conv z;
    z.logs = add(s, "logs",
                 (ts_param_info){.rank = 3, .shape = {out, 1, 1}, .trained = true, .init = TS_INIT_ZERO});
    z.weight = add_conv(s, "conv.weight", out, in, size, 0);
    z.bias = add(s, "conv.bias",
                 (ts_param_info){.rank = 1, .shape = {out}, .trained = true, .init = TS_INIT_ZERO});
    return z;
}

/* ---- declaring ---- */

static ts_status add_matrix(const scope *s, flow_step *step, int c, ts_rotations *t, uint32_t layer,
                            bool last)
{
    const size_t square = (size_t)c * (size_t)c;
    float *f = malloc((3 * square + 2 * (size_t)c) * sizeof *f);
    if (!f)
        return ts_error(TS_NO_MEMORY, "Glow: no memory for a rotation of %d channels", c);
    ts_status status = ts_rotations_next(t, layer, last, c, f);
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

/* Channels that a coupling changes, by the others. */
static int changed(int c)
{
    return c / 2;
}

/* Sides of the convolutions that see neighbours. */
static int size_of(const ts_glow *glow)
{
    return glow->vectors ? 1 : 3;
}

/* A coupling begins as y2 = x2 sigmoid(2).  Where the flow is to begin as the identity, the next actnorm undoes it:
 * logs [c] begins as -ln sigmoid(2) for the channels that it changed. */
static const float *undoing(float *logs, int c)
{
    for (int i = 0; i < c; i++)
        logs[i] = i < c - changed(c) ? 0 : 0.126928011f;
    return logs;
}

/* first_logs: what the actnorm's begin as; last: of its level. */
static ts_status add_step(const ts_glow *glow, ts_params *params, int layer, int c, ts_rotations *t,
                          const float *first_logs, bool last, flow_step *step)
{
    const float deviation = 0.05f;
    const int hidden = glow->config.hidden, size = size_of(glow);
    const scope s = scope_of(params, "flow.layers.%d", layer);
    step->norm = add_norm(&s, "actnorm.bias", "actnorm.logs", c, first_logs);
    TS_TRY(add_matrix(&s, step, c, t, (uint32_t)layer, last));
    step->first = add_conv(&s, "block.0.conv.weight", hidden, c - changed(c), size, deviation);
    step->first_norm = add_norm(&s, "block.0.actnorm.bias", "block.0.actnorm.logs", hidden, NULL);
    step->second = add_conv(&s, "block.2.conv.weight", hidden, hidden, 1, deviation);
    step->second_norm = add_norm(&s, "block.2.actnorm.bias", "block.2.actnorm.logs", hidden, NULL);
    const scope zero = scope_of(params, "flow.layers.%d.block.4", layer);
    step->last = add_zero_conv(&zero, 2 * changed(c), hidden, size);
    return NULL;
}

static bool are_vectors(const ts_glow_config *c)
{
    return c->height == 1 && c->width == 1;
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
    if (are_vectors(c) && (c->channels < 2 || c->channels > MAX_CHANNELS))
        return ts_error(
            TS_INVALID,
            "Glow: vectors of %d dimensions; a coupling changes some by the others, so there must "
            "be 2 to %d",
            c->channels, MAX_CHANNELS);
    if (are_vectors(c))
        return NULL;
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
    return are_vectors(c) ? c->channels : c->channels * 4 << (c->whitening ? 2 * level : level);
}

/* Behind all others, which thus begin as those of a flow that is told nothing. */
static ts_status declare_told(ts_glow *glow, ts_params *params)
{
    const ts_glow_config *c = &glow->config;
    if (!c->conditional)
        return NULL;
    ts_told_declare(&glow->told, params, &c->sde, c->t_min, c->t_max);
    for (int i = 0; i < c->levels * c->steps; i++) {
        const int channels = level_channels(c, i / c->steps);
        TS_TRY(ts_told_declare_step(params, i, channels, c->hidden, 2 * changed(channels),
                                    &glow->steps[i].told));
    }
    return NULL;
}

static ts_status declare(ts_glow *glow, ts_params *params, ts_rotations *t, float *logs)
{
    const ts_glow_config *c = &glow->config;
    int layer = 0, channels = 0;
    for (int level = 0; level < c->levels; level++) {
        channels = level_channels(c, level);
        layer += !glow->vectors; /* the squeeze, which keeps halves of channels what they are */
        const size_t square = (size_t)channels * (size_t)channels;
        for (size_t i = 0; c->whitening && i < square; i++)
            t->product[i] = i % ((size_t)channels + 1) == 0;
        for (int k = 0; k < c->steps; k++, layer++) {
            const float *first = c->whitening && level + k > 0 ? undoing(logs, channels) : NULL;
            flow_step *step = &glow->steps[level * c->steps + k];
            snprintf(step->name, sizeof step->name, "level %d step %d", level, k);
            TS_TRY(add_step(glow, params, layer, channels, t, first, k + 1 == c->steps, step));
        }
        if (level + 1 < c->levels && !c->whitening) {
            const scope s = scope_of(params, "flow.layers.%d.conv", layer++);
            glow->splits[level] = add_zero_conv(&s, channels, channels / 2, 3);
        }
    }
    if (c->whitening) {
        const scope s = scope_of(params, "flow.layers.%d", layer);
        glow->end = add_norm(&s, "actnorm.bias", "actnorm.logs", channels, undoing(logs, channels));
    } else {
        const scope s = scope_of(params, "learn_top_fn");
        glow->top = add_zero_conv(&s, 2 * channels, 2 * channels, size_of(glow));
    }
    return declare_told(glow, params);
}

/* With room for what the parameters begin as. */
static ts_status declare_all(ts_glow *glow, ts_params *params, uint64_t seed)
{
    const ts_glow_config *c = &glow->config;
    const size_t most = (size_t)level_channels(c, c->levels - 1);
    ts_rotations t = {.seed = seed};
    float *logs = NULL;
    ts_status status = NULL;
    if (c->whitening) {
        t.product = malloc(most * most * sizeof *t.product);
        t.next = malloc(most * most * sizeof *t.next);
        logs = malloc(most * sizeof *logs);
        if (!t.product || !t.next || !logs)
            status = ts_error(TS_NO_MEMORY, "Glow: no memory for rotations of %zu channels", most);
    }
    if (!status)
        status = declare(glow, params, &t, logs);
    free(t.product);
    free(t.next);
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
    g->vectors = are_vectors(config);
    if (g->vectors)
        g->config.levels = 1;
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

/* x [n,h,w,c] -> [n,h/2,w/2,4c], or back; vectors stay as they are. */
static ts_tensor squeeze(const ts_glow *glow, ts_graph *graph, ts_tensor x, bool inverse)
{
    return glow->vectors ? x : ts_graph_squeeze(graph, x, inverse);
}

/* Positions of a level, from 0 on, along a side. */
static int side_of(const ts_glow *glow, int side, int level)
{
    return glow->vectors ? side : side >> (level + 1);
}

/* A convolution of the flow's size, without a bias or with one. */
static ts_tensor apply_conv(const ts_glow *glow, ts_graph *graph, ts_tensor x, ts_param weight, ts_param bias,
                            int channels)
{
    return glow->vectors ? ts_dense(graph, x, false, weight, bias, channels, -1, 1)
                         : ts_conv(graph, x, weight, bias, channels, -1, 1);
}

/* x [n,h,w,ci] -> conv(x) exp(3 logs) [n,h,w,channels]. */
static ts_tensor apply_zero_conv(const ts_glow *glow, ts_graph *graph, ts_tensor x, const zero_conv *z,
                                 int channels)
{
    ts_tensor y = apply_conv(glow, graph, x, z->weight, z->bias, channels);
    return ts_actnorm(graph, y, -1, z->logs, 3, false, false, false);
}

/* What the flow is told of the times t [n]; -1: nothing. */
static ts_tensor tell(const ts_glow *glow, ts_graph *graph, ts_tensor t)
{
    return glow->config.conditional ? ts_told_apply(&glow->told, graph, t) : -1;
}

/* Shift and scale for the m channels that change, from the others x [n,h,w,c-m]: -> [n,h,w,2m], even channels the
 * shifts, odd ones the scales. */
static ts_tensor coupling_network(const ts_glow *glow, ts_graph *graph, ts_tensor x, ts_tensor told,
                                  const flow_step *s, int m)
{
    const int hidden = glow->config.hidden;
    ts_tensor y = apply_conv(glow, graph, x, s->first, -1, hidden); /* -> [n,h,w,hidden] */
    y = ts_told_norm(graph, y, told, s->told.network, hidden, false, NULL);
    y = ts_actnorm(graph, y, s->first_norm.bias, s->first_norm.logs, 1, true, false, true);
    ts_graph_layer(graph, "%s network conv1", s->name);
    y = ts_dense(graph, y, false, s->second, -1, hidden, -1, 1); /* [n,h,w,hidden] */
    y = ts_actnorm(graph, y, s->second_norm.bias, s->second_norm.logs, 1, true, false, true);
    ts_graph_layer(graph, "%s network conv2", s->name);
    y = apply_zero_conv(glow, graph, y, &s->last, 2 * m); /* -> [n,h,w,2m] */
    y = ts_told_norm(graph, y, told, s->told.last, 2 * m, false, NULL);
    ts_graph_layer(graph, "%s coupling", s->name);
    return y;
}

/* [n,h,w,c] -> [n,h,w,c].  Of an odd number of channels the first is but looked at. */
static ts_tensor couple(const ts_glow *glow, ts_graph *graph, ts_tensor x, ts_tensor told, const flow_step *s,
                        int c, bool inverse, ts_tensor *logdet)
{
    const int m = changed(c), odd = c % 2;
    ts_graph_layer(graph, "%s network conv0", s->name);
    const ts_tensor h = coupling_network(glow, graph, ts_slice(graph, x, 0, c - m), told, s, m);
    if (!odd)
        return ts_coupling(graph, x, h, inverse, logdet);
    const ts_tensor y = ts_coupling(graph, ts_slice(graph, x, 1, c - 1), h, inverse, logdet);
    return ts_concat(graph, ts_slice(graph, x, 0, 1), y);
}

/* Mean and log-deviation of the top latent [n,h,w,c], as halves of [n,h,w,2c]: the learned convolution of
 * zeros leaves bias exp(3 logs); its weight has no part. */
static ts_tensor top_prior(const ts_glow *glow, ts_graph *graph, int n)
{
    const ts_glow_config *c = &glow->config;
    const int channels = 2 * level_channels(c, c->levels - 1);
    ts_graph_layer(graph, "top prior");
    ts_tensor zeros = ts_zeros(graph, n, side_of(glow, c->height, c->levels - 1),
                               side_of(glow, c->width, c->levels - 1), channels);
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

/* x [n,h,w,c] -> [n,h,w,c]; its log-determinants [n] go to the terms. */
static ts_tensor step_forward(const ts_glow *glow, ts_graph *graph, ts_tensor x, ts_tensor told,
                              const flow_step *s, const int shape[4], terms *t)
{
    const int n = shape[0], c = shape[3];
    const float positions = (float)(shape[1] * shape[2]);
    ts_tensor logdet;
    ts_graph_layer(graph, "%s actnorm", s->name);
    x = ts_actnorm(graph, x, s->norm.bias, s->norm.logs, 1, false, false, !glow->config.whitening);
    add_term(t, ts_parameter_sum(graph, s->norm.logs, n, positions));
    x = ts_told_norm(graph, x, told, s->told.norm, c, false, &logdet);
    if (told >= 0)
        add_term(t, logdet);
    ts_graph_layer(graph, "%s matrix", s->name);
    x = ts_dense_matrix(
        graph, x, ts_glow_matrix(graph, s->permutation, s->lower, s->upper, s->sign, s->log_s, c, false));
    add_term(t, ts_parameter_sum(graph, s->log_s, n, positions));
    x = couple(glow, graph, x, told, s, c, false, &logdet);
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
        x = squeeze(glow, graph, x, true);
    x = ts_graph_whiten(graph, x, t, glow->config.whitening, false, &logdet);
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
    const ts_tensor told = tell(glow, graph, t);
    terms sum = {.graph = graph};
    int shape[4];
    for (int level = 0; level < c->levels; level++) {
        ts_graph_layer(graph, "level %d squeeze", level);
        x = squeeze(glow, graph, x, false); /* [n,2h,2w,c/4] -> [n,h,w,c], c doubled from level to level */
        ts_graph_shape(graph, x, shape);
        const int half = shape[3] / 2;
        for (int k = 0; k < c->steps; k++)
            x = step_forward(glow, graph, x, told, &glow->steps[level * c->steps + k], shape, &sum);
        if (level + 1 < c->levels && !c->whitening) {
            ts_graph_layer(graph, "level %d split", level);
            ts_tensor stays = ts_slice(graph, x, 0, half); /* -> [n,h,w,c/2] */
            ts_tensor h =
                apply_zero_conv(glow, graph, stays, &glow->splits[level], shape[3]); /* -> [n,h,w,c] */
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
static ts_tensor step_inverse(const ts_glow *glow, ts_graph *graph, ts_tensor x, ts_tensor told,
                              const flow_step *s, int c)
{
    x = couple(glow, graph, x, told, s, c, true, NULL);
    ts_graph_layer(graph, "%s matrix", s->name);
    x = ts_dense_matrix(
        graph, x, ts_glow_matrix(graph, s->permutation, s->lower, s->upper, s->sign, s->log_s, c, true));
    ts_graph_layer(graph, "%s actnorm", s->name);
    x = ts_told_norm(graph, x, told, s->told.norm, c, true, NULL);
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
    ts_tensor x = ts_graph_whiten(graph, y, t, c->whitening, true, NULL);
    for (int level = 0; level < c->levels; level++)
        x = squeeze(glow, graph, x, false);
    return ts_actnorm(graph, x, glow->end.bias, glow->end.logs, 1, false, true, false);
}

ts_tensor ts_glow_sample(const ts_glow *glow, ts_graph *graph, int n, ts_tensor t, ts_tensor z_top,
                         float temperature, const ts_step_state *state, uint32_t stream)
{
    const ts_glow_config *c = &glow->config;
    const ts_tensor told = tell(glow, graph, t);
    uint32_t element = 0; /* every latent of the batch gets numbers of its own */
    ts_tensor x = z_top;
    if (c->whitening)
        x = begin_whitened(glow, graph, n, t, z_top, temperature, state, stream);
    for (int level = c->levels - 1; level >= 0; level--) {
        const int channels = level_channels(c, level), last = level == c->levels - 1;
        const int positions = side_of(glow, c->height, level) * side_of(glow, c->width, level);
        if (last && z_top < 0 && !c->whitening)
            x = ts_gaussian_draw(graph, top_prior(glow, graph, n), channels, false, temperature, state,
                                 stream, element);
        if (!last && !c->whitening) {
            ts_graph_layer(graph, "level %d split", level);
            /* x [n,h,w,c/2] -> mean and log-deviation [n,h,w,c] of the half that left: [n,h,w,c/2] */
            ts_tensor h = apply_zero_conv(glow, graph, x, &glow->splits[level], channels);
            ts_tensor left =
                ts_gaussian_draw(graph, h, channels / 2, true, temperature, state, stream, element);
            x = ts_concat(graph, x, left); /* -> [n,h,w,c] */
        }
        element += (uint32_t)n * (uint32_t)(positions * (last ? channels : channels / 2));
        for (int k = c->steps - 1; k >= 0; k--)
            x = step_inverse(glow, graph, x, told, &glow->steps[level * c->steps + k], channels);
        ts_graph_layer(graph, "level %d squeeze", level);
        x = squeeze(glow, graph, x, true); /* [n,h,w,c] -> [n,2h,2w,c/4] */
    }
    ts_graph_layer(graph, NULL);
    return x;
}
