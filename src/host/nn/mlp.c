/*
 * A residual MLP for vectors, conditioned on the diffusion time as the U-Net is.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "nn/nn.h"

#define GROUP_NORM_EPSILON 1e-6f
#define SKIP_SCALE         0.70710678118654752440f

enum { TIME_CHANNELS = 64 };

/* Of which networks are told 999 t. */
static const ts_sde plain = {.kind = TS_SDE_VP};

typedef struct block {
    ts_param norm[2], first[2], time[2], second[2];
} block;

struct ts_mlp {
    ts_mlp_config config;
    ts_param input[2], time0[2], time1[2], norm[2], output[2];
    block blocks[];
};

/* Uniform on +- scale sqrt(6 / (in + out)) (Glorot and Bengio 2010), biases zero. */
static void linear(ts_params *params, const char *name, int in, int out, double scale, ts_param pair[2])
{
    ts_param_info weight = {.rank = 2,
                            .shape = {out, in},
                            .trained = true,
                            .init = TS_INIT_UNIFORM,
                            .scale = (float)(scale * sqrt(6.0 / ((double)in + out)))};
    ts_param_info bias = {.rank = 1, .shape = {out}, .trained = true, .init = TS_INIT_ZERO};
    snprintf(weight.name, sizeof weight.name, "%s.weight", name);
    snprintf(bias.name, sizeof bias.name, "%s.bias", name);
    pair[0] = ts_params_add(params, &weight);
    pair[1] = ts_params_add(params, &bias);
}

static void norm(ts_params *params, const char *name, int channels, ts_param pair[2])
{
    ts_param_info weight = {.rank = 1, .shape = {channels}, .trained = true, .init = TS_INIT_ONE};
    ts_param_info bias = {.rank = 1, .shape = {channels}, .trained = true, .init = TS_INIT_ZERO};
    snprintf(weight.name, sizeof weight.name, "%s.weight", name);
    snprintf(bias.name, sizeof bias.name, "%s.bias", name);
    pair[0] = ts_params_add(params, &weight);
    pair[1] = ts_params_add(params, &bias);
}

/* The most groups, up to a quarter of the channels and 32, that divide them. */
static int groups_of(int channels)
{
    int groups = channels / 4 < 32 ? channels / 4 : 32;
    while (groups > 1 && channels % groups)
        groups--;
    return groups > 1 ? groups : 1;
}

ts_status ts_mlp_create(const ts_mlp_config *config, ts_params *params, ts_mlp **mlp)
{
    *mlp = NULL;
    if (config->dim < 1 || config->hidden < 4 || config->blocks < 1)
        return ts_error(
            TS_INVALID,
            "model: an MLP on %d dimensions of width %d with %d blocks; width 4 and 1 block are the least",
            config->dim, config->hidden, config->blocks);
    ts_mlp *m = malloc(sizeof *m + (size_t)config->blocks * sizeof *m->blocks);
    if (!m)
        return ts_error(TS_NO_MEMORY, "no memory for a network");
    const int hidden = config->hidden;
    m->config = *config;
    linear(params, "input", config->dim, hidden, 1, m->input);
    linear(params, "time.0", TIME_CHANNELS, hidden, 1, m->time0);
    linear(params, "time.1", hidden, hidden, 1, m->time1);
    for (int i = 0; i < config->blocks; i++) {
        char name[64];
        block *b = &m->blocks[i];
        snprintf(name, sizeof name, "blocks.%d.norm", i);
        norm(params, name, hidden, b->norm);
        snprintf(name, sizeof name, "blocks.%d.linear0", i);
        linear(params, name, hidden, hidden, 1, b->first);
        snprintf(name, sizeof name, "blocks.%d.time", i);
        linear(params, name, hidden, hidden, 1, b->time);
        snprintf(name, sizeof name, "blocks.%d.linear1", i);
        linear(params, name, hidden, hidden, 0.1, b->second);
    }
    norm(params, "norm", hidden, m->norm);
    linear(params, "output", hidden, config->dim, 0, m->output);
    *mlp = m;
    return NULL;
}

void ts_mlp_destroy(ts_mlp *mlp)
{
    free(mlp);
}

ts_tensor ts_mlp_apply(const ts_mlp *mlp, ts_graph *graph, ts_tensor x, ts_tensor t)
{
    const int hidden = mlp->config.hidden, groups = groups_of(hidden);
    const ts_time_input_kind input = mlp->config.time_input;
    const ts_sde *sde = input == TS_TIME_INPUT_T ? &plain : &mlp->config.sde;
    ts_graph_layer(graph, "time");
    /* t [n] -> [n,1,1,64] */
    ts_tensor time = ts_graph_time_embedding(graph, t, sde, input, TIME_CHANNELS);
    /* -> [n,1,1,hidden], as is all that follows */
    time = ts_dense(graph, time, false, mlp->time0[0], mlp->time0[1], hidden, -1, 1);
    time = ts_dense(graph, time, true, mlp->time1[0], mlp->time1[1], hidden, -1, 1);
    ts_graph_layer(graph, "input");
    /* x [n,1,1,dim] -> [n,1,1,hidden] */
    ts_tensor h = ts_dense(graph, x, false, mlp->input[0], mlp->input[1], hidden, -1, 1);
    for (int i = 0; i < mlp->config.blocks; i++) {
        const block *b = &mlp->blocks[i];
        ts_graph_layer(graph, "block %d", i); /* h = (h + W2 silu(W1 silu(GN(h)) + Wt silu(time)))/sqrt 2 */
        ts_tensor r =
            ts_group_norm(graph, h, -1, b->norm[0], b->norm[1], groups, GROUP_NORM_EPSILON, true, 0);
        const ts_tensor shift = ts_dense(graph, time, true, b->time[0], b->time[1], hidden, -1, 1);
        r = ts_dense(graph, r, false, b->first[0], b->first[1], hidden, shift, 1);
        h = ts_dense(graph, r, true, b->second[0], b->second[1], hidden, h, SKIP_SCALE);
    }
    ts_graph_layer(graph, "output");
    h = ts_group_norm(graph, h, -1, mlp->norm[0], mlp->norm[1], groups, GROUP_NORM_EPSILON, true, 0);
    /* -> [n,1,1,dim] */
    h = ts_dense(graph, h, false, mlp->output[0], mlp->output[1], mlp->config.dim, -1, 1);
    ts_graph_layer(graph, NULL);
    return h;
}
