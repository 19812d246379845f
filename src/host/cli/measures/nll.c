/*
 * tstar nll RUN|CONFIG --T 0.4 --start glow
 */
#include <stdio.h>
#include <stdlib.h>
#include "cli/cli.h"
#include "run/evaluate.h"

const cli_usage cli_nll_usage = {
    .name = "nll",
    .arguments = "RUN|CONFIG ",
    .about =
        "Computes the log-likelihood of held-out data by the probability-flow ODE at each T and start density, "
        "with 95 %\n"
        "intervals over data: log_prob = log start(x_T) + the divergence's integral, in nats; images are "
        "dequantised by\n"
        "uniform noise, and bpd = -log_prob/(d ln 2) - log2 of a level's width.  Section likelihood of the "
        "configuration\n"
        "says how.  CONFIG serves where the score is exact (model.kind exact).",
    .least = 1,
    .most = 1,
    .takes = CLI_SET | CLI_DEVICE | CLI_JSON | CLI_T | CLI_START | CLI_RAW};

static json_t *as_json(const ts_likelihood_row *row)
{
    return json_pack("{s:f, s:s, s:o, s:o, s:o, s:o, s:o}", "T", row->T, "start",
                     ts_start_kind_words.word[row->start], "log_prob_nats", cli_json_real(row->log_prob.mean),
                     "log_prob_ci95_nats", cli_json_real(row->log_prob.half), "bpd",
                     cli_json_real(row->bpd.mean), "bpd_ci95", cli_json_real(row->bpd.half), "nfe",
                     cli_json_real(row->nfe));
}

static void print_json(const ts_likelihood_row *rows, int count)
{
    json_t *array = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(array, as_json(&rows[i]));
    cli_print_list(array);
}

static void print_table(const ts_likelihood_row *rows, int count)
{
    printf("%-6s %-9s %21s %21s %8s\n", "T", "start", "log_prob (nats)", "bpd", "nfe");
    for (int i = 0; i < count; i++)
        printf("%-6g %-9s %11.4f +- %-6.4f %11.4f +- %-6.4f %8.0f\n", rows[i].T,
               ts_start_kind_words.word[rows[i].start], rows[i].log_prob.mean, rows[i].log_prob.half,
               rows[i].bpd.mean, rows[i].bpd.half, rows[i].nfe);
}

static ts_status nll(const cli_options *o, ts_progress *progress)
{
    const ts_start_kind normal[] = {TS_START_NORMAL}, *starts = o->start_count ? o->starts : normal;
    const int start_count = o->start_count ? o->start_count : 1, count = o->T_count * start_count;
    ts_run *run;
    if (!o->T_count)
        return ts_error(TS_INVALID, "nll: --T is missing: the diffusion time, such as --T 0.4, or several");
    TS_TRY(cli_open_trained(o, TS_WORK_BOUND, &run));
    cli_watch(progress, run);
    ts_likelihood_row *rows = calloc((size_t)count, sizeof *rows);
    ts_status status =
        rows ? ts_evaluate_likelihood(run, o->T_count, o->T, start_count, starts, progress, rows)
             : ts_error(TS_NO_MEMORY, "nll: no memory for %d rows", count);
    if (!status && o->json)
        print_json(rows, count);
    else if (!status)
        print_table(rows, count);
    free(rows);
    ts_run_close(run);
    return cli_hint(status, TS_INTERRUPTED, "nothing is kept of a likelihood that is not finished");
}

int cli_nll(int argc, char **argv)
{
    return cli_command(&cli_nll_usage, argc, argv, nll);
}
