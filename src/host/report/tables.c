#include "report/tables.h"

#include <math.h>

#include "diffusion/samplers/sampler.h"
#include "report/html.h"
#include "run/scores.h"
#include "run/starts.h"

/* A longer table of samples opens at a click. */
enum { OPEN_ROWS = 60 };

static void cell(FILE *page, int digits, ts_interval value)
{
    fputs("<td>", page);
    ts_html_interval(page, digits, value);
    fputs("</td>", page);
}

/* What both tables begin with; a line above the first row of a T. */
static void key_cells(const ts_results *r, const ts_bound_row *row, bool first, FILE *page)
{
    fprintf(page, "<tr%s><td>%g</td><td class=\"word\">%s</td>", first ? " class=\"first\"" : "", row->T,
            ts_report_start_html(r, row->start));
    if (r->score_count > 1)
        fprintf(page, "<td class=\"word\">%s</td>", ts_scores[row->score].label);
}

static void key_heads(const ts_results *r, FILE *page)
{
    fprintf(page, "<div class=\"scroll\"><table>\n<tr><th><i>T</i></th><th class=\"word\">start</th>%s",
            r->score_count > 1 ? "<th class=\"word\">score</th>" : "");
}

/* ---- the bound ---- */

static bool has_K(const ts_results *r)
{
    for (int i = 0; i < ts_results_bound_count(r); i++)
        if (isfinite(r->bounds[i].K.mean))
            return true;
    return false;
}

static bool has_likelihood(const ts_results *r)
{
    for (int i = 0; i < ts_results_bound_count(r); i++)
        if (isfinite(r->bounds[i].ode_bpd.mean))
            return true;
    return false;
}

/* Both are told, and neither is said to be the better one. */
static void explain_likelihood(const ts_results *r, FILE *page)
{
    fprintf(
        page,
        "<p class=\"note\">Bits of the ODE are of the log-likelihood by the probability-flow ODE: of another model "
        "than the bound's, which is of the SDE%s.</p>\n",
        r->levels > 0
            ? ", and of dequantised images, where the bound is of their levels. Neither has to be the smaller"
            : "");
}

static void bounds(const ts_results *r, FILE *page)
{
    const bool mixture = has_K(r), likelihood = has_likelihood(r);
    const int digits = r->levels > 0 ? 2 : 3; /* of images the terms are tens of nats */
    fputs("<h3>The bound (<code>bound.csv</code>)</h3>\n", page);
    key_heads(r, page);
    fprintf(page,
            "<th>bits/dim</th><th>reconstruction<br>nats</th><th>prior<br>nats</th><th>diffusion<br>nats</th>"
            "%s%s</tr>\n",
            mixture ? "<th>KL(<i>p<sub>T</sub></i>, start)<br>nats</th><th><i>K</i>(<i>T</i>)<br>nats</th>"
                    : "",
            likelihood ? "<th>bits/dim<br>by the ODE</th><th>its<br>NFE</th>" : "");
    for (int i = 0; i < ts_results_bound_count(r); i++) {
        const ts_bound_row *row = &r->bounds[i];
        key_cells(r, row, i % r->start_count == 0, page);
        cell(page, 3, row->terms.bpd);
        cell(page, digits, row->terms.reconstruction);
        cell(page, digits, row->terms.prior);
        cell(page, digits, row->terms.diffusion);
        if (mixture) {
            cell(page, 4, row->kl_prior);
            cell(page, 4, row->K);
        }
        if (likelihood) {
            cell(page, 3, row->ode_bpd);
            cell(page, 0, (ts_interval){row->ode_nfe, NAN});
        }
        fputs("</tr>\n", page);
    }
    fputs("</table></div>\n", page);
    if (likelihood)
        explain_likelihood(r, page);
}

/* ---- samples ---- */

static void floor_row(const ts_results *r, FILE *page)
{
    const ts_floor *f = &r->floor;
    if (!(f->count > 0))
        return;
    fprintf(page,
            "<tr class=\"first\"><td></td><td class=\"word\" colspan=\"%d\">training against held-out data, "
            "mean of %.0f subset%s</td>",
            r->score_count > 1 ? 3 : 2, f->count, ts_html_plural(f->count));
    cell(page, 0, (ts_interval){f->images, NAN});
    fputs("<td></td><td></td>", page);
    cell(page, 4, f->sliced_wasserstein);
    cell(page, 4, f->frechet);
    fputs("</tr>\n", page);
}

static void samples(const ts_results *r, FILE *page)
{
    const int rows = ts_results_bound_count(r) * r->sampler_count;
    fputs("<h3>Samples (<code>samples.csv</code>)</h3>\n", page);
    if (rows > OPEN_ROWS)
        fprintf(page, "<details><summary>%d rows</summary>\n", rows);
    key_heads(r, page);
    fprintf(page,
            "<th class=\"word\">sampler</th><th>samples</th><th>NFE</th><th>s / image</th>"
            "<th>%sWasserstein</th><th>Fr&eacute;chet<br>(%s)</th></tr>\n",
            r->projections > 1 ? "sliced<br>" : "",
            ts_compared_features_words.word[r->samples[0].frechet_features]);
    for (int i = 0; i < rows; i++) {
        const ts_sample_row *row = &r->samples[i];
        char sampler[96];
        ts_report_sampler_html(&row->sampler, sampler);
        key_cells(r, &r->bounds[i / r->sampler_count], i % (r->start_count * r->sampler_count) == 0, page);
        fprintf(page, "<td class=\"word\">%s</td>", sampler);
        cell(page, 0, (ts_interval){row->images, NAN});
        cell(page, 0, (ts_interval){row->nfe, NAN});
        fputs("<td>", page);
        ts_html_scale(page, 3, row->seconds_per_image);
        fputs("</td>", page);
        cell(page, 4, row->sliced_wasserstein);
        cell(page, 4, row->frechet);
        fputs("</tr>\n", page);
    }
    floor_row(r, page);
    fprintf(page, "</table></div>%s\n", rows > OPEN_ROWS ? "</details>" : "");
}

/* ---- equal cost ---- */

/* The time whose samples from a start are nearest to held-out data; NULL: no distance is known. */
static const ts_bound_row *nearest(const ts_results *r, int start, int sampler)
{
    const ts_bound_row *best = NULL;
    double least = INFINITY;
    for (int t = 0; t < r->T_count; t++) {
        const double distance = ts_results_sample(r, 0, t, start, sampler)->sliced_wasserstein.mean;
        if (distance < least) {
            least = distance;
            best = ts_results_bound(r, 0, t, start);
        }
    }
    return best;
}

static double longest_T(const ts_results *r)
{
    double longest = 0;
    for (int t = 0; t < r->T_count; t++)
        longest = fmax(longest, r->T[t]);
    return longest;
}

/* Of the start with the best bound: for each sampler and budget where it comes nearest, and what the longest T
 * gives for the same cost. */
static void equal_cost(const ts_results *r, FILE *page)
{
    const int aided = ts_report_aided(r), start = aided < 0 ? 0 : aided;
    const double longest = longest_T(r);
    bool any = false;
    for (int k = 0; k < r->sampler_count; k++) {
        const ts_bound_row *at = isfinite(r->samplers[k].budget) ? nearest(r, start, k) : NULL;
        if (!at)
            continue;
        if (!any)
            fprintf(
                page,
                "<h3>At equal cost</h3>\n<p>From %s: where each sampler comes nearest to held-out data when every "
                "<i>T</i> may spend as many evaluations. It is the smallest of %d distances with intervals of their "
                "own: where they overlap it tells no two <i>T</i> apart.</p>\n"
                "<div class=\"scroll\"><table>\n<tr><th class=\"word\">sampler</th><th>budget</th><th>steps</th>"
                "<th>NFE</th><th>nearest<br>at <i>T</i></th><th>%sWasserstein<br>there</th>"
                "<th>at <i>T</i>&nbsp;=&nbsp;%g</th></tr>\n",
                ts_report_start_html(r, r->starts[start]), r->T_count, r->projections > 1 ? "sliced " : "",
                longest);
        any = true;
        const int there = ts_results_T_index(r, at->T);
        const ts_sample_row *row = ts_results_sample(r, 0, there, start, k);
        fprintf(page, "<tr><td class=\"word\">%s</td>", ts_samplers[r->samplers[k].kind].html);
        cell(page, 0, (ts_interval){r->samplers[k].budget, NAN});
        cell(page, 0, (ts_interval){row->steps, NAN});
        cell(page, 0, (ts_interval){row->nfe, NAN});
        fprintf(page, "<td>%g</td>", at->T);
        cell(page, 4, row->sliced_wasserstein);
        cell(page, 4, ts_results_sample(r, 0, ts_results_T_index(r, longest), start, k)->sliced_wasserstein);
        fputs("</tr>\n", page);
    }
    if (any)
        fputs("</table></div>\n", page);
}

void ts_tables_numbers(const ts_results *results, FILE *page)
{
    fputs("<h2>Numbers</h2>\n<p>Two tables, joined in <code>sweep.csv</code>; everything is in "
          "<code>sweep.json</code>. Intervals are 95&nbsp;%.</p>\n",
          page);
    bounds(results, page);
    equal_cost(results, page);
    samples(results, page);
}

/* ---- how it was made ---- */

void ts_tables_times(const ts_results *results, FILE *page)
{
    double total = 0;
    fputs("<div class=\"keep\"><h3>Time</h3>\n<div class=\"scroll\"><table class=\"time\">\n", page);
    for (int i = 0; i < results->phase_count; i++) {
        fputs("<tr><td class=\"word\">", page);
        ts_html_escape(page, results->phases[i].name);
        fputs("</td><td>", page);
        ts_html_interval(page, 1, (ts_interval){results->phases[i].seconds, NAN});
        fputs(" s</td></tr>\n", page);
        total += results->phases[i].seconds;
    }
    fprintf(
        page,
        "<tr class=\"first\"><td class=\"word\">sum over workers</td><td>%.1f s</td></tr>\n</table></div></div>\n",
        total);
}

/* Behind the last of a start's several fits, what they took together: what one fit for every T is to be held
 * against. */
static void total_of_fits(const ts_results *results, int last, FILE *page)
{
    const ts_fit_summary *fits = results->fits;
    double steps = 0, skipped = 0, seconds = 0;
    int first = last;
    if (last + 1 < results->fit_count && fits[last + 1].start == fits[last].start)
        return;
    for (; first >= 0 && fits[first].start == fits[last].start; first--) {
        steps += fits[first].steps;
        skipped += fits[first].skipped;
        seconds += fits[first].seconds;
    }
    if (last - first < 2)
        return;
    fprintf(page, "<tr><td class=\"word\">%s</td><td>all %d</td>",
            ts_report_start_html(results, fits[last].start), last - first);
    cell(page, 0, (ts_interval){steps, NAN});
    cell(page, 0, (ts_interval){skipped, NAN});
    cell(page, 4, (ts_interval){NAN, NAN});
    cell(page, 1, (ts_interval){seconds, NAN});
    fputs("</tr>\n", page);
}

void ts_tables_fits(const ts_results *results, FILE *page)
{
    if (results->fit_count == 0)
        return;
    fputs("<div class=\"keep\"><h3>Fitted start densities</h3>\n<div class=\"scroll\"><table>\n"
          "<tr><th class=\"word\">start</th><th><i>T</i></th><th>steps</th>"
          "<th>steps left out<br>(not finite)</th><th>&minus;log density<br>nats/dim</th><th>s</th></tr>\n",
          page);
    for (int i = 0; i < results->fit_count; i++) {
        const ts_fit_summary *fit = &results->fits[i];
        const bool every_T = ts_starts[fit->start].every_T;
        if (every_T && i && results->fits[i - 1].start == fit->start)
            continue; /* one fit, told once; its density is another at each T */
        fprintf(page, "<tr><td class=\"word\">%s</td>", ts_report_start_html(results, fit->start));
        if (every_T)
            fputs("<td>every</td>", page);
        else
            fprintf(page, "<td>%g</td>", fit->T);
        cell(page, 0, (ts_interval){fit->steps, NAN});
        cell(page, 0, (ts_interval){fit->skipped, NAN});
        cell(page, 4, (ts_interval){every_T ? NAN : fit->loss, NAN});
        cell(page, 1, (ts_interval){fit->seconds, NAN});
        fputs("</tr>\n", page);
        if (!every_T)
            total_of_fits(results, i, page);
    }
    fputs("</table></div></div>\n", page);
}
