/*
 * What a report is made from: the results, and from the run's folder the stored samples and training logs.
 */
#ifndef TS_REPORT_SOURCE_H
#define TS_REPORT_SOURCE_H

#include "run/training/crossing.h"
#include "sweep/results.h"

enum { TS_CHARTS = 12 };

/* Stored samples [n,h,w,c] in [-1, 1]. */
typedef struct ts_stored {
    int n, h, w, c;
    float *x; /* NULL: not there, such as those that the user deleted to save space */
} ts_stored;

/* The log of one network's training; groups of lines where there are many. */
typedef struct ts_curve {
    double T; /* of the sweep's networks, the one of this T; NaN: one for all */
    int count;
    struct ts_curve_point {
        double step, loss, gradient_norm; /* loss, gradient_norm: means over a group; NaN: not known */
    } * points;
    int star_count;
    struct ts_curve_star { /* T* of the starts whose crossing a training measures; NaN: not known */
        double step;
        ts_crossing_T of[TS_CROSSING_COUNT];
    } * stars;
} ts_curve;

typedef struct ts_report {
    const ts_results *results;
    const char *dir;
    int *ascending; /* [T_count], the grid's indexes of T, T ascending */

    /* Vectors: held-out data and, [T_count][start_count], samples of ts_report_sampler with the first score. */
    ts_stored data, *drawn;
    int curve_count;
    ts_curve *curves; /* only those with points */
    double last_step; /* of the log that ends first; NaN: there is no log */

    bool charts[TS_CHARTS]; /* which charts lie in DIR/charts as SVG */
} ts_report;

/* DIR/FOLDER/NAME.safetensors.  A file that is not there is no error. */
ts_status ts_stored_load(const char *dir, const char *folder, const char *name, ts_stored *set);

/* Reads all but the charts; ts_report_close frees it, also after an error. */
ts_status ts_report_open(const char *dir, const ts_results *results, ts_report *report);
void ts_report_close(ts_report *report);

/* ---- the results, as a report asks for them ---- */

/* nats to bits per dimension */
double ts_report_bits(const ts_results *results, double nats);

/* What was found of one start and score, by their places in the grid; NULL: it is not known. */
const ts_finding *ts_report_finding(const ts_results *results, int score, int start);
/* Whether it is a line over all T, not points at those of the sweep; of NULL neither. */
bool ts_report_is_curve(const ts_results *results, const ts_finding *finding);
/* Its point at T, or the one nearest to it; NULL: it has none. */
const ts_finding_point *ts_report_point(const ts_finding *finding, double T);
/* The trainings behind the bound. */
double ts_report_seeds(const ts_results *results);
/* The smallest T of the grid that is not below this one, else the largest: where samples were drawn. */
double ts_report_grid_T(const ts_report *report, double T);
/* The place of the sampler that the text tells of: the first one with steps of its own, else the first. */
int ts_report_sampler(const ts_results *results);
/* Of the first score and that sampler, at this T; NULL: that T is not in the grid. */
const ts_sample_row *ts_report_sample_at(const ts_results *results, int start, double T);

/* What a start is called under the results' SDE, on the page and in charts. */
const char *ts_report_start_html(const ts_results *results, ts_start_kind start);
const char *ts_report_start_label(const ts_results *results, ts_start_kind start);
/* "Euler-Maruyama", or with a budget "Euler-Maruyama within 20 evaluations", on the page. */
void ts_report_sampler_html(const ts_sampler_entry *sampler, char html[96]);

/* The place in the grid of the start that knows nothing of the data, and of the one with the best bound of
 * those that do; -1: there is none. */
int ts_report_plain(const ts_results *results);
int ts_report_aided(const ts_results *results);

/* What uniform bits cost, log2(levels); infinite for vectors.  A start whose bound is worse at every T of the
 * first score has taught nothing: its T* is not to be told. */
double ts_report_uniform_bits(const ts_results *results);
bool ts_report_worse_than_uniform(const ts_results *results, int start);

#endif
