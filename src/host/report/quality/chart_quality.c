/* The measures of a network's features against T and against what samples cost: a row of panels each. */
#include <math.h>
#include <stddef.h>

#include "diffusion/samplers/sampler.h"
#include "quality/measures.h"
#include "report/chart_internal.h"

typedef struct shown {
    ts_measure_kind kind;
    size_t row, floor; /* where its ts_interval stands in ts_sample_row and ts_floor */
    const char *label;
} shown;

static const shown measures[] = {
    {TS_MEASURE_FID, offsetof(ts_sample_row, fid), offsetof(ts_floor, fid), "FID"},
    {TS_MEASURE_KID, offsetof(ts_sample_row, kid), offsetof(ts_floor, kid), "kernel distance"},
    {TS_MEASURE_PRECISION, offsetof(ts_sample_row, precision), offsetof(ts_floor, precision), "precision"},
    {TS_MEASURE_RECALL, offsetof(ts_sample_row, recall), offsetof(ts_floor, recall), "recall"},
};
enum { SHOWN = sizeof measures / sizeof *measures };

static ts_interval interval_at(const void *memory, size_t offset)
{
    return *(const ts_interval *)((const char *)memory + offset);
}

/* Those with steps of their own: at a budget T is no cost. */
static bool is_drawn(const ts_results *r, int sampler)
{
    return !isfinite(r->samplers[sampler].budget);
}

typedef struct range {
    double low, high;
    bool any, positive;
} range;

static void widen(range *a, double value)
{
    if (!isfinite(value))
        return;
    a->low = a->any ? fmin(a->low, value) : value;
    a->high = a->any ? fmax(a->high, value) : value;
    a->any = true;
}

/* Of a measure, the floor included. */
static range range_of(const ts_results *r, const shown *m)
{
    range a = {.positive = true};
    for (int i = 0; i < r->T_count * r->start_count * r->sampler_count; i++) {
        const ts_interval value = interval_at(&r->samples[i], m->row);
        if (!is_drawn(r, i % r->sampler_count) || !isfinite(value.mean))
            continue;
        widen(&a, value.mean);
        a.positive = a.positive && value.mean > 0;
    }
    if (a.any)
        widen(&a, interval_at(&r->floor, m->floor).mean);
    return a;
}

static void block_of(const ts_results *r, const shown *m, int start, int sampler, char block[160])
{
    snprintf(block, 160, "%s-%s-%s", ts_measure_kind_words.word[m->kind], ts_chart_start_of(r, start).block,
             ts_sampler_kind_words.word[r->samplers[sampler].kind]);
}

static void write_block(const ts_report *report, const shown *m, int start, int sampler, FILE *data)
{
    const ts_results *r = report->results;
    char block[160];
    block_of(r, m, start, sampler, block);
    ts_gnuplot_block(data, block, "T, network evaluations, value and the ends of its 95 % interval");
    for (int k = 0; k < r->T_count; k++) {
        const ts_sample_row *row = ts_results_sample(r, 0, report->ascending[k], start, sampler);
        const ts_interval value = interval_at(row, m->row);
        const double half = isfinite(value.half) ? value.half : 0;
        fprintf(data, "%g ", r->T[report->ascending[k]]);
        ts_gnuplot_value(data, row->nfe);
        ts_gnuplot_value(data, value.mean);
        ts_gnuplot_value(data, value.mean - half);
        ts_gnuplot_value(data, value.mean + half);
        ts_gnuplot_line_end(data);
    }
}

/* The vertical axis: a distance over decades is logarithmic, a share within [0, 1]. */
static void set_axis(const shown *m, range a, FILE *script)
{
    const ts_measure_row *row = &ts_measure_rows[m->kind];
    const double room = fmax(0.08 * (a.high - a.low), 1e-12 + 0.02 * fabs(a.high));
    if (row->moments && a.positive && a.low > 0) {
        fputs("set logscale y\n", script);
        ts_gnuplot_log_tics(script, 'y', a.low / 1.3, a.high * 1.3);
        fprintf(script, "set yrange [%.6g:%.6g]\n", a.low / 1.3, a.high * 1.3);
        return;
    }
    fputs("unset logscale y\nset ytics autofreq\n", script);
    if (row->larger)
        fputs("set yrange [0:1.03]\n", script);
    else
        fprintf(script, "set yrange [%.6g:%.6g]\n", a.low - room, a.high + room);
}

static void plot(const ts_results *r, const shown *m, int column, bool keys, FILE *script)
{
    static const char *const dashes[] = {"1", "3", "2", "4", "5"};
    fputs("plot ", script);
    for (int line = 0; line < r->start_count * r->sampler_count; line++) {
        const int start = line / r->sampler_count, sampler = line % r->sampler_count;
        const ts_chart_series series = ts_chart_start_of(r, start);
        char block[160];
        if (!is_drawn(r, sampler))
            continue;
        block_of(r, m, start, sampler, block);
        fprintf(
            script,
            "'quality.dat' index '%s' using %d:3 with lines linewidth 1.6 dashtype %s linecolor '%s' notitle, \\\n"
            "  '' index '%s' using %d:3:4:5 with yerrorbars linewidth 1.1 pointtype %d pointsize 0.7 linecolor '%s' "
            "notitle, \\\n  ",
            block, column, dashes[sampler % 5], series.color, block, column, series.point, series.color);
    }
    for (int start = 0; start < r->start_count && keys; start++) {
        const ts_chart_series series = ts_chart_start_of(r, start);
        fprintf(script, "keyentry with linespoints linewidth 1.6 pointtype %d linecolor '%s' title ",
                series.point, series.color);
        ts_gnuplot_text(script, "%s", series.title);
        fputs(", \\\n  ", script);
    }
    for (int sampler = 0; sampler < r->sampler_count && keys; sampler++)
        if (is_drawn(r, sampler)) {
            fprintf(script, "keyentry with lines linewidth 1.6 dashtype %s linecolor '#444444' title ",
                    dashes[sampler % 5]);
            ts_gnuplot_text(script, "%s", ts_samplers[r->samplers[sampler].kind].text);
            fputs(", \\\n  ", script);
        }
    fputs("keyentry with lines linewidth 1.2 linecolor '#888888' title 'training data'\n", script);
}

bool ts_chart_quality(const ts_report *report, FILE *data, FILE *script)
{
    const ts_results *r = report->results;
    range ranges[SHOWN];
    int rows = 0, done = 0;
    for (int i = 0; i < SHOWN; i++) {
        ranges[i] = range_of(r, &measures[i]);
        rows += ranges[i].any;
        for (int line = 0; line < r->start_count * r->sampler_count && ranges[i].any; line++)
            if (is_drawn(r, line % r->sampler_count))
                write_block(report, &measures[i], line / r->sampler_count, line % r->sampler_count, data);
    }
    if (!rows)
        return false;
    const int legend = ts_chart_legend(script, r->start_count + r->sampler_count + 1, 3);
    fprintf(script, "set multiplot layout %d,2 margins 0.1,0.985,%.3f,%.3f spacing 0.085,0.06\n", rows,
            rows > 1 ? 0.08 : 0.115, 0.97 - 0.032 * legend);
    for (int i = 0; i < SHOWN; i++) {
        const double floor = interval_at(&r->floor, measures[i].floor).mean;
        if (!ranges[i].any)
            continue;
        done++;
        ts_gnuplot_y_label(script, measures[i].label, 0.018);
        set_axis(&measures[i], ranges[i], script);
        fputs("unset arrow\n", script);
        if (isfinite(floor))
            fprintf(script,
                    "set arrow 1 from graph 0, first %.8g to graph 1, first %.8g nohead linecolor '#888888' "
                    "linewidth 1.2 back\n",
                    floor, floor);
        fputs("unset logscale x\nset xtics autofreq\nset autoscale x\n", script);
        if (done == rows)
            ts_gnuplot_x_label(script, "diffusion time T");
        plot(r, &measures[i], 1, done == 1, script);
        fputs("unset key\nunset label 99\nset logscale x\n", script);
        if (done == rows)
            ts_gnuplot_x_label(script, "network evaluations (NFE)");
        plot(r, &measures[i], 2, false, script);
    }
    fputs("unset multiplot\n", script);
    return true;
}
