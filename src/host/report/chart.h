/*
 * The charts of a sweep: NAME.dat (the numbers), NAME.gp (the script of gnuplot), and drawn NAME.svg, NAME.pdf,
 * and for LaTeX NAME-latex.tex with its picture NAME-latex.pdf.
 */
#ifndef TS_REPORT_CHART_H
#define TS_REPORT_CHART_H

#include "report/source.h"

/* Draws every chart that the report holds the numbers for into DIR/charts, and notes which in
 * report->charts.  Where gnuplot is not installed the .dat and .gp files are written all the same and *drawn
 * is false. */
ts_status ts_charts_draw(ts_report *report, bool *drawn);

/* The charts there can be, 0 to TS_CHARTS - 1, in the order of a report: name (of the files), what it shows
 * (HTML). */
const char *ts_chart_name(int index);
const char *ts_chart_caption(int index);

#endif
