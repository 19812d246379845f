/* What samples cost against how good they are. */
#include "report/chart_internal.h"

#include <math.h>
#include <string.h>

static const char *const samplers[][2] = {{"em", "Euler-Maruyama"}, {"rk45", "RK45"}};

/*
 * Points are labelled by T, but where labels would pile up: where all starts come to lie together (the longer
 * T), only the points of the last start's Euler-Maruyama samples are, and of its RK45 samples the shortest T.
 */
static bool labelled(const ts_results *results, const ts_result_row *row, const ts_chart_series *last,
                     double shortest)
{
    if (!strcmp(row->prior, last->prior))
        return !strcmp(row->sampler, "em") || row->T == shortest;
    const ts_result_row *other = ts_results_find(results, row->T, last->prior, row->score, row->sampler);
    return !other || row->sliced_wasserstein.mean > 1.3 * other->sliced_wasserstein.mean;
}

static void cost_data(const ts_results *results, const ts_chart_series *series, int count, FILE *data)
{
    double times[TS_CHART_TIMES];
    const int time_count = ts_chart_times_of(results, times);
    for (int i = 0; i < count; i++)
        for (int s = 0; s < 2; s++) {
            char block[80];
            snprintf(block, sizeof block, "%s-%s", series[i].block, samplers[s][0]);
            ts_chart_block(data, block,
                           "T, nfe, seconds per image, sliced Wasserstein distance, 95 % interval, Frechet "
                           "distance, label");
            for (int k = 0; k < time_count; k++) {
                const ts_result_row *row =
                    ts_results_find(results, times[k], series[i].prior, series[i].score, samplers[s][0]);
                if (!row || !isfinite(row->sliced_wasserstein.mean))
                    continue;
                fprintf(data, "%g %.10g %.10g %.10g %.10g %.10g", row->T, row->nfe, row->seconds_per_image,
                        row->sliced_wasserstein.mean, row->sliced_wasserstein.half, row->frechet);
                if (labelled(results, row, &series[count - 1], times[0]))
                    fprintf(data, " \"%g\"\n", row->T);
                else
                    fputs(" \"\"\n", data);
            }
        }
}

/* What one axis of a panel shows: a column of the data, and its range over every row. */
typedef struct axis {
    int column;
    double low, high;
} axis;

static void widen(axis *a, double value)
{
    if (isfinite(value) && value > 0) {
        a->low = fmin(a->low, value);
        a->high = fmax(a->high, value);
    }
}

/* Room around the points on a logarithmic axis. */
static void finish(axis *a, double below, double above)
{
    const double ratio = fmax(log(a->high / a->low), 0.2);
    a->low *= exp(-below * ratio);
    a->high *= exp(above * ratio);
}

/* The band of real data, over the panel's whole width. */
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

static void panel(const ts_chart_series *series, int count, const axis *x, const axis *y, bool x_labels,
                  FILE *script)
{
    ts_chart_log_tics(script, 'x', x->low, x->high, x_labels);
    ts_chart_log_tics(script, 'y', y->low, y->high, true);
    fprintf(script, "set xrange [%.6g:%.6g]\nset yrange [%.6g:%.6g]\nplot ", x->low, x->high, y->low,
            y->high);
    for (int i = 0; i < count; i++)
        for (int k = 0; k < 2; k++) {
            fprintf(script,
                    "%s'cost.dat' index '%s-%s' using %d:%d with linespoints linewidth 1.8 dashtype %s "
                    "pointtype %d pointsize 0.8 linecolor '%s' title \"%s, %s\"",
                    i || k ? ", \\\n  " : "", series[i].block, samplers[k][0], x->column, y->column,
                    k ? "3" : series[i].dash, k ? series[i].hollow : series[i].point, series[i].color,
                    series[i].title, samplers[k][1]);
            /* the first start lies above the others, and its labels so; so do RK45's */
            fprintf(
                script,
                ", \\\n  '' index '%s-%s' using %d:%d:7 with labels font @small offset 0,%s textcolor '%s' "
                "notitle",
                series[i].block, samplers[k][0], x->column, y->column, i == 0 || k == 1 ? "0.8" : "-0.8",
                series[i].color);
        }
    fputs(
        ", \\\n  keyentry with boxes fillstyle solid 1 noborder fillcolor '#DDDDDD' title 'training data'\n",
        script);
}

bool ts_chart_cost(const ts_results *results, const ts_chart_samples *samples, FILE *data, FILE *script)
{
    (void)samples;
    ts_chart_series series[TS_CHART_SERIES];
    const int count = ts_chart_starts_of(results, series);
    if (count == 0)
        return false;
    const ts_floor *f = &results->floor;
    axis nfe = {2, INFINITY, 0}, seconds = {3, INFINITY, 0}, sliced = {4, INFINITY, 0},
         frechet = {6, INFINITY, 0};
    for (int i = 0; i < results->row_count; i++) {
        const ts_result_row *row = &results->rows[i];
        if (strcmp(row->score, series[0].score) != 0)
            continue; /* not drawn */
        widen(&nfe, row->nfe);
        widen(&seconds, row->seconds_per_image);
        widen(&sliced, row->sliced_wasserstein.mean);
        widen(&frechet, row->frechet);
    }
    if (!(sliced.high > 0 && frechet.high > 0 && nfe.high > 0 && seconds.high > 0))
        return false;
    widen(&sliced, f->sliced_wasserstein_low);
    widen(&frechet, f->frechet_low);
    finish(&nfe, 0.08, 0.08);
    finish(&seconds, 0.08, 0.08);
    finish(&sliced, 0.14, 0.12);
    finish(&frechet, 0.14, 0.12);
    cost_data(results, series, count, data);
    fputs(
        "set multiplot layout 2,2 margins 0.1,0.985,0.1,0.885 spacing 0.085,0.045\nset logscale xy\n"
        "set key at screen 0.53, screen 0.99 center top vertical maxrows 2 width -3 samplen 3 spacing 1.05\n",
        script);
    ts_chart_y_label(script, "sliced Wasserstein distance", 0.2);
    floor_band(f->sliced_wasserstein_low, f->sliced_wasserstein_high, f->sliced_wasserstein, script);
    panel(series, count, &nfe, &sliced, false, script);
    fputs("unset key\nunset label 99\n", script);
    panel(series, count, &seconds, &sliced, false, script);
    char text[64];
    snprintf(text, sizeof text, "Fréchet distance (%s)", results->rows[0].frechet_features);
    fputs("set xlabel 'network evaluations (NFE)'\n", script);
    ts_chart_y_label(script, text, 0.2);
    floor_band(f->frechet_low, f->frechet_high, f->frechet, script);
    panel(series, count, &nfe, &frechet, true, script);
    fputs("unset label 99\nset xlabel 'seconds per image'\n", script);
    panel(series, count, &seconds, &frechet, true, script);
    fputs("unset multiplot\n", script);
    return true;
}
