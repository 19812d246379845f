/*
 * A golden Glow, of any K, L, size and width: log-density, latents, gradients, decoding.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "golden.h"

static void must_say(const golden *g, const char *key, const char *value)
{
    const char *found = golden_string(g, key);
    if (!found || strcmp(found, value) != 0)
        golden_must(ts_error(TS_UNSUPPORTED, "metadata %s is '%s'; this Glow is '%s'", key,
                             found ? found : "(none)", value));
}

static ts_glow_config config_of(const golden *g)
{
    int shape[3];
    must_say(g, "learn_top", "true");
    must_say(g, "permutation", "invconv LU");
    must_say(g, "coupling", "affine sigmoid(s+2)");
    if (golden_integers(g, "image_shape_hwc", 3, shape) != 3)
        golden_must(ts_error(TS_FORMAT, "metadata image_shape_hwc must be three integers"));
    return (ts_glow_config){.height = shape[0],
                            .width = shape[1],
                            .channels = shape[2],
                            .levels = (int)golden_number(g, "L"),
                            .steps = (int)golden_number(g, "K"),
                            .hidden = (int)golden_number(g, "hidden_channels")};
}

/* Reads an image tensor [n,c,h,w] as [n,h,w,c] floats (free them); its shape must be [*,c,h,w]. */
static float *read_images(golden *g, const char *name, int c, int h, int w, int *n)
{
    double *values;
    int64_t shape[8] = {0};
    golden_read(g, name, &values, shape);
    if (shape[0] < 1 || shape[0] > 65536 || shape[1] != c || shape[2] != h || shape[3] != w || shape[4])
        golden_must(ts_error(TS_FORMAT, "%s must be [n,%d,%d,%d]", name, c, h, w));
    *n = (int)shape[0];
    float *images = golden_allocate((size_t)*n * c * h * w, sizeof *images);
    golden_to_nhwc(values, *n, c, h, w, images);
    free(values);
    return images;
}

/* Device floats -> doubles; free them. */
static double *download(const golden *g, const void *from, int64_t count)
{
    float *host = golden_allocate((size_t)count, sizeof *host);
    double *values = golden_allocate((size_t)count, sizeof *values);
    golden_must(g->device->k->download(g->device, host, from, (size_t)count * sizeof *host));
    for (int64_t i = 0; i < count; i++)
        values[i] = (double)host[i];
    free(host);
    return values;
}

static double *download_activations(golden *g, const void *from, int64_t count)
{
    float *host = golden_allocate((size_t)count, sizeof *host);
    double *values = golden_allocate((size_t)count, sizeof *values);
    golden_download(g, host, from, count);
    for (int64_t i = 0; i < count; i++)
        values[i] = (double)host[i];
    free(host);
    return values;
}

/* Compares an image tensor on the device. */
static void check_images(golden *g, const char *name, const void *device, int n, int c, int h, int w,
                         golden_kind kind)
{
    const int64_t count = (int64_t)n * c * h * w;
    float *nhwc = golden_allocate((size_t)count, sizeof *nhwc);
    double *nchw = golden_allocate((size_t)count, sizeof *nchw);
    golden_download(g, nhwc, device, count);
    golden_to_nchw(nhwc, n, c, h, w, nchw);
    golden_check(g, name, nchw, count, kind);
    free(nhwc);
    free(nchw);
}

/* ---- density ---- */

static double *parameter(const ts_params *params, const char *name)
{
    const ts_param p = ts_params_find(params, name);
    if (p < 0)
        golden_must(ts_error(TS_FORMAT, "no parameter %s", name));
    const ts_param_info *info = ts_params_info(params, p);
    int64_t count = 1;
    for (int i = 0; i < info->rank; i++)
        count *= info->shape[i];
    float *host = golden_allocate((size_t)count, sizeof *host);
    golden_must(ts_params_get(params, p, TS_BUFFER_VALUE, host));
    double *values = golden_allocate((size_t)count, sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = (double)host[i];
    free(host);
    return values;
}

/* log_prob [n] less the top latent's own log-density, in double precision from the latent z [n,h,w,c]. */
static void subtract_prior(const ts_params *params, const double *z, int n, int positions, int c,
                           double *log_prob)
{
    double *bias = parameter(params, "learn_top_fn.conv.bias"),
           *logs = parameter(params, "learn_top_fn.logs");
    for (int64_t i = 0; i < (int64_t)n * positions * c; i++) {
        const int j = (int)(i % c);
        const double mean = bias[j] * exp(3 * logs[j]), log_std = bias[c + j] * exp(3 * logs[c + j]);
        const double d = (z[i] - mean) / exp(log_std);
        log_prob[i / (positions * c)] += 0.5 * (d * d + log(2 * M_PI)) + log_std;
    }
    free(bias);
    free(logs);
}

/* Gradients of the mean of -log_prob over the batch. */
static void backward(golden *g, ts_graph *graph, ts_tensor log_prob, int n)
{
    float *seed = golden_allocate((size_t)n, sizeof *seed);
    for (int i = 0; i < n; i++)
        seed[i] = -1.0f / (float)n;
    golden_must(
        g->device->k->upload(g->device, ts_graph_gradient(graph, log_prob), seed, (size_t)n * sizeof *seed));
    golden_must(ts_graph_backward(graph));
    golden_must(g->device->k->synchronize(g->device));
    free(seed);
}

/* ---- the log-determinant alone ---- */

/* The device's table with gaussian_forward noting what it gives: the Gaussian terms of the log-density,
 * image by image, which are what is left of it without the log-determinant. */
static struct {
    const ts_kernels *device;
    ts_kernels table;
    double *sums; /* [n] */
} noted;

static ts_status note_gaussian(ts_device *device, const ts_gaussian_forward *a)
{
    TS_TRY(noted.device->gaussian_forward(device, a));
    TS_TRY(device->k->synchronize(device));
    float *terms = golden_allocate((size_t)a->n, sizeof *terms);
    golden_must(device->k->download(device, terms, a->logp, (size_t)a->n * sizeof *terms));
    for (int i = 0; i < a->n; i++)
        noted.sums[i] += (double)terms[i];
    free(terms);
    return NULL;
}

/* A forward pass of n images. */
static void forward_noting(golden *g, ts_graph *graph, int n)
{
    noted.device = g->device->k;
    noted.table = *noted.device;
    noted.table.gaussian_forward = note_gaussian;
    noted.sums = golden_allocate((size_t)n, sizeof *noted.sums);
    g->device->k = &noted.table;
    golden_must(ts_graph_forward(graph));
    golden_must(g->device->k->synchronize(g->device));
    g->device->k = noted.device;
}

/* ---- the checks ---- */

static void check_density(golden *g, const ts_glow *glow, const ts_glow_config *c, ts_params *params)
{
    int n, top[4];
    float *x = read_images(g, "x", c->channels, c->height, c->width, &n);
    const int64_t count = (int64_t)n * c->height * c->width * c->channels;
    ts_graph *graph;
    ts_tensor z;
    golden_must(ts_graph_create(g->device, params, &graph));
    ts_tensor input = ts_graph_input(graph, "x", n, c->height, c->width, c->channels);
    ts_tensor log_prob = ts_glow_log_prob(glow, graph, input, -1, &z);
    ts_graph_output(graph, z, false);
    ts_graph_output(graph, log_prob, true);
    golden_must(ts_graph_plan(graph, TS_PLAN_PARAM_GRADIENTS | TS_PLAN_INPUT_GRADIENTS));
    golden_upload(g, ts_graph_data(graph, input), x, count);
    forward_noting(g, graph, n);

    ts_graph_shape(graph, z, top);
    double *density = download(g, ts_graph_data(graph, log_prob), n);
    double *latent = download_activations(g, ts_graph_data(graph, z), (int64_t)n * top[1] * top[2] * top[3]);
    check_images(g, "z_top", ts_graph_data(graph, z), n, top[3], top[1], top[2], GOLDEN_FORWARD);
    golden_check(g, "log_prob", density, n, GOLDEN_FORWARD);
    for (int i = 0; i < n; i++)
        noted.sums[i] = density[i] - noted.sums[i];
    if (golden_has(g, "logdet"))
        golden_check(g, "logdet", noted.sums, 1, GOLDEN_FORWARD);
    free(noted.sums);
    subtract_prior(params, latent, n, top[1] * top[2], top[3], density);
    golden_check(g, "logdet_plus_split_logp", density, n, GOLDEN_FORWARD);

    backward(g, graph, log_prob, n);
    golden_check_gradients(g, params, "grad.");
    check_images(g, "grad.x", ts_graph_gradient(graph, input), n, c->channels, c->height, c->width,
                 GOLDEN_GRADIENT);
    free(density);
    free(latent);
    free(x);
    ts_graph_destroy(graph);
}

static void check_decoding(golden *g, const ts_glow *glow, const ts_glow_config *c, ts_params *params)
{
    const int h = c->height >> c->levels, w = c->width >> c->levels, channels = c->channels * 2 << c->levels;
    int n;
    float *z = read_images(g, "decode.z_top", channels, h, w, &n);
    void *state;
    ts_graph *graph;
    golden_must(g->device->k->allocate(g->device, sizeof(ts_step_state), &state));
    golden_must(ts_graph_create(g->device, params, &graph));
    ts_tensor input = ts_graph_input(graph, "z_top", n, h, w, channels);
    ts_tensor x = ts_glow_sample(glow, graph, n, -1, input, 0, state, TS_STREAM_TEST);
    ts_graph_output(graph, x, false);
    golden_must(ts_graph_plan(graph, TS_PLAN_FORWARD));
    golden_upload(g, ts_graph_data(graph, input), z, (int64_t)n * h * w * channels);
    golden_must(ts_graph_forward(graph));
    golden_must(g->device->k->synchronize(g->device));
    check_images(g, "decode.x_temperature0", ts_graph_data(graph, x), n, c->channels, c->height, c->width,
                 GOLDEN_FORWARD);
    free(z);
    ts_graph_destroy(graph);
    g->device->k->release(g->device, state);
}

void golden_glow(golden *g)
{
    const ts_glow_config config = config_of(g);
    ts_params *params;
    ts_glow *glow;
    golden_must(ts_params_create(g->device, &params));
    golden_must(ts_glow_create(&config, params, 1, &glow));
    golden_must(ts_params_commit(params, 1));
    golden_must(ts_params_enable_gradients(params));
    golden_load_params(g, params);
    check_density(g, glow, &config, params);
    check_decoding(g, glow, &config, params);
    ts_glow_destroy(glow);
    ts_params_destroy(params);
}
