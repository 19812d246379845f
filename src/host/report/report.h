/*
 * The report of a sweep: report.html, one file that needs nothing else (charts inline, sample grids as data
 * URIs, no scripts), for reading on a screen, a phone and paper, by day and by night.
 *
 * What lives in this room: what a report is made from (source.c, curves.c), a chart or a family of charts a
 * file (chart_*.c) with its row in chart.c and gnuplot behind them, T compared at equal evaluations (front/),
 * sample grids (grids.c, png.c), and the page (page.c) with its tables, finding and warnings.
 *
 * Invariants: a report is made from stored results alone; nothing is computed that was not measured.  What is
 * unknown is left out.  No sentence is stronger than the numbers that it stands on.
 *
 * What lies in the folder may come from anywhere.  Every word of it goes through a table of kinds, every other
 * text through ts_html_escape, and what gnuplot gets are numbers and this program's own words.
 */
#ifndef TS_REPORT_REPORT_H
#define TS_REPORT_REPORT_H

#include "base/status.h"

typedef struct ts_report_result {
    bool charts; /* false: gnuplot is not installed */
} ts_report_result;

/*
 * Makes DIR/charts (chart.h), DIR/grids/NAME.png (samples of images) and DIR/report.html from DIR/sweep.json,
 * DIR/samples and the logs of training.  Errors: TS_NOT_FOUND where DIR holds no finished sweep; whatever of
 * it cannot be read or written.
 */
ts_status ts_report_make(const char *dir, ts_report_result *result);

#endif
