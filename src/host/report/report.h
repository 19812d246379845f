/*
 * The report of a sweep: report.html, one file that needs nothing else (charts inline, sample grids as data
 * URIs, no scripts), for reading on a screen, a phone and paper.
 */
#ifndef TS_REPORT_REPORT_H
#define TS_REPORT_REPORT_H

#include "sweep/results.h"

/* Samples as sweeps store them: DIR/samples/NAME.safetensors with one tensor "x" [n,h,w,c], float32, in [-1,
 * 1]; NAME is "data" for held-out data, else ts_report_samples_name of its T, start, score and sampler. */
#define TS_REPORT_SAMPLES "samples"
void ts_report_samples_name(double T, const char *prior, const char *score, const char *sampler,
                            char name[128]);

typedef struct ts_report_result {
    bool charts; /* false: gnuplot is not installed */
} ts_report_result;

/*
 * Makes DIR/charts (chart.h), DIR/grids/NAME.png (samples of images) and DIR/report.html from DIR/sweep.json
 * and DIR/samples.  Errors: TS_NOT_FOUND where DIR holds no finished sweep.
 */
ts_status ts_report_make(const char *dir, ts_report_result *result);

/* The page alone, for results in memory; pictures that are not in DIR are left out. */
ts_status ts_report_write(const ts_results *results, const char *dir);

#endif
