/*
 * tstar fit RUN --T 0.4
 */
#include <stdio.h>
#include "base/decimal.h"
#include "cli/cli.h"
#include "run/fit.h"

const cli_usage cli_fit_usage = {
    .name = "fit",
    .arguments = "RUN ",
    .about =
        "Fits a Glow by maximum likelihood to forward samples x_T of the run's data, at each T given, "
        "and stores it\n"
        "as RUN/glow_T<T>.safetensors.  A finished fit of the same configuration and data is kept, one of "
        "others is\n"
        "replaced only with --force.  A fit that is stopped keeps its state; the same command goes on from "
        "there.",
    .least = 1,
    .most = 1,
    .takes = CLI_SET | CLI_DEVICE | CLI_JSON | CLI_T | CLI_FORCE};

static json_t *as_json(double T, const ts_fit_result *r)
{
    return json_pack("{s:f, s:I, s:I, s:I, s:o, s:f, s:b}", "T", T, "steps", (json_int_t)r->steps, "skipped",
                     (json_int_t)r->skipped, "rollbacks", (json_int_t)r->rollbacks, "nats_per_dim",
                     cli_json_real(r->loss), "seconds", r->seconds, "reused", r->reused);
}

static void print_line(double T, const ts_fit_result *r)
{
    char text[32];
    ts_T_text(T, text);
    if (r->reused)
        printf("T = %s: fitted already\n", text);
    else
        printf("T = %s: %.5f nats/dim after %lld steps (%lld skipped), %.1f s\n", text, r->loss,
               (long long)r->steps, (long long)r->skipped, r->seconds);
}

static ts_status fit(const cli_options *o, ts_progress *progress)
{
    ts_run *run;
    ts_run_options options = cli_run_options(o);
    options.work = TS_WORK_FIT;
    if (!o->T_count)
        return ts_error(TS_INVALID, "fit: --T is missing: the diffusion time to fit at, such as --T 0.4");
    TS_TRY(ts_run_open(o->arguments[0], o->overrides, o->override_count, true, &options, &run));
    cli_watch(progress, run);
    json_t *array = json_array();
    ts_status status = NULL;
    for (int i = 0; i < o->T_count && !status; i++) {
        ts_fit_result result = {0};
        status = ts_fit_glow(run, o->T[i], &(ts_fit_options){progress, o->force}, &result);
        if (!status && o->json)
            json_array_append_new(array, as_json(o->T[i], &result));
        else if (!status)
            print_line(o->T[i], &result);
    }
    if (!status && o->json)
        cli_print_json(json_incref(o->T_count == 1 ? json_array_get(array, 0) : array));
    json_decref(array);
    ts_run_close(run);
    return cli_hint(status, TS_INTERRUPTED, "the same command goes on with what is missing");
}

int cli_fit(int argc, char **argv)
{
    return cli_command(&cli_fit_usage, argc, argv, fit);
}
