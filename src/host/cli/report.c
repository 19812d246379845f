/* tstar report: charts and page again from what a sweep stored. */
#include "cli/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "cli/cli.h"
#include "report/source.h"
#include "sweep/results.h"

const cli_usage cli_report_usage = {
    .name = "report",
    .arguments = "RUN ",
    .about = "Makes charts, sample grids and report.html again from the results that a sweep stored in RUN.",
    .least = 1,
    .most = 1,
    .takes = CLI_JSON,
};

static ts_status show_json(const char *dir)
{
    char *path, *text;
    size_t bytes;
    if (asprintf(&path, "%s/sweep.json", dir) < 0)
        return ts_error(TS_NO_MEMORY, "no memory");
    ts_status status = ts_file_read(path, (size_t)1 << 30, &text, &bytes);
    free(path);
    TS_TRY(status);
    const bool written = fwrite(text, 1, bytes, stdout) == bytes && putchar('\n') != EOF;
    free(text);
    return written ? NULL : ts_error(TS_IO, "standard output: writing failed");
}

/* A name from a file, without what a terminal would obey. */
static void show_printable(const char *text)
{
    for (; *text; text++)
        putchar((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text);
}

/* A row a start and score; what is not known is a dash. */
static void show_best(const ts_results *r, const ts_best *best)
{
    const int start = ts_results_start_index(r, best->start), T = ts_results_T_index(r, best->T_star);
    int score = 0;
    while (score < r->score_count && r->scores[score] != best->score)
        score++;
    if (start < 0 || T < 0 || score == r->score_count)
        return;
    const ts_interval *bpd = &ts_results_bound(r, score, T, start)->terms.bpd;
    const double nfe = ts_results_sample(r, score, T, start, ts_report_sampler(r))->nfe;
    char bits[64] = "-", evaluations[32] = "-", T_star[32] = "-";
    const bool taught = score || !ts_report_worse_than_uniform(r, start); /* else its T* says nothing */
    if (taught)
        snprintf(T_star, sizeof T_star, "%g", best->T_star);
    if (isfinite(bpd->mean))
        snprintf(bits, sizeof bits, isfinite(bpd->half) ? "%.4f +- %.4f" : "%.4f", bpd->mean, bpd->half);
    if (isfinite(nfe))
        snprintf(evaluations, sizeof evaluations, "%.0f", nfe);
    printf("%-9s %-13s %6s %22s %10g %10s\n", ts_start_kind_words.word[best->start],
           ts_score_kind_words.word[best->score], T_star, bits, best->T_best, evaluations);
}

/* What the samplers that are compared at equal cost spend: the same for every row. */
static void show_budgets(const ts_results *r)
{
    for (int i = 0; i < r->sampler_count; i++)
        if (isfinite(r->samplers[i].budget) && isfinite(r->samples[i].nfe))
            printf("%s within %.0f evaluations: %.0f steps, %.0f evaluations\n",
                   ts_sampler_kind_words.word[r->samplers[i].kind], r->samplers[i].budget,
                   r->samples[i].steps, r->samples[i].nfe);
}

static void show_text(const ts_results *r)
{
    printf("%-9s %-13s %6s %22s %10s %10s\n", "start", "score", "T*", "bits/dim at T*", "best T",
           "NFE at T*");
    for (int i = 0; i < r->best_count; i++)
        show_best(r, &r->best[i]);
    show_budgets(r);
    for (int i = 0; i < r->phase_count; i++) {
        fputs(i ? ", " : "time: ", stdout);
        show_printable(r->phases[i].name);
        printf(" %.1f s", r->phases[i].seconds);
    }
    putchar('\n');
}

ts_status cli_report_show(const char *dir, const ts_report_result *report, bool json)
{
    ts_results results;
    if (!report->charts)
        fputs(
            "tstar: gnuplot is not installed, so there are no charts (Debian, Ubuntu: package gnuplot-nox); "
            "install it and run `tstar report` on the folder\n",
            stderr);
    if (json)
        return show_json(dir);
    TS_TRY(ts_results_read(dir, &results));
    show_text(&results);
    ts_results_release(&results);
    char *resolved = realpath(dir, NULL);
    printf("report: %s/report.html\n", resolved ? resolved : dir);
    free(resolved);
    return NULL;
}

int cli_report(int argc, char **argv)
{
    cli_options options;
    ts_report_result report = {.charts = true};
    const int result = cli_parse(&cli_report_usage, argc, argv, &options);
    if (result >= 0)
        return result;
    ts_status status = ts_report_make(options.arguments[0], &report);
    if (!status)
        status = cli_report_show(options.arguments[0], &report, options.json);
    cli_options_free(&options);
    return cli_finish(status);
}
