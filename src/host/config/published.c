/*
 * The networks of public checkpoints: what score_sde's configurations (Song et al. 2021; cifar10_ddpmpp and
 * cifar10_ncsnpp, continuous) say where a configuration is silent.  Whatever is not here is as they have it by
 * default: config.h.
 */
#include <stdio.h>
#include <string.h>
#include "config/table.h"

static const struct {
    ts_model_kind kind;
    const char *value; /* as --set has it */
} defaults[] = {
    {TS_MODEL_DDPMPP, "sde.kind=vp"},
    {TS_MODEL_DDPMPP, "model.nf=128"},
    {TS_MODEL_DDPMPP, "model.ch_mult=1,2,2,2"},
    {TS_MODEL_DDPMPP, "model.num_res_blocks=4"},
    {TS_MODEL_DDPMPP, "model.attn_resolutions=16"},
    {TS_MODEL_NCSNPP, "sde.kind=ve"},
    {TS_MODEL_NCSNPP, "model.nf=128"},
    {TS_MODEL_NCSNPP, "model.ch_mult=1,2,2,2"},
    {TS_MODEL_NCSNPP, "model.num_res_blocks=4"},
    {TS_MODEL_NCSNPP, "model.attn_resolutions=16"},
};

ts_status ts_config_fill_published(ts_config *config, ts_config_origin *origins)
{
    char name[64];
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
        const char *value = defaults[i].value;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(value, "="), value);
        ts_config_origin *origin = &origins[ts_config_find(name)];
        if (defaults[i].kind != config->model.kind || origin->file || origin->override)
            continue;
        TS_TRY(ts_config_read_override(config, value, origins));
        *origin = (ts_config_origin){0};
    }
    return NULL;
}
