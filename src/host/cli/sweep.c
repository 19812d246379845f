/* tstar sweep: the whole study of the diffusion time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/report.h"
#include "sweep/sweep.h"

const cli_usage cli_sweep_usage = {
    .name = "sweep",
    .arguments = "CONFIG ",
    .about =
        "Trains a score network, fits the auxiliary density at each T of sweep.T, measures the bound and draws\n"
        "samples from every start that suits the data, and writes its tables, charts and report.html to --out (runs/NAME\n"
        "unless given).  Run again after an interruption, it continues and ends with the same numbers.",
    .least = 1,
    .most = 1,
    .takes = CLI_SET | CLI_DEVICE | CLI_OUT | CLI_JSON | CLI_WORKERS,
};

/* What is said of a sweep beside its progress. */
typedef struct teller {
    cli_progress progress;
    int workers;
} teller;

static void say_workers(void *context, int workers, int threads)
{
    teller *t = context;
    char text[80];
    t->workers = workers;
    if (workers < 2)
        return;
    snprintf(text, sizeof text, "%d workers, %d thread%s each", workers, threads, threads == 1 ? "" : "s");
    cli_say(&t->progress, text);
}

static void say_T(void *context, double T)
{
    teller *t = context;
    char text[160];
    snprintf(text, sizeof text,
             "train.T auto: t was drawn up to %.4g in the end, which stands for the T of sweep.T above it",
             T);
    cli_say(&t->progress, text);
}

/* Work of less than half a minute goes without. */
static void say_time(void *context, double seconds, const ts_cost *phases, int count)
{
    teller *t = context;
    char text[1200] = "", amount[32];
    if (seconds < 30)
        return;
    ts_duration_text(seconds, amount);
    if (t->workers > 1)
        snprintf(text, sizeof text, "about %s; by one worker ", amount);
    const size_t length = strlen(text);
    ts_estimate_text(phases, count, text + length, sizeof text - length);
    cli_say(&t->progress, text);
}

static ts_status sweep(const cli_options *options, const char **dir, char **own_dir, ts_report_result *report)
{
    ts_config *config;
    teller t = {.workers = 1};
    TS_TRY(ts_config_load(options->arguments[0], options->overrides, options->override_count, &config));
    *dir = options->out;
    if (!*dir) {
        if (asprintf(own_dir, "runs/%s", config->run.name) < 0)
            *own_dir = NULL;
        *dir = *own_dir;
    }
    if (!*dir) {
        ts_config_free(config);
        return ts_error(TS_NO_MEMORY, "no memory");
    }
    ts_run_options run = cli_run_options(options);
    run.work = TS_WORK_TRAIN; /* one number of threads a worker: that of the longest part */
    cli_progress_begin(&t.progress);
    run.progress = &t.progress.base;
    const ts_sweep_options how = {.run = &run,
                                  .progress = &t.progress.base,
                                  .workers = options->workers,
                                  .began = say_workers,
                                  .estimated = say_time,
                                  .shortened = say_T,
                                  .context = &t};
    ts_status status = ts_sweep_run(*dir, config, &how);
    cli_progress_end(&t.progress);
    if (!status)
        return ts_report_make(*dir, report);
    return cli_hint(status, TS_INTERRUPTED, "the same command continues from here");
}

int cli_sweep(int argc, char **argv)
{
    cli_options options;
    const char *dir = NULL;
    char *own_dir = NULL;
    ts_report_result report = {.charts = true};
    const int result = cli_parse(&cli_sweep_usage, argc, argv, &options);
    if (result >= 0)
        return result;
    ts_status status = sweep(&options, &dir, &own_dir, &report);
    if (!status)
        status = cli_report_show(dir, &report, options.json);
    free(own_dir);
    cli_options_free(&options);
    return cli_finish(status);
}
