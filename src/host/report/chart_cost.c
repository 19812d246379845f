/* What samples cost against how good they are. */
#include <math.h>

#include "diffusion/samplers/sampler.h"
#include "run/starts.h"
#include "report/chart_internal.h"

/* Here are the samplers with steps of their own; those that keep to a budget have a chart of theirs. */
static bool has_own_steps(const ts_results *r, int sampler)
{
    return !isfinite(r->samplers[sampler].budget);
}

/* Which of these it is. */
static int order_of(const ts_results *r, int sampler)
{
    int order = 0;
    for (int i = 0; i < sampler; i++)
        order += has_own_steps(r, i);
    return order;
}

/* Of more lines the intervals would hide the points. */
enum { MOST_INTERVALS = 12 };

static bool has_intervals(const ts_results *r)
{
    return r->start_count * order_of(r, r->sampler_count) <= MOST_INTERVALS;
}

/* The columns of the data behind T: for each quantity its value and the ends of its interval. */
typedef enum quantity { NFE, SECONDS, SLICED, FRECHET, QUANTITIES } quantity;

static ts_interval value_of(const ts_sample_row *row, quantity q)
{
    switch (q) {
    case NFE:
        return (ts_interval){row->nfe, NAN};
    case SECONDS:
        return row->seconds_per_image;
    case SLICED:
        return row->sliced_wasserstein;
    default:
        return row->frechet;
    }
}

static int column_of(quantity q)
{
    return 2 + 3 * (int)q;
}

/* On a logarithmic axis an interval cannot reach zero: it ends far below the axis. */
static void interval_ends(ts_interval value, double ends[2])
{
    const double half = isfinite(value.half) ? value.half : 0;
    ends[0] = fmax(value.mean - half, 1e-3 * value.mean);
    ends[1] = value.mean + half;
}

static void block_of(const ts_results *r, int start, int sampler, char block[96])
{
    snprintf(block, 96, "%s-%s", ts_chart_start_of(r, start).block,
             ts_sampler_kind_words.word[r->samplers[sampler].kind]);
}

/* Returns how many points a logarithmic axis cannot show. */
static int cost_data(const ts_report *report, FILE *data)
{
    const ts_results *r = report->results;
    int lost = 0;
    for (int line = 0; line < r->start_count * r->sampler_count; line++) {
        const int start = line / r->sampler_count, sampler = line % r->sampler_count;
        char block[96];
        if (!has_own_steps(r, sampler))
            continue;
        block_of(r, start, sampler, block);
        ts_gnuplot_block(
            data, block,
            "T, then nfe, seconds per image, (sliced) Wasserstein distance, Frechet distance, each "
            "with the ends of its 95 % interval");
        for (int k = 0; k < r->T_count; k++) {
            const ts_sample_row *row = ts_results_sample(r, 0, report->ascending[k], start, sampler);
            fprintf(data, "%g ", r->T[report->ascending[k]]);
            for (int q = 0; q < QUANTITIES; q++) {
                const ts_interval value = value_of(row, (quantity)q);
                double ends[2];
                interval_ends(value, ends);
                ts_gnuplot_value(data, value.mean);
                ts_gnuplot_value(data, ends[0]);
                ts_gnuplot_value(data, ends[1]);
                lost += q >= SLICED && value.mean <= 0;
            }
            ts_gnuplot_line_end(data);
        }
    }
    return lost;
}

/* ---- axes ---- */

typedef struct axis {
    quantity q;
    double low, high;
} axis;

/* What is beyond is no distance, time or count that an axis is made for. */
#define SMALLEST 1e-15
#define LARGEST  1e15

static void widen(axis *a, double value)
{
    if (value > SMALLEST && value < LARGEST) {
        a->low = fmin(a->low, value);
        a->high = fmax(a->high, value);
    }
}

/* Over every row that is drawn and its interval, with room around; false where there is nothing. */
static bool range_of(const ts_results *r, axis *a, double margin)
{
    for (int k = 0; k < r->T_count * r->start_count * r->sampler_count; k++) {
        if (!has_own_steps(r, k % r->sampler_count))
            continue;
        const ts_interval value = value_of(&r->samples[k], a->q);
        double ends[2];
        interval_ends(value, ends);
        widen(a, value.mean);
        if (!has_intervals(r))
            continue;
        widen(a, ends[1]);
        widen(a, fmax(ends[0], 0.6 * value.mean));
    }
    if (!(a->high > 0))
        return false;
    const double ratio = fmax(log(a->high / a->low), 0.2);
    a->low *= exp(-margin * ratio);
    a->high *= exp(margin * ratio);
    return true;
}

/* ---- panels ---- */

/* The band of training data, over the panel's whole width. */
static void floor_band(double low, double high, double middle, FILE *script)
{
    fputs("unset object\nunset arrow\n", script);
    if (!isfinite(low) || !isfinite(high) || !(middle > 0))
        return;
    fprintf(script,
            "set object 1 rectangle from graph 0, first %.8g to graph 1, first %.8g fillcolor '#DDDDDD' "
            "fillstyle solid 1 noborder behind\n"
            "set arrow 1 from graph 0, first %.8g to graph 1, first %.8g nohead linecolor '#888888' "
            "linewidth 1.2 back\n",
            low, high, middle, middle);
}

/* Beside the point, each start and sampler in a corner of its own, so that the labels of points that lie
 * together do not. */
static const char *const corners[] = {"right offset -0.6,-0.5", "left offset 0.6,-0.5", "left offset 0.6,0.5",
                                      "right offset -0.6,0.5"};
static const char *const dashes[] = {"1", "3", "2", "4", "5", "(16,4,2,4,2,4)"};
enum { DASHES = sizeof dashes / sizeof *dashes };

/* Of a sampler: the first has filled points. */
static const char *dash_of(const ts_results *r, int sampler)
{
    return dashes[order_of(r, sampler) % DASHES];
}

static int point_of(const ts_results *r, int start, int sampler)
{
    const ts_chart_series series = ts_chart_start_of(r, start);
    return order_of(r, sampler) ? series.hollow : series.point;
}

static void plot_line(const ts_results *r, int start, int sampler, const axis *x, const axis *y, FILE *script)
{
    const ts_chart_series series = ts_chart_start_of(r, start);
    const int cx = column_of(x->q), cy = column_of(y->q);
    char block[96];
    block_of(r, start, sampler, block);
    fprintf(script,
            "'cost.dat' index '%s' using %d:%d with lines linewidth 1.6 dashtype %s linecolor '%s' notitle, "
            "\\\n  '' index '%s' using %d:%d",
            block, cx, cy, dash_of(r, sampler), series.color, block, cx, cy);
    if (has_intervals(r))
        fprintf(script, ":%d:%d:%d:%d with xyerrorbars linewidth 1.1", cx + 1, cx + 2, cy + 1, cy + 2);
    else
        fputs(" with points linewidth 1.1", script);
    fprintf(script, " pointtype %d pointsize 0.8 linecolor '%s' notitle, \\\n  ", point_of(r, start, sampler),
            series.color);
}

/* Where starts differ little their points lie together: of those that know the data only the ends have labels. */
static void plot_labels(const ts_results *r, int start, int sampler, const axis *x, const axis *y,
                        FILE *script)
{
    char block[96];
    const int ends = r->T_count > 1 ? r->T_count - 1 : 1;
    block_of(r, start, sampler, block);
    fprintf(
        script,
        "'cost.dat' index '%s' every %d using %d:%d:(sprintf(tex ? '\\scriptsize %%g' : '%%g', $1)) with labels font @small %s textcolor '%s' "
        "notitle, \\\n  ",
        block, ts_starts[r->starts[start]].plain ? 1 : ends, column_of(x->q), column_of(y->q),
        corners[(start + 2 * order_of(r, sampler)) % 4], ts_chart_start_of(r, start).color);
}

/* Colours are starts, dashes samplers. */
static void plot_keys(const ts_results *r, FILE *script)
{
    for (int start = 0; start < r->start_count; start++) {
        const ts_chart_series series = ts_chart_start_of(r, start);
        fprintf(script, "keyentry with linespoints linewidth 1.6 pointtype %d linecolor '%s' title ",
                series.point, series.color);
        ts_gnuplot_text(script, "%s", series.title);
        fputs(", \\\n  ", script);
    }
    for (int sampler = 0; sampler < r->sampler_count; sampler++)
        if (has_own_steps(r, sampler)) {
            fprintf(script, "keyentry with lines linewidth 1.6 dashtype %s linecolor '#444444' title ",
                    dash_of(r, sampler));
            ts_gnuplot_text(script, "%s", ts_samplers[r->samplers[sampler].kind].text);
            fputs(", \\\n  ", script);
        }
}

static void panel(const ts_results *r, const axis *x, const axis *y, FILE *script)
{
    ts_gnuplot_log_tics(script, 'x', x->low, x->high);
    ts_gnuplot_log_tics(script, 'y', y->low, y->high);
    fprintf(script, "set xrange [%.6g:%.6g]\nset yrange [%.6g:%.6g]\nplot ", x->low, x->high, y->low,
            y->high);
    const int lines = r->start_count * r->sampler_count;
    for (int line = 0; line < lines; line++)
        if (has_own_steps(r, line % r->sampler_count))
            plot_line(r, line / r->sampler_count, line % r->sampler_count, x, y, script);
    /* of many samplers the first has labels: more would cover each other */
    const int labelled = order_of(r, r->sampler_count) > 2 ? 1 : 2;
    for (int line = 0; line < lines; line++)
        if (has_own_steps(r, line % r->sampler_count) && order_of(r, line % r->sampler_count) < labelled)
            plot_labels(r, line / r->sampler_count, line % r->sampler_count, x, y, script);
    plot_keys(r, script);
    fputs("keyentry with boxes fillstyle solid 1 noborder fillcolor '#DDDDDD' title 'training data'\n",
          script);
}

bool ts_chart_cost(const ts_report *report, FILE *data, FILE *script)
{
    const ts_results *r = report->results;
    const ts_floor *f = &r->floor;
    axis nfe = {NFE, INFINITY, 0}, seconds = {SECONDS, INFINITY, 0}, sliced = {SLICED, INFINITY, 0},
         frechet = {FRECHET, INFINITY, 0};
    widen(&sliced, f->sliced_wasserstein_low);
    widen(&frechet, f->frechet_low);
    const bool far = range_of(r, &sliced, 0.12), of_features = range_of(r, &frechet, 0.12);
    if (!range_of(r, &nfe, 0.1) || !range_of(r, &seconds, 0.1) || !(far || of_features))
        return false;
    const int lost = cost_data(report, data);
    const int rows = ts_chart_legend(script, r->start_count + order_of(r, r->sampler_count) + 1, 3);
    fprintf(script,
            "set multiplot layout %d,2 margins 0.1,0.985,0.115,%.3f spacing 0.085,0.09\nset logscale xy\n",
            far + of_features, 0.97 - 0.032 * rows);
    if (far && !of_features)
        ts_gnuplot_x_label(script, "network evaluations (NFE)");
    if (far) {
        ts_gnuplot_y_label(
            script, r->projections > 1 ? "sliced Wasserstein distance" : "Wasserstein distance", 0.018);
        floor_band(f->sliced_wasserstein_low, f->sliced_wasserstein_high, f->sliced_wasserstein.mean, script);
        panel(r, &nfe, &sliced, script);
        fputs("unset key\nunset label 99\n", script);
        if (of_features)
            panel(r, &seconds, &sliced, script);
    }
    if (of_features) {
        char text[96];
        snprintf(text, sizeof text, "Fréchet distance (%s)",
                 ts_compared_features_words.word[r->samples[0].frechet_features]);
        ts_gnuplot_x_label(script, "network evaluations (NFE)");
        ts_gnuplot_y_label(script, text, 0.018);
        floor_band(f->frechet_low, f->frechet_high, f->frechet.mean, script);
        panel(r, &nfe, &frechet, script);
        fputs(far ? "unset label 99\n" : "unset key\nunset label 99\n", script);
    }
    if (!has_intervals(r)) {
        fputs("set label 97 ", script);
        ts_gnuplot_text(script, "of so many lines the intervals stand in the table");
        fputs(" at screen 0.015, screen 0.012 left font @small\n", script);
    }
    if (lost) {
        fputs("set label 98 ", script);
        ts_gnuplot_text(script, "%d distance%s at or below zero, not on a logarithmic axis", lost,
                        lost == 1 ? "" : "s");
        fputs(" at screen 0.985, screen 0.012 right font @small\n", script);
    }
    ts_gnuplot_x_label(script, "seconds per image");
    panel(r, &seconds, of_features ? &frechet : &sliced, script);
    fputs("unset multiplot\n", script);
    return true;
}
