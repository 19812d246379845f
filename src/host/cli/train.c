/*
 * tstar train CONFIG --out RUN [--resume]
 */
#include <math.h>
#include <stdio.h>
#include "cli/cli.h"
#include "run/checkpoint.h"
#include "run/trainer.h"

static const cli_usage usage = {
    .name = "train",
    .arguments = "CONFIG ",
    .about = "Trains the score network of CONFIG (YAML) in the run directory --out: log.jsonl, "
             "checkpoint.safetensors,\n"
             "config.yaml.  With --resume it continues from the checkpoint, bitwise as if it had never "
             "stopped, also\n"
             "with more train.steps.  Ctrl-C ends at the next step and writes a checkpoint.",
    .least = 1,
    .most = 1,
    .takes = CLI_SET | CLI_DEVICE | CLI_JSON | CLI_OUT | CLI_RESUME};

static void print_result(const cli_options *o, const char *device, const ts_trainer_result *r)
{
    if (o->json) {
        json_t *json = json_pack(
            "{s:I, s:o, s:o, s:I, s:o, s:f, s:I, s:I, s:I, s:s, s:s}", "step", (json_int_t)r->step, "loss",
            cli_json_real(r->loss), "gradient_norm", cli_json_real(r->gradient_norm), "skipped",
            (json_int_t)r->skipped, "images_per_second", cli_json_real(r->images_per_second), "seconds",
            r->seconds, "parameters", (json_int_t)r->parameters, "plan_bytes", (json_int_t)r->plan_bytes,
            "no_reuse_bytes", (json_int_t)r->no_reuse_bytes, "run", o->out, "device", device);
        cli_print_json(json);
        return;
    }
    if (isnan(r->loss)) {
        printf("%lld steps: trained already\ncheckpoint: %s/" TS_CHECKPOINT_FILE "\n", (long long)r->step,
               o->out);
        return;
    }
    printf("%lld steps, loss %.5f, %.4g images/s, %lld parameters, plan %.1f MiB (%.1f MiB without reuse)\n"
           "checkpoint: %s/" TS_CHECKPOINT_FILE "\n",
           (long long)r->step, r->loss, r->images_per_second, (long long)r->parameters,
           (double)r->plan_bytes / 0x1p20, (double)r->no_reuse_bytes / 0x1p20, o->out);
}

static ts_status train(const cli_options *o, ts_progress *progress)
{
    ts_config *config;
    ts_run *run;
    ts_trainer_result result = {0};
    if (!o->out)
        return ts_error(TS_INVALID, "train: --out RUN is missing: the directory for checkpoints and log");
    TS_TRY(ts_config_load(o->arguments[0], o->overrides, o->override_count, &config));
    const ts_run_options options = cli_run_options(o);
    TS_TRY(ts_run_create(o->out, config, o->resume, &options, &run));
    ts_status status = ts_trainer_run(run, &(ts_trainer_options){o->resume, progress}, &result);
    if (!status)
        print_result(o, run->device->description, &result);
    ts_run_close(run);
    return status;
}

int cli_train(int argc, char **argv)
{
    return cli_command(&usage, argc, argv, train);
}
