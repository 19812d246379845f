/*
 * tstar score RUN --in x.safetensors --out net.safetensors
 */
#include <stdio.h>
#include "cli/cli.h"
#include "run/exchange/outputs.h"

const cli_usage cli_score_usage = {
    .name = "score",
    .arguments = "RUN|CONFIG ",
    .about =
        "Evaluates the network at inputs of a file, to compare it with another program's: --in has the tensors\n"
        "x [n,c,h,w] (vectors: [n,d]) and t [n], --out gets net, as x: the output as score_sde's module returns it,\n"
        "for VE the score; what a network with model.predicts v or x0 gives is that.  Averaged weights unless\n"
        "--raw-weights, no dropout.  x is what the network is given (VE: data in [0, 1] plus noise).  --out is\n"
        "replaced where it is there already, but in RUN itself.  CONFIG serves where the score is exact (model.kind exact).",
    .least = 1,
    .most = 1,
    .takes = CLI_SET | CLI_DEVICE | CLI_JSON | CLI_IN | CLI_OUT | CLI_RAW};

static ts_status score(const cli_options *o, ts_progress *progress)
{
    ts_run *run;
    ts_outputs outputs;
    if (!o->in || !o->out)
        return ts_error(TS_INVALID, "score: %s is missing: %s",
                        o->in ? "--out FILE.safetensors" : "--in FILE.safetensors",
                        o->in ? "where the outputs go" : "a file with the tensors x and t");
    TS_TRY(cli_open_trained(o, TS_WORK_BOUND, &run));
    ts_status status = ts_outputs_write(run, o->in, o->out, progress, &outputs);
    ts_run_close(run);
    TS_TRY(status);
    if (o->json)
        cli_print_json(
            json_pack("{s:s, s:i, s:s}", "out", o->out, "count", outputs.count, "net", outputs.net));
    else
        printf("%d outputs (%s): %s\n", outputs.count, outputs.net, o->out);
    return NULL;
}

int cli_score(int argc, char **argv)
{
    return cli_command(&cli_score_usage, argc, argv, score);
}
