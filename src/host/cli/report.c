/* tstar report: charts and page again from what a sweep stored. */
#include "cli/report.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "cli/cli.h"

const cli_usage cli_report_usage = {
    .name = "report",
    .arguments = "RUN ",
    .about = "Makes charts, sample grids and report.html again from the results that a sweep stored in RUN.",
    .least = 1,
    .most = 1,
    .takes = CLI_JSON,
};

static ts_status show_json(const char *path)
{
    char *text;
    size_t bytes;
    TS_TRY(ts_file_read(path, (size_t)1 << 30, &text, &bytes));
    const bool written = fwrite(text, 1, bytes, stdout) == bytes && putchar('\n') != EOF;
    free(text);
    return written ? NULL : ts_error(TS_IO, "standard output: writing failed");
}

static void show_text(const ts_results *results)
{
    printf("%-8s %-8s %6s %22s %10s %10s\n", "start", "score", "T*", "bits/dim at T*", "best T", "NFE at T*");
    for (int i = 0; i < results->best_count; i++) {
        const ts_best *best = &results->best[i];
        const ts_result_row *row = ts_results_find(results, best->T_star, best->prior, best->score, "em");
        if (row)
            printf("%-8s %-8s %6g %14.4f +- %.4f %10g %10.0f\n", best->prior, best->score, best->T_star,
                   row->terms.bpd.mean, row->terms.bpd.half, best->T_best, row->nfe);
    }
    for (int i = 0; i < results->phase_count; i++)
        printf("%s%s %.1f s", i ? ", " : "time: ", results->phases[i].name, results->phases[i].seconds);
    putchar('\n');
}

ts_status cli_report_show(const char *dir, const ts_report_result *report, bool json)
{
    char *path;
    ts_results results;
    if (!report->charts)
        fputs("tstar: gnuplot is not installed, so there are no charts (Debian, Ubuntu: package "
              "gnuplot-nox); install "
              "it and run `tstar report` on the folder\n",
              stderr);
    if (asprintf(&path, "%s/sweep.json", dir) < 0)
        return ts_error(TS_NO_MEMORY, "no memory");
    ts_status status = json ? show_json(path) : ts_results_read_json(path, &results);
    free(path);
    if (status || json)
        return status;
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
