#include <lapacke.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "glow_model.h"

void must(ts_status status)
{
    if (!status)
        return;
    fprintf(stderr, "test_glow: %s\n", ts_status_message(status));
    exit(1);
}

void draw_normals(uint32_t step, int64_t count, float *out)
{
    for (int64_t i = 0; i < count; i++) {
        const ts_philox_words w = ts_philox(99, (uint32_t)i, step, TS_STREAM_TEST, 0);
        out[i] =
            (float)(sqrt(-2 * log((w.v[0] + 0.5) * 0x1p-32)) * cos(6.283185307179586 * w.v[1] * 0x1p-32));
    }
}

/* Makes the flow of m.config. */
static void make_flow(glow_model *m, double deviation)
{
    ts_device *device = m->device;
    must(ts_params_create(device, &m->params));
    must(ts_glow_create(&m->config, m->params, 7, &m->glow));
    must(ts_params_commit(m->params, 7));
    const int64_t count = ts_params_count(m->params);
    float *values = malloc((size_t)count * sizeof *values), *moves = malloc((size_t)count * sizeof *moves);
    must(device->k->download(device, values, ts_params_buffer(m->params, TS_BUFFER_VALUE),
                             (size_t)count * sizeof *values));
    draw_normals(1000, count, moves);
    for (int64_t i = 0; i < count; i++)
        values[i] += (float)deviation * moves[i];
    must(device->k->upload(device, ts_params_buffer(m->params, TS_BUFFER_VALUE), values,
                           (size_t)count * sizeof *values));
    device->k->weights_changed(device);
    free(values);
    free(moves);
}

glow_model glow_model_make(ts_device *device, int h, int w, int c, int levels, int steps, double deviation)
{
    return glow_model_of(device, &(ts_glow_config){h, w, c, levels, steps, .hidden = 8}, deviation);
}

glow_model glow_model_of(ts_device *device, const ts_glow_config *config, double deviation)
{
    glow_model m = {
        .device = device, .config = *config, .d = config->height * config->width * config->channels, .T = 1};
    make_flow(&m, deviation);
    return m;
}

glow_model glow_model_make_whitened(ts_device *device, const int shape[5], double deviation,
                                    const ts_data_gaussian *gaussian, const ts_sde *sde, double T)
{
    glow_model m = {.device = device, .d = gaussian->d, .T = T};
    must(ts_whitening_create(device, gaussian, sde, &m.whitening));
    m.config = (ts_glow_config){
        shape[0], shape[1], shape[2], shape[3], shape[4], .hidden = 8, .whitening = &m.whitening->arguments};
    make_flow(&m, deviation);
    return m;
}

void glow_model_free(glow_model *m)
{
    ts_glow_destroy(m->glow);
    ts_params_destroy(m->params);
    ts_whitening_destroy(m->whitening);
}

/* The times of a planned graph's rows. */
static void set_time(const glow_model *m, const ts_graph *graph, ts_tensor t, int n)
{
    float *times = malloc((size_t)n * sizeof *times);
    for (int i = 0; i < n; i++)
        times[i] = m->times ? m->times[i] : (float)m->T;
    must(m->device->k->upload(m->device, ts_graph_data(graph, t), times, (size_t)n * sizeof *times));
    free(times);
}

void glow_model_encode(const glow_model *m, int n, const float *x, float *log_prob, float *z_top)
{
    const ts_kernels *k = m->device->k;
    ts_graph *graph;
    ts_tensor z;
    int shape[4];
    must(ts_graph_create(m->device, m->params, &graph));
    ts_tensor input = ts_graph_input(graph, "x", n, m->config.height, m->config.width, m->config.channels);
    ts_tensor t = ts_graph_input_vector(graph, "t", n);
    ts_tensor density = ts_glow_log_prob(m->glow, graph, input, t, &z);
    ts_graph_output(graph, z, false);
    ts_graph_output(graph, density, false);
    must(ts_graph_plan(graph, TS_PLAN_FORWARD));
    set_time(m, graph, t, n);
    must(k->upload(m->device, ts_graph_data(graph, input), x, (size_t)n * m->d * sizeof *x));
    must(ts_graph_forward(graph));
    must(k->synchronize(m->device));
    must(k->download(m->device, log_prob, ts_graph_data(graph, density), (size_t)n * sizeof *log_prob));
    ts_graph_shape(graph, z, shape);
    if (z_top)
        must(k->download(m->device, z_top, ts_graph_data(graph, z),
                         sizeof *z_top * (size_t)n * shape[1] * shape[2] * shape[3]));
    ts_graph_destroy(graph);
}

void glow_model_decode(const glow_model *m, int n, const float *z_top, double temperature, uint32_t step,
                       float *x)
{
    const ts_kernels *k = m->device->k;
    const ts_glow_config *c = &m->config;
    const int halved = m->whitening ? 0 : c->levels;
    const int h = c->height >> halved, w = c->width >> halved,
              channels = m->whitening ? c->channels : c->channels * 2 << c->levels;
    const ts_step_state state = {.seed = 5, .step = step};
    ts_graph *graph;
    ts_tensor input = -1;
    void *memory;
    must(k->allocate(m->device, sizeof state, &memory));
    must(k->upload(m->device, memory, &state, sizeof state));
    must(ts_graph_create(m->device, m->params, &graph));
    if (z_top)
        input = ts_graph_input(graph, "z_top", n, h, w, channels);
    ts_tensor t = ts_graph_input_vector(graph, "t", n);
    ts_tensor output =
        ts_glow_sample(m->glow, graph, n, t, input, (float)temperature, memory, TS_STREAM_START);
    ts_graph_output(graph, output, false);
    must(ts_graph_plan(graph, TS_PLAN_FORWARD));
    set_time(m, graph, t, n);
    if (z_top)
        must(k->upload(m->device, ts_graph_data(graph, input), z_top,
                       sizeof *z_top * (size_t)n * h * w * channels));
    must(ts_graph_forward(graph));
    must(k->synchronize(m->device));
    must(k->download(m->device, x, ts_graph_data(graph, output), (size_t)n * m->d * sizeof *x));
    ts_graph_destroy(graph);
    k->release(m->device, memory);
}

/* One row of the Jacobian: the gradient of latent i.  A backward pass uses up what the forward pass left. */
static void jacobian_row(const glow_model *m, ts_graph *graph, ts_tensor input, ts_tensor z, int i,
                         double *row)
{
    const ts_kernels *k = m->device->k;
    float *v = calloc((size_t)m->d, sizeof *v);
    v[i] = 1;
    must(k->upload(m->device, ts_graph_gradient(graph, z), v, (size_t)m->d * sizeof *v));
    must(ts_graph_forward(graph));
    must(ts_graph_backward(graph));
    must(k->synchronize(m->device));
    must(k->download(m->device, v, ts_graph_gradient(graph, input), (size_t)m->d * sizeof *v));
    for (int j = 0; j < m->d; j++)
        row[j] = v[j];
    free(v);
}

double glow_model_log_det(const glow_model *m, const float *x)
{
    const int d = m->d;
    const ts_kernels *k = m->device->k;
    double *jacobian = malloc((size_t)d * d * sizeof *jacobian), log_det = 0;
    int *pivots = malloc((size_t)d * sizeof *pivots);
    ts_graph *graph;
    ts_tensor z;
    must(ts_graph_create(m->device, m->params, &graph));
    ts_tensor input = ts_graph_input(graph, "x", 1, m->config.height, m->config.width, m->config.channels);
    ts_tensor t = ts_graph_input_vector(graph, "t", 1);
    ts_glow_log_prob(m->glow, graph, input, t, &z);
    ts_graph_output(graph, z, true);
    must(ts_graph_plan(graph, TS_PLAN_INPUT_GRADIENTS));
    set_time(m, graph, t, 1);
    must(k->upload(m->device, ts_graph_data(graph, input), x, (size_t)d * sizeof *x));
    for (int i = 0; i < d; i++)
        jacobian_row(m, graph, input, z, i, jacobian + (size_t)i * d);
    if (LAPACKE_dgetrf(LAPACK_ROW_MAJOR, d, d, jacobian, d, pivots) < 0)
        must(ts_error(TS_INVALID, "dgetrf"));
    for (int i = 0; i < d; i++)
        log_det += log(fabs(jacobian[(size_t)i * d + i]));
    ts_graph_destroy(graph);
    free(jacobian);
    free(pivots);
    return log_det;
}
