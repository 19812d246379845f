#include "report/finding.h"

#include <math.h>

#include "diffusion/samplers/sampler.h"
#include "report/front/front.h"
#include "report/html.h"
#include "run/starts.h"

/* of the sweep, at which what a shorter T costs is told */
enum { SHORT_TIMES = 3 };

static const char *name_of(const ts_results *r, int start)
{
    return ts_report_start_html(r, r->starts[start]);
}

static const ts_finding *told(const ts_results *r, int start)
{
    return ts_report_worse_than_uniform(r, start) ? NULL : ts_report_finding(r, 0, start);
}

/* ---- where the bound is best ---- */

/* "between 0.3 and 0.4", or "at 0.3" where the ends are one. */
static void range(double low, double high, FILE *page)
{
    if (low < high)
        fprintf(page, "between %g and %g", low, high);
    else
        fprintf(page, "at %g", low);
}

static void best_times(const ts_results *r, int start, FILE *page)
{
    const ts_finding *f = told(r, start);
    const ts_finding_point *best = f ? ts_report_point(f, f->T_best) : NULL;
    const ts_finding_point *star = f ? ts_report_point(f, f->T_star) : NULL;
    if (!best)
        return;
    fprintf(page, "<p>Started from <b>%s</b>, the bound is best at <i>T</i>&nbsp;=&nbsp;%g (",
            name_of(r, start), f->T_best);
    ts_html_interval(page, 3, best->bpd);
    fputs(" bits per dimension; ", page);
    if (f->tie) {
        fputs("no two <i>T</i> are told apart: a tie)", page);
    } else {
        fputs("the best <i>T</i> lies ", page);
        range(f->T_best_low, f->T_best_high, page);
        fputs(")", page);
    }
    fprintf(page, ", and <b><i>T</i>*&nbsp;=&nbsp;%g</b>", f->T_star);
    if (f->T_star != f->T_best) {
        fputs(" (", page);
        ts_html_interval(page, 3, star->bpd);
        fputs(")", page);
    }
    fprintf(page, ", the smallest within %g bits per dimension of it; it lies ", f->tolerance);
    range(f->T_star_low, f->T_star_high, page);
    fputs(".", page);
    if (ts_report_point(f, f->T_star_high)->loss_high > f->tolerance)
        fputs(" (No <i>T</i> is shown to be within it: more held-out data would tell.)", page);
    fputs("</p>\n", page);
}

/* ---- what a short T costs ---- */

/* The point of exactly this T. */
static const ts_finding_point *at_grid(const ts_finding *f, double T)
{
    const ts_finding_point *point = ts_report_point(f, T);
    return point && point->T == T && isfinite(point->loss) ? point : NULL;
}

static void cost_at(const ts_results *r, double T, FILE *page)
{
    const char *before = "";
    fprintf(page, "<li>at <i>T</i>&nbsp;=&nbsp;%g: ", T);
    for (int start = 0; start < r->start_count; start++) {
        const ts_finding_point *point = at_grid(told(r, start), T);
        if (!point)
            continue;
        fprintf(page, "%sfrom %s %.3f (%.3f to %.3f)", before, name_of(r, start), fabs(point->loss),
                fabs(point->loss_low), point->loss_high);
        before = ", ";
    }
    fputs("</li>\n", page);
}

static void cost_of_short_times(const ts_report *report, FILE *page)
{
    const ts_results *r = report->results;
    fputs(
        "<p>What a short <i>T</i> costs in the bound, in bits per dimension against the best <i>T</i> of the same "
        "start:</p>\n<ul>\n",
        page);
    for (int k = SHORT_TIMES < r->T_count ? SHORT_TIMES - 1 : r->T_count - 1; k >= 0; k--)
        cost_at(r, r->T[report->ascending[k]], page);
    fputs("</ul>\n", page);
}

/* ---- what T* saves ---- */

static void distance(const char *words, ts_interval value, FILE *page)
{
    if (!isfinite(value.mean))
        return;
    fputs(words, page);
    ts_html_interval(page, 4, value);
}

static void evaluations(const ts_results *r, const char *name, const ts_sample_row *star,
                        const ts_sample_row *full, double T, double longest, FILE *page)
{
    const ts_sampler_row *sampler = &ts_samplers[star->sampler.kind];
    fprintf(
        page,
        "<p>From <b>%s</b>: %s takes %.0f network evaluations for a sample at <i>T</i>&nbsp;=&nbsp;%g and %.0f at "
        "<i>T</i>&nbsp;=&nbsp;%g",
        name, sampler->html, star->nfe, T, full->nfe, longest);
    if (isfinite(star->sampler.budget))
        fprintf(page, ", for it may spend %.0f at every <i>T</i>: here <i>T</i> is compared at equal cost",
                star->sampler.budget);
    else if (sampler->integrator && sampler->steps == 0)
        fprintf(
            page,
            ", in proportion to <i>T</i> because its step length is fixed (%.0f steps a unit of time): cheaper by "
            "construction, and fewer steps at the longest <i>T</i> would save as much",
            r->steps_per_unit);
    if (isfinite(star->seconds_per_image.mean) && isfinite(full->seconds_per_image.mean)) {
        fputs("; in one timing an image took ", page);
        ts_html_scale(page, 3, star->seconds_per_image);
        fputs("&nbsp;s and ", page);
        ts_html_scale(page, 3, full->seconds_per_image);
        fputs("&nbsp;s", page);
    }
    fputs(".", page);
}

/* Whether a sampler took steps of the length that the configuration says. */
static bool any_fixed_length(const ts_results *r)
{
    for (int i = 0; i < r->sampler_count; i++) {
        const ts_sampler_row *row = &ts_samplers[r->samplers[i].kind];
        if (row->integrator && row->steps == 0 && !isfinite(r->samplers[i].budget))
            return true;
    }
    return false;
}

/* At the T of the sweep that is next to T* from above: there samples were drawn. */
static void saving(const ts_report *report, int start, FILE *page)
{
    const ts_results *r = report->results;
    const double longest = r->T[report->ascending[r->T_count - 1]];
    const ts_finding *f = told(r, start);
    const double T = f ? ts_report_grid_T(report, f->T_star) : longest;
    const ts_sample_row *star = ts_report_sample_at(r, start, T);
    const ts_sample_row *full = ts_report_sample_at(r, start, longest);
    if (!star || !full || T == longest || !isfinite(star->nfe) || !isfinite(full->nfe))
        return;
    evaluations(r, name_of(r, start), star, full, T, longest, page);
    if (isfinite(star->sliced_wasserstein.mean)) {
        fprintf(page, " The %sWasserstein distance of its samples from %s to held-out data is ",
                r->projections > 1 ? "sliced " : "", name_of(r, start));
        ts_html_interval(page, 4, star->sliced_wasserstein);
        char words[160];
        snprintf(words, sizeof words, " at <i>T</i>&nbsp;=&nbsp;%g and ", T);
        distance(words, full->sliced_wasserstein, page);
        fprintf(page, " at <i>T</i>&nbsp;=&nbsp;%g", longest);
        const int plain = ts_report_plain(r);
        if (plain >= 0 && plain != start) {
            snprintf(words, sizeof words, "; started from %s at the same <i>T</i> it is ", name_of(r, plain));
            distance(words, ts_report_sample_at(r, plain, T)->sliced_wasserstein, page);
        }
        distance("; as many training data, for comparison, score ", r->floor.sliced_wasserstein, page);
        fputs(".", page);
    }
    fputs("</p>\n", page);
}

/* ---- trained once, or for each T ---- */

static void trainings(const ts_results *r, FILE *page)
{
    const char *before =
        "<p>Trained for each <i>T</i> instead of once for all, with as many steps, the network's bound "
        "is better by, in bits per dimension, ";
    for (int i = 0; i < r->gain_count; i++) {
        const ts_gain *gain = &r->gains[i];
        if (!isfinite(gain->nats.mean))
            continue;
        fputs(before, page);
        ts_html_interval(
            page, 4, (ts_interval){ts_report_bits(r, gain->nats.mean), ts_report_bits(r, gain->nats.half)});
        fprintf(page, " at <i>T</i>&nbsp;=&nbsp;%g", gain->T);
        before = ", ";
    }
    if (*before == ',')
        fputs(" (negative: worse), taken datum by datum, from any start. ", page);
    if (*before == ',' && ts_report_seeds(r) > 1)
        fprintf(page, "This is of %.0f trainings each.</p>\n", ts_report_seeds(r));
    else if (*before == ',')
        fprintf(
            page,
            "This is of one training each, of seed %.0f: another would change the network by what no interval "
            "here covers.</p>\n",
            r->seed);
}

/* ---- all of it ---- */

ts_status ts_finding_write(const ts_report *report, FILE *page)
{
    const ts_results *r = report->results;
    bool any = false;
    if (r->T_count < 2) {
        fputs("<p>The sweep holds one <i>T</i>: there is nothing to compare it with.</p>\n", page);
        return NULL;
    }
    for (int start = 0; start < r->start_count; start++)
        any |= told(r, start) != NULL;
    if (!any) {
        fputs("<p>There is none: read the warnings.</p>\n", page);
        return NULL;
    }
    /* those that know the data first */
    for (int plain = 0; plain < 2; plain++)
        for (int start = 0; start < r->start_count; start++)
            if (ts_starts[r->starts[start]].plain == (plain == 1))
                best_times(r, start, page);
    cost_of_short_times(report, page);
    for (int start = 0; start < r->start_count; start++)
        if (!ts_starts[r->starts[start]].plain)
            saving(report, start, page);
    TS_TRY(ts_front_write(report, page));
    trainings(r, page);
    fputs(
        "<p class=\"note\">Every range of <i>T</i> holds with 95&nbsp;% confidence, and the ranges of losses hold at all "
        "<i>T</i> at once: bounds are compared datum by datum, for all pairs of <i>T</i> together. They cover which data were "
        "held out, ",
        page);
    fputs(ts_report_seeds(r) > 1 ? "and what another training would change. " : "not a second training. ",
          page);
    fputs("Where a start has a density at every <i>T</i>, <i>T</i> is told to 0.01, else "
          "among the <i>T</i> of this sweep.</p>\n",
          page);
    if (r->steps_per_unit < 1000 && any_fixed_length(r))
        fprintf(
            page,
            "<p class=\"note\">Samplers with a fixed step length took %.0f steps a unit of time here (the "
            "customary 1000 would cost %.1f times as much): times and distances of their samples are those "
            "of this coarser discretisation.</p>\n",
            r->steps_per_unit, 1000 / r->steps_per_unit);
    return NULL;
}
