/* Charts of mixtures, whose truth is known: the decomposition of the bound, and the samples themselves. */
#include "report/chart_internal.h"

#include <math.h>
#include <string.h>

/* ---- decomposition ---- */

static bool has_K(const ts_results *results)
{
    for (int i = 0; i < results->row_count; i++)
        if (isfinite(results->rows[i].K.mean))
            return true;
    return false;
}

static void decomposition_data(const ts_results *results, const ts_chart_series *series, int count,
                               FILE *data)
{
    double times[TS_CHART_TIMES];
    const int time_count = ts_chart_times_of(results, times);
    for (int i = 0; i < count; i++) {
        ts_chart_block(data, series[i].block,
                       "T, KL(p_T, start), 95 % interval, K(T), 95 % interval, G(T) = I(T) - K(T), nats");
        for (int k = 0; k < time_count; k++) {
            const ts_result_row *row =
                ts_results_find(results, times[k], series[i].prior, series[i].score, NULL);
            if (row)
                fprintf(data, "%.10g %.10g %.10g %.10g %.10g %.10g\n", row->T, row->kl_prior.mean,
                        row->kl_prior.half, row->K.mean, row->K.half,
                        row->terms.diffusion.mean - row->K.mean);
        }
    }
    if (results->exact_count > 0) {
        ts_chart_block(data, "exact", "T, KL(p_T, N(0, I)), K(T) by quadrature, nats");
        for (int i = 0; i < results->exact_count; i++)
            fprintf(data, "%.10g %.10g %.10g\n", results->exact[i].T, results->exact[i].kl_normal,
                    results->exact[i].K);
    }
}

/* Left: what the bound falls short by.  Right: K(T), far larger. */
bool ts_chart_decomposition(const ts_results *results, const ts_chart_samples *samples, FILE *data,
                            FILE *script)
{
    (void)samples;
    ts_chart_series series[TS_CHART_SERIES];
    const int count = ts_chart_series_of(results, series);
    if (!has_K(results))
        return false;
    decomposition_data(results, series, count, data);
    const bool exact = results->exact_count > 0;
    ts_chart_y_label(script, "nats", 0.195);
    fputs("set multiplot layout 1,2 margins 0.095,0.985,0.185,0.955 spacing 0.15,0\n"
          "set xrange [0:1.04]\nset xtics 0.2\nset xlabel \"diffusion time {/:Italic T}\"\n"
          "set logscale y\nset format y '10^{%L}'\n"
          "set yrange [1e-4:*]\nset key top right font @small spacing 1.05\nplot ",
          script);
    const char *separator = "";
    for (int i = 0; i < count; i++) {
        if (strcmp(series[i].prior, "mixture") != 0 && !strcmp(series[i].score, series[0].score)) {
            fprintf(
                script,
                "%s'decomposition.dat' index '%s' using 1:(abs($2)):3 with yerrorlines linewidth 2 pointtype "
                "%d pointsize 0.8 linecolor '%s' title \"KL from {/:Italic p_T} to %s\"",
                separator, series[i].block, series[i].point, series[i].color,
                !strcmp(series[i].prior, "glow") ? "Glow" : "{/:Italic N}(0, {/:Italic I})");
            separator = ", \\\n  ";
        }
        if (!strcmp(series[i].prior, series[0].prior)) {
            const bool is_exact = !strcmp(series[i].score, "exact");
            if (is_exact)
                continue; /* zero but for the draws */
            fprintf(script,
                    "%s'decomposition.dat' index '%s' using 1:6 with linespoints linewidth 2 pointtype 13 "
                    "pointsize 0.9 linecolor '#CC79A7' title \"{/:Italic G}({/:Italic T}), trained score\"",
                    separator, series[i].block);
            separator = ", \\\n  ";
        }
    }
    if (exact)
        fprintf(script,
                "%s'decomposition.dat' index 'exact' using 1:2 with lines linewidth 1.6 dashtype 3 "
                "linecolor 'black' title \"KL to {/:Italic N}(0, {/:Italic I}), exact\"",
                separator);
    fprintf(
        script,
        "\nunset logscale y\nset format y '%%g'\nset yrange [*:*]\nset key bottom right\n"
        "plot 'decomposition.dat' index '%s' using 1:4:5 with yerrorbars linewidth 2 pointtype 7 pointsize "
        "0.8 linecolor '#0072B2' title \"{/:Italic K}({/:Italic T}), draws\"",
        series[0].block);
    if (exact)
        fputs(", \\\n  'decomposition.dat' index 'exact' using 1:3 with lines linewidth 1.6 dashtype 3 "
              "linecolor "
              "'black' title \"{/:Italic K}({/:Italic T}), exact\"",
              script);
    fputs("\nunset multiplot\n", script);
    return true;
}

/* ---- samples ---- */

typedef struct panels {
    double times[TS_CHART_TIMES];
    int columns, rows;
    ts_chart_series series[TS_CHART_SERIES]; /* one a row */
} panels;

static bool arrange(const ts_results *results, const ts_chart_samples *samples, panels *p)
{
    p->columns = ts_chart_times_of(results, p->times);
    p->rows = ts_chart_starts_of(results, p->series);
    return samples && p->columns > 0 && p->rows > 0 && samples->set_count > 0;
}

static const struct ts_chart_set *set_of(const ts_chart_samples *samples, double T, const char *prior)
{
    for (int i = 0; i < samples->set_count; i++)
        if (samples->sets[i].T == T && !strcmp(samples->sets[i].prior, prior))
            return &samples->sets[i];
    return NULL;
}

static void panel_title(const panels *p, int row, int column, FILE *script)
{
    if (row == 0)
        fprintf(script, "set title \"{/:Italic T} = %g\" offset 0,-0.6\n", p->times[column]);
    else
        fputs("unset title\n", script);
    if (column == 0)
        fprintf(script, "set ylabel \"%s\" textcolor '%s' offset 0.5,0\n", p->series[row].title,
                p->series[row].color);
    else
        fputs("unset ylabel\n", script);
}

static void multiplot(const panels *p, FILE *script)
{
    fprintf(script,
            "set multiplot layout %d,%d margins 0.05,0.99,0.03,0.91 spacing 0.012,0.03\n"
            "set border linecolor '#999999'\nunset key\nset format ''\nset tics scale 0.4\n",
            p->rows, p->columns);
}

enum { BINS = 60 };

static void histogram(const float *x, int64_t count, double low, double high, FILE *data)
{
    double density[BINS] = {0};
    for (int64_t i = 0; i < count; i++) {
        const double place = floor((x[i] - low) / (high - low) * BINS);
        if (place >= 0 && place < BINS)
            density[(int)place] += BINS / ((high - low) * (double)count);
    }
    for (int b = 0; b < BINS; b++)
        fprintf(data, "%.6g %.6g\n", low + (b + 0.5) * (high - low) / BINS, density[b]);
}

static void range_of(const ts_chart_samples *samples, int axis, double *low, double *high)
{
    *low = INFINITY;
    *high = -INFINITY;
    for (int64_t i = 0; i < samples->data_count; i++) {
        *low = fmin(*low, samples->data[i * samples->d + axis]);
        *high = fmax(*high, samples->data[i * samples->d + axis]);
    }
    const double margin = 0.12 * (*high - *low) + 1e-9;
    *low -= margin;
    *high += margin;
}

bool ts_chart_samples_1d(const ts_results *results, const ts_chart_samples *samples, FILE *data, FILE *script)
{
    panels p;
    if (!arrange(results, samples, &p) || samples->d != 1 || samples->data_count < 1)
        return false;
    double low, high;
    range_of(samples, 0, &low, &high);
    ts_chart_block(data, "data", "x, density");
    histogram(samples->data, samples->data_count, low, high, data);
    multiplot(&p, script);
    fprintf(script, "set xrange [%.6g:%.6g]\nset yrange [0:*]\nset style fill solid 0.55 noborder\n", low,
            high);
    for (int r = 0; r < p.rows; r++)
        for (int c = 0; c < p.columns; c++) {
            char block[64];
            snprintf(block, sizeof block, "%s-T%g", p.series[r].prior, p.times[c]);
            const struct ts_chart_set *set = set_of(samples, p.times[c], p.series[r].prior);
            panel_title(&p, r, c, script);
            if (set) {
                ts_chart_block(data, block, "x, density");
                histogram(set->x, set->count, low, high, data);
                fprintf(script,
                        "plot 'samples_1d.dat' index '%s' with boxes linecolor '%s', \\\n     '' index "
                        "'data' with lines linewidth 1.4 linecolor '#222222'\n",
                        block, p.series[r].color);
            } else {
                fputs("set multiplot next\n", script);
            }
        }
    fputs("unset multiplot\n", script);
    return true;
}

static void scatter(const float *x, int64_t count, int d, FILE *data)
{
    const int64_t most = 1500;
    for (int64_t i = 0; i < count && i < most; i++)
        fprintf(data, "%.5g %.5g\n", x[i * d], x[i * d + 1]);
}

bool ts_chart_samples_2d(const ts_results *results, const ts_chart_samples *samples, FILE *data, FILE *script)
{
    panels p;
    if (!arrange(results, samples, &p) || samples->d < 2 || samples->data_count < 1)
        return false;
    double low[2], high[2];
    range_of(samples, 0, &low[0], &high[0]);
    range_of(samples, 1, &low[1], &high[1]);
    ts_chart_block(data, "data", "x1, x2");
    scatter(samples->data, samples->data_count, samples->d, data);
    multiplot(&p, script);
    fprintf(script, "set xrange [%.6g:%.6g]\nset yrange [%.6g:%.6g]\n", low[0], high[0], low[1], high[1]);
    for (int r = 0; r < p.rows; r++)
        for (int c = 0; c < p.columns; c++) {
            char block[64];
            snprintf(block, sizeof block, "%s-T%g", p.series[r].prior, p.times[c]);
            const struct ts_chart_set *set = set_of(samples, p.times[c], p.series[r].prior);
            panel_title(&p, r, c, script);
            if (set) {
                ts_chart_block(data, block, "x1, x2");
                scatter(set->x, set->count, samples->d, data);
                fprintf(script,
                        "plot 'samples_2d.dat' index 'data' with points pointtype 7 pointsize 0.16 linecolor "
                        "'#BBBBBB', \\\n     '' index '%s' with points pointtype 7 pointsize 0.16 linecolor "
                        "'%s'\n",
                        block, p.series[r].color);
            } else {
                fputs("set multiplot next\n", script);
            }
        }
    fputs("unset multiplot\n", script);
    return true;
}
