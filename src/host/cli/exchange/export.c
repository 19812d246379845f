/*
 * tstar export RUN --out FILE.safetensors
 */
#include <stdio.h>
#include "cli/cli.h"
#include "run/exchange/export.h"

const cli_usage cli_export_usage = {
    .name = "export",
    .arguments = "RUN ",
    .about =
        "Writes the run's network to --out as a state dict: a safetensors file that score_sde's classes load by\n"
        "name, and tstar import too.  The averaged weights, unless --raw-weights.  A file that is there already is\n"
        "replaced, but in RUN itself.",
    .least = 1,
    .most = 1,
    .takes = CLI_SET | CLI_DEVICE | CLI_JSON | CLI_OUT | CLI_RAW};

static ts_status export(const cli_options *o, ts_progress *progress)
{
    (void)progress;
    ts_run *run;
    if (!o->out)
        return ts_error(TS_INVALID, "export: --out FILE.safetensors is missing: where the weights go");
    TS_TRY(cli_open_trained(o, TS_WORK_ANY, &run));
    ts_status status = ts_export(run, !o->raw, o->out);
    const json_int_t parameters = status ? 0 : (json_int_t)ts_params_count(run->model->params);
    ts_run_close(run);
    TS_TRY(status);
    if (o->json)
        cli_print_json(json_pack("{s:s, s:I, s:s}", "out", o->out, "parameters", parameters, "weights",
                                 o->raw ? "raw" : "ema"));
    else
        printf("%lld parameters: %s\n", (long long)parameters, o->out);
    return NULL;
}

int cli_export(int argc, char **argv)
{
    return cli_command(&cli_export_usage, argc, argv, export);
}
