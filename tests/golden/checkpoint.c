/* Golden files of public checkpoints: NAME.golden.safetensors says what the network of the state dict
 * NAME_state_dict.safetensors beside it gives. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "golden.h"

static ts_safetensors *open_state_dict(const golden *g)
{
    const char *path = ts_safetensors_path(g->file), *end = strstr(path, ".golden.safetensors");
    char beside[PATH_MAX];
    ts_safetensors *file;
    snprintf(beside, sizeof beside, "%.*s_state_dict.safetensors",
             (int)(end ? end - path : (ptrdiff_t)strlen(path)), path);
    golden_must(ts_safetensors_open(beside, &file));
    return file;
}

/* Every tensor is a parameter, but for the buffer "sigmas". */
static void load(const golden *g, ts_params *params)
{
    ts_safetensors *file = open_state_dict(g);
    float *scratch;
    golden_must(ts_params_scratch(params, &scratch));
    for (ts_param p = 0; p < ts_params_table_size(params); p++) {
        const ts_param_info *info = ts_params_info(params, p);
        golden_must(ts_safetensors_read(file, info->name, TS_ST_F32, info->rank, info->shape, scratch));
        if (info->trained)
            golden_move(g, (uint32_t)p, golden_count(info), scratch);
        golden_must(ts_params_set(params, p, TS_BUFFER_VALUE, scratch));
    }
    for (int i = 0; i < ts_safetensors_count(file); i++) {
        const ts_safetensors_info *info = ts_safetensors_at(file, i);
        if (!info->read && strcmp(info->name, "sigmas") != 0)
            golden_must(ts_error(TS_FORMAT, "%s: the engine's model has no such parameter", info->name));
    }
    free(scratch);
    ts_safetensors_close(file);
}

/* net [n,c,h,w], what ts_unet_apply gives. */
static void evaluate(golden *g, const ts_unet_config *c, int n, const double *x, const float *t, double *net)
{
    const int d = c->height * c->width * c->channels;
    ts_params *params;
    ts_unet *unet;
    ts_graph *graph;
    float *nhwc = golden_allocate((size_t)n * (size_t)d, sizeof *nhwc);
    golden_must(ts_params_create(g->device, &params));
    golden_must(ts_unet_create(c, params, &unet));
    golden_must(ts_params_commit(params, 1));
    load(g, params);
    golden_must(ts_graph_create(g->device, params, &graph));
    const ts_tensor input = ts_graph_input(graph, "x", n, c->height, c->width, c->channels);
    const ts_tensor times = ts_graph_input_vector(graph, "t", n);
    const ts_tensor output = ts_unet_apply(unet, graph, input, times, false);
    ts_graph_output(graph, output, false);
    golden_must(ts_graph_plan(graph, TS_PLAN_FORWARD));
    golden_to_nhwc(x, n, c->channels, c->height, c->width, nhwc);
    golden_move(g, UINT32_MAX, (int64_t)n * d, nhwc);
    golden_upload(g, ts_graph_data(graph, input), nhwc, (int64_t)n * d);
    golden_must(g->device->k->upload(g->device, ts_graph_data(graph, times), t, (size_t)n * sizeof *t));
    golden_must(ts_graph_forward(graph));
    golden_download(g, nhwc, ts_graph_data(graph, output), (int64_t)n * d);
    golden_to_nchw(nhwc, n, c->channels, c->height, c->width, net);
    free(nhwc);
    ts_graph_destroy(graph);
    ts_unet_destroy(unet);
    ts_params_destroy(params);
}

/* What a reader gets that takes the wrong weights: far from what is right. */
static void check_other(golden *g, const double *out, int64_t count)
{
    double *other, difference = 0, norm = 0;
    golden_read(g, "import.out_without_ema", &other, NULL);
    for (int64_t i = 0; i < count; i++) {
        difference += pow(other[i] - out[i], 2);
        norm += pow(out[i], 2);
    }
    if (!(sqrt(difference / norm) > 0.1))
        golden_must(ts_error(TS_FORMAT, "import.out_without_ema: is not far from the network's output"));
    free(other);
}

void golden_checkpoint(golden *g)
{
    ts_unet_config c = {0};
    int64_t shape[8] = {0};
    double *x, *t;
    golden_unet_config(g, "import.x", &c);
    const int64_t count = golden_read(g, "import.x", &x, shape);
    const int n = (int)shape[0], d = (int)(count / n);
    if (golden_read(g, "import.t", &t, NULL) != n)
        golden_must(ts_error(TS_FORMAT, "import.t: should have %d elements", n));
    float *times = golden_allocate((size_t)n, sizeof *times);
    double *labels = golden_allocate((size_t)n, sizeof *labels);
    double *out = golden_allocate((size_t)count, sizeof *out),
           *score = golden_allocate((size_t)count, sizeof *out);
    for (int i = 0; i < n; i++) {
        times[i] = (float)t[i];
        labels[i] = ts_sde_condition(&c.sde, TS_TIME_INPUT_T, t[i]);
    }
    evaluate(g, &c, n, x, times, out);
    for (int64_t i = 0; i < count; i++) {
        score[i] = -out[i] / ts_sde_std(&c.sde, t[i / d]);
        if (c.sde.kind == TS_SDE_VE) /* the public network gives the score */
            out[i] = score[i];
    }
    golden_check(g, "import.labels", labels, n, GOLDEN_FORWARD);
    golden_check(g, "import.out", out, count, GOLDEN_OUTPUT);
    golden_check(g, "import.score", score, count, GOLDEN_OUTPUT);
    check_other(g, out, count);
    free(x);
    free(t);
    free(times);
    free(labels);
    free(out);
    free(score);
}
