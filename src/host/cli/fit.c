/*
 * tstar fit RUN --T 0.4
 */
#include <math.h>
#include <stdio.h>
#include "base/decimal.h"
#include "cli/cli.h"
#include "run/starts.h"

const cli_usage cli_fit_usage = {
    .name = "fit",
    .arguments = "RUN ",
    .about =
        "Fits start densities to the run's data and stores them in RUN.  Without --start: a Glow by maximum\n"
        "likelihood to forward samples x_T, at each T given, as RUN/glow_T<T>.safetensors.  A gaussian is\n"
        "fitted once for every T and needs none; so is a dpmixture, but with start.at=T.\n"
        "A finished fit of the same configuration and data is kept; one of others is replaced only with\n"
        "--force (a gaussian, which takes seconds, without).  A Glow that is stopped keeps its state; the\n"
        "same command goes on from there.",
    .least = 1,
    .most = 1,
    .takes = CLI_SET | CLI_DEVICE | CLI_JSON | CLI_T | CLI_START | CLI_FORCE};

typedef struct fitted {
    ts_start_kind start;
    double T; /* NaN: every one */
    ts_fit_result result;
} fitted;

static json_t *as_json(const fitted *f)
{
    const ts_fit_result *r = &f->result;
    return json_pack("{s:s, s:o, s:I, s:I, s:I, s:o, s:f, s:b}", "start", ts_start_kind_words.word[f->start],
                     "T", cli_json_real(f->T), "steps", (json_int_t)r->steps, "skipped",
                     (json_int_t)r->skipped, "rollbacks", (json_int_t)r->rollbacks, "nats_per_dim",
                     cli_json_real(r->loss), "seconds", r->seconds, "reused", r->reused);
}

static void print_line(const fitted *f)
{
    const ts_fit_result *r = &f->result;
    char text[32];
    ts_T_text(f->T, text);
    if (ts_starts[f->start].every_T)
        printf("%s: ", ts_start_kind_words.word[f->start]);
    if (!isnan(f->T))
        printf("T = %s: ", text);
    if (r->reused)
        printf("fitted already");
    if (!r->reused && !isnan(r->loss))
        printf("%.5f nats/dim", r->loss);
    if (!r->reused && r->steps)
        printf(" after %lld steps (%lld skipped)", (long long)r->steps, (long long)r->skipped);
    if (!r->reused)
        printf("%s%.2f s", isnan(r->loss) ? "" : ", ", r->seconds);
    putchar('\n');
}

static bool needs_T(ts_start_kind start)
{
    return ts_starts[start].fit && !ts_starts[start].every_T;
}

/* The starts that are asked for, by default those that need a fit at each T. */
static ts_status starts_of(const cli_options *o, ts_start_kind starts[TS_START_COUNT], int *count)
{
    *count = 0;
    for (int kind = 0; kind < TS_START_COUNT && !o->start_count; kind++)
        if (needs_T((ts_start_kind)kind))
            starts[(*count)++] = (ts_start_kind)kind;
    for (int i = 0; i < o->start_count; i++) {
        if (!ts_starts[o->starts[i]].fit)
            return ts_error(TS_INVALID, "fit: there is nothing to fit of a %s start",
                            ts_start_kind_words.word[o->starts[i]]);
        starts[(*count)++] = o->starts[i];
    }
    for (int i = 0; i < *count; i++)
        if (needs_T(starts[i]) && !o->T_count)
            return ts_error(TS_INVALID, "fit: --T is missing: the diffusion time to fit at, such as --T 0.4");
    return NULL;
}

static ts_status fit_start(const cli_options *o, ts_progress *progress, ts_run *run, ts_start_kind start,
                           json_t *array)
{
    for (int i = 0; i < (o->T_count ? o->T_count : 1); i++) {
        fitted f = {.start = start, .T = o->T_count ? o->T[i] : NAN};
        TS_TRY(ts_starts[start].fit(run, f.T, &(ts_fit_options){progress, o->force}, &f.result));
        if (o->json)
            json_array_append_new(array, as_json(&f));
        else
            print_line(&f);
    }
    return NULL;
}

static ts_status fit(const cli_options *o, ts_progress *progress)
{
    ts_run *run;
    ts_start_kind starts[TS_START_COUNT];
    int count;
    ts_run_options options = cli_run_options(o);
    options.progress = progress;
    options.work = TS_WORK_FIT;
    TS_TRY(starts_of(o, starts, &count));
    TS_TRY(ts_run_open(o->arguments[0], o->overrides, o->override_count, true, &options, &run));
    cli_watch(progress, run);
    json_t *array = json_array();
    ts_status status = NULL;
    for (int i = 0; i < count && !status; i++)
        status = fit_start(o, progress, run, starts[i], array);
    if (!status && o->json)
        cli_print_list(array);
    else
        json_decref(array);
    ts_run_close(run);
    return cli_hint(status, TS_INTERRUPTED, "the same command goes on with what is missing");
}

int cli_fit(int argc, char **argv)
{
    return cli_command(&cli_fit_usage, argc, argv, fit);
}
