/*
 * tstar elbo RUN|CONFIG --T 0.4 --start glow
 */
#include <stdio.h>
#include <stdlib.h>
#include "cli/cli.h"
#include "run/evaluate.h"

const cli_usage cli_elbo_usage = {
    .name = "elbo",
    .arguments = "RUN|CONFIG ",
    .about =
        "Estimates the evidence lower bound on held-out data at each T and start density by Monte Carlo, with 95 %\n"
        "intervals over data: elbo = reconstruction - prior - diffusion, in nats; bpd = -elbo/(d ln 2).  On mixtures\n"
        "also KL[p_T || start] and K(T).  CONFIG serves where the score is exact (model.kind exact).",
    .least = 1,
    .most = 1,
    .takes = CLI_SET | CLI_DEVICE | CLI_JSON | CLI_T | CLI_START | CLI_RAW | CLI_SCORE};

static void set_interval(json_t *json, const char *key, const char *half_key, ts_interval i)
{
    json_object_set_new(json, key, cli_json_real(i.mean));
    json_object_set_new(json, half_key, cli_json_real(i.half));
}

static json_t *as_json(const ts_evaluate_row *row)
{
    const ts_bound_terms *t = &row->terms;
    json_t *json = json_pack("{s:f, s:s}", "T", t->T, "start", ts_start_kind_words.word[row->start]);
    set_interval(json, "elbo_nats", "elbo_ci95_nats", t->elbo);
    set_interval(json, "bpd", "bpd_ci95", t->bpd);
    set_interval(json, "reconstruction_nats", "reconstruction_ci95_nats", t->reconstruction);
    set_interval(json, "prior_nats", "prior_ci95_nats", t->prior);
    set_interval(json, "diffusion_nats", "diffusion_ci95_nats", t->diffusion);
    if (row->mixture) {
        set_interval(json, "kl_prior_nats", "kl_prior_ci95_nats", row->kl_prior);
        set_interval(json, "K_nats", "K_ci95_nats", row->K);
    }
    return json;
}

static void print_json(const ts_evaluate_row *rows, int count)
{
    json_t *array = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(array, as_json(&rows[i]));
    cli_print_list(array);
}

static void print_table(const ts_evaluate_row *rows, int count)
{
    printf("%-6s %-10s %20s %20s %16s %12s %14s", "T", "start", "bpd", "elbo (nats)", "reconstruction",
           "prior", "diffusion");
    if (rows[0].mixture)
        printf(" %22s %20s", "KL[p_T||start]", "K(T)");
    putchar('\n');
    for (int i = 0; i < count; i++) {
        const ts_bound_terms *t = &rows[i].terms;
        printf("%-6g %-10s %11.4f +- %-6.4f %11.4f +- %-6.4f %15.4f %12.4f %14.4f", t->T,
               ts_start_kind_words.word[rows[i].start], t->bpd.mean, t->bpd.half, t->elbo.mean, t->elbo.half,
               t->reconstruction.mean, t->prior.mean, t->diffusion.mean);
        if (rows[i].mixture)
            printf(" %12.6f +- %-8.6f %11.5f +- %-7.5f", rows[i].kl_prior.mean, rows[i].kl_prior.half,
                   rows[i].K.mean, rows[i].K.half);
        putchar('\n');
    }
}

static ts_status elbo(const cli_options *o, ts_progress *progress)
{
    const ts_start_kind normal[] = {TS_START_NORMAL}, *starts = o->start_count ? o->starts : normal;
    const int start_count = o->start_count ? o->start_count : 1, count = o->T_count * start_count;
    ts_run *run;
    if (!o->T_count)
        return ts_error(TS_INVALID, "elbo: --T is missing: the diffusion time, such as --T 0.4, or several");
    TS_TRY(cli_open_trained(o, TS_WORK_BOUND, &run));
    cli_watch(progress, run);
    ts_evaluate_row *rows = calloc((size_t)count, sizeof *rows);
    ts_status status = rows ? NULL : ts_error(TS_NO_MEMORY, "elbo: no memory for %d rows", count);
    for (int i = 0; !status && i < start_count; i++)
        status = cli_say_score((cli_progress *)progress, run, starts[i]);
    if (!status)
        status = ts_evaluate_bound(run, o->T_count, o->T, start_count, starts, progress, rows);
    if (!status && o->json)
        print_json(rows, count);
    else if (!status)
        print_table(rows, count);
    free(rows);
    ts_run_close(run);
    return cli_hint(status, TS_INTERRUPTED, "nothing is kept of a bound that is not finished");
}

int cli_elbo(int argc, char **argv)
{
    return cli_command(&cli_elbo_usage, argc, argv, elbo);
}
