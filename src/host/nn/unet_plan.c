/* The modules of the U-Net, numbered as in the public checkpoints: one walk declares them all. */
#include <stdio.h>
#include <stdlib.h>
#include "nn/unet.h"

typedef struct planning {
    ts_unet *unet;
    nn_declaring d;
    bool short_of_memory;
    int skips[UNET_SKIPS], kept; /* channels of the skips */
    int channels, height;        /* of h, as the walk goes */
    int input_channels;          /* of the input as it is passed down beside h */
} planning;

/* ---- modules ---- */

static unet_module *append(planning *p, const char *name, unet_kind kind, int in, int out)
{
    ts_unet *u = p->unet;
    if (u->count == u->capacity) {
        const int capacity = u->capacity ? 2 * u->capacity : 32;
        unet_module *grown = realloc(u->modules, (size_t)capacity * sizeof *grown);
        if (!grown) {
            p->short_of_memory = true;
            return NULL;
        }
        u->modules = grown;
        u->capacity = capacity;
    }
    unet_module *m = &u->modules[u->count++];
    *m = (unet_module){.kind = kind, .in = in, .out = out, .skip = {-1, -1}};
    snprintf(m->name, sizeof m->name, "%s", name);
    return m;
}

/* Where a residual block changes the channels, its skip does, too: by a 1x1 convolution. */
static void shortcut(planning *p, unet_module *m)
{
    if (p->unet->config.ddpm_blocks) {
        if (m->in != m->out)
            nn_network_in_network(&p->d, 0, 1, m->in, m->out, 0.1, m->skip);
    } else if (m->in != m->out || m->kind != UNET_RESIDUAL) {
        nn_conv(&p->d, "Conv_2", m->in, m->out, 1, 1, m->skip);
    }
}

static void residual(planning *p, const char *name, unet_kind kind, int in, int out, bool concat)
{
    unet_module *m = append(p, name, kind, in, out);
    if (!m)
        return;
    m->concat = concat;
    nn_norm(&p->d, "GroupNorm_0", in, m->norm0);
    nn_conv(&p->d, "Conv_0", in, out, 3, 1, m->conv0);
    nn_linear(&p->d, "Dense_0", p->unet->time_channels, out, m->time);
    nn_norm(&p->d, "GroupNorm_1", out, m->norm1);
    nn_conv(&p->d, "Conv_1", out, out, 3, 0, m->conv1);
    shortcut(p, m);
    p->d.number++;
    p->channels = out;
}

static void attention(planning *p, const char *name)
{
    unet_module *m = append(p, name, UNET_ATTENTION, p->channels, p->channels);
    if (!m)
        return;
    nn_norm(&p->d, "GroupNorm_0", p->channels, m->norm0);
    nn_network_in_network(&p->d, 0, 3, p->channels, p->channels, 0.1, m->qkv);
    nn_network_in_network(&p->d, 3, 1, p->channels, p->channels, 0, m->project);
    p->d.number++;
}

/* A module of one convolution. */
static void convolution(planning *p, const char *name, unet_kind kind, const char *part, int k, int in,
                        int out)
{
    unet_module *m = append(p, name, kind, in, out);
    if (!m)
        return;
    nn_conv(&p->d, part, in, out, k, 1, m->conv0);
    p->d.number++;
}

/* Two modules: the normalisation and the convolution of what h adds to the output. */
static void output(planning *p, const char *name)
{
    const int channels = p->unet->config.channels;
    unet_module *m = append(p, name, UNET_OUTPUT, p->channels, channels);
    if (!m)
        return;
    nn_norm(&p->d, "", p->channels, m->norm0);
    p->d.number++;
    nn_conv(&p->d, "", p->channels, channels, 3, 0, m->conv0);
    p->d.number++;
}

/* What the last module gives is a skip. */
static void keep(planning *p)
{
    if (!p->short_of_memory)
        p->unet->modules[p->unet->count - 1].keep = true;
    p->skips[p->kept++] = p->channels;
}

/* ---- the walk ---- */

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

/* The name of the convolution in a module that resamples with one. */
static const char *resampling_part(const ts_unet_config *c)
{
    return c->fir_taps ? "Conv2d_0" : "Conv_0";
}

/* Half the size, where the input may come in again. */
static void halve(planning *p, int level)
{
    const ts_unet_config *c = &p->unet->config;
    const module_name name = name_of("down", level, "halving", -1),
                      input = name_of("down", level, "input", -1);
    if (c->ddpm_blocks)
        convolution(p, name.text, UNET_HALVING, resampling_part(c), 3, p->channels, p->channels);
    else
        residual(p, name.text, UNET_RESIDUAL_HALVING, p->channels, p->channels, false);
    p->height /= 2;
    if (c->input == TS_PROGRESSIVE_INPUT_SKIP) {
        convolution(p, input.text, UNET_COMBINE, "Conv_0", 1, p->input_channels, p->channels);
        p->channels *= c->combine_cat ? 2 : 1;
    } else if (c->input == TS_PROGRESSIVE_INPUT_RESIDUAL) {
        convolution(p, input.text, UNET_INPUT_RESIDUAL, resampling_part(c), 3, p->input_channels,
                    p->channels);
        p->input_channels = p->channels;
    }
    keep(p);
}

static void go_down(planning *p)
{
    const ts_unet_config *c = &p->unet->config;
    for (int level = 0; level < c->levels; level++) {
        for (int block = 0; block < c->num_res_blocks; block++) {
            residual(p, name_of("down", level, "block", block).text, UNET_RESIDUAL, p->channels,
                     c->nf * c->ch_mult[level], false);
            if (attends(c, p->height))
                attention(p, name_of("down", level, "attention", block).text);
            keep(p);
        }
        if (level + 1 < c->levels)
            halve(p, level);
    }
}

static void go_up(planning *p)
{
    const ts_unet_config *c = &p->unet->config;
    for (int level = c->levels - 1; level >= 0; level--) {
        for (int block = 0; block <= c->num_res_blocks; block++)
            residual(p, name_of("up", level, "block", block).text, UNET_RESIDUAL,
                     p->channels + p->skips[--p->kept], c->nf * c->ch_mult[level], true);
        if (attends(c, p->height))
            attention(p, name_of("up", level, "attention", -1).text);
        if (c->output_skip)
            output(p, name_of("up", level, "output", -1).text);
        if (level == 0)
            break;
        const module_name name = name_of("up", level, "doubling", -1);
        if (c->ddpm_blocks)
            convolution(p, name.text, UNET_DOUBLING, resampling_part(c), 3, p->channels, p->channels);
        else
            residual(p, name.text, UNET_RESIDUAL_DOUBLING, p->channels, p->channels, false);
        p->height *= 2;
    }
}

ts_status unet_plan(ts_unet *u, ts_params *params)
{
    const ts_unet_config *c = &u->config;
    planning p = {.unet = u,
                  .d = {.params = params},
                  .channels = c->nf,
                  .height = c->height,
                  .input_channels = c->channels};
    u->frequencies = -1;
    if (c->fourier) {
        u->frequencies = nn_frequencies(&p.d, c->nf, (double)c->fourier_scale);
        p.d.number++;
    }
    nn_linear(&p.d, "", c->fourier ? 2 * c->nf : c->nf, u->time_channels, u->time0);
    p.d.number++;
    nn_linear(&p.d, "", u->time_channels, u->time_channels, u->time1);
    p.d.number++;
    nn_conv(&p.d, "", c->channels, c->nf, 3, 1, u->first);
    p.d.number++;
    p.skips[p.kept++] = p.channels;
    go_down(&p);
    residual(&p, "middle block 0", UNET_RESIDUAL, p.channels, p.channels, false);
    attention(&p, "middle attention");
    residual(&p, "middle block 1", UNET_RESIDUAL, p.channels, p.channels, false);
    go_up(&p);
    if (!c->output_skip) {
        nn_norm(&p.d, "", p.channels, u->norm);
        p.d.number++;
        nn_conv(&p.d, "", p.channels, c->channels, 3, 0, u->last);
    }
    return p.short_of_memory ? ts_error(TS_NO_MEMORY, "no memory for a network") : NULL;
}
