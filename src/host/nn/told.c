#include "nn/told.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* HIDDEN numbers made of waves over Lambda(t), and behind them the logarithm of the share that data have in x_t. */
enum { WAVES = 8, HIDDEN = 64, SHARE = HIDDEN, WIDTH };

/* [out,in], or for in = 0 a bias [out]; uniform with the variance of PyTorch's layers of `fan` inputs. */
static ts_param add_layer(ts_params *params, const char *name, int out, int in, int fan)
{
    ts_param_info info = {.rank = in ? 2 : 1,
                          .shape = {out, in},
                          .trained = true,
                          .init = TS_INIT_UNIFORM,
                          .scale = (float)(1 / sqrt(fan))};
    snprintf(info.name, sizeof info.name, "t.%s", name);
    return ts_params_add(params, &info);
}

void ts_told_declare(ts_told *told, ts_params *params, const ts_sde *sde, double t_min, double t_max)
{
    *told = (ts_told){.sde = *sde, .t_min = t_min, .t_max = t_max};
    told->layers[0] = add_layer(params, "0.weight", HIDDEN, 2 * WAVES, 2 * WAVES);
    told->layers[1] = add_layer(params, "0.bias", HIDDEN, 0, 2 * WAVES);
    told->layers[2] = add_layer(params, "2.weight", HIDDEN, HIDDEN, HIDDEN);
    told->layers[3] = add_layer(params, "2.bias", HIDDEN, 0, HIDDEN);
}

/* [2c,WIDTH], zero but for what `first` gives. */
static ts_param add_map(ts_params *params, int step, const char *name, int c, const float *first)
{
    ts_param_info info = {.rank = 2,
                          .shape = {2 * c, WIDTH},
                          .trained = true,
                          .init = first ? TS_INIT_GIVEN : TS_INIT_ZERO,
                          .given = first};
    snprintf(info.name, sizeof info.name, "t.steps.%d.%s.weight", step, name);
    return ts_params_add(params, &info);
}

ts_status ts_told_declare_step(ts_params *params, int number, int channels, int hidden, int last,
                               ts_told_step *step)
{
    float *first = calloc(2 * (size_t)last * WIDTH, sizeof *first);
    if (!first)
        return ts_error(TS_NO_MEMORY, "Glow: no memory for %d channels", last);
    for (size_t j = (size_t)last; j < 2 * (size_t)last; j++)
        first[j * WIDTH + SHARE] = 1; /* of the logs */
    step->norm = add_map(params, number, "actnorm", channels, NULL);
    step->network = add_map(params, number, "block.0", hidden, NULL);
    step->last = add_map(params, number, "block.4", last, first);
    free(first);
    return NULL;
}

ts_tensor ts_told_apply(const ts_told *told, ts_graph *graph, ts_tensor t)
{
    ts_graph_layer(graph, "Lambda");
    const ts_tensor all = ts_graph_lambda_embedding(graph, t, &told->sde, told->t_min, told->t_max, WAVES);
    ts_tensor e = ts_slice(graph, all, 1, 2 * WAVES); /* [n,1,1,2 WAVES] -> [n,1,1,HIDDEN] */
    e = ts_dense(graph, e, false, told->layers[0], told->layers[1], HIDDEN, -1, 1);
    e = ts_dense(graph, e, true, told->layers[2], told->layers[3], HIDDEN, -1, 1);
    return ts_concat(graph, e, ts_slice(graph, all, 0, 1)); /* -> [n,1,1,WIDTH] */
}

ts_tensor ts_told_norm(ts_graph *graph, ts_tensor x, ts_tensor told, ts_param weight, int c, bool inverse,
                       ts_tensor *logdet)
{
    if (told < 0)
        return x;
    return ts_image_norm(graph, x, ts_dense(graph, told, false, weight, -1, 2 * c, -1, 1), inverse, logdet);
}
