/*
 * What the files that draw charts share.  Each chart writes its numbers as named blocks to one stream and the
 * body of its gnuplot script to another; the names are used in the script as `index 'NAME'`.
 */
#ifndef TS_REPORT_CHART_INTERNAL_H
#define TS_REPORT_CHART_INTERNAL_H

#include <stdio.h>
#include "report/chart.h"

/* One line of a chart: a start density with a score. */
typedef struct ts_chart_series {
    const char *prior, *score;
    char block[64];    /* name of its data block */
    char title[96];    /* for the legend */
    const char *color; /* by prior */
    const char *dash;  /* by score: solid network, dashed exact */
    int point, hollow; /* gnuplot's point types, filled and open */
} ts_chart_series;

enum { TS_CHART_SERIES = 8, TS_CHART_TIMES = 256 };

/* The distinct (prior, score) of the rows, and their distinct T, ascending. */
int ts_chart_series_of(const ts_results *results, ts_chart_series series[TS_CHART_SERIES]);
/* Only those with the first score, their titles without it. */
int ts_chart_starts_of(const ts_results *results, ts_chart_series series[TS_CHART_SERIES]);
int ts_chart_times_of(const ts_results *results, double times[TS_CHART_TIMES]);

/* Starts a named block of data; `columns` is a comment. */
void ts_chart_block(FILE *data, const char *name, const char *columns);

/* Labels at 1, 2 and 5 times the powers of ten within a logarithmic axis' range: "set xtics (...)";
 * without `labels`, the marks alone. */
void ts_chart_log_tics(FILE *script, char axis, double low, double high, bool labels);

/* The label of the vertical axis, `at` panel widths left of it: gnuplot's own place depends on the tics'
 * widths. */
void ts_chart_y_label(FILE *script, const char *text, double at);

/* nats to bits per dimension */
double ts_chart_bits(const ts_results *results, double nats);

/* Each returns false where the results lack what it shows. */
typedef bool ts_chart_writer(const ts_results *results, const ts_chart_samples *samples, FILE *data,
                             FILE *script);
ts_chart_writer ts_chart_bound, ts_chart_terms, ts_chart_profile, ts_chart_cost, ts_chart_decomposition,
    ts_chart_samples_1d, ts_chart_samples_2d;

#endif
