/*
 * What the files that draw charts share.  Each chart writes its numbers as named blocks to one stream and the
 * body of its gnuplot script to another.
 */
#ifndef TS_REPORT_CHART_INTERNAL_H
#define TS_REPORT_CHART_INTERNAL_H

#include <stdio.h>
#include "report/gnuplot.h"
#include "report/source.h"

/* One line of a chart: a start density with a score. */
typedef struct ts_chart_series {
    char block[64];    /* name of its data block */
    char title[128];   /* for the legend, gnuplot's enhanced text */
    const char *color; /* by start */
    const char *dash;  /* by score */
    int point, hollow; /* gnuplot's point types: of this score, and the start's open one */
} ts_chart_series;

/* By their places in the grid.  The title names the score where there are several. */
ts_chart_series ts_chart_series_of(const ts_results *results, int score, int start);
/* With the first score, its title without it. */
ts_chart_series ts_chart_start_of(const ts_results *results, int start);

/* A legend of `entries` above the panels, in as many columns; the rows it takes. */
int ts_chart_legend(FILE *script, int entries, int columns);

/* Pixels of the chart of equal cost: without its rows, and of each row, which is a start's. */
enum { TS_CHART_EQUAL_HEIGHT = 150, TS_CHART_EQUAL_ROW = 130 };

/* Each returns false where the report lacks what it shows. */
typedef bool ts_chart_writer(const ts_report *report, FILE *data, FILE *script);
ts_chart_writer ts_chart_bound, ts_chart_terms, ts_chart_profile, ts_chart_training, ts_chart_T_star,
    ts_chart_cost, ts_chart_quality, ts_chart_equal, ts_chart_front, ts_chart_decomposition,
    ts_chart_samples_1d, ts_chart_samples_2d;

#endif
