/*
 * tstar import CONFIG WEIGHTS.safetensors --out RUN
 */
#include <stdio.h>
#include "cli/cli.h"
#include "run/exchange/import.h"

const cli_usage cli_import_usage = {
    .name = "import",
    .arguments = "CONFIG WEIGHTS ",
    .about =
        "Makes the run --out of a score network trained elsewhere: CONFIG describes the network, WEIGHTS is a\n"
        "safetensors file with its tensors under the public names (a state dict of score_sde's; of a .pth file,\n"
        "tools/import_checkpoint.py makes one).  Keys of network and SDE that neither CONFIG nor --set names take\n"
        "score_sde's defaults.  sample, elbo, nll, fit, sweep and train --resume then work on the run.",
    .least = 2,
    .most = 2,
    .takes = CLI_SET | CLI_DEVICE | CLI_JSON | CLI_OUT};

static ts_status import(const cli_options *o, ts_progress *progress)
{
    (void)progress;
    ts_config *config;
    ts_run *run;
    if (!o->out)
        return ts_error(TS_INVALID, "import: --out RUN is missing: the directory for the run");
    TS_TRY(ts_config_load_published(o->arguments[0], o->overrides, o->override_count, &config));
    ts_run_options options = cli_run_options(o);
    options.published = true;
    TS_TRY(ts_run_create(o->out, config, false, &options, &run));
    ts_status status = ts_import(run, o->arguments[1]);
    const json_int_t parameters = status ? 0 : (json_int_t)ts_params_count(run->model->params);
    ts_run_close(run);
    TS_TRY(status);
    if (o->json)
        cli_print_json(json_pack("{s:s, s:I}", "run", o->out, "parameters", parameters));
    else
        printf("%lld parameters: %s\n", (long long)parameters, o->out);
    return NULL;
}

int cli_import(int argc, char **argv)
{
    return cli_command(&cli_import_usage, argc, argv, import);
}
