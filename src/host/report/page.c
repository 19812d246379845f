/* The page itself. */
#include "report/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "report/chart.h"

#define LARGEST_CHART ((size_t)64 << 20)

static const char style[] =
    "<style>\n"
    ":root{--ink:#1b1f24;--soft:#5b636d;--line:#d9dde2;--accent:#0072b2}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;padding:2.2rem 1.4rem 4rem;max-width:1110px;color:var(--ink);background:#fff;"
    "font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}\n"
    "h1{font-size:1.9rem;line-height:1.2;margin:0 0 .3rem;letter-spacing:-.01em}\n"
    "h2{font-size:1.2rem;margin:2.6rem 0 .7rem;padding-top:.9rem;border-top:1px solid var(--line)}\n"
    "h3{font-size:1rem;margin:1.4rem 0 .4rem}\n"
    "p{margin:.5rem 0;max-width:46rem}.lead{color:var(--soft);margin:0 0 1.2rem}\n"
    ".note{color:var(--soft);font-size:.92rem}\n"
    ".figures{display:flex;flex-wrap:wrap;gap:.8rem;margin:1.2rem 0}\n"
    ".figures div{flex:1 1 11rem;border:1px solid var(--line);border-radius:6px;padding:.7rem .9rem}\n"
    ".figures b{display:block;font-size:1.55rem;line-height:1.2;color:var(--accent);"
    "font-variant-numeric:tabular-nums}\n"
    ".figures span{color:var(--soft);font-size:.88rem}\n"
    "figure{margin:1.4rem 0 "
    "2rem}figcaption{color:var(--soft);font-size:.92rem;max-width:46rem;margin-top:.4rem}\n"
    ".scroll{overflow-x:auto;-webkit-overflow-scrolling:touch}\n"
    "figure svg{display:block;width:100%;height:auto;min-width:640px}\n"
    "table{border-collapse:collapse;font-size:.86rem;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.28rem .55rem;text-align:right;white-space:nowrap;border-bottom:1px solid #edf0f2}\n"
    "th{font-weight:600;border-bottom:1px solid #9aa3ad;vertical-align:bottom}\n"
    "td.word,th.word{text-align:left}tr.first td{border-top:1px solid #9aa3ad}\n"
    "td small{color:var(--soft)}\n"
    ".grids td,.grids th{border:0;padding:.2rem;text-align:center}.grids th{font-weight:500}\n"
    ".grids th.side{writing-mode:vertical-rl;transform:rotate(180deg)}\n"
    ".grids img{display:block;image-rendering:pixelated}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.2rem;font-size:.92rem}\n"
    "dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\n"
    "pre{background:#f6f7f8;border:1px solid var(--line);border-radius:6px;padding:.8rem "
    "1rem;font-size:.78rem;"
    "line-height:1.45;overflow-x:auto}\n"
    "code{font-size:.92em}\n"
    "@media (max-width:600px){.time td.word{white-space:normal}body{padding:1.2rem .9rem "
    "3rem}h1{font-size:1.45rem}"
    "dl{grid-template-columns:1fr}dt{margin-top:.4rem}}\n"
    "@media print{@page{margin:14mm}body{max-width:none;padding:0;font-size:10.5pt}"
    ".scroll{overflow:visible}figure,tr{break-inside:avoid}h2,h3{break-after:avoid}"
    "figure svg{min-width:0}table{font-size:6.6pt}th,td{padding:.15rem .25rem}pre{white-space:pre-wrap}"
    ".grids img{width:23mm}}\n"
    "</style>\n";

void ts_report_escape(FILE *page, const char *text)
{
    for (; text && *text; text++)
        switch (*text) {
        case '&':
            fputs("&amp;", page);
            break;
        case '<':
            fputs("&lt;", page);
            break;
        case '>':
            fputs("&gt;", page);
            break;
        case '"':
            fputs("&quot;", page);
            break;
        default:
            putc(*text, page);
        }
}

const char *ts_report_prior(const char *prior)
{
    if (!strcmp(prior, "normal"))
        return "<i>N</i>(0,&nbsp;<i>I</i>)";
    if (!strcmp(prior, "glow"))
        return "Glow";
    return "the exact <i>p</i>(<i>x</i>, <i>T</i>)";
}

/* ---- head ---- */

static void figure_card(const char *value, const char *text, FILE *page)
{
    fprintf(page, "<div><b>%s</b><span>%s</span></div>\n", value, text);
}

static void key_figures(const ts_results *results, FILE *page)
{
    const char *score = results->rows[0].score;
    const ts_best *aided = ts_report_aided(results);
    const ts_best *normal = ts_results_best(results, "normal", score);
    char value[64];
    fputs("<div class=\"figures\">\n", page);
    if (aided) {
        snprintf(value, sizeof value, "<i>T</i>* = %g", aided->T_star);
        figure_card(value,
                    !strcmp(aided->prior, "glow") ? "with the auxiliary density (Glow)"
                                                  : "started from the exact density at <i>T</i>",
                    page);
    }
    if (normal) {
        snprintf(value, sizeof value, "<i>T</i>* = %g", normal->T_star);
        figure_card(value, "from <i>N</i>(0,&nbsp;<i>I</i>) alone", page);
    }
    const ts_result_row *star =
        aided ? ts_results_find(results, aided->T_star, aided->prior, score, "em") : NULL;
    const ts_result_row *full = aided ? ts_results_find(results, 1.0, aided->prior, score, "em") : NULL;
    if (star) {
        snprintf(value, sizeof value, "%.3f <small>&plusmn; %.3f</small>", star->terms.bpd.mean,
                 star->terms.bpd.half);
        figure_card(value, "bits per dimension at <i>T</i>*, held-out data", page);
    }
    if (star && full && star != full && isfinite(star->seconds_per_image)) {
        snprintf(value, sizeof value, "%.1f&times;", full->seconds_per_image / star->seconds_per_image);
        figure_card(value, "faster sampling at <i>T</i>* than at <i>T</i>&nbsp;=&nbsp;1, measured", page);
    }
    fputs("</div>\n", page);
}

static void head(const ts_results *results, FILE *page)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
          page);
    ts_report_escape(page, results->name);
    fprintf(page, " &ndash; sweep of the diffusion time</title>\n%s</head>\n<body>\n<h1>", style);
    ts_report_escape(page, results->name);
    fputs(": how much diffusion is enough?", page);
    fputs("</h1>\n<p class=\"lead\">A sweep of the diffusion time <i>T</i> of a score-based model: what each "
          "<i>T</i> costs and buys, with and without an auxiliary density for where the reverse process "
          "starts. ",
          page);
    if (results->levels > 0)
        fprintf(page, "%.0f training and %.0f held-out images of %.0f&times;%.0f&times;%.0f, %.0f levels.",
                results->train_count, results->test_count, results->h, results->w, results->c,
                results->levels);
    else
        fprintf(page, "A Gaussian mixture in %.0f dimension%s; bounds on %.0f fresh draws.",
                results->h * results->w * results->c, results->h * results->w * results->c == 1 ? "" : "s",
                results->test_count);
    fputs("</p>\n", page);
}

/* ---- charts ---- */

static void chart(const char *dir, int index, FILE *page)
{
    char *path = NULL, *svg = NULL;
    size_t bytes = 0;
    if (asprintf(&path, "%s/charts/%s.svg", dir, ts_chart_name(index)) < 0)
        return;
    ts_status status = ts_file_read(path, LARGEST_CHART, &svg, &bytes);
    free(path);
    /* what stands before is an XML declaration, which HTML does not know */
    const char *begin = status ? NULL : strstr(svg, "<svg");
    if (begin) {
        fputs("<figure>\n<div class=\"scroll\">\n", page);
        fputs(begin, page);
        fprintf(page, "</div>\n<figcaption>%s</figcaption>\n</figure>\n", ts_chart_caption(index));
    }
    if (!status)
        free(svg);
    ts_status_free(status);
}

/* ---- sample grids ---- */

enum { MOST_TIMES = 64, MOST_PRIORS = 4 };

typedef struct layout {
    double times[MOST_TIMES];
    const char *priors[MOST_PRIORS];
    int time_count, prior_count;
} layout;

static layout arrange(const ts_results *results)
{
    layout l = {.time_count = 0, .prior_count = 0};
    for (int i = 0; i < results->row_count; i++) {
        const ts_result_row *row = &results->rows[i];
        int k = 0, p = 0;
        while (k < l.time_count && l.times[k] != row->T)
            k++;
        if (k == l.time_count && k < MOST_TIMES)
            l.times[l.time_count++] = row->T;
        while (p < l.prior_count && strcmp(l.priors[p], row->prior) != 0)
            p++;
        if (p == l.prior_count && p < MOST_PRIORS)
            l.priors[l.prior_count++] = row->prior;
    }
    /* ascending; there are few */
    for (int i = 0; i < l.time_count; i++)
        for (int k = i + 1; k < l.time_count; k++)
            if (l.times[k] < l.times[i]) {
                const double swap = l.times[i];
                l.times[i] = l.times[k];
                l.times[k] = swap;
            }
    return l;
}

static void grid_rows(const ts_results *results, const layout *l, const char *dir, const char *sampler,
                      FILE *page)
{
    for (int p = 0; p < l->prior_count; p++) {
        fprintf(page, "<tr><th class=\"side\">%s</th>", ts_report_prior(l->priors[p]));
        for (int k = 0; k < l->time_count; k++) {
            char name[128], alternative[200];
            ts_report_samples_name(l->times[k], l->priors[p], results->rows[0].score, sampler, name);
            snprintf(alternative, sizeof alternative, "samples, T = %g, start %s, %s", l->times[k],
                     l->priors[p], sampler);
            fputs("<td>", page);
            ts_report_grid(dir, name, alternative, page);
            fputs("</td>", page);
        }
        if (p == 0) {
            fprintf(page, "<td rowspan=\"%d\">", l->prior_count);
            ts_report_grid(dir, "data", "held-out data", page);
            fputs("</td>", page);
        }
        fputs("</tr>\n", page);
    }
}

static void grids(const ts_results *results, const char *dir, FILE *page)
{
    static const char *const samplers[][2] = {{"em", "Euler&ndash;Maruyama"}, {"rk45", "RK45"}};
    if (results->levels <= 0)
        return;
    const layout l = arrange(results);
    fputs("<h2>Samples</h2>\n<p>The same random numbers in every cell; not selected.</p>\n", page);
    for (int s = 0; s < 2; s++) {
        fprintf(page, "<h3>%s</h3>\n<div class=\"scroll\"><table class=\"grids\">\n<tr><th></th>",
                samplers[s][1]);
        for (int k = 0; k < l.time_count; k++)
            fprintf(page, "<th><i>T</i>&nbsp;=&nbsp;%g</th>", l.times[k]);
        fputs("<th>held-out data</th></tr>\n", page);
        grid_rows(results, &l, dir, samplers[s][0], page);
        fputs("</table></div>\n", page);
    }
}

/* ---- the table ---- */

static void cell(FILE *page, int digits, double value, double half)
{
    if (fabs(value) < 0.5 * pow(10, -digits))
        value = 0; /* not -0.00 */
    const char *const sign = value < 0 ? "&minus;" : "";
    if (!isfinite(value))
        fputs("<td>&ndash;</td>", page);
    else if (isfinite(half))
        fprintf(page, "<td>%s%.*f&nbsp;<small>&plusmn;&nbsp;%.*f</small></td>", sign, digits, fabs(value),
                digits, half);
    else
        fprintf(page, "<td>%s%.*f</td>", sign, digits, fabs(value));
}

static void table_row(const ts_result_row *row, bool first, bool mixture, FILE *page)
{
    fprintf(page, "<tr%s><td>%g</td><td class=\"word\">%s</td><td class=\"word\">%s</td>",
            first ? " class=\"first\"" : "", row->T, row->prior, row->score);
    cell(page, 3, row->terms.bpd.mean, row->terms.bpd.half);
    cell(page, mixture ? 3 : 2, row->terms.reconstruction.mean, NAN);
    cell(page, mixture ? 3 : 2, row->terms.prior.mean, NAN);
    cell(page, mixture ? 3 : 2, row->terms.diffusion.mean, NAN);
    if (mixture) {
        cell(page, 4, row->kl_prior.mean, row->kl_prior.half);
        cell(page, 4, row->K.mean, row->K.half);
    }
    fprintf(page, "<td class=\"word\">%s</td><td>%.0f</td><td>%.3g</td>", row->sampler, row->nfe,
            row->seconds_per_image);
    cell(page, 4, row->sliced_wasserstein.mean, row->sliced_wasserstein.half);
    cell(page, 4, row->frechet, NAN);
    fputs("</tr>\n", page);
}

static void table(const ts_results *results, FILE *page)
{
    bool mixture = false;
    for (int i = 0; i < results->row_count; i++)
        mixture |= isfinite(results->rows[i].K.mean);
    fprintf(
        page,
        "<h2>Numbers</h2>\n<p>Also in <code>sweep.csv</code> and <code>sweep.json</code>, with every "
        "interval.</p>\n<div class=\"scroll\"><table>\n<tr><th><i>T</i></th><th class=\"word\">start</th><th "
        "class=\"word\">score</th><th>bits/dim</th><th>reconstruction<br>nats</th><th>prior<br>nats</th>"
        "<th>diffusion<br>nats</th>%s<th class=\"word\">sampler</th><th>NFE</th><th>s / image</th>"
        "<th>sliced<br>Wasserstein</th><th>Fr&eacute;chet<br>(%s)</th></tr>\n",
        mixture ? "<th>KL(<i>p<sub>T</sub></i>, start)<br>nats</th><th><i>K</i>(<i>T</i>)<br>nats</th>" : "",
        results->rows[0].frechet_features);
    for (int i = 0; i < results->row_count; i++)
        table_row(&results->rows[i], i == 0 || results->rows[i].T != results->rows[i - 1].T, mixture, page);
    if (results->floor.count > 0) {
        fprintf(
            page,
            "<tr class=\"first\"><td></td><td class=\"word\" colspan=\"%d\">training against held-out data "
            "(mean of %d subsets)</td>",
            mixture ? 11 : 9, results->floor.count);
        cell(page, 4, results->floor.sliced_wasserstein, NAN);
        cell(page, 4, results->floor.frechet, NAN);
        fputs("</tr>\n", page);
    }
    fputs("</table></div>\n", page);
}

/* ---- how it was made ---- */

static void entry(FILE *page, const char *term, const char *text)
{
    fprintf(page, "<dt>%s</dt><dd>", term);
    ts_report_escape(page, text ? text : "");
    fputs("</dd>\n", page);
}

static void fits(const ts_results *results, FILE *page)
{
    if (results->fit_count == 0)
        return;
    fputs("<h3>The auxiliary density</h3>\n<div class=\"scroll\"><table>\n<tr><th><i>T</i></th><th>steps</th>"
          "<th>steps left out<br>(not finite)</th><th>&minus;log density<br>nats/dim</th></tr>\n",
          page);
    for (int i = 0; i < results->fit_count; i++)
        fprintf(page, "<tr><td>%g</td><td>%.0f</td><td>%.0f</td><td>%.4f</td></tr>\n", results->fits[i].T,
                results->fits[i].steps, results->fits[i].skipped, results->fits[i].loss);
    fputs("</table></div>\n", page);
}

static void how_it_was_made(const ts_results *results, FILE *page)
{
    char text[200];
    double total = 0;
    fputs("<h2>How it was made</h2>\n<dl>\n", page);
    entry(page, "command", results->command);
    entry(page, "date", results->date);
    snprintf(text, sizeof text, "tstar %s", results->version ? results->version : "");
    entry(page, "program", text);
    entry(page, "device", results->device);
    snprintf(text, sizeof text, "%.0f thread%s, seed %.0f", results->threads,
             results->threads == 1 ? "" : "s", results->seed);
    entry(page, "run with", text);
    snprintf(text, sizeof text, "%.0f parameters, %.0f training steps", results->parameters,
             results->train_steps);
    entry(page, "score network", text);
    char directions[64] = "2-Wasserstein on the line";
    if (results->projections > 1)
        snprintf(directions, sizeof directions, "sliced 2-Wasserstein over %.0f directions",
                 results->projections);
    snprintf(text, sizeof text, "%s; Fréchet distance on %s (this is not FID)", directions,
             results->rows[0].frechet_features);
    entry(page, "distances", text);
    fputs("</dl>\n<h3>Time</h3>\n<div class=\"scroll\"><table class=\"time\">\n", page);
    for (int i = 0; i < results->phase_count; i++) {
        fputs("<tr><td class=\"word\">", page);
        ts_report_escape(page, results->phases[i].name);
        fprintf(page, "</td><td>%.1f s</td></tr>\n", results->phases[i].seconds);
        total += results->phases[i].seconds;
    }
    fprintf(page,
            "<tr class=\"first\"><td class=\"word\">together</td><td>%.1f s</td></tr>\n</table></div>\n",
            total);
    fits(results, page);
    fputs("<h3>Configuration</h3>\n<pre>", page);
    ts_report_escape(page, results->config);
    fputs("</pre>\n", page);
}

static void write_page(const ts_results *results, const char *dir, FILE *page)
{
    head(results, page);
    key_figures(results, page);
    fputs("<h2>The finding</h2>\n", page);
    ts_report_finding(results, page);
    fputs("<h2>Charts</h2>\n", page);
    for (int i = 0; ts_chart_name(i); i++)
        chart(dir, i, page);
    grids(results, dir, page);
    table(results, page);
    how_it_was_made(results, page);
    fputs("</body>\n</html>\n", page);
}

ts_status ts_report_write(const ts_results *results, const char *dir)
{
    char *text = NULL, *path = NULL;
    size_t size = 0;
    if (results->row_count == 0)
        return ts_error(TS_FORMAT, "%s: the sweep has no results", dir);
    FILE *page = open_memstream(&text, &size);
    if (!page)
        return ts_error(TS_NO_MEMORY, "report: no memory");
    write_page(results, dir, page);
    ts_status status = NULL;
    if (fclose(page) || asprintf(&path, "%s/report.html", dir) < 0)
        status = ts_error(TS_NO_MEMORY, "report: no memory");
    else
        status = ts_file_write(path, text, size);
    free(path);
    free(text);
    return status;
}
