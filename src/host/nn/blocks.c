#include "nn/blocks.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define GROUP_NORM_EPSILON 1e-6f

/* ---- declaring ---- */

/* Uniform with variance scale / fan, fan the mean of inputs and outputs (Glorot and Bengio 2010, as score_sde
 * uses it); a scale of 0 stands for 1e-10 there. */
static float fan_average(double scale, double fan_in, double fan_out)
{
    return (float)sqrt(3.0 * (scale == 0.0 ? 1e-10 : scale) / (0.5 * (fan_in + fan_out)));
}

static ts_param declare(const nn_declaring *d, const char *name, int rank, const int64_t shape[4],
                        ts_layout layout, ts_init init, float scale)
{
    ts_param_info info = {.rank = rank, .layout = layout, .trained = true, .init = init, .scale = scale};
    snprintf(info.name, sizeof info.name, "all_modules.%d.%s", d->number, name);
    memcpy(info.shape, shape, sizeof info.shape);
    return ts_params_add(d->params, &info);
}

static void vector(const nn_declaring *d, const char *name, const char *part, int count, ts_init init,
                   ts_param *param)
{
    char whole[64];
    snprintf(whole, sizeof whole, "%s%s%s", name, *name ? "." : "", part);
    *param = declare(d, whole, 1, (int64_t[4]){count}, TS_LAYOUT_PLAIN, init, 0);
}

void nn_norm(const nn_declaring *d, const char *name, int channels, ts_param pair[2])
{
    vector(d, name, "weight", channels, TS_INIT_ONE, &pair[0]);
    vector(d, name, "bias", channels, TS_INIT_ZERO, &pair[1]);
}

void nn_conv(const nn_declaring *d, const char *name, int in, int out, int k, double scale, ts_param pair[2])
{
    char whole[64];
    snprintf(whole, sizeof whole, "%s%sweight", name, *name ? "." : "");
    pair[0] = declare(d, whole, 4, (int64_t[4]){out, in, k, k}, TS_LAYOUT_CONV, TS_INIT_UNIFORM,
                      fan_average(scale, (double)in * k * k, (double)out * k * k));
    vector(d, name, "bias", out, TS_INIT_ZERO, &pair[1]);
}

void nn_linear(const nn_declaring *d, const char *name, int in, int out, ts_param pair[2])
{
    char whole[64];
    snprintf(whole, sizeof whole, "%s%sweight", name, *name ? "." : "");
    pair[0] = declare(d, whole, 2, (int64_t[4]){out, in}, TS_LAYOUT_PLAIN, TS_INIT_UNIFORM,
                      fan_average(1, in, out));
    vector(d, name, "bias", out, TS_INIT_ZERO, &pair[1]);
}

void nn_network_in_network(const nn_declaring *d, int first, int count, int in, int out, double scale,
                           ts_param pair[2])
{
    char name[32];
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "NIN_%d.W", first + i);
        const ts_param p = declare(d, name, 2, (int64_t[4]){in, out}, TS_LAYOUT_TRANSPOSED, TS_INIT_UNIFORM,
                                   fan_average(scale, in, out));
        pair[0] = i ? pair[0] : p;
    }
    for (int i = 0; i < count; i++) {
        ts_param p;
        snprintf(name, sizeof name, "NIN_%d", first + i);
        vector(d, name, "b", out, TS_INIT_ZERO, &p);
        pair[1] = i ? pair[1] : p;
    }
}

ts_param nn_frequencies(const nn_declaring *d, int count, double scale)
{
    ts_param_info info = {.rank = 1, .shape = {count}, .init = TS_INIT_NORMAL, .scale = (float)scale};
    snprintf(info.name, sizeof info.name, "all_modules.%d.W", d->number);
    return ts_params_add(d->params, &info);
}

/* ---- layers ---- */

int nn_groups(int channels)
{
    return channels / 4 < 32 ? channels / 4 : 32;
}

ts_tensor nn_group_norm(ts_graph *graph, ts_tensor x, ts_tensor shift, const ts_param pair[2], int channels,
                        bool silu, float dropout)
{
    return ts_group_norm(graph, x, shift, pair[0], pair[1], nn_groups(channels), GROUP_NORM_EPSILON, silu,
                         dropout);
}
