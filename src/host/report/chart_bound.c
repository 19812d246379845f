/* Charts of the bound: against T, and by terms. */
#include <math.h>

#include "report/chart_internal.h"
#include "run/scores.h"

/* ---- the bound against T ---- */

static void interval(FILE *data, double x, double mean, double half)
{
    ts_gnuplot_value(data, x);
    ts_gnuplot_value(data, mean);
    ts_gnuplot_value(data, isfinite(half) ? half : 0);
    ts_gnuplot_line_end(data);
}

static void finding_data(const ts_results *r, int score, int start, FILE *data)
{
    const ts_finding *f = ts_report_finding(r, score, start);
    char block[80];
    snprintf(block, sizeof block, "finding-%s", ts_chart_series_of(r, score, start).block);
    ts_gnuplot_block(
        data, block,
        "T, bits/dim with low and high end of its 95 % interval, bits/dim lost against the best T with "
        "low and high end of its 95 % band (at all T at once)");
    for (int j = 0; f && j < f->count; j++) {
        const ts_finding_point *p = &f->points[j];
        const double half = isfinite(p->bpd.half) ? p->bpd.half : 0;
        const double values[] = {p->T,    p->bpd.mean, p->bpd.mean - half, p->bpd.mean + half,
                                 p->loss, p->loss_low, p->loss_high};
        for (size_t k = 0; k < sizeof values / sizeof *values; k++)
            ts_gnuplot_value(data, values[k]);
        ts_gnuplot_line_end(data);
    }
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
            finding_data(r, score, start, data);
        }
}

/* How far up the right panel reaches: so that what is decided there, at the tolerance, can be seen. */
static double loss_range(const ts_results *r)
{
    double needed = 0, largest = 0;
    for (int start = 0; start < r->start_count; start++) {
        const ts_finding *f = ts_report_finding(r, 0, start);
        for (int j = 0; f && j < f->count; j++) {
            largest = fmax(largest, f->points[j].loss_high);
            if (f->points[j].T >= f->T_star)
                needed = fmax(needed, f->points[j].loss_high);
            needed = fmax(needed, 4 * f->tolerance);
        }
    }
    const double top = fmin(1.6 * needed, 1.15 * largest);
    return top > 0 ? top : 0.01;
}

/* of T: nearer than this, labels above the panel would run into each other */
#define LABEL_WIDTH 0.5

/* The row of a start's T* above the panel: one higher than that of the start before, where they are near. */
static int row_of(const ts_results *r, int start)
{
    const ts_finding *before = NULL;
    int row = 0;
    for (int i = 0; i <= start; i++) {
        const ts_finding *f = ts_report_worse_than_uniform(r, i) ? NULL : ts_report_finding(r, 0, i);
        row += before && f && fabs(f->T_star - before->T_star) < LABEL_WIDTH;
        before = f ? f : before;
    }
    return row;
}

/* T* as a mark above the panel, its confidence set as a bar. */
static void mark_stars(const ts_results *r, FILE *script)
{
    for (int start = 0; start < r->start_count; start++) {
        const ts_finding *f = ts_report_finding(r, 0, start);
        if (!f || !isfinite(f->T_star) || ts_report_worse_than_uniform(r, start))
            continue;
        const double y = 1.03 + 0.075 * row_of(r, start);
        const char *color = ts_chart_start_of(r, start).color;
        fprintf(
            script,
            "set arrow %d from first %.8g, graph 0 to first %.8g, graph %.3f nohead dashtype 3 linewidth 1.2 "
            "linecolor '%s' back\n"
            "set arrow %d from first %.8g, graph %.3f to first %.8g, graph %.3f heads size screen 0.004,90 "
            "linewidth 2 linecolor '%s'\nset label %d ",
            2 * start + 1, f->T_star, f->T_star, y, color, 2 * start + 2, f->T_star_low, y, f->T_star_high, y,
            color, start + 1);
        ts_gnuplot_text(script, "{/:Italic T}* = %g", f->T_star);
        const bool left = f->T_star_high > 0.7;
        fprintf(script, " at first %.8g, graph %.3f %s font @small textcolor '%s'\n",
                left ? f->T_star_low - 0.02 : f->T_star_high + 0.02, y, left ? "right" : "left", color);
    }
}

/* One series of a panel: a band and a line, or marks with bars where the bound is known at some T alone.  Columns are
 * those of the finding's block. */
static void plot_finding(const ts_results *r, int score, int start, int column, bool title, FILE *script)
{
    const ts_chart_series series = ts_chart_series_of(r, score, start);
    const char *separator = score + start ? ", \\\n  " : "plot ";
    if (ts_report_is_curve(r, ts_report_finding(r, score, start)))
        fprintf(
            script,
            "%s'bound.dat' index 'finding-%s' using 1:%d:%d with filledcurves fillcolor '%s' fillstyle "
            "transparent solid 0.13 noborder notitle, \\\n  '' index 'finding-%s' using 1:%d with lines linewidth 2 "
            "dashtype %s linecolor '%s' ",
            separator, series.block, column + 1, column + 2, series.color, series.block, column, series.dash,
            series.color);
    else
        fprintf(
            script,
            "%s'bound.dat' index 'finding-%s' using 1:%d:%d:%d with yerrorlines linewidth 2 dashtype %s pointtype %d "
            "pointsize 0.8 linecolor '%s' ",
            separator, series.block, column, column + 1, column + 2, series.dash, series.point, series.color);
    fputs(title ? "title " : "notitle", script);
    if (title)
        ts_gnuplot_text(script, "%s", ts_chart_series_of(r, score, start).title);
}

/* The rows of bound.csv, on the curves. */
static void plot_rows(const ts_results *r, FILE *script)
{
    for (int score = 0; score < r->score_count; score++)
        for (int start = 0; start < r->start_count; start++) {
            const ts_chart_series series = ts_chart_series_of(r, score, start);
            if (ts_report_is_curve(r, ts_report_finding(r, score, start)))
                fprintf(
                    script,
                    ", \\\n  'bound.dat' index '%s' with points pointtype %d pointsize 0.8 linecolor '%s' notitle",
                    series.block, series.point, series.color);
        }
}

/* How far up the left panel reaches: what one start alone is far worse by would press the others together. */
static double bound_range(const ts_results *r)
{
    double lowest = INFINITY, worst = -INFINITY, second = -INFINITY;
    for (int start = 0; start < r->start_count; start++) {
        double highest = -INFINITY;
        for (int i = start; i < ts_results_bound_count(r); i += r->start_count) {
            lowest = fmin(lowest, r->bounds[i].terms.bpd.mean);
            highest = fmax(highest, r->bounds[i].terms.bpd.mean);
        }
        second = fmax(second, fmin(worst, highest));
        worst = fmax(worst, highest);
    }
    const double top = lowest + 2.5 * (second - lowest);
    return isfinite(top) && second > lowest && worst > top ? top : NAN;
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
            "set multiplot layout 1,2 margins 0.095,0.985,0.2,%.3f spacing 0.125,0\n"
            "set xrange [0:1.04]\nset xtics 0.2\n",
            0.95 - 0.055 * (rows + row_of(r, r->start_count - 1) + 1));
    ts_gnuplot_x_label(script, "diffusion time {/:Italic T}");
    ts_gnuplot_y_label(script, "bits per dimension", 0.018);
    const double range = bound_range(r);
    if (isfinite(range))
        fprintf(script, "set yrange [*:%.6g]\n", range);
    for (int score = 0; score < r->score_count; score++)
        for (int start = 0; start < r->start_count; start++)
            plot_finding(r, score, start, 2, true, script);
    plot_rows(r, script);
    const double top = loss_range(r), tolerance = r->finding_count ? r->findings[0].tolerance : 0;
    fprintf(
        script,
        "\nset yrange [%.6g:%.6g]\nset xzeroaxis linetype 1 linecolor '#444444'\nunset key\n"
        "set arrow 98 from graph 0, first %.6g to graph 1, first %.6g nohead dashtype 2 linecolor '#444444' back\n",
        -0.06 * top, top, tolerance, tolerance);
    ts_gnuplot_y_label(script, "bits/dim lost against the best {/:Italic T}", 0.521);
    fputs("set label 98 ", script);
    ts_gnuplot_text(script, "tolerance");
    fprintf(script, " at graph 0.99, first %.6g right offset 0,0.4 font @small textcolor '#444444'\n",
            tolerance);
    mark_stars(r, script);
    for (int start = 0; start < r->start_count; start++)
        plot_finding(r, 0, start, 5, false, script);
    fputs("\nunset multiplot\n", script);
    return true;
}

/* ---- its terms ---- */

/* The colour of what no start changes; starts have their own. */
static const char network_color[] = "#56B4E9";

/* T, and of a quantity in bits/dim the value with both ends of its band. */
static void band_line(FILE *data, double T, double value, double half)
{
    const double known = isfinite(half) ? half : 0, values[] = {T, value, value - known, value + known};
    for (size_t k = 0; k < sizeof values / sizeof *values; k++)
        ts_gnuplot_value(data, values[k]);
    ts_gnuplot_line_end(data);
}

/* The start in whose finding the network's term with this score is known at the most T: it is the same in all. */
static int widest(const ts_results *r, int score)
{
    int at = 0;
    for (int start = 1; start < r->start_count; start++) {
        const ts_finding *f = ts_report_finding(r, score, start), *best = ts_report_finding(r, score, at);
        at = f && (!best || f->count > best->count) ? start : at;
    }
    return at;
}

/* Whether any of it is known. */
static bool term_data(const ts_results *r, FILE *data)
{
    bool known = false;
    for (int score = 0; score < r->score_count; score++) {
        const ts_finding *f = ts_report_finding(r, score, widest(r, score));
        char block[80];
        snprintf(block, sizeof block, "network-%s", ts_score_kind_words.word[r->scores[score]]);
        ts_gnuplot_block(data, block,
                         "T, diffusion - reconstruction, low and high end of its 95 % band, bits/dim");
        for (int j = 0; f && j < f->count; j++) {
            const ts_finding_point *p = &f->points[j];
            known |= isfinite(p->network.mean) && isfinite(p->prior.mean);
            band_line(data, p->T, ts_report_bits(r, p->network.mean), ts_report_bits(r, p->network_band));
        }
    }
    for (int start = 0; start < r->start_count; start++) {
        const ts_finding *f = ts_report_finding(r, 0, start);
        char block[80];
        snprintf(block, sizeof block, "prior-%s", ts_chart_start_of(r, start).block);
        ts_gnuplot_block(data, block, "T, prior term, low and high end of its 95 % band, bits/dim");
        for (int j = 0; f && j < f->count; j++)
            band_line(data, f->points[j].T, ts_report_bits(r, f->points[j].prior.mean),
                      ts_report_bits(r, f->points[j].prior_band));
        snprintf(block, sizeof block, "sum-%s", ts_chart_start_of(r, start).block);
        ts_gnuplot_block(data, block, "T, the bound, low and high end of its 95 % band, bits/dim");
        for (int j = 0; f && j < f->count; j++)
            band_line(data, f->points[j].T, f->points[j].bpd.mean, f->points[j].bpd_band);
    }
    return known;
}

/* A term's line and band, or marks with bars, behind a comma but for the first of the panel. */
static void plot_term(const char *what, const char *block, bool curve, const char *color, const char *dash,
                      int point, bool first, FILE *script)
{
    const char *separator = first ? "plot " : ", \\\n  ";
    if (curve)
        fprintf(
            script,
            "%s'terms.dat' index '%s-%s' using 1:3:4 with filledcurves fillcolor '%s' fillstyle transparent "
            "solid 0.15 noborder notitle, \\\n  '' index '%s-%s' using 1:2 with lines linewidth 2 dashtype %s "
            "linecolor '%s' title ",
            separator, what, block, color, what, block, dash, color);
    else
        fprintf(
            script,
            "%s'terms.dat' index '%s-%s' using 1:2:3:4 with yerrorlines linewidth 1.4 dashtype %s pointtype %d "
            "pointsize 0.8 linecolor '%s' title ",
            separator, what, block, dash, point, color);
}

static void plot_network(const ts_results *r, int score, bool title, FILE *script)
{
    const ts_score_row *row = &ts_scores[r->scores[score]];
    plot_term("network", ts_score_kind_words.word[r->scores[score]],
              ts_report_is_curve(r, ts_report_finding(r, score, widest(r, score))), network_color,
              score ? row->dash : "1", 2, !score, script);
    if (!title)
        fputs("''", script);
    else if (r->score_count > 1)
        ts_gnuplot_text(script, "{/:Italic I}({/:Italic T}) and reconstruction, %s", row->label);
    else
        ts_gnuplot_text(script, "{/:Italic I}({/:Italic T}) and reconstruction");
}

static void plot_starts(const ts_results *r, const char *what, bool title, FILE *script)
{
    for (int start = 0; start < r->start_count; start++) {
        const ts_chart_series series = ts_chart_start_of(r, start);
        plot_term(what, series.block, ts_report_is_curve(r, ts_report_finding(r, 0, start)), series.color,
                  "1", series.point, false, script);
        if (title)
            ts_gnuplot_text(script, "%s", series.title);
        else
            fputs("''", script);
    }
}

bool ts_chart_terms(const ts_report *report, FILE *data, FILE *script)
{
    const ts_results *r = report->results;
    if (!any_known(r) || !term_data(r, data))
        return false;
    const int rows = ts_chart_legend(script, r->score_count + r->start_count, r->score_count > 1 ? 2 : 3);
    fprintf(script,
            "set multiplot layout 1,2 margins 0.095,0.985,0.2,%.3f spacing 0.125,0\n"
            "set xrange [0:1.04]\nset xtics 0.2\n%s",
            0.95 - 0.06 * rows, r->levels > 0 ? "set yrange [0:*]\n" : "");
    ts_gnuplot_x_label(script, "diffusion time {/:Italic T}");
    ts_gnuplot_y_label(script, "terms, bits per dimension", 0.018);
    for (int score = 0; score < r->score_count; score++)
        plot_network(r, score, true, script);
    plot_starts(r, "prior", true, script);
    const double range = bound_range(r);
    fputs("\nunset key\nset yrange [*:*]\n", script);
    if (isfinite(range))
        fprintf(script, "set yrange [*:%.6g]\n", range);
    ts_gnuplot_y_label(script, "their sum, bits per dimension", 0.521);
    plot_network(r, 0, false, script);
    plot_starts(r, "sum", false, script);
    fputs("\nunset multiplot\n", script);
    return true;
}
