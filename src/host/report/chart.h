/*
 * The charts of a sweep, by gnuplot: NAME.dat (the numbers), NAME.gp (the script), NAME.svg and NAME.pdf.
 */
#ifndef TS_REPORT_CHART_H
#define TS_REPORT_CHART_H

#include "sweep/results.h"

/* What a sweep drew, for the charts that show samples themselves (vectors). */
typedef struct ts_chart_samples {
    const float *data; /* [data_count,d] held-out data */
    int64_t data_count;
    int d;
    int set_count; /* one a (T, prior), in no particular order */
    const struct ts_chart_set {
        double T;
        char prior[TS_RESULT_WORD];
        const float *x; /* [count,d] */
        int64_t count;
    } * sets;
} ts_chart_samples;

/* Draws every chart that the results hold the numbers for into `folder` (made if need be).  `samples` may be
 * NULL.  Where gnuplot is not installed the .dat and .gp files are written all the same and *drawn is false.
 */
ts_status ts_charts_draw(const ts_results *results, const ts_chart_samples *samples, const char *folder,
                         bool *drawn);

/* The charts there can be, in the order of a report: name (of the files), what it shows; NULL behind the
 * last one. */
const char *ts_chart_name(int index);
const char *ts_chart_caption(int index);

#endif
