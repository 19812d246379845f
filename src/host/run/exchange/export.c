#include "run/exchange/export.h"

#include <math.h>
#include <stdlib.h>
#include "run/state.h"

#define FORMAT_NAME "tstar-network"

enum { SIGMAS = 1000 }; /* score_sde's num_scales */

/* Levels equally spaced in the logarithm, the largest first. */
static void noise_levels(const ts_sde *sde, double sigmas[SIGMAS])
{
    const double first = log(sde->sigma_max), last = log(sde->sigma_min),
                 step = (last - first) / (SIGMAS - 1);
    for (int i = 0; i < SIGMAS; i++)
        sigmas[i] = exp(i + 1 < SIGMAS ? first + i * step : last);
}

static ts_status declare(ts_safetensors_writer *writer, const ts_run *run, bool averaged, bool sigmas)
{
    char *config;
    TS_TRY(ts_config_print(run->config, NULL, &config));
    ts_safetensors_declare_metadata(writer, "format", FORMAT_NAME);
    ts_safetensors_declare_metadata(writer, "version", TSTAR_VERSION);
    ts_safetensors_declare_metadata(writer, "kind", ts_model_kind_words.word[run->config->model.kind]);
    ts_safetensors_declare_metadata(writer, "weights", averaged ? "ema" : "raw");
    ts_safetensors_declare_metadata(writer, "config", config);
    free(config);
    if (sigmas)
        ts_safetensors_declare(writer, "sigmas", TS_ST_F64, 1, (int64_t[]){SIGMAS});
    ts_state_declare(writer, run->model->params, false);
    return NULL;
}

ts_status ts_export(const ts_run *run, bool averaged, const char *path)
{
    const ts_model *model = run->model;
    const bool sigmas = !model->row->vectors;
    double levels[SIGMAS];
    ts_safetensors_writer *writer = NULL;
    ts_status status;
    if (!model->params)
        return ts_error(TS_INVALID, "model.kind %s has no weights to export",
                        ts_model_kind_words.word[run->config->model.kind]);
    TS_TRY(ts_run_spare(run, path));
    noise_levels(&model->sde, levels);
    TS_TRY(ts_safetensors_create(path, &writer));
    TS_GOTO(declare(writer, run, averaged, sigmas), fail);
    if (sigmas)
        TS_GOTO(ts_safetensors_append(writer, levels, sizeof levels), fail);
    TS_GOTO(ts_state_append_values(writer, model->params), fail);
    return ts_safetensors_commit(writer);
fail:
    ts_safetensors_abandon(writer);
    return status;
}
