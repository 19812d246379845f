/*
 * The U-Net of score_sde (Song et al., "Score-Based Generative Modeling through Stochastic Differential
 * Equations", 2021, appendix H), of which DDPM++ and NCSN++ are settings: that of Ho et al. 2020 with
 * BigGAN residual blocks (Brock et al. 2019), skips rescaled by 1/sqrt 2, and for NCSN++ Fourier features
 * of the noise level, resampling by FIR filters, and pyramids of input and output beside the network
 * (Karras et al. 2020).
 *
 * The modules are numbered as in the public checkpoints; unet_plan.c lists them once, and `ts_unet_apply`
 * walks the list.
 */
#include "nn/unet.h"

#include <stdio.h>
#include <stdlib.h>

#define GROUP_NORM_EPSILON 1e-6f
#define SKIP_SCALE         0.70710678118654752440f

/* ---- checking ---- */

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
    if (c->fir_taps && (c->fir_taps < 2 || c->fir_taps > TS_FIR_TAPS))
        return ts_error(TS_INVALID, "model.fir_kernel: 2 to %d taps, not %d", TS_FIR_TAPS, c->fir_taps);
    return check_attention(c);
}

/* Every GroupNorm must divide its channels; which these are is known only after the walk. */
static ts_status check_groups(const ts_unet *u)
{
    for (int i = 0; i < u->count; i++) {
        const unet_module *m = &u->modules[i];
        const bool residual =
            m->kind == UNET_RESIDUAL || m->kind == UNET_RESIDUAL_HALVING || m->kind == UNET_RESIDUAL_DOUBLING;
        const int channels[] = {m->in, m->out};
        const int norms = residual ? 2 : m->kind == UNET_ATTENTION || m->kind == UNET_OUTPUT ? 1 : 0;
        for (int j = 0; j < norms; j++)
            if (channels[j] % nn_groups(channels[j]))
                return ts_error(TS_INVALID,
                                "model.nf: %d channels in block %d cannot be split into %d groups",
                                channels[j], i, nn_groups(channels[j]));
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
    ts_status status = unet_plan(u, params);
    if (!status)
        status = check_groups(u);
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
    nn_filter filter;
    ts_tensor time;          /* silu of the time embedding */
    ts_tensor input, output; /* the pyramids; -1: none (yet) */
    float dropout;
    float sum_scale; /* of x + h */
} walk;

/* h, the first activation of a block, and x itself: [n,h,w,in] -> [n,h',w',in], h' = h, h/2, 2h. */
static ts_tensor enter_residual(const walk *w, const unet_module *m, ts_tensor *x)
{
    ts_graph *g = w->graph;
    const bool up = m->kind == UNET_RESIDUAL_DOUBLING;
    if (m->kind != UNET_RESIDUAL && !w->filter.taps)
        return ts_group_norm_resampled(g, *x, m->norm0[0], m->norm0[1], nn_groups(m->in), GROUP_NORM_EPSILON,
                                       true, up, x);
    ts_tensor h = nn_group_norm(g, *x, -1, m->norm0, m->in, true, 0);
    if (m->kind != UNET_RESIDUAL) {
        ts_graph_layer(g, "%s filters", m->name);
        h = nn_resample(g, h, &w->filter, up);
        *x = nn_resample(g, *x, &w->filter, up);
    }
    return h;
}

/* x [n,h,w,in] -> [n,h',w',out], of the same size, half or double of it: h' = h, h/2, 2h. */
static ts_tensor apply_residual(const walk *w, const unet_module *m, ts_tensor x)
{
    ts_graph *g = w->graph;
    ts_graph_layer(g, "%s norm0", m->name);
    ts_tensor h = enter_residual(w, m, &x); /* h and x [n,h',w',in] */
    ts_graph_layer(g, "%s conv0", m->name);
    h = ts_conv(g, h, m->conv0[0], m->conv0[1], m->out, -1, 1); /* -> [n,h',w',out] */
    ts_graph_layer(g, "%s time", m->name);
    /* time [n,1,1,4 nf] -> [n,1,1,out] */
    const ts_tensor shift = ts_dense(g, w->time, false, m->time[0], m->time[1], m->out, -1, 1);
    ts_graph_layer(g, "%s norm1", m->name);
    h = nn_group_norm(g, h, shift, m->norm1, m->out, true, w->dropout); /* [n,h',w',out] */
    if (m->skip[0] >= 0) {
        ts_graph_layer(g, "%s skip", m->name);
        x = ts_dense(g, x, false, m->skip[0], m->skip[1], m->out, -1, 1); /* [n,h',w',in] -> [n,h',w',out] */
    }
    ts_graph_layer(g, "%s conv1", m->name);
    return ts_conv(g, h, m->conv1[0], m->conv1[1], m->out, x, w->sum_scale); /* (x + conv(h))/sqrt 2 */
}

/* x [n,h,w,c] -> [n,h,w,c], every position attending to all h w of its image. */
static ts_tensor apply_attention(const walk *w, const unet_module *m, ts_tensor x)
{
    ts_graph_layer(w->graph, "%s norm", m->name);
    ts_tensor h = nn_group_norm(w->graph, x, -1, m->norm0, m->in, false, 0);
    ts_graph_layer(w->graph, "%s qkv", m->name);
    h = ts_dense(w->graph, h, false, m->qkv[0], m->qkv[1], 3 * m->in, -1, 1); /* -> [n,h,w,3c] */
    ts_graph_layer(w->graph, "%s softmax", m->name);
    h = ts_attention(w->graph, h); /* -> [n,h,w,c] */
    ts_graph_layer(w->graph, "%s project", m->name);
    return ts_dense(w->graph, h, false, m->project[0], m->project[1], m->in, x, w->sum_scale);
}

/* The input [n,2h,2w,in] is halved and joins h [n,h,w,out]: their sum, or [input, h] with twice the
 * channels. */
static ts_tensor apply_combine(walk *w, const unet_module *m, ts_tensor h)
{
    ts_graph *g = w->graph;
    w->input = nn_resample(g, w->input, &w->filter, false);
    const bool cat = w->unet->config.combine_cat;
    const ts_tensor input =
        ts_dense(g, w->input, false, m->conv0[0], m->conv0[1], m->out, cat ? -1 : h, 1); /* [n,h,w,out] */
    return cat ? ts_concat(g, input, h) : input;
}

/* The input [n,2h,2w,in] is halved by a convolution; it and h [n,h,w,out] go on as their rescaled sum. */
static ts_tensor apply_input_residual(walk *w, const unet_module *m, ts_tensor h)
{
    w->input = nn_resample_conv(w->graph, w->input, &w->filter, false, m->conv0, m->out, h, w->sum_scale);
    return w->input;
}

/* output [n,h/2,w/2,channels], if there is one, doubled, plus conv(act(GN(h))). */
static void apply_output(walk *w, const unet_module *m, ts_tensor h)
{
    ts_graph *g = w->graph;
    const ts_tensor coarser = w->output < 0 ? -1 : nn_resample(g, w->output, &w->filter, true);
    h = nn_group_norm(g, h, -1, m->norm0, m->in, true, 0);
    w->output = ts_conv(g, h, m->conv0[0], m->conv0[1], m->out, coarser, 1); /* -> [n,h,w,channels] */
}

static ts_tensor apply(walk *w, const unet_module *m, ts_tensor h)
{
    const bool up = m->kind == UNET_DOUBLING;
    switch (m->kind) {
    case UNET_ATTENTION:
        return apply_attention(w, m, h);
    case UNET_RESIDUAL:
    case UNET_RESIDUAL_HALVING:
    case UNET_RESIDUAL_DOUBLING:
        return apply_residual(w, m, h);
    case UNET_HALVING:
    case UNET_DOUBLING:
        ts_graph_layer(w->graph, "%s", m->name);
        return nn_resample_conv(w->graph, h, &w->filter, up, m->conv0, m->out, -1, 1);
    case UNET_COMBINE:
        ts_graph_layer(w->graph, "%s", m->name);
        return apply_combine(w, m, h);
    case UNET_INPUT_RESIDUAL:
        ts_graph_layer(w->graph, "%s", m->name);
        return apply_input_residual(w, m, h);
    case UNET_OUTPUT:
        ts_graph_layer(w->graph, "%s", m->name);
        apply_output(w, m, h);
    }
    return h;
}

/* t [n] -> silu of the embedding [n,1,1,4 nf]. */
static ts_tensor apply_time(const walk *w, ts_tensor t)
{
    const ts_unet *u = w->unet;
    const ts_unet_config *c = &u->config;
    ts_graph *g = w->graph;
    ts_graph_layer(g, "time");
    ts_tensor time = c->fourier
                         ? ts_graph_fourier_embedding(g, t, &c->sde, c->time_input, u->frequencies, 2 * c->nf)
                         : ts_graph_time_embedding(g, t, &c->sde, c->time_input, c->nf);
    /* [n,1,1,nf or 2 nf] */
    time = ts_dense(g, time, false, u->time0[0], u->time0[1], u->time_channels, -1, 1); /* -> [n,1,1,4 nf] */
    time = ts_dense(g, time, true, u->time1[0], u->time1[1], u->time_channels, -1, 1);
    return ts_silu(g, time);
}

/* h is what score_sde's network gives before it divides by sigma; where it predicts the noise, for VE it gives
 * the score, so that the noise is -sigma times that. */
static ts_tensor to_prediction(const walk *w, ts_tensor h, ts_tensor t)
{
    const ts_unet_config *c = &w->unet->config;
    if (c->sde.kind != TS_SDE_VE || c->predicts != TS_PREDICTS_NOISE)
        return h;
    ts_graph_layer(w->graph, "noise");
    return ts_graph_affine(w->graph, h, c->scale_by_sigma ? -1 : t, &c->sde, -1, 0);
}

ts_tensor ts_unet_apply(const ts_unet *unet, ts_graph *graph, ts_tensor x, ts_tensor t, bool training)
{
    const ts_unet_config *c = &unet->config;
    walk w = {.unet = unet,
              .graph = graph,
              .filter = unet_filter(c),
              .output = -1,
              .dropout = training ? c->dropout : 0,
              .sum_scale = c->plain_sums ? 1 : SKIP_SCALE};
    ts_tensor skips[UNET_SKIPS];
    int kept = 0;
    w.time = apply_time(&w, t);

    ts_graph_layer(graph, "input conv");
    if (c->unit_data)
        x = ts_graph_affine(graph, x, -1, NULL, 2, -1); /* [0,1] to [-1,1] */
    w.input = x;
    ts_tensor h = ts_conv(graph, x, unet->first[0], unet->first[1], c->nf, -1, 1); /* -> [n,h,w,nf] */
    skips[kept++] = h;
    /* Down, where level l works on [n,h/2^l,w/2^l,nf ch_mult[l]], the middle at the smallest size, then up
     * again: [h, skip] has the channels of both. */
    for (int i = 0; i < unet->count; i++) {
        const unet_module *m = &unet->modules[i];
        if (m->concat)
            h = ts_concat(graph, h, skips[--kept]);
        h = apply(&w, m, h);
        if (m->keep)
            skips[kept++] = h;
    }
    if (c->output_skip) {
        h = w.output;
    } else {
        ts_graph_layer(graph, "output norm");
        h = nn_group_norm(graph, h, -1, unet->norm, c->nf * c->ch_mult[0], true,
                          0); /* [n,h,w,nf ch_mult[0]] */
        ts_graph_layer(graph, "output conv");
        h = ts_conv(graph, h, unet->last[0], unet->last[1], c->channels, -1,
                    1); /* -> [n,h,w,channels], as x */
    }
    h = to_prediction(&w, h, t);
    ts_graph_layer(graph, NULL);
    return h;
}
