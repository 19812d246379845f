#include "report/page.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "diffusion/samplers/sampler.h"
#include "report/chart.h"
#include "report/finding.h"
#include "report/grids.h"
#include "report/html.h"
#include "report/tables.h"
#include "run/starts.h"

#define LARGEST_CHART ((size_t)64 << 20)

/* ---- head ---- */

static void head(const ts_results *r, FILE *page)
{
    const double d = r->h * r->w * r->c;
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
          page);
    ts_html_escape(page, r->name);
    fputs(" &ndash; sweep of the diffusion time</title>\n", page);
    ts_html_style(page);
    fputs("</head>\n<body>\n<h1>", page);
    ts_html_escape(page, r->name);
    fputs(
        ": how much diffusion is enough?</h1>\n<p class=\"lead\">A sweep of the diffusion time <i>T</i> of a "
        "score-based model: what each <i>T</i> costs and buys, by what the reverse process starts from. ",
        page);
    if (r->levels > 0)
        fprintf(page, "%.0f training and %.0f held-out images of %.0f&times;%.0f&times;%.0f, %.0f levels.",
                r->train_count, r->test_count, r->h, r->w, r->c, r->levels);
    else
        fprintf(page, "A Gaussian mixture in %.0f dimension%s; bounds on %.0f fresh draws.", d,
                ts_html_plural(d), r->test_count);
    fputs("</p>\n", page);
}

/* ---- key figures ---- */

static void T_star_cards(const ts_results *r, FILE *page)
{
    for (int start = 0; start < r->start_count; start++) {
        const ts_finding *f = ts_report_finding(r, 0, start);
        if (!f || r->T_count < 2 || ts_report_worse_than_uniform(r, start))
            continue;
        fprintf(page, "<div><b><i>T</i>* = %g", f->T_star);
        if (f->T_star_low < f->T_star_high)
            fprintf(page, " <small>%g &ndash; %g</small>", f->T_star_low, f->T_star_high);
        fprintf(page, "</b><span>started from %s</span></div>\n", ts_report_start_html(r, r->starts[start]));
    }
}

/* The bound at T*, and the evaluations at the T of the sweep next to it, of the start that a short T is for; else of
 * the first. */
static void cards_at_T_star(const ts_report *report, FILE *page)
{
    const ts_results *r = report->results;
    const int aided = ts_report_aided(r), start = aided < 0 ? 0 : aided;
    const double longest = r->T[report->ascending[r->T_count - 1]];
    const ts_finding *f = ts_report_finding(r, 0, start);
    const ts_finding_point *at = f ? ts_report_point(f, f->T_star) : NULL;
    if (!at || ts_report_worse_than_uniform(r, start))
        return;
    const double T = ts_report_grid_T(report, f->T_star);
    fputs("<div><b>", page);
    ts_html_interval(page, 3, at->bpd);
    fprintf(page,
            "</b><span>bits per dimension at <i>T</i>*&nbsp;=&nbsp;%g from %s, held-out data</span></div>\n",
            f->T_star, ts_report_start_html(r, r->starts[start]));
    const ts_sample_row *star = ts_report_sample_at(r, start, T);
    const ts_sample_row *full = ts_report_sample_at(r, start, longest);
    const ts_sampler_entry *entry = &r->samplers[ts_report_sampler(r)];
    const ts_sampler_row *sampler = &ts_samplers[entry->kind];
    if (star && full && !isfinite(entry->budget) && T != longest && isfinite(star->nfe) &&
        isfinite(full->nfe))
        fprintf(page,
                "<div><b>%.0f <small>against %.0f</small></b><span>network evaluations a sample at "
                "<i>T</i>&nbsp;=&nbsp;%g from %s, against <i>T</i>&nbsp;=&nbsp;%g (%s%s)</span></div>\n",
                star->nfe, full->nfe, T, ts_report_start_html(r, r->starts[start]), longest, sampler->html,
                sampler->integrator && sampler->steps == 0 ? ", fixed step length" : "");
}

static void key_figures(const ts_report *report, FILE *page)
{
    fputs("<div class=\"figures\">\n", page);
    T_star_cards(report->results, page);
    cards_at_T_star(report, page);
    fputs("</div>\n", page);
}

/* ---- charts ---- */

static ts_status chart(const ts_report *report, int index, FILE *page)
{
    char *path, *svg;
    size_t bytes;
    if (asprintf(&path, "%s/charts/%s.svg", report->dir, ts_chart_name(index)) < 0)
        return ts_error(TS_NO_MEMORY, "report: no memory");
    ts_status status = ts_file_read(path, LARGEST_CHART, &svg, &bytes);
    free(path);
    TS_TRY(status);
    /* what stands before is an XML declaration, which HTML does not know */
    const char *begin = strstr(svg, "<svg");
    fputs("<figure>\n<div class=\"scroll\">\n", page);
    fputs(begin ? begin : "", page);
    fprintf(page, "</div>\n<figcaption>%s</figcaption>\n</figure>\n", ts_chart_caption(index));
    free(svg);
    return NULL;
}

static ts_status charts(const ts_report *report, FILE *page)
{
    bool any = false;
    for (int i = 0; i < TS_CHARTS; i++)
        any |= report->charts[i];
    if (any)
        fputs("<h2>Charts</h2>\n", page);
    for (int i = 0; i < TS_CHARTS; i++)
        if (report->charts[i])
            TS_TRY(chart(report, i, page));
    return NULL;
}

/* ---- how it was made ---- */

static void entry(FILE *page, const char *term, const char *text)
{
    fprintf(page, "<dt>%s</dt><dd>", term);
    ts_html_escape(page, text);
    fputs("</dd>\n", page);
}

static void how_it_was_made(const ts_results *r, FILE *page)
{
    fputs("<h2>How it was made</h2>\n<dl>\n", page);
    entry(page, "command", r->command);
    entry(page, "date", r->date);
    fputs("<dt>program</dt><dd>tstar ", page);
    ts_html_escape(page, r->version);
    fputs("</dd>\n", page);
    entry(page, "device", r->device);
    fprintf(page, "<dt>run with</dt><dd>%.0f thread%s, seed %.0f</dd>\n", r->threads,
            ts_html_plural(r->threads), r->seed);
    if (r->parameters > 0)
        fprintf(page, "<dt>score network</dt><dd>%.0f parameters, %.0f training steps</dd>\n", r->parameters,
                r->train_steps);
    fputs("<dt>distances</dt><dd>", page);
    if (r->projections > 1)
        fprintf(page, "sliced 2-Wasserstein over %.0f directions", r->projections);
    else
        fputs("2-Wasserstein on the line", page);
    fprintf(page, "; Fr&eacute;chet distance on %s (this is not FID)</dd>\n</dl>\n",
            ts_compared_features_words.word[r->samples[0].frechet_features]);
    ts_tables_times(r, page);
    ts_tables_fits(r, page);
    fputs("<h3>Configuration</h3>\n<pre>", page);
    ts_html_escape(page, r->config);
    fputs("</pre>\n", page);
}

static ts_status compose(const ts_report *report, FILE *page)
{
    head(report->results, page);
    key_figures(report, page);
    fputs("<h2>The finding</h2>\n", page);
    TS_TRY(ts_finding_write(report, page));
    ts_warnings_write(report, page);
    TS_TRY(charts(report, page));
    TS_TRY(ts_grids_page(report, page));
    ts_tables_numbers(report->results, page);
    how_it_was_made(report->results, page);
    fputs("</body>\n</html>\n", page);
    return NULL;
}

ts_status ts_page_write(const ts_report *report)
{
    ts_text page;
    char *text, *path;
    size_t size;
    TS_TRY(ts_text_open(&page));
    ts_status status = compose(report, page.out);
    if (status) {
        ts_text_abandon(&page);
        return status;
    }
    TS_TRY(ts_text_finish(&page, &text, &size));
    if (asprintf(&path, "%s/report.html", report->dir) < 0) {
        status = ts_error(TS_NO_MEMORY, "report: no memory");
    } else {
        status = ts_file_write(path, text, size);
        free(path);
    }
    free(text);
    return status;
}
