/* Golden files of DDPM++ and NCSN++ networks: every layer through the score, both losses and all their
 * gradients. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "golden.h"

typedef struct case_unet {
    golden *g;
    ts_sde sde;
    ts_unet_config config;
    int n, d;
    double *x0, *z, *t, *xt; /* the file's layout, [n,c,h,w] */
    ts_params *params;
    ts_unet *unet;
    ts_graph *graph;
    ts_tensor x, time, net;
    float *noise, *times, *loss; /* device: z [n,h,w,c], t [n], losses [n] */
} case_unet;

/* ---- reading ---- */

/* The file counts levels by the image's width, and names widths that no level has, which the engine calls a
 * mistake. */
static void read_attention(const golden *g, ts_unet_config *c)
{
    int widths[8];
    const int count = golden_integers(g, "attn_resolutions", 8, widths);
    const int size = (int)golden_number(g, "image_size");
    for (int level = 0; level < c->levels; level++)
        for (int i = 0; i < count; i++)
            if (size >> level == widths[i]) {
                c->attn_resolutions[c->attn_count++] = c->height >> level;
                break;
            }
}

static bool is(const golden *g, const char *key, const char *value)
{
    const char *text = golden_string(g, key);
    return text && strcmp(text, value) == 0;
}

static void read_sde(const golden *g, ts_sde *sde)
{
    sde->kind = is(g, "sde", "vp") ? TS_SDE_VP : is(g, "sde", "subvp") ? TS_SDE_SUBVP : TS_SDE_VE;
    if (sde->kind == TS_SDE_VE) {
        sde->sigma_min = golden_number(g, "sigma_min");
        sde->sigma_max = golden_number(g, "sigma_max");
    } else {
        sde->beta_min = golden_number(g, "beta_min");
        sde->beta_max = golden_number(g, "beta_max");
    }
}

/* What makes the network an NCSN++; a key that the file lacks is as for DDPM++. */
static void read_variant(const golden *g, ts_unet_config *c)
{
    c->unit_data = is(g, "centered", "false");
    c->scale_by_sigma = is(g, "scale_by_sigma", "true");
    c->fourier = is(g, "embedding_type", "fourier");
    if (c->fourier)
        c->fourier_scale = (float)golden_number(g, "fourier_scale");
    if (is(g, "fir", "true")) {
        int taps[TS_FIR_TAPS];
        c->fir_taps = golden_integers(g, "fir_kernel", TS_FIR_TAPS, taps);
        for (int i = 0; i < c->fir_taps; i++)
            c->fir[i] = (float)taps[i];
    }
    c->input = is(g, "progressive_input", "residual")     ? TS_PROGRESSIVE_INPUT_RESIDUAL
               : is(g, "progressive_input", "input_skip") ? TS_PROGRESSIVE_INPUT_SKIP
                                                          : TS_PROGRESSIVE_INPUT_NONE;
    c->combine_cat = is(g, "progressive_combine", "cat");
    c->output_skip = is(g, "progressive", "output_skip");
    c->ddpm_blocks = is(g, "resblock_type", "ddpm");
    c->plain_sums = is(g, "skip_rescale", "false");
}

void golden_unet_config(golden *g, const char *images, ts_unet_config *c)
{
    int64_t shape[8] = {0};
    double *values;
    golden_read(g, images, &values, shape);
    free(values);
    for (int i = 0; i < 4; i++)
        if (shape[i] < 1 || shape[i] > 1 << 16)
            golden_must(ts_error(TS_FORMAT, "%s: should have the shape [n,c,h,w]", images));
    c->channels = (int)shape[1];
    c->height = (int)shape[2];
    c->width = (int)shape[3];
    if (golden_number(g, "num_channels") != c->channels)
        golden_must(ts_error(TS_FORMAT, "%s has %d channels, metadata num_channels says %s", images,
                             c->channels, golden_string(g, "num_channels")));
    c->nf = (int)golden_number(g, "nf");
    c->num_res_blocks = (int)golden_number(g, "num_res_blocks");
    c->levels = golden_integers(g, "ch_mult", 8, c->ch_mult);
    read_attention(g, c);
    read_sde(g, &c->sde);
    read_variant(g, c);
}

/* Images must be [n,channels,height,width]. */
static int64_t read_images(case_unet *u, const char *name, double **values)
{
    const ts_unet_config *c = &u->config;
    int64_t shape[8] = {0};
    const int64_t count = golden_read(u->g, name, values, shape);
    if (shape[0] < 1 || count != shape[0] * u->d || shape[1] != c->channels || shape[2] != c->height ||
        shape[3] != c->width || (u->n && shape[0] != u->n))
        golden_must(ts_error(TS_FORMAT, "%s: should have the shape [%d,%d,%d,%d]", name, u->n, c->channels,
                             c->height, c->width));
    return shape[0];
}

static void read_inputs(case_unet *u)
{
    u->d = u->config.height * u->config.width * u->config.channels;
    u->n = (int)read_images(u, "x0", &u->x0);
    read_images(u, "z", &u->z);
    read_images(u, "xt", &u->xt);
    if (golden_read(u->g, "t", &u->t, NULL) != u->n)
        golden_must(ts_error(TS_FORMAT, "t: should have %d elements", u->n));
}

/* ---- the forward process ---- */

static void check_marginals(case_unet *u)
{
    double *mean = golden_allocate((size_t)u->n * (size_t)u->d, sizeof *mean);
    double *xt = golden_allocate((size_t)u->n * (size_t)u->d, sizeof *xt);
    double *std = golden_allocate((size_t)u->n, sizeof *std);
    for (int i = 0; i < u->n; i++) {
        std[i] = ts_sde_std(&u->sde, u->t[i]);
        for (int64_t k = (int64_t)i * u->d; k < (int64_t)(i + 1) * u->d; k++) {
            mean[k] = ts_sde_mean(&u->sde, u->t[i]) * u->x0[k];
            xt[k] = mean[k] + std[i] * u->z[k];
        }
    }
    golden_check(u->g, "marginal_mean", mean, (int64_t)u->n * u->d, GOLDEN_FORWARD);
    golden_check(u->g, "marginal_std", std, u->n, GOLDEN_FORWARD);
    golden_check(u->g, "xt", xt, (int64_t)u->n * u->d, GOLDEN_FORWARD);
    free(mean);
    free(xt);
    free(std);
}

/* ---- the network ---- */

static void upload_images(const case_unet *u, const double *nchw, uint32_t stream, void *activations)
{
    const ts_unet_config *c = &u->config;
    const size_t count = (size_t)u->n * (size_t)u->d;
    float *nhwc = golden_allocate(count, sizeof *nhwc);
    golden_to_nhwc(nchw, u->n, c->channels, c->height, c->width, nhwc);
    golden_move(u->g, stream, (int64_t)count, nhwc);
    golden_upload(u->g, activations, nhwc, (int64_t)count);
    free(nhwc);
}

static void build(case_unet *u)
{
    const ts_unet_config *c = &u->config;
    ts_device *device = u->g->device;
    golden_must(ts_params_create(device, &u->params));
    golden_must(ts_unet_create(c, u->params, &u->unet));
    golden_must(ts_params_commit(u->params, 1));
    golden_must(ts_params_enable_gradients(u->params));
    golden_load_params(u->g, u->params);
    const int64_t frozen = c->fourier ? c->nf : 0; /* frequencies, which are counted in the file */
    const int64_t count = ts_params_count(u->params) + frozen;
    if (golden_string(u->g, "params") && golden_number(u->g, "params") != (double)count)
        golden_must(ts_error(TS_FORMAT, "the file's network has %s parameters, the engine's %lld",
                             golden_string(u->g, "params"), (long long)count));
    golden_must(ts_graph_create(device, u->params, &u->graph));
    u->x = ts_graph_input(u->graph, "x", u->n, c->height, c->width, c->channels);
    u->time = ts_graph_input_vector(u->graph, "t", u->n);
    u->net = ts_unet_apply(u->unet, u->graph, u->x, u->time, false);
    ts_graph_output(u->graph, u->net, true);
    golden_must(ts_graph_plan(u->graph, TS_PLAN_PARAM_GRADIENTS));

    const size_t images = (size_t)u->n * (size_t)u->d * sizeof(float), vector = (size_t)u->n * sizeof(float);
    golden_must(device->k->allocate(device, images, (void **)&u->noise));
    golden_must(device->k->allocate(device, vector, (void **)&u->times));
    golden_must(device->k->allocate(device, vector, (void **)&u->loss));
    float *times = golden_allocate((size_t)u->n, sizeof *times);
    for (int i = 0; i < u->n; i++)
        times[i] = (float)u->t[i];
    golden_must(device->k->upload(device, u->times, times, vector));
    golden_must(device->k->upload(device, ts_graph_data(u->graph, u->time), times, vector));
    free(times);
    upload_images(u, u->z, UINT32_MAX, u->noise);
    upload_images(u, u->xt, UINT32_MAX - 1, ts_graph_data(u->graph, u->x));
}

/* score = -net / s(t) */
static void check_score(case_unet *u)
{
    const ts_unet_config *c = &u->config;
    const size_t count = (size_t)u->n * (size_t)u->d;
    float *net = golden_allocate(count, sizeof *net);
    double *score = golden_allocate(count, sizeof *score);
    golden_must(ts_graph_forward(u->graph));
    golden_download(u->g, net, ts_graph_data(u->graph, u->net), (int64_t)count);
    golden_to_nchw(net, u->n, c->channels, c->height, c->width, score);
    for (int i = 0; i < u->n; i++)
        for (int k = 0; k < u->d; k++)
            score[(size_t)i * (size_t)u->d + (size_t)k] /= -ts_sde_std(&u->sde, u->t[i]);
    golden_check(u->g, "score", score, (int64_t)count, GOLDEN_FORWARD);
    free(net);
    free(score);
}

/* ---- losses and gradients ---- */

static void check_loss(case_unet *u, const char *loss, ts_loss_weight weight)
{
    ts_device *device = u->g->device;
    char name[32];
    float *host = golden_allocate((size_t)u->n, sizeof *host);
    double *values = golden_allocate((size_t)u->n, sizeof *values);
    const ts_score_loss a = {.n = u->n,
                             .d = u->d,
                             .sde = u->sde,
                             .weight = weight,
                             .t = u->times,
                             .net = ts_graph_data(u->graph, u->net),
                             .z = u->noise,
                             .loss = u->loss,
                             .dnet = ts_graph_gradient(u->graph, u->net)};
    golden_must(device->k->zero(device, ts_params_buffer(u->params, TS_BUFFER_GRADIENT),
                                (size_t)ts_params_count(u->params) * sizeof(float)));
    golden_must(ts_graph_forward(u->graph));
    golden_must(device->k->score_loss(device, &a));
    golden_must(ts_graph_backward(u->graph));
    golden_must(device->k->download(device, host, u->loss, (size_t)u->n * sizeof *host));
    for (int i = 0; i < u->n; i++)
        values[i] = host[i];
    snprintf(name, sizeof name, "loss.%s", loss);
    golden_check(u->g, name, values, u->n, GOLDEN_FORWARD);
    snprintf(name, sizeof name, "grad.%s.", loss);
    golden_check_gradients(u->g, u->params, name);
    free(host);
    free(values);
}

/* ---- all of it ---- */

static ts_tensor apply(const void *model, ts_graph *graph, ts_tensor x, ts_tensor t, bool training)
{
    return ts_unet_apply(model, graph, x, t, training);
}

static void check_ode(case_unet *u)
{
    const ts_unet_config *c = &u->config;
    ts_score *score;
    if (u->g->moved) {
        golden_leave(u->g, "ode.*", "in reduced precision");
        golden_leave(u->g, "likelihood.*", "in reduced precision");
        return;
    }
    golden_must(ts_score_network(u->g->device, u->params, apply, u->unet, u->n, c->height, c->width,
                                 c->channels, true, &score));
    golden_ode(u->g, score, &u->sde, c->height, c->width, c->channels);
    ts_score_destroy(score);
}

static void release(case_unet *u)
{
    ts_device *device = u->g->device;
    device->k->release(device, u->noise);
    device->k->release(device, u->times);
    device->k->release(device, u->loss);
    ts_graph_destroy(u->graph);
    ts_unet_destroy(u->unet);
    ts_params_destroy(u->params);
    free(u->x0);
    free(u->z);
    free(u->t);
    free(u->xt);
}

void golden_unet(golden *g)
{
    case_unet u = {.g = g};
    golden_unet_config(g, "x0", &u.config);
    u.sde = u.config.sde;
    read_inputs(&u);
    check_marginals(&u);
    build(&u);
    check_score(&u);
    check_loss(&u, "simple", TS_WEIGHT_ONE);
    check_loss(&u, "likelihood", TS_WEIGHT_LIKELIHOOD);
    if (golden_has(g, "ode.xT") || golden_has(g, "likelihood.probe"))
        check_ode(&u);
    release(&u);
}
