#include "run/trained.h"

#include "run/checkpoint.h"

static ts_status open_directory(const char *dir, const char *const *overrides, int count, bool averaged,
                                const ts_run_options *options, ts_run **run)
{
    TS_TRY(ts_run_open(dir, overrides, count, false, options, run));
    if (!(*run)->model->params)
        return NULL;
    ts_checkpoint checkpoint;
    ts_status status = ts_checkpoint_load_weights(*run, averaged, &checkpoint);
    ts_checkpoint_release(&checkpoint);
    if (status) {
        ts_run_close(*run);
        *run = NULL;
    }
    return status;
}

ts_status ts_trained_open(const char *path, const char *const *overrides, int count, bool averaged,
                          const ts_run_options *options, ts_run **run)
{
    ts_config *config;
    *run = NULL;
    if (ts_run_exists(path))
        return open_directory(path, overrides, count, averaged, options, run);
    TS_TRY(ts_config_load(path, overrides, count, &config));
    if (!ts_networks[config->model.kind].create)
        return ts_run_create(NULL, config, false, options, run);
    ts_status status = ts_error(TS_INVALID,
                                "%s: its score is a network (model.kind %s); "
                                "give a run directory, or a mixture with model.kind exact",
                                path, ts_model_kind_words.word[config->model.kind]);
    ts_config_free(config);
    return status;
}
