/* Charts of mixtures, whose truth is known: the decomposition of the bound, and the samples themselves. */
#include <math.h>

#include "report/chart_internal.h"
#include "run/scores.h"
#include "run/starts.h"

/* ---- decomposition ---- */

/* nats: what is lower on the left panel is noise */
#define LOWEST 1e-4

static bool has_K(const ts_results *r)
{
    for (int i = 0; i < ts_results_bound_count(r); i++)
        if (isfinite(r->bounds[i].K.mean))
            return true;
    return false;
}

/* A value for a logarithmic axis with the ends of its interval; one that is not above LOWEST is left out and
 * counted. */
static void log_interval(FILE *data, ts_interval value, int *hidden, double *highest)
{
    const double half = isfinite(value.half) ? value.half : 0;
    const bool shown = value.mean > LOWEST;
    ts_gnuplot_value(data, shown ? value.mean : NAN);
    ts_gnuplot_value(data, shown ? fmax(value.mean - half, 0.1 * LOWEST) : NAN);
    ts_gnuplot_value(data, shown ? value.mean + half : NAN);
    *hidden += value.mean <= LOWEST;
    *highest = fmax(*highest, value.mean + half);
}

/* A start whose divergence is nothing but zeros has no line. */
static bool is_apart(const ts_results *r, int start)
{
    for (int k = 0; k < r->T_count; k++)
        if (fabs(ts_results_bound(r, 0, k, start)->kl_prior.mean) > 0)
            return true;
    return false;
}

static int decomposition_data(const ts_report *report, double *highest, FILE *data)
{
    const ts_results *r = report->results;
    int hidden = 0;
    for (int group = 0; group < r->score_count * r->start_count; group++) {
        const int score = group / r->start_count, start = group % r->start_count;
        int here = 0, error_here = 0;
        ts_gnuplot_block(
            data, ts_chart_series_of(r, score, start).block,
            "T, KL(p_T, start) with the ends of its 95 % interval, K(T) with the half width of its "
            "own, G(T) = I(T) - K(T), nats");
        for (int k = 0; k < r->T_count; k++) {
            const ts_bound_row *row = ts_results_bound(r, score, report->ascending[k], start);
            ts_gnuplot_value(data, row->T);
            log_interval(data, row->kl_prior, &here, highest);
            ts_gnuplot_value(data, row->K.mean);
            ts_gnuplot_value(data, row->K.half);
            const double error = row->terms.diffusion.mean - row->K.mean;
            ts_gnuplot_value(data, error > LOWEST ? error : NAN);
            error_here += error <= LOWEST;
            *highest = fmax(*highest, error);
            ts_gnuplot_line_end(data);
        }
        if (score == 0 && is_apart(r, start))
            hidden += here;
        if (start == 0 && ts_scores[r->scores[score]].trained)
            hidden += error_here;
    }
    if (r->exact_count > 0) {
        ts_gnuplot_block(data, "exact", "T, KL(p_T, N(0, I)), K(T) by quadrature, nats");
        for (int i = 0; i < r->exact_count; i++) {
            *highest = fmax(*highest, r->exact[i].kl_normal);
            ts_gnuplot_value(data, r->exact[i].T);
            ts_gnuplot_value(data, r->exact[i].kl_normal);
            ts_gnuplot_value(data, r->exact[i].K);
            ts_gnuplot_line_end(data);
        }
    }
    return hidden;
}

/* What the bound falls short by. */
static void shortfall_panel(const ts_results *r, FILE *script)
{
    const char *separator = "plot ";
    for (int start = 0; start < r->start_count; start++) {
        if (!is_apart(r, start))
            continue;
        const ts_chart_series series = ts_chart_start_of(r, start);
        fprintf(script,
                "%s'decomposition.dat' index '%s' using 1:2:3:4 with yerrorlines linewidth 2 pointtype %d "
                "pointsize 0.8 linecolor '%s' title ",
                separator, ts_chart_series_of(r, 0, start).block, series.point, series.color);
        ts_gnuplot_text(script, "KL from {/:Italic p_T} to %s", series.title);
        separator = ", \\\n  ";
    }
    for (int score = 0; score < r->score_count; score++) {
        if (!ts_scores[r->scores[score]].trained)
            continue; /* of the exact one it is zero but for the draws */
        fprintf(
            script,
            "%s'decomposition.dat' index '%s' using 1:7 with linespoints linewidth 2 pointtype 13 pointsize "
            "0.9 linecolor '#CC79A7' title ",
            separator, ts_chart_series_of(r, score, 0).block);
        ts_gnuplot_text(script, "{/:Italic G}({/:Italic T}), %s", ts_scores[r->scores[score]].label);
        separator = ", \\\n  ";
    }
    const int plain = ts_report_plain(r);
    if (r->exact_count > 0 && plain >= 0) {
        fprintf(script,
                "%s'decomposition.dat' index 'exact' using 1:2 with lines linewidth 1.6 dashtype 3 linecolor "
                "'black' title ",
                separator);
        ts_gnuplot_text(script, "KL to %s, exact", ts_chart_start_of(r, plain).title);
        separator = ", \\\n  ";
    }
    fputs(*separator == 'p' ? "plot NaN notitle\n" : "\n", script);
}

/* Left: the shortfall.  Right: K(T), far larger. */
bool ts_chart_decomposition(const ts_report *report, FILE *data, FILE *script)
{
    const ts_results *r = report->results;
    if (!has_K(r))
        return false;
    double highest = 10 * LOWEST;
    const int hidden = decomposition_data(report, &highest, data);
    fprintf(
        script,
        "set multiplot layout 1,2 margins 0.095,0.985,0.225,0.78 spacing 0.125,0\n"
        "set xrange [0:1.04]\nset xtics 0.2\nset logscale y\nset yrange [%g:%g]\n"
        "set key at graph 0.5, graph 1.3 center top vertical maxrows 4 samplen 2 spacing (tex ? 1.5 : 1.05) font @small\n",
        LOWEST, 2 * highest);
    ts_gnuplot_x_label(script, "diffusion time {/:Italic T}");
    ts_gnuplot_powers(script, 'y');
    ts_gnuplot_y_label(script, "nats", 0.018);
    if (hidden) {
        fputs("set label 98 ", script);
        ts_gnuplot_text(script, "%d estimate%s below the left axis", hidden, hidden == 1 ? "" : "s");
        fputs(" at screen 0.485, screen 0.025 right font @small\n", script);
    }
    shortfall_panel(r, script);
    fputs("unset label 98\nunset logscale y\nset format y '%g'\nset yrange [*:*]\n", script);
    ts_gnuplot_y_label(script, "nats", 0.521);
    const ts_chart_series first = ts_chart_series_of(r, 0, 0);
    fprintf(
        script,
        "plot 'decomposition.dat' index '%s' using 1:5:6 with yerrorbars linewidth 2 pointtype 7 pointsize "
        "0.8 linecolor '#0072B2' title ",
        first.block);
    ts_gnuplot_text(script, "{/:Italic K}({/:Italic T}), draws");
    if (r->exact_count > 0) {
        fputs(
            ", \\\n  '' index 'exact' using 1:3 with lines linewidth 1.6 dashtype 3 linecolor 'black' title ",
            script);
        ts_gnuplot_text(script, "{/:Italic K}({/:Italic T}), exact");
    }
    fputs("\nunset multiplot\n", script);
    return true;
}

/* ---- samples: a row a start, a column a T ---- */

enum { BINS = 60, MOST_POINTS = 1500 };

/* The range of held-out data along one axis, and some room. */
typedef struct range {
    double low, high;
} range;

static range range_of(const ts_stored *data, int d, int axis)
{
    range r = {INFINITY, -INFINITY};
    for (int i = 0; i < data->n; i++) {
        r.low = fmin(r.low, data->x[(int64_t)i * d + axis]);
        r.high = fmax(r.high, data->x[(int64_t)i * d + axis]);
    }
    const double margin = r.high - r.low > 1e-6 ? 0.12 * (r.high - r.low) : 1; /* a constant */
    return (range){r.low - margin, r.high + margin};
}

static bool outside(const float *x, const range *ranges, int axes)
{
    for (int axis = 0; axis < axes; axis++)
        if (!(x[axis] >= ranges[axis].low && x[axis] <= ranges[axis].high))
            return true;
    return false;
}

static void histogram(const ts_stored *set, const range *r, FILE *data)
{
    double density[BINS] = {0};
    const double width = (r->high - r->low) / BINS;
    for (int i = 0; i < set->n; i++) {
        const double place = floor((set->x[i] - r->low) / width);
        if (place >= 0 && place < BINS)
            density[(int)place] += 1 / (width * set->n);
    }
    for (int b = 0; b < BINS; b++)
        fprintf(data, "%.6g %.6g\n", r->low + (b + 0.5) * width, density[b]);
}

static void scatter(const ts_stored *set, const range *ranges, FILE *data)
{
    const int d = set->h * set->w * set->c;
    for (int i = 0; i < set->n && i < MOST_POINTS; i++)
        if (!outside(set->x + (int64_t)i * d, ranges, 2))
            fprintf(data, "%.5g %.5g\n", set->x[(int64_t)i * d], set->x[(int64_t)i * d + 1]);
}

static void block_of(const ts_results *r, int row, int T, char block[96])
{
    snprintf(block, 96, "%s-T%g", ts_chart_start_of(r, row).block, r->T[T]);
}

/* What stands around a panel, and on it how many samples the axes leave out. */
static void frame_panel(const ts_report *report, int row, int column, const range *ranges, int axes,
                        FILE *script)
{
    const ts_results *r = report->results;
    const int T = report->ascending[column];
    const ts_stored *set = &report->drawn[T * r->start_count + row];
    const int d = set->h * set->w * set->c;
    const ts_chart_series series = ts_chart_start_of(r, row);
    char title[64];
    int lost = 0;
    for (int i = 0; i < set->n; i++)
        lost += outside(set->x + (int64_t)i * d, ranges, axes);
    snprintf(title, sizeof title, "{/:Italic T} = %g", r->T[T]);
    fputs("set title ", script);
    ts_gnuplot_text(script, "%s", row == 0 ? title : "");
    fputs(" offset 0,-0.6\n", script);
    fputs("set ylabel ", script);
    ts_gnuplot_text(script, "%s", column == 0 ? series.title : "");
    fprintf(script, " textcolor '%s' offset 0.5,0\nunset label 1\n", series.color);
    if (lost) {
        fputs("set label 1 ", script);
        ts_gnuplot_text(script, "%.2g %% outside", 100.0 * lost / set->n);
        fputs(" at graph 0.97, graph 0.94 right font @small front\n", script);
    }
}

static bool any_drawn(const ts_report *report)
{
    const ts_results *r = report->results;
    for (int k = 0; report->drawn && k < r->T_count * r->start_count; k++)
        if (report->drawn[k].x)
            return report->data.x != NULL;
    return false;
}

typedef void write_set(const ts_stored *set, const range *ranges, FILE *data);

/* Both charts: `axes` of the data, `write` for each set's block, and what the script draws of a block and of
 * the held-out data. */
static void panels(const ts_report *report, const range *ranges, int axes, write_set *write,
                   const char *columns, const char *name, const char *samples_style, const char *data_style,
                   bool data_first, FILE *data, FILE *script)
{
    const ts_results *r = report->results;
    ts_gnuplot_block(data, "data", columns);
    write(&report->data, ranges, data);
    fprintf(script,
            "set multiplot layout %d,%d margins 0.05,0.99,0.03,0.91 spacing 0.012,0.03\n"
            "set border linecolor '#999999'\nunset key\nset format ''\nset tics scale 0.4\n",
            r->start_count, r->T_count);
    for (int row = 0; row < r->start_count; row++)
        for (int column = 0; column < r->T_count; column++) {
            const int T = report->ascending[column];
            const ts_stored *set = &report->drawn[T * r->start_count + row];
            char block[96], samples[256], held_out[256];
            if (!set->x) {
                fputs("set multiplot next\n", script);
                continue;
            }
            block_of(r, row, T, block);
            ts_gnuplot_block(data, block, columns);
            write(set, ranges, data);
            frame_panel(report, row, column, ranges, axes, script);
            snprintf(samples, sizeof samples, "'%s.dat' index '%s' with %s linecolor '%s'", name, block,
                     samples_style, ts_chart_start_of(r, row).color);
            snprintf(held_out, sizeof held_out, "'%s.dat' index 'data' with %s", name, data_style);
            fprintf(script, "plot %s, \\\n     %s\n", data_first ? held_out : samples,
                    data_first ? samples : held_out);
        }
    fputs("unset multiplot\n", script);
}

bool ts_chart_samples_1d(const ts_report *report, FILE *data, FILE *script)
{
    const ts_stored *held_out = &report->data;
    if (!any_drawn(report) || held_out->h * held_out->w * held_out->c != 1)
        return false;
    const range x = range_of(held_out, 1, 0);
    if (!isfinite(x.low) || !isfinite(x.high))
        return false;
    fprintf(script, "set xrange [%.6g:%.6g]\nset yrange [0:*]\nset style fill solid 0.55 noborder\n", x.low,
            x.high);
    panels(report, &x, 1, histogram, "x, density", "samples_1d", "boxes",
           "lines linewidth 1.4 linecolor '#222222'", false, data, script);
    return true;
}

bool ts_chart_samples_2d(const ts_report *report, FILE *data, FILE *script)
{
    const ts_stored *held_out = &report->data;
    const int d = held_out->h * held_out->w * held_out->c;
    if (!any_drawn(report) || d < 2)
        return false;
    const range ranges[2] = {range_of(held_out, d, 0), range_of(held_out, d, 1)};
    for (int axis = 0; axis < 2; axis++)
        if (!isfinite(ranges[axis].low) || !isfinite(ranges[axis].high))
            return false;
    fprintf(script, "set xrange [%.6g:%.6g]\nset yrange [%.6g:%.6g]\n", ranges[0].low, ranges[0].high,
            ranges[1].low, ranges[1].high);
    panels(report, ranges, 2, scatter, "x1, x2", "samples_2d", "points pointtype 7 pointsize 0.16",
           "points pointtype 7 pointsize 0.16 linecolor '#BBBBBB'", true, data, script);
    return true;
}
