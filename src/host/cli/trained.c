/*
 * Opening what sample and elbo work on.
 */
#include "cli/cli.h"
#include "run/checkpoint.h"

static ts_status open_directory(const cli_options *o, const ts_run_options *options, ts_run **run)
{
    TS_TRY(ts_run_open(o->arguments[0], o->overrides, o->override_count, false, options, run));
    if (!(*run)->model->params)
        return NULL;
    ts_checkpoint checkpoint = {0};
    ts_status status = ts_checkpoint_load_weights(*run, !o->raw, &checkpoint);
    ts_checkpoint_release(&checkpoint);
    if (status) {
        ts_run_close(*run);
        *run = NULL;
    }
    return status;
}

ts_status cli_open_trained(const cli_options *options, ts_work work, ts_run **run)
{
    ts_run_options run_options = cli_run_options(options);
    run_options.work = work;
    if (ts_run_exists(options->arguments[0]))
        return open_directory(options, &run_options, run);
    ts_config *config;
    *run = NULL;
    TS_TRY(ts_config_load(options->arguments[0], options->overrides, options->override_count, &config));
    if (ts_networks[config->model.kind].create) {
        ts_status status = ts_error(TS_INVALID,
                                    "%s: its score is a network (model.kind %s); give a run directory that "
                                    "tstar train made, or --set model.kind=exact for a mixture",
                                    options->arguments[0], ts_model_kind_words.word[config->model.kind]);
        ts_config_free(config);
        return status;
    }
    return ts_run_create(NULL, config, false, &run_options, run);
}
