#include "report/curves.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "base/file.h"
#include "base/decimal.h"

#define LARGEST_LOG ((size_t)1 << 30)

enum { MOST_POINTS = 400 };

typedef struct ts_curve_point point;

static double number_of(const json_t *line, const char *key)
{
    const json_t *value = json_object_get(line, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static bool read_line(const char *text, size_t length, double last_step, point *p)
{
    json_t *line = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    *p = (point){number_of(line, "step"), number_of(line, "loss"), number_of(line, "gradient_norm")};
    json_decref(line);
    return isfinite(p->step) && p->step > last_step;
}

/* Means over groups of neighbours, so that a long training draws no more points than a chart has room for. */
static void thin(ts_curve *curve)
{
    const int group = (curve->count + MOST_POINTS - 1) / MOST_POINTS;
    int kept = 0;
    for (int i = 0; i < curve->count; i += group) {
        const int end = i + group < curve->count ? i + group : curve->count;
        point mean = {curve->points[end - 1].step, 0, 0};
        for (int k = i; k < end; k++) {
            mean.loss += curve->points[k].loss / (end - i);
            mean.gradient_norm += curve->points[k].gradient_norm / (end - i);
        }
        curve->points[kept++] = mean;
    }
    curve->count = kept;
}

static ts_status parse(char *text, ts_curve *curve)
{
    int room = 0;
    double last_step = -1;
    for (char *line = text, *end; *line; line = end) {
        const size_t length = strcspn(line, "\n");
        end = line + length + (line[length] == '\n');
        point p;
        if (!read_line(line, length, last_step, &p))
            continue;
        if (curve->count == room) {
            room = room ? 2 * room : 256;
            point *more = realloc(curve->points, (size_t)room * sizeof *more);
            if (!more)
                return ts_error(TS_NO_MEMORY, "report: no memory for a training log");
            curve->points = more;
        }
        curve->points[curve->count++] = p;
        last_step = p.step;
    }
    return NULL;
}

/* One log: adds its curve where there is anything in it. */
static ts_status add(ts_report *report, const char *folder, double T)
{
    char *path, *text;
    size_t size;
    if (asprintf(&path, "%s%s/log.jsonl", report->dir, folder) < 0)
        return ts_error(TS_NO_MEMORY, "report: no memory");
    ts_status status = ts_file_read(path, LARGEST_LOG, &text, &size);
    free(path);
    if (ts_status_code(status) == TS_NOT_FOUND) {
        ts_status_free(status);
        return NULL;
    }
    TS_TRY(status);
    ts_curve *curve = &report->curves[report->curve_count];
    *curve = (ts_curve){.T = T};
    status = parse(text, curve);
    free(text);
    if (curve->count == 0) {
        free(curve->points);
        return status;
    }
    report->curve_count++;
    report->last_step = fmin(report->last_step, curve->points[curve->count - 1].step); /* at first NaN */
    thin(curve);
    return status;
}

ts_status ts_curves_read(ts_report *report)
{
    const ts_results *r = report->results;
    if (!(report->curves = calloc((size_t)r->T_count + 1, sizeof *report->curves)))
        return ts_error(TS_NO_MEMORY, "report: no memory");
    TS_TRY(add(report, "", NAN));
    for (int i = 0; i < r->T_count; i++) {
        char T[32], folder[40];
        ts_T_text(r->T[report->ascending[i]], T);
        snprintf(folder, sizeof folder, "/T%s", T);
        TS_TRY(add(report, folder, r->T[report->ascending[i]]));
    }
    return NULL;
}

void ts_curves_release(ts_report *report)
{
    for (int i = 0; i < report->curve_count; i++)
        free(report->curves[i].points);
    free(report->curves);
}
