/*
 * DDPM++ (Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations", 2021,
 * appendix H): the U-Net of Ho et al. 2020 with BigGAN residual blocks (Brock et al. 2019) and skips rescaled
 * by 1/sqrt 2.
 *
 * The modules are numbered as in the public checkpoints; `plan_modules` walks the network once to declare
 * them, and `ts_unet_apply` walks it again in the same order.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "nn/nn.h"

#define GROUP_NORM_EPSILON 1e-6f
#define SKIP_SCALE         0.70710678118654752440f

enum { MAX_SKIPS = 8 * 66 + 1 };

typedef enum module_kind { RESIDUAL, RESIDUAL_DOWN, RESIDUAL_UP, ATTENTION } module_kind;

/* One residual or attention module with its parameters. */
typedef struct module {
    char name[48]; /* "down 0 block 2" */
    module_kind kind;
    bool concat; /* its input is [h, skip] */
    int in, out;
    ts_param norm0[2], conv0[2], time[2], norm1[2], conv1[2], skip[2];
    ts_param qkv[2], project[2];
} module;

struct ts_unet {
    ts_unet_config config;
    int time_channels;
    ts_param time0[2], time1[2], first[2], norm[2], last[2];
    module *modules;
    int count, capacity;
    int encoder_count; /* modules before the middle */
};

/* ---- declaring parameters ---- */

typedef struct declaring {
    ts_unet *unet;
    ts_params *params;
    int number; /* of the next module in the public order */
    bool short_of_memory;
} declaring;

/* Uniform with variance scale / fan, fan the mean of inputs and outputs (Glorot and Bengio 2010, as score_sde
 * uses it); a scale of 0 stands for 1e-10 there. */
static float fan_average(double scale, double fan_in, double fan_out)
{
    return (float)sqrt(3.0 * (scale == 0.0 ? 1e-10 : scale) / (0.5 * (fan_in + fan_out)));
}

static ts_param declare(declaring *d, const char *name, int rank, const int64_t shape[4], ts_layout layout,
                        ts_init init, float scale)
{
    ts_param_info info = {.rank = rank, .layout = layout, .trained = true, .init = init, .scale = scale};
    snprintf(info.name, sizeof info.name, "all_modules.%d.%s", d->number, name);
    memcpy(info.shape, shape, sizeof info.shape);
    return ts_params_add(d->params, &info);
}

static void vector(declaring *d, const char *name, const char *part, int count, ts_init init, ts_param *param)
{
    char whole[64];
    snprintf(whole, sizeof whole, "%s%s%s", name, *name ? "." : "", part);
    *param = declare(d, whole, 1, (int64_t[4]){count}, TS_LAYOUT_PLAIN, init, 0);
}

static void norm(declaring *d, const char *name, int channels, ts_param pair[2])
{
    vector(d, name, "weight", channels, TS_INIT_ONE, &pair[0]);
    vector(d, name, "bias", channels, TS_INIT_ZERO, &pair[1]);
}

static void conv(declaring *d, const char *name, int in, int out, int k, double scale, ts_param pair[2])
{
    char whole[64];
    snprintf(whole, sizeof whole, "%s%sweight", name, *name ? "." : "");
    pair[0] = declare(d, whole, 4, (int64_t[4]){out, in, k, k}, TS_LAYOUT_CONV, TS_INIT_UNIFORM,
                      fan_average(scale, (double)in * k * k, (double)out * k * k));
    vector(d, name, "bias", out, TS_INIT_ZERO, &pair[1]);
}

static void linear(declaring *d, const char *name, int in, int out, ts_param pair[2])
{
    char whole[64];
    snprintf(whole, sizeof whole, "%s%sweight", name, *name ? "." : "");
    pair[0] = declare(d, whole, 2, (int64_t[4]){out, in}, TS_LAYOUT_PLAIN, TS_INIT_UNIFORM,
                      fan_average(1, in, out));
    vector(d, name, "bias", out, TS_INIT_ZERO, &pair[1]);
}

/* `count` projections side by side, stored so that they are one matrix: all weights, then all biases. */
static void network_in_network(declaring *d, int first, int count, int channels, double scale,
                               ts_param pair[2])
{
    char name[32];
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "NIN_%d.W", first + i);
        const ts_param p = declare(d, name, 2, (int64_t[4]){channels, channels}, TS_LAYOUT_TRANSPOSED,
                                   TS_INIT_UNIFORM, fan_average(scale, channels, channels));
        pair[0] = i ? pair[0] : p;
    }
    for (int i = 0; i < count; i++) {
        ts_param p;
        snprintf(name, sizeof name, "NIN_%d", first + i);
        vector(d, name, "b", channels, TS_INIT_ZERO, &p);
        pair[1] = i ? pair[1] : p;
    }
}

static module *append(declaring *d, const char *name, module_kind kind, int in, int out)
{
    ts_unet *u = d->unet;
    if (u->count == u->capacity) {
        const int capacity = u->capacity ? 2 * u->capacity : 32;
        module *grown = realloc(u->modules, (size_t)capacity * sizeof *grown);
        if (!grown) {
            d->short_of_memory = true;
            return NULL;
        }
        u->modules = grown;
        u->capacity = capacity;
    }
    module *m = &u->modules[u->count++];
    *m = (module){.kind = kind, .in = in, .out = out, .skip = {-1, -1}};
    snprintf(m->name, sizeof m->name, "%s", name);
    return m;
}

static void residual(declaring *d, const char *name, module_kind kind, int in, int out, bool concat)
{
    module *m = append(d, name, kind, in, out);
    if (!m)
        return;
    m->concat = concat;
    norm(d, "GroupNorm_0", in, m->norm0);
    conv(d, "Conv_0", in, out, 3, 1, m->conv0);
    linear(d, "Dense_0", d->unet->time_channels, out, m->time);
    norm(d, "GroupNorm_1", out, m->norm1);
    conv(d, "Conv_1", out, out, 3, 0, m->conv1);
    if (in != out || kind != RESIDUAL)
        conv(d, "Conv_2", in, out, 1, 1, m->skip);
    d->number++;
}

static void attention(declaring *d, const char *name, int channels)
{
    module *m = append(d, name, ATTENTION, channels, channels);
    if (!m)
        return;
    norm(d, "GroupNorm_0", channels, m->norm0);
    network_in_network(d, 0, 3, channels, 0.1, m->qkv);
    network_in_network(d, 3, 1, channels, 0, m->project);
    d->number++;
}

/* "down 0 block 2" or, without a number, "up 1 attention". */
typedef struct module_name {
    char text[48];
} module_name;

static module_name name_of(const char *way, int level, const char *what, int number)
{
    module_name name;
    if (number < 0)
        snprintf(name.text, sizeof name.text, "%s %d %s", way, level, what);
    else
        snprintf(name.text, sizeof name.text, "%s %d %s %d", way, level, what, number);
    return name;
}

static bool attends(const ts_unet_config *c, int height)
{
    for (int i = 0; i < c->attn_count; i++)
        if (c->attn_resolutions[i] == height)
            return true;
    return false;
}

static void plan_modules(declaring *d)
{
    ts_unet *u = d->unet;
    const ts_unet_config *c = &u->config;
    int skips[MAX_SKIPS], kept = 0, channels = c->nf, height = c->height;
    linear(d, "", c->nf, u->time_channels, u->time0);
    d->number++;
    linear(d, "", u->time_channels, u->time_channels, u->time1);
    d->number++;
    conv(d, "", c->channels, c->nf, 3, 1, u->first);
    d->number++;
    skips[kept++] = channels;
    for (int level = 0; level < c->levels; level++) {
        const int width = c->nf * c->ch_mult[level];
        for (int block = 0; block < c->num_res_blocks; block++) {
            residual(d, name_of("down", level, "block", block).text, RESIDUAL, channels, width, false);
            channels = width;
            if (attends(c, height))
                attention(d, name_of("down", level, "attention", block).text, channels);
            skips[kept++] = channels;
        }
        if (level + 1 < c->levels) {
            residual(d, name_of("down", level, "halving", -1).text, RESIDUAL_DOWN, channels, channels, false);
            height /= 2;
            skips[kept++] = channels;
        }
    }
    u->encoder_count = u->count;
    residual(d, "middle block 0", RESIDUAL, channels, channels, false);
    attention(d, "middle attention", channels);
    residual(d, "middle block 1", RESIDUAL, channels, channels, false);
    for (int level = c->levels - 1; level >= 0; level--) {
        const int width = c->nf * c->ch_mult[level];
        for (int block = 0; block <= c->num_res_blocks; block++) {
            residual(d, name_of("up", level, "block", block).text, RESIDUAL, channels + skips[--kept], width,
                     true);
            channels = width;
        }
        if (attends(c, height))
            attention(d, name_of("up", level, "attention", -1).text, channels);
        if (level > 0) {
            residual(d, name_of("up", level, "doubling", -1).text, RESIDUAL_UP, channels, channels, false);
            height *= 2;
        }
    }
    norm(d, "", channels, u->norm);
    d->number++;
    conv(d, "", channels, c->channels, 3, 0, u->last);
}

/* ---- checking ---- */

static int groups_of(int channels)
{
    return channels / 4 < 32 ? channels / 4 : 32;
}

static ts_status check_attention(const ts_unet_config *c)
{
    for (int i = 0; i < c->attn_count; i++) {
        char heights[96] = "";
        bool found = false;
        for (int level = 0, at = 0; level < c->levels; level++) {
            found |= c->height >> level == c->attn_resolutions[i];
            at += snprintf(heights + at, sizeof heights - (size_t)at, "%s%d", level ? ", " : "",
                           c->height >> level);
        }
        if (!found)
            return ts_error(TS_INVALID, "model.attn_resolutions: the levels have heights %s, not %d", heights,
                            c->attn_resolutions[i]);
    }
    return NULL;
}

static ts_status check_config(const ts_unet_config *c)
{
    if (c->height < 1 || c->width < 1 || c->channels < 1)
        return ts_error(TS_INVALID, "model: impossible image size %dx%dx%d", c->height, c->width,
                        c->channels);
    if (c->nf < 4 || c->nf % 2 || c->nf > 1 << 14)
        return ts_error(TS_INVALID, "model.nf: %d should be even and at least 4", c->nf);
    if (c->levels < 1 || c->levels > 8 || c->num_res_blocks < 1 || c->num_res_blocks > 64)
        return ts_error(TS_INVALID, "model: 1 to 8 levels of 1 to 64 blocks, not %d of %d", c->levels,
                        c->num_res_blocks);
    const int divisor = 1 << (c->levels - 1);
    if (c->height % divisor || c->width % divisor)
        return ts_error(
            TS_INVALID,
            "model.ch_mult: %d levels halve the image %d times, but %dx%d cannot be divided by %d", c->levels,
            c->levels - 1, c->height, c->width, divisor);
    for (int i = 0; i < c->levels; i++)
        if (c->ch_mult[i] < 1 || c->ch_mult[i] > 256)
            return ts_error(TS_INVALID, "model.ch_mult: %d should be from 1 to 256", c->ch_mult[i]);
    return check_attention(c);
}

/* Every GroupNorm must divide its channels; which these are is known only after the walk. */
static ts_status check_groups(const ts_unet *u)
{
    for (int i = 0; i < u->count; i++) {
        const int channels[] = {u->modules[i].in, u->modules[i].out};
        for (int j = 0; j < 2; j++)
            if (channels[j] % groups_of(channels[j]))
                return ts_error(TS_INVALID,
                                "model.nf: %d channels in block %d cannot be split into %d groups",
                                channels[j], i, groups_of(channels[j]));
    }
    return NULL;
}

ts_status ts_unet_create(const ts_unet_config *config, ts_params *params, ts_unet **unet)
{
    *unet = NULL;
    TS_TRY(check_config(config));
    ts_unet *u = calloc(1, sizeof *u);
    if (!u)
        return ts_error(TS_NO_MEMORY, "no memory for a network");
    u->config = *config;
    u->time_channels = 4 * config->nf;
    declaring d = {.unet = u, .params = params};
    plan_modules(&d);
    ts_status status =
        d.short_of_memory ? ts_error(TS_NO_MEMORY, "no memory for a network") : check_groups(u);
    if (status)
        ts_unet_destroy(u);
    else
        *unet = u;
    return status;
}

void ts_unet_destroy(ts_unet *unet)
{
    if (unet)
        free(unet->modules);
    free(unet);
}

/* ---- the computation ---- */

typedef struct walk {
    const ts_unet *unet;
    ts_graph *graph;
    ts_tensor time; /* silu of the time embedding */
    float dropout;
} walk;

static ts_tensor group_norm(const walk *w, ts_tensor x, ts_tensor shift, const ts_param pair[2], int channels,
                            bool silu, float dropout)
{
    return ts_group_norm(w->graph, x, shift, pair[0], pair[1], groups_of(channels), GROUP_NORM_EPSILON, silu,
                         dropout);
}

/* x [n,h,w,in] -> [n,h',w',out], of the same size, half or double of it: h' = h, h/2, 2h. */
static ts_tensor apply_residual(const walk *w, const module *m, ts_tensor x)
{
    ts_graph *g = w->graph;
    ts_tensor h;
    ts_graph_layer(g, "%s norm0", m->name);
    if (m->kind == RESIDUAL)
        h = group_norm(w, x, -1, m->norm0, m->in, true, 0); /* [n,h,w,in] */
    else                                                    /* h and x [n,h,w,in] -> [n,h',w',in] */
        h = ts_group_norm_resampled(g, x, m->norm0[0], m->norm0[1], groups_of(m->in), GROUP_NORM_EPSILON,
                                    true, m->kind == RESIDUAL_UP, &x);
    ts_graph_layer(g, "%s conv0", m->name);
    h = ts_conv(g, h, m->conv0[0], m->conv0[1], m->out, -1, 1); /* -> [n,h',w',out] */
    ts_graph_layer(g, "%s time", m->name);
    /* time [n,1,1,4 nf] -> [n,1,1,out] */
    const ts_tensor shift = ts_dense(g, w->time, false, m->time[0], m->time[1], m->out, -1, 1);
    ts_graph_layer(g, "%s norm1", m->name);
    h = group_norm(w, h, shift, m->norm1, m->out, true, w->dropout); /* [n,h',w',out] */
    if (m->skip[0] >= 0) {
        ts_graph_layer(g, "%s skip", m->name);
        x = ts_dense(g, x, false, m->skip[0], m->skip[1], m->out, -1, 1); /* [n,h',w',in] -> [n,h',w',out] */
    }
    ts_graph_layer(g, "%s conv1", m->name);
    return ts_conv(g, h, m->conv1[0], m->conv1[1], m->out, x, SKIP_SCALE); /* (x + conv(h))/sqrt 2 */
}

/* x [n,h,w,c] -> [n,h,w,c], every position attending to all h w of its image. */
static ts_tensor apply_attention(const walk *w, const module *m, ts_tensor x)
{
    ts_graph_layer(w->graph, "%s norm", m->name);
    ts_tensor h = group_norm(w, x, -1, m->norm0, m->in, false, 0);
    ts_graph_layer(w->graph, "%s qkv", m->name);
    h = ts_dense(w->graph, h, false, m->qkv[0], m->qkv[1], 3 * m->in, -1, 1); /* -> [n,h,w,3c] */
    ts_graph_layer(w->graph, "%s softmax", m->name);
    h = ts_attention(w->graph, h); /* -> [n,h,w,c] */
    ts_graph_layer(w->graph, "%s project", m->name);
    return ts_dense(w->graph, h, false, m->project[0], m->project[1], m->in, x, SKIP_SCALE);
}

static ts_tensor apply(const walk *w, const module *m, ts_tensor x)
{
    return m->kind == ATTENTION ? apply_attention(w, m, x) : apply_residual(w, m, x);
}

ts_tensor ts_unet_apply(const ts_unet *unet, ts_graph *graph, ts_tensor x, ts_tensor t, bool training)
{
    walk w = {.unet = unet, .graph = graph, .dropout = training ? unet->config.dropout : 0};
    ts_tensor skips[MAX_SKIPS];
    int kept = 0;
    const ts_unet_config *c = &unet->config;
    ts_graph_layer(graph, "time");
    ts_tensor time = ts_graph_time_embedding(graph, t, c->nf); /* t [n] -> [n,1,1,nf] */
    /* -> [n,1,1,4 nf] */
    time = ts_dense(graph, time, false, unet->time0[0], unet->time0[1], unet->time_channels, -1, 1);
    time = ts_dense(graph, time, true, unet->time1[0], unet->time1[1], unet->time_channels, -1, 1);
    w.time = ts_silu(graph, time);

    ts_graph_layer(graph, "input conv");
    ts_tensor h = ts_conv(graph, x, unet->first[0], unet->first[1], c->nf, -1, 1); /* -> [n,h,w,nf] */
    skips[kept++] = h;
    /* down: level l works on [n,h/2^l,w/2^l,nf ch_mult[l]] */
    for (int i = 0; i < unet->encoder_count; i++) {
        h = apply(&w, &unet->modules[i], h);
        /* an attention module belongs to the residual block before it: the pair leaves one skip */
        if (i + 1 < unet->encoder_count && unet->modules[i + 1].kind == ATTENTION)
            continue;
        skips[kept++] = h;
    }
    /* the middle at the smallest size, then up again: [h, skip] has the channels of both */
    for (int i = unet->encoder_count; i < unet->count; i++) {
        const module *m = &unet->modules[i];
        if (m->concat)
            h = ts_concat(graph, h, skips[--kept]);
        h = apply(&w, m, h);
    }
    const int last = c->nf * c->ch_mult[0];
    ts_graph_layer(graph, "output norm");
    h = group_norm(&w, h, -1, unet->norm, last, true, 0); /* [n,h,w,nf ch_mult[0]] */
    ts_graph_layer(graph, "output conv");
    h = ts_conv(graph, h, unet->last[0], unet->last[1], c->channels, -1, 1); /* -> [n,h,w,channels], as x */
    ts_graph_layer(graph, NULL);
    return h;
}
