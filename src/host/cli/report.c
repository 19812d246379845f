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

/* A row a start and score; a dash where the start has taught nothing. */
static void show_finding(const ts_results *r, const ts_finding *f)
{
    const int start = ts_results_start_index(r, f->start);
    const ts_finding_point *at = ts_report_point(f, f->T_star);
    char bits[64] = "-", T_star[64] = "-", T_best[64];
    if (start < 0 || !at)
        return;
    if (f->score != r->scores[0] || !ts_report_worse_than_uniform(r, start))
        snprintf(T_star, sizeof T_star, "%g (%g to %g)", f->T_star, f->T_star_low, f->T_star_high);
    snprintf(T_best, sizeof T_best, "%g (%g to %g)", f->T_best, f->T_best_low, f->T_best_high);
    if (isfinite(at->bpd.mean))
        snprintf(bits, sizeof bits, isfinite(at->bpd.half) ? "%.4f +- %.4f" : "%.4f", at->bpd.mean,
                 at->bpd.half);
    printf("%-9s %-8s %20s %20s %20s\n", ts_start_kind_words.word[f->start],
           ts_score_kind_words.word[f->score], T_star, bits, T_best);
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
    printf("%-9s %-13s %20s %20s %20s\n", "start", "score", "T* (95 %)", "bits/dim at T*", "best T (95 %)");
    for (int i = 0; i < r->finding_count; i++)
        show_finding(r, &r->findings[i]);
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
