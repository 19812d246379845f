#include "report/finding.h"

#include <math.h>

#include "diffusion/samplers/sampler.h"
#include "report/html.h"
#include "run/starts.h"

/* of the sweep, at which what a shorter T costs is told */
enum { SHORT_TIMES = 3 };

static const char *name_of(const ts_results *r, int start)
{
    return ts_report_start_html(r, r->starts[start]);
}

static const ts_best *told(const ts_results *r, int start)
{
    return ts_report_worse_than_uniform(r, start) ? NULL : ts_report_best(r, 0, start);
}

/* ---- where the bound is best ---- */

static void list_not_worse(const ts_best *best, FILE *page)
{
    const char *separator = "";
    for (int i = 0; i < best->count; i++)
        if (best->deficit[i] - best->deficit_half[i] <= 0) {
            fprintf(page, "%s%g", separator, best->T[i]);
            separator = ", ";
        }
}

static void best_times(const ts_results *r, int start, FILE *page)
{
    const ts_best *best = told(r, start);
    const ts_bound_row *top = best ? ts_report_bound_at(r, start, best->T_best) : NULL;
    const ts_bound_row *star = best ? ts_report_bound_at(r, start, best->T_star) : NULL;
    if (!top || !star)
        return;
    fprintf(page, "<p>Started from <b>%s</b>, the bound is best at <i>T</i>&nbsp;=&nbsp;%g (",
            name_of(r, start), best->T_best);
    ts_html_interval(page, 3, top->terms.bpd);
    fprintf(page, " bits per dimension), and <b><i>T</i>*&nbsp;=&nbsp;%g</b>", best->T_star);
    if (best->T_star != best->T_best) {
        fputs(" (", page);
        ts_html_interval(page, 3, star->terms.bpd);
        fputs(")", page);
    }
    fputs(". Not told apart from the best: <i>T</i>&nbsp;=&nbsp;", page);
    list_not_worse(best, page);
    fputs(".</p>\n", page);
}

/* ---- what a short T costs ---- */

static bool deficit_at(const ts_results *r, const ts_best *best, double T, ts_interval *bits)
{
    for (int i = 0; best && i < best->count; i++)
        if (best->T[i] == T) {
            *bits =
                (ts_interval){ts_report_bits(r, best->deficit[i]), ts_report_bits(r, best->deficit_half[i])};
            return isfinite(bits->mean);
        }
    return false;
}

static void cost_of_short_times(const ts_report *report, FILE *page)
{
    const ts_results *r = report->results;
    const char *before =
        "<p>What a short <i>T</i> costs in the bound, in bits per dimension against the best "
        "<i>T</i> of the same start: ";
    for (int k = SHORT_TIMES < r->T_count ? SHORT_TIMES - 1 : r->T_count - 1; k >= 0; k--) {
        const double T = r->T[report->ascending[k]];
        bool first = true;
        for (int start = 0; start < r->start_count; start++) {
            ts_interval bits;
            if (!deficit_at(r, told(r, start), T, &bits))
                continue;
            if (first)
                fprintf(page, "%sat <i>T</i>&nbsp;=&nbsp;%g ", before, T);
            else
                fputs(", ", page);
            fprintf(page, "from %s ", name_of(r, start));
            if (T == told(r, start)->T_best)
                fputs("nothing (it is the best)", page);
            else
                ts_html_interval(page, 3, bits);
            first = false;
            before = "; ";
        }
    }
    if (*before == ';')
        fputs(".</p>\n", page);
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
                        const ts_sample_row *full, double T_star, double longest, FILE *page)
{
    const ts_sampler_row *sampler = &ts_samplers[star->sampler.kind];
    const bool budget = isfinite(star->sampler.budget);
    fprintf(page,
            "<p>From <b>%s</b>: %s takes %.0f network evaluations for a sample at <i>T</i>* = %g and %.0f at "
            "<i>T</i>&nbsp;=&nbsp;%g",
            name, sampler->html, star->nfe, T_star, full->nfe, longest);
    if (budget)
        fprintf(page, ", for it may spend %.0f at every <i>T</i>: here <i>T</i> is compared at equal cost",
                star->sampler.budget);
    else if (sampler->integrator && sampler->steps == 0)
        fprintf(page,
                ", in proportion to <i>T</i> because its step length is fixed (%.0f steps a unit of time)",
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

static void saving(const ts_report *report, int start, FILE *page)
{
    const ts_results *r = report->results;
    const double longest = r->T[report->ascending[r->T_count - 1]];
    const ts_best *best = told(r, start);
    const ts_sample_row *star = best ? ts_report_sample_at(r, start, best->T_star) : NULL;
    const ts_sample_row *full = ts_report_sample_at(r, start, longest);
    if (!star || !full || best->T_star == longest || !isfinite(star->nfe) || !isfinite(full->nfe))
        return;
    evaluations(r, name_of(r, start), star, full, best->T_star, longest, page);
    if (isfinite(star->sliced_wasserstein.mean)) {
        fprintf(page, " The %sWasserstein distance of its samples from %s to held-out data is ",
                r->projections > 1 ? "sliced " : "", name_of(r, start));
        ts_html_interval(page, 4, star->sliced_wasserstein);
        char words[160];
        snprintf(words, sizeof words, " at <i>T</i>* and ");
        distance(words, full->sliced_wasserstein, page);
        fprintf(page, " at <i>T</i>&nbsp;=&nbsp;%g", longest);
        const int plain = ts_report_plain(r);
        if (plain >= 0 && plain != start) {
            snprintf(words, sizeof words, "; started from %s at the same <i>T</i> it is ", name_of(r, plain));
            distance(words, ts_report_sample_at(r, plain, best->T_star)->sliced_wasserstein, page);
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
        fprintf(
            page,
            " (negative: worse), taken datum by datum, from any start. This is of one training each, of seed %.0f: "
            "another would change the network by what no interval here covers.</p>\n",
            r->seed);
}

/* ---- all of it ---- */

void ts_finding_write(const ts_report *report, FILE *page)
{
    const ts_results *r = report->results;
    bool any = false;
    if (r->T_count < 2) {
        fputs("<p>The sweep holds one <i>T</i>: there is nothing to compare it with.</p>\n", page);
        return;
    }
    for (int start = 0; start < r->start_count; start++)
        any |= told(r, start) != NULL;
    if (!any) {
        fputs("<p>There is none: read the warnings.</p>\n", page);
        return;
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
    trainings(r, page);
    fputs(
        "<p class=\"note\"><i>T</i>* is the smallest <i>T</i> of this sweep whose bound is not worse than "
        "the best one's within the 95&nbsp;% interval of their difference, taken datum by datum. An interval "
        "too wide to tell two <i>T</i> apart does not make them equal.</p>\n",
        page);
    if (r->steps_per_unit < 1000 && any_fixed_length(r))
        fprintf(
            page,
            "<p class=\"note\">Samplers with a fixed step length took %.0f steps a unit of time here (the "
            "customary 1000 would cost %.1f times as much): times and distances of their samples are those "
            "of this coarser discretisation.</p>\n",
            r->steps_per_unit, 1000 / r->steps_per_unit);
}
