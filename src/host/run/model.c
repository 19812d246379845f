#include "run/model.h"

#include <stdlib.h>

/* Where an NCSN++ differs from a DDPM++. */
static void set_ncsnpp(const ts_config *config, ts_unet_config *unet)
{
    const ts_embedding_kind embedding = config->model.embedding;
    unet->fourier = embedding == TS_EMBEDDING_FOURIER ||
                    (embedding == TS_EMBEDDING_AUTO && config->sde.kind == TS_SDE_VE);
    unet->fourier_scale = (float)config->model.fourier_scale;
    unet->fir_taps = config->model.fir ? config->model.fir_kernel.count : 0;
    for (int i = 0; i < unet->fir_taps; i++)
        unet->fir[i] = (float)config->model.fir_kernel.v[i];
    unet->input = config->model.progressive_input;
    unet->combine_cat = config->model.progressive_combine == TS_COMBINE_CAT;
    unet->output_skip = config->model.progressive == TS_PROGRESSIVE_OUTPUT_SKIP;
    unet->ddpm_blocks = config->model.resblock == TS_RESBLOCK_DDPM;
    unet->plain_sums = !config->model.skip_rescale;
}

static ts_network_config network_config(const ts_config *config, const ts_model *model)
{
    ts_network_config network = {
        .h = model->h,
        .w = model->w,
        .c = model->c,
        .unet = {.nf = config->model.nf,
                 .levels = config->model.ch_mult.count,
                 .num_res_blocks = config->model.num_res_blocks,
                 .attn_count = config->model.attn_resolutions.count,
                 .dropout = (float)config->model.dropout,
                 .sde = model->sde,
                 .unit_data = model->sde.kind == TS_SDE_VE,
                 .scale_by_sigma = config->model.scale_by_sigma},
        .mlp = {.hidden = config->model.hidden, .blocks = config->model.blocks},
    };
    for (int i = 0; i < network.unet.levels; i++)
        network.unet.ch_mult[i] = config->model.ch_mult.v[i];
    for (int i = 0; i < network.unet.attn_count; i++)
        network.unet.attn_resolutions[i] = config->model.attn_resolutions.v[i];
    if (model->row->pyramids)
        set_ncsnpp(config, &network.unet);
    return network;
}

static ts_status create_network(const ts_config *config, ts_model *model)
{
    const ts_network_config network = network_config(config, model);
    TS_TRY(ts_params_create(model->device, &model->params));
    TS_TRY(model->row->create(&network, model->params, &model->network));
    return ts_params_commit(model->params, (uint64_t)config->run.seed);
}

ts_status ts_model_create(const ts_config *config, const ts_dataset *dataset, ts_device *device,
                          ts_model **model)
{
    *model = NULL;
    ts_model *m = calloc(1, sizeof *m);
    if (!m)
        return ts_error(TS_NO_MEMORY, "no memory for the model");
    *m = (ts_model){.device = device,
                    .row = &ts_networks[config->model.kind],
                    .sde = ts_config_sde(config),
                    .h = dataset->train.h,
                    .w = dataset->train.w,
                    .c = dataset->train.c};
    ts_status status = NULL;
    if (m->row->create)
        status = create_network(config, m);
    else if (!(m->mixture = dataset->mixture))
        status = ts_error(TS_INVALID, "model.kind %s needs data.kind mixture",
                          ts_model_kind_words.word[config->model.kind]);
    if (status)
        ts_model_destroy(m);
    else
        *model = m;
    return status;
}

void ts_model_destroy(ts_model *model)
{
    if (!model)
        return;
    if (model->network)
        model->row->destroy(model->network);
    ts_params_destroy(model->params);
    free(model);
}

ts_status ts_model_score(const ts_model *model, int n, bool gradient, ts_score **score)
{
    if (!model->params)
        return ts_score_mixture(model->mixture, &model->sde, n, score);
    return ts_score_network(model->device, model->params, model->row->apply, model->network, n, model->h,
                            model->w, model->c, gradient, score);
}

ts_whiten_kind ts_model_whitening(const ts_config *config, const ts_data *data)
{
    const ts_whiten_kind wanted = config->glow.whiten;
    const bool small = ts_data_dim(data) <= config->glow.whiten_limit;
    return wanted != TS_WHITEN_AUTO ? wanted : small ? TS_WHITEN_ZCA : TS_WHITEN_NONE;
}

ts_glow_config ts_model_flow(const ts_config *config, const ts_data *data)
{
    return (ts_glow_config){.height = data->h,
                            .width = data->w,
                            .channels = data->c,
                            .levels = config->glow.levels,
                            .steps = config->glow.steps_per_level,
                            .hidden = config->glow.hidden};
}
