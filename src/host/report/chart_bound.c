/* Charts of the bound: against T, by terms, and its integrand over t. */
#include "report/chart_internal.h"

#include <math.h>
#include <string.h>

/* ---- the bound against T ---- */

static void bound_data(const ts_results *results, const ts_chart_series *series, int count, FILE *data)
{
    double times[TS_CHART_TIMES];
    const int time_count = ts_chart_times_of(results, times);
    for (int i = 0; i < count; i++) {
        ts_chart_block(data, series[i].block, "T, bits/dim, 95 % interval");
        for (int k = 0; k < time_count; k++) {
            const ts_result_row *row =
                ts_results_find(results, times[k], series[i].prior, series[i].score, NULL);
            if (row)
                fprintf(data, "%.10g %.10g %.10g\n", row->T, row->terms.bpd.mean, row->terms.bpd.half);
        }
    }
    for (int i = 0; i < count; i++) {
        const ts_best *best = ts_results_best(results, series[i].prior, series[i].score);
        char block[80];
        snprintf(block, sizeof block, "deficit-%s", series[i].block);
        ts_chart_block(data, block, "T, bits/dim lost against the best T, paired 95 % interval");
        for (int k = best ? best->count - 1 : -1; k >= 0; k--)
            fprintf(data, "%.10g %.10g %.10g\n", best->T[k], ts_chart_bits(results, best->deficit[k]),
                    ts_chart_bits(results, best->deficit_half[k]));
    }
}

/* How far up the right panel reaches: a few intervals, so that what is decided there can be seen. */
static double deficit_range(const ts_results *results, const ts_chart_series *series, int count)
{
    double largest = 0, second = INFINITY;
    for (int i = 0; i < count; i++) {
        const ts_best *best = ts_results_best(results, series[i].prior, series[i].score);
        for (int k = 0; best && k < best->count; k++) {
            const double half = ts_chart_bits(results, best->deficit_half[k]);
            const double value = ts_chart_bits(results, best->deficit[k]) + half;
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

static void mark_best(const ts_results *results, const ts_chart_series *series, int count, FILE *script)
{
    int line = 0;
    for (int i = 0; i < count; i++) {
        const ts_best *best = ts_results_best(results, series[i].prior, series[i].score);
        if (!best)
            continue;
        /* a little apart, so that equal ones are both seen; the label on the side where there is room */
        const double x = best->T_star + 0.005 * line, y = 0.965 - 0.075 * line;
        const bool left = best->T_star > 0.7;
        line++;
        fprintf(
            script,
            "set arrow %d from first %.8g, graph 0 to first %.8g, graph 1 nohead dashtype 3 linewidth 1.8 "
            "linecolor '%s' back\n",
            line, x, x, series[i].color);
        fprintf(
            script,
            "set label %d \"{/:Italic T}* = %g\" at first %.8g, graph %.3f %s offset %s0.6,0 textcolor '%s' "
            "front\n",
            line, best->T_star, x, y, left ? "right" : "left", left ? "-" : "", series[i].color);
    }
}

static void plot_series(const ts_chart_series *series, int count, const char *prefix, const char *file,
                        FILE *script)
{
    fprintf(script, "plot ");
    for (int i = 0; i < count; i++)
        fprintf(script,
                "%s'%s' index '%s%s' with yerrorlines linewidth 2 dashtype %s pointtype %d pointsize 0.8 "
                "linecolor '%s' title \"%s\"",
                i ? ", \\\n  " : "", file, prefix, series[i].block, series[i].dash, series[i].point,
                series[i].color, series[i].title);
    fputc('\n', script);
}

bool ts_chart_bound(const ts_results *results, const ts_chart_samples *samples, FILE *data, FILE *script)
{
    (void)samples;
    ts_chart_series series[TS_CHART_SERIES];
    const int count = ts_chart_series_of(results, series);
    if (count == 0)
        return false;
    bound_data(results, series, count, data);
    fputs("set multiplot layout 1,2 margins 0.095,0.985,0.185,0.955 spacing 0.15,0\n"
          "set xrange [0:1.04]\nset xtics 0.2\n"
          "set xlabel \"diffusion time {/:Italic T}\"\n"
          "set key top right\n",
          script);
    ts_chart_y_label(script, "bits per dimension", 0.185);
    plot_series(series, count, "", "bound.dat", script);
    const int starts = ts_chart_starts_of(results, series);
    const double top = deficit_range(results, series, starts);
    fprintf(script, "set yrange [%.6g:%.6g]\nset xzeroaxis linetype 1 linecolor '#444444'\nunset key\n",
            -0.12 * top, top);
    ts_chart_y_label(script, "bits/dim lost against the best {/:Italic T}", 0.225);
    mark_best(results, series, starts, script);
    plot_series(series, starts, "deficit-", "bound.dat", script);
    fputs("unset multiplot\n", script);
    return true;
}

/* ---- its terms ---- */

bool ts_chart_terms(const ts_results *results, const ts_chart_samples *samples, FILE *data, FILE *script)
{
    (void)samples;
    ts_chart_series series[TS_CHART_SERIES];
    const int count = ts_chart_series_of(results, series);
    double times[TS_CHART_TIMES];
    const int time_count = ts_chart_times_of(results, times);
    if (count == 0 || results->levels <= 0) /* of densities the terms have signs: nothing to stack */
        return false;
    for (int i = 0; i < count; i++) {
        ts_chart_block(data, series[i].block, "T, reconstruction, diffusion, prior, all in bits/dim");
        for (int k = 0; k < time_count; k++) {
            const ts_result_row *row =
                ts_results_find(results, times[k], series[i].prior, series[i].score, NULL);
            if (row)
                fprintf(data, "%g %.10g %.10g %.10g\n", row->T,
                        ts_chart_bits(results, -row->terms.reconstruction.mean),
                        ts_chart_bits(results, row->terms.diffusion.mean),
                        ts_chart_bits(results, row->terms.prior.mean));
        }
    }
    static const char *const terms[][2] = {
        {"reconstruction", "#999999"}, {"diffusion", "#56B4E9"}, {"prior", "#E69F00"}};
    /* the bars of one start lie at x = start, start + 1, ...; the next start follows after a gap */
    const double stride = time_count + 1.2;
    fprintf(script,
            "set style data histograms\nset style histogram rowstacked\n"
            "set style fill solid 1 border rgb 'white'\nset boxwidth 0.82\n"
            "set grid noxtics\nset yrange [0:*]\nset xrange [-0.8:%.4g]\n"
            "set margins screen 0.085, screen 0.985, screen 0.2, screen 0.83\n"
            "set key at screen 0.53, screen 0.985 center top vertical maxrows 1 width 1\n"
            "set xlabel \"diffusion time {/:Italic T}\"\n",
            stride * (count - 1) + time_count - 0.2);
    ts_chart_y_label(script, "bits per dimension", 0.07);
    for (int i = 0; i < count; i++)
        fprintf(script, "set label %d \"start: %s\" at first %.4g, graph 1.055 center\n", i + 1,
                series[i].title, stride * i + (time_count - 1) / 2.0);
    fputs("plot ", script);
    for (int i = 0; i < count; i++) {
        fprintf(script, "%snewhistogram '' at %.4g", i ? ", \\\n  " : "", stride * i);
        for (int k = 0; k < 3; k++)
            fprintf(script, ", \\\n  'terms.dat' index '%s' using %d:xtic(1) linecolor '%s' %s%s%s",
                    series[i].block, k + 2, terms[k][1], i ? "notitle" : "title '", i ? "" : terms[k][0],
                    i ? "" : "'");
    }
    fputc('\n', script);
    return true;
}

/* ---- over t ---- */

static void profile_panel(const ts_results *results, const char *columns, FILE *script)
{
    fputs("plot ", script);
    for (int i = 0; i < results->profile_count; i++) {
        const bool exact = !strcmp(results->profiles[i].score, "exact");
        fprintf(script,
                "%s'profile.dat' index '%s' using %s with yerrorlines linewidth 1.8 dashtype %s pointtype %d "
                "pointsize 0.5 linecolor '%s' title '%s score'",
                i ? ", \\\n  " : "", results->profiles[i].score, columns, exact ? "2" : "1", exact ? 6 : 7,
                exact ? "#009E73" : "#0072B2", exact ? "exact" : "trained");
    }
    fputc('\n', script);
}

bool ts_chart_profile(const ts_results *results, const ts_chart_samples *samples, FILE *data, FILE *script)
{
    (void)samples;
    for (int i = 0; i < results->profile_count; i++) {
        const ts_profile *profile = &results->profiles[i];
        ts_chart_block(
            data, profile->score,
            "t (geometric middle), mean (net - z)^2, 95 % interval, integrand in nats per unit time, "
            "95 % interval");
        for (int k = 0; k < profile->count; k++) {
            const ts_profile_bin *bin = &profile->bins[k];
            fprintf(data, "%.8g %.8g %.8g %.8g %.8g\n", sqrt(bin->t_low * bin->t_high), bin->mse.mean,
                    bin->mse.half, bin->integrand.mean, bin->integrand.half);
        }
    }
    if (results->profile_count == 0)
        return false;
    fputs("set multiplot layout 1,2 margins 0.095,0.985,0.195,0.955 spacing 0.15,0\n"
          "set logscale x\nset format x '10^{%L}'\nset xlabel \"time {/:Italic t}\"\n"
          "set yrange [0:*]\n",
          script);
    ts_chart_y_label(script, "mean squared error of the noise", 0.195);
    fputs(results->profile_count > 1 ? "set key top right\n" : "unset key\n", script);
    profile_panel(results, "1:2:3", script);
    fputs("set logscale y\nset format y '10^{%L}'\nset yrange [*:*]\nunset key\n", script);
    ts_chart_y_label(script, "integrand, nats per unit of time", 0.185);
    profile_panel(results, "1:4:5", script);
    fputs("unset multiplot\n", script);
    return true;
}
