/* Charts of the bound: against T, and by terms. */
#include <math.h>

#include "report/chart_internal.h"

/* ---- the bound against T ---- */

static void interval(FILE *data, double x, double mean, double half)
{
    ts_gnuplot_value(data, x);
    ts_gnuplot_value(data, mean);
    ts_gnuplot_value(data, isfinite(half) ? half : 0);
    ts_gnuplot_line_end(data);
}

static void bound_data(const ts_report *report, FILE *data)
{
    const ts_results *r = report->results;
    for (int score = 0; score < r->score_count; score++)
        for (int start = 0; start < r->start_count; start++) {
            ts_gnuplot_block(data, ts_chart_series_of(r, score, start).block, "T, bits/dim, 95 % interval");
            for (int k = 0; k < r->T_count; k++) {
                const ts_bound_row *row = ts_results_bound(r, score, report->ascending[k], start);
                interval(data, row->T, row->terms.bpd.mean, row->terms.bpd.half);
            }
        }
    for (int start = 0; start < r->start_count; start++) {
        const ts_best *best = ts_report_best(r, 0, start);
        char block[80];
        snprintf(block, sizeof block, "deficit-%s", ts_chart_start_of(r, start).block);
        ts_gnuplot_block(data, block, "T, bits/dim lost against the best T, paired 95 % interval");
        for (int k = best ? best->count - 1 : -1; k >= 0; k--)
            interval(data, best->T[k], ts_report_bits(r, best->deficit[k]),
                     ts_report_bits(r, best->deficit_half[k]));
    }
}

/* How far up the right panel reaches: a few intervals, so that what is decided there can be seen. */
static double deficit_range(const ts_results *r)
{
    double largest = 0, second = INFINITY;
    for (int start = 0; start < r->start_count; start++) {
        const ts_best *best = ts_report_best(r, 0, start);
        for (int k = 0; best && k < best->count; k++) {
            const double half = ts_report_bits(r, best->deficit_half[k]);
            const double value = ts_report_bits(r, best->deficit[k]) + half;
            if (best->deficit[k] <= 4 * best->deficit_half[k])
                largest = fmax(largest, value);
            else
                second = fmin(second, value);
        }
    }
    if (isfinite(second))
        largest = fmax(1.6 * largest, 1.2 * second);
    return largest > 0 ? 1.15 * largest : 0.01;
}

/* of T: nearer than this, labels above the panel would run into each other */
#define LABEL_WIDTH 0.24

/* The row of a start's T* above the panel: one higher than that of the start before, where they are near. */
static int row_of(const ts_results *r, int start)
{
    const ts_best *before = NULL;
    int row = 0;
    for (int i = 0; i <= start; i++) {
        const ts_best *best = ts_report_best(r, 0, i);
        row += before && best && fabs(best->T_star - before->T_star) < LABEL_WIDTH;
        before = best ? best : before;
    }
    return row;
}

static void mark_best(const ts_results *r, FILE *script)
{
    for (int start = 0; start < r->start_count; start++) {
        const ts_best *best = ts_report_best(r, 0, start);
        if (!best || !isfinite(best->T_star) || ts_report_worse_than_uniform(r, start))
            continue;
        /* a little apart, so that equal ones are both seen */
        const double x = best->T_star + 0.005 * start, y = 1.045 + 0.075 * row_of(r, start);
        const char *color = ts_chart_start_of(r, start).color;
        fprintf(script,
                "set arrow %d from first %.8g, graph 0 to first %.8g, graph %.3f nohead dashtype 3 "
                "linewidth 1.8 linecolor '%s' back\nset label %d ",
                start + 1, x, x, y - 0.03, color, start + 1);
        ts_gnuplot_text(script, "{/:Italic T}* = %g", best->T_star);
        fprintf(script, " at first %.8g, graph %.3f %s textcolor '%s'\n", x, y,
                best->T_star < 0.15   ? "left"
                : best->T_star > 0.85 ? "right"
                                      : "center",
                color);
    }
}

static bool is_clipped(const ts_results *r, const ts_best *best, int k, double top)
{
    return ts_report_bits(r, best->deficit[k]) > top;
}

/* Under the right panel, what lies above it: "3 points beyond the axis: N(0, I) 0.06, 0.4, 0.9". */
static void tell_clipped(const ts_results *r, double top, FILE *script)
{
    int count = 0;
    for (int start = 0; start < r->start_count; start++) {
        const ts_best *best = ts_report_best(r, 0, start);
        for (int k = 0; best && k < best->count; k++)
            count += is_clipped(r, best, k, top);
    }
    if (count == 0)
        return;
    fputs("set label 98 ", script);
    ts_gnuplot_text(script, "%d point%s beyond the axis: ", count, count == 1 ? "" : "s");
    const char *between = "";
    for (int start = 0; start < r->start_count; start++) {
        const ts_best *best = ts_report_best(r, 0, start);
        const char *before = ts_chart_start_of(r, start).title;
        for (int k = 0; best && k < best->count; k++)
            if (is_clipped(r, best, k, top)) {
                fputs(" . ", script);
                ts_gnuplot_text(script, "%s%s%s%.2g", between, before, *before ? " " : "",
                                ts_report_bits(r, best->deficit[k]));
                before = "";
                between = ", ";
            }
        between = *between ? "; " : "";
    }
    fputs(" at screen 0.985, screen 0.025 right font @small\n", script);
}

static void plot(const char *prefix, const ts_chart_series *series, bool first, FILE *script)
{
    fprintf(script,
            "%s'bound.dat' index '%s%s' with yerrorlines linewidth 2 dashtype %s pointtype %d pointsize 0.8 "
            "linecolor '%s' title ",
            first ? "plot " : ", \\\n  ", prefix, series->block, series->dash, series->point, series->color);
    ts_gnuplot_text(script, "%s", series->title);
}

static bool any_known(const ts_results *r)
{
    for (int i = 0; i < ts_results_bound_count(r); i++)
        if (isfinite(r->bounds[i].terms.bpd.mean))
            return true;
    return false;
}

bool ts_chart_bound(const ts_report *report, FILE *data, FILE *script)
{
    const ts_results *r = report->results;
    if (!any_known(r))
        return false;
    bound_data(report, data);
    const int rows = ts_chart_legend(script, r->score_count * r->start_count, r->score_count > 1 ? 2 : 4);
    fprintf(script,
            "set multiplot layout 1,2 margins 0.095,0.985,0.225,%.3f spacing 0.125,0\n"
            "set xrange [0:1.04]\nset xtics 0.2\n",
            0.95 - 0.055 * (rows + row_of(r, r->start_count - 1) + 1));
    ts_gnuplot_x_label(script, "diffusion time {/:Italic T}");
    ts_gnuplot_y_label(script, "bits per dimension", 0.018);
    for (int score = 0; score < r->score_count; score++)
        for (int start = 0; start < r->start_count; start++) {
            const ts_chart_series series = ts_chart_series_of(r, score, start);
            plot("", &series, score == 0 && start == 0, script);
        }
    const double top = deficit_range(r);
    fprintf(script, "\nset yrange [%.6g:%.6g]\nset xzeroaxis linetype 1 linecolor '#444444'\nunset key\n",
            -0.12 * top, top);
    ts_gnuplot_y_label(script, "bits/dim lost against the best {/:Italic T}", 0.521);
    mark_best(r, script);
    tell_clipped(r, top, script);
    for (int start = 0; start < r->start_count; start++) {
        const ts_chart_series series = ts_chart_start_of(r, start);
        plot("deficit-", &series, start == 0, script);
    }
    fputs("\nunset multiplot\n", script);
    return true;
}

/* ---- its terms ---- */

typedef struct term {
    const char *name, *color;
    double largest; /* bits/dim */
} term;

enum { RECONSTRUCTION, DIFFUSION, PRIOR, TERMS };

/* of the tallest bar: what is lower is not seen */
#define VISIBLE 0.015

static void term_data(const ts_report *report, term *terms, double *tallest, FILE *data)
{
    const ts_results *r = report->results;
    for (int group = 0; group < r->score_count * r->start_count; group++) {
        const int score = group / r->start_count, start = group % r->start_count;
        ts_gnuplot_block(data, ts_chart_series_of(r, score, start).block,
                         "T, reconstruction, diffusion, prior, all in bits/dim");
        for (int k = 0; k < r->T_count; k++) {
            const ts_bound_row *row = ts_results_bound(r, score, report->ascending[k], start);
            const double bits[TERMS] = {ts_report_bits(r, -row->terms.reconstruction.mean),
                                        ts_report_bits(r, row->terms.diffusion.mean),
                                        ts_report_bits(r, row->terms.prior.mean)};
            fprintf(data, "%g ", row->T);
            for (int i = 0; i < TERMS; i++) {
                ts_gnuplot_value(data, bits[i]);
                terms[i].largest = fmax(terms[i].largest, bits[i]);
            }
            ts_gnuplot_line_end(data);
            *tallest = fmax(*tallest, bits[RECONSTRUCTION] + bits[DIFFUSION] + bits[PRIOR]);
        }
    }
}

bool ts_chart_terms(const ts_report *report, FILE *data, FILE *script)
{
    const ts_results *r = report->results;
    const int groups = r->score_count * r->start_count;
    term terms[TERMS] = {
        {"reconstruction", "#7F7F7F", 0}, {"diffusion", "#56B4E9", 0}, {"prior", "#E69F00", 0}};
    double tallest = 0;
    if (r->levels <= 0 || !any_known(r)) /* of densities the terms have signs: nothing to stack */
        return false;
    term_data(report, terms, &tallest, data);
    const int first = terms[RECONSTRUCTION].largest >= VISIBLE * tallest ? RECONSTRUCTION : DIFFUSION;
    /* the bars of one start lie at x = start, start + 1, ...; the next start follows after a gap */
    const double stride = r->T_count + 1.2;
    ts_chart_legend(script, TERMS - first, 3);
    fprintf(script,
            "set style data histograms\nset style histogram rowstacked\n"
            "set style fill solid 1 border rgb 'white'\nset boxwidth 0.82\n"
            "set grid noxtics\nset yrange [0:*]\nset xrange [-0.8:%.4g]\n"
            "set margins screen 0.085, screen 0.985, screen 0.21, screen 0.83\n",
            stride * (groups - 1) + r->T_count - 0.2);
    ts_gnuplot_x_label(script, "diffusion time {/:Italic T}");
    ts_gnuplot_y_label(script, "bits per dimension", 0.018);
    for (int group = 0; group < groups; group++) {
        fprintf(script, "set label %d ", group + 1);
        ts_gnuplot_text(script, "start: %s",
                        ts_chart_series_of(r, group / r->start_count, group % r->start_count).title);
        fprintf(script, " at first %.4g, graph 1.055 center\n", stride * group + (r->T_count - 1) / 2.0);
    }
    if (first != RECONSTRUCTION) {
        fputs("set label 90 ", script);
        ts_gnuplot_text(script, "reconstruction, at most %.2g bits/dim, is too low to be seen",
                        terms[RECONSTRUCTION].largest);
        fputs(" at screen 0.985, screen 0.025 right font @small\n", script);
    }
    for (int group = 0; group < groups; group++) {
        const ts_chart_series series = ts_chart_series_of(r, group / r->start_count, group % r->start_count);
        fprintf(script, "%snewhistogram '' at %.4g", group ? ", \\\n  " : "plot ", stride * group);
        for (int k = first; k < TERMS; k++) {
            fprintf(script, ", \\\n  'terms.dat' index '%s' using %d:xtic(1) linecolor '%s' ", series.block,
                    k + 2, terms[k].color);
            fprintf(script, group ? "notitle" : "title '%s'", terms[k].name);
        }
    }
    fputc('\n', script);
    return true;
}
