#include "report/source.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "base/file.h"
#include "base/safetensors.h"
#include "diffusion/samplers/sampler.h"
#include "run/starts.h"

/* ---- stored samples ---- */

ts_status ts_stored_load(const char *dir, const char *folder, const char *name, ts_stored *set)
{
    char *path;
    ts_safetensors *file = NULL;
    *set = (ts_stored){.x = NULL};
    if (asprintf(&path, "%s/%s/%s.safetensors", dir, folder, name) < 0)
        return ts_error(TS_NO_MEMORY, "report: no memory");
    ts_status status = ts_safetensors_open(path, &file);
    if (ts_status_code(status) == TS_NOT_FOUND) {
        ts_status_free(status);
        free(path);
        return NULL;
    }
    const int index = status ? -1 : ts_safetensors_find(file, "x");
    if (!status && index < 0)
        status = ts_error(TS_FORMAT, "%s: there is no tensor 'x'", path);
    const ts_safetensors_info *info = status ? NULL : ts_safetensors_at(file, index);
    bool fits = info && info->rank == 4 && info->type == TS_ST_F32 && info->count > 0;
    for (int k = 0; fits && k < 4; k++)
        fits = info->shape[k] <= INT32_MAX;
    fits = fits && info->count / info->shape[0] <= INT32_MAX;
    if (info && !fits)
        status = ts_error(TS_FORMAT, "%s: tensor 'x' should be float32 [n,h,w,c]", path);
    if (!status && !(set->x = malloc(info->bytes)))
        status = ts_error(TS_NO_MEMORY, "%s: no memory for %zu bytes", path, info->bytes);
    if (!status)
        status = ts_safetensors_read(file, "x", TS_ST_F32, 4, info->shape, set->x);
    if (!status)
        *set = (ts_stored){(int)info->shape[0], (int)info->shape[1], (int)info->shape[2], (int)info->shape[3],
                           set->x};
    ts_safetensors_close(file);
    free(path);
    if (status) {
        free(set->x);
        set->x = NULL;
    }
    return status;
}

static ts_status load_vectors(ts_report *report)
{
    const ts_results *r = report->results;
    TS_TRY(ts_stored_load(report->dir, TS_SAMPLES_FOLDER, "data", &report->data));
    if (!(report->drawn = calloc((size_t)(r->T_count * r->start_count), sizeof *report->drawn)))
        return ts_error(TS_NO_MEMORY, "report: no memory");
    for (int k = 0; k < r->T_count * r->start_count; k++) {
        char name[128];
        ts_samples_name(r->T[k / r->start_count], r->starts[k % r->start_count], r->scores[0],
                        &r->samplers[ts_report_sampler(r)], name);
        TS_TRY(ts_stored_load(report->dir, TS_SAMPLES_FOLDER, name, &report->drawn[k]));
        const ts_stored *data = &report->data, *set = &report->drawn[k];
        if (data->x && set->x && (set->h != data->h || set->w != data->w || set->c != data->c))
            return ts_error(TS_FORMAT, "%s: samples %s and held-out data differ in their dimension",
                            report->dir, name);
    }
    return NULL;
}

/* ---- training curves ---- */

#define LARGEST_LOG ((size_t)1 << 30)

enum { MOST_POINTS = 400 };

typedef struct ts_curve_point point;
typedef struct ts_curve_star star;

/* A line of a log. */
typedef struct logged {
    point point;
    star star;
    bool measured; /* any T* */
} logged;

static double number_of(const json_t *line, const char *key)
{
    const json_t *value = json_object_get(line, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static double number_of_star(const json_t *line, ts_start_kind start, const char *end)
{
    char key[64];
    snprintf(key, sizeof key, "T_star_%s%s", ts_start_kind_words.word[start], end);
    return number_of(line, key);
}

static star stars_of(const json_t *line)
{
    star s = {.step = number_of(line, "step")};
    for (int i = 0; i < TS_CROSSING_COUNT; i++) {
        const ts_start_kind start = ts_crossing_starts[i];
        s.of[i] = (ts_crossing_T){number_of_star(line, start, ""), number_of_star(line, start, "_low"),
                                  number_of_star(line, start, "_high")};
    }
    return s;
}

static bool read_line(const char *text, size_t length, double last_step, logged *l)
{
    json_t *line = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    *l = (logged){
        .point = {number_of(line, "step"), number_of(line, "loss"), number_of(line, "gradient_norm")},
        .star = stars_of(line)};
    json_decref(line);
    for (int i = 0; i < TS_CROSSING_COUNT; i++)
        l->measured = l->measured || isfinite(l->star.of[i].T);
    return isfinite(l->point.step) && l->point.step > last_step;
}

static int group_of(int count)
{
    return (count + MOST_POINTS - 1) / MOST_POINTS;
}

/* Means over groups of neighbours, so that a long training draws no more points than a chart has room for; of a group's
 * T* the last. */
static void thin(ts_curve *curve)
{
    const int group = group_of(curve->count), star_group = group_of(curve->star_count);
    int kept = 0, kept_stars = 0;
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
    for (int i = 0; i < curve->star_count; i += star_group) {
        const int end = i + star_group < curve->star_count ? i + star_group : curve->star_count;
        curve->stars[kept_stars++] = curve->stars[end - 1];
    }
    curve->star_count = kept_stars;
}

/* `items` with room for one more behind `count`, in doublings; NULL: there is no memory for that. */
static void *grown(void *items, size_t size, int count, int *room)
{
    if (count < *room)
        return items;
    *room = *room ? 2 * *room : 256;
    return realloc(items, (size_t)*room * size);
}

static ts_status keep(ts_curve *curve, const logged *line, int *room, int *star_room)
{
    point *points = grown(curve->points, sizeof *points, curve->count, room);
    if (!points)
        return ts_error(TS_NO_MEMORY, "report: no memory for a training log");
    curve->points = points;
    curve->points[curve->count++] = line->point;
    if (!line->measured)
        return NULL;
    star *stars = grown(curve->stars, sizeof *stars, curve->star_count, star_room);
    if (!stars)
        return ts_error(TS_NO_MEMORY, "report: no memory for a training log");
    curve->stars = stars;
    curve->stars[curve->star_count++] = line->star;
    return NULL;
}

static ts_status parse(char *text, ts_curve *curve)
{
    int room = 0, star_room = 0;
    double last_step = -1;
    for (char *line = text, *end; *line; line = end) {
        const size_t length = strcspn(line, "\n");
        end = line + length + (line[length] == '\n');
        logged p;
        if (!read_line(line, length, last_step, &p))
            continue;
        TS_TRY(keep(curve, &p, &room, &star_room));
        last_step = p.point.step;
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
        free(curve->stars);
        return status;
    }
    report->curve_count++;
    report->last_step = fmin(report->last_step, curve->points[curve->count - 1].step); /* at first NaN */
    thin(curve);
    return status;
}

/* DIR/log.jsonl, and DIR/T0.4/log.jsonl of a network for T = 0.4.  A log that is not there gives no curve; a line
 * that is no object with a step behind the one before is passed over. */
static ts_status read_curves(ts_report *report)
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

/* ---- opening ---- */

static int by_T(const void *a, const void *b, void *T)
{
    const double x = ((const double *)T)[*(const int *)a], y = ((const double *)T)[*(const int *)b];
    return (x > y) - (x < y);
}

ts_status ts_report_open(const char *dir, const ts_results *results, ts_report *report)
{
    const ts_results *r = results;
    *report = (ts_report){.results = r, .dir = dir, .last_step = NAN};
    if (r->score_count < 1 || r->T_count < 1 || r->start_count < 1 || r->sampler_count < 1)
        return ts_error(TS_FORMAT, "%s: the sweep has no results", dir);
    if (!(r->h >= 1 && r->w >= 1 && r->c >= 1))
        return ts_error(TS_FORMAT, "%s: h, w and c of the data should be 1 or more, not %g, %g and %g", dir,
                        r->h, r->w, r->c);
    if (!(report->ascending = calloc((size_t)r->T_count, sizeof *report->ascending)))
        return ts_error(TS_NO_MEMORY, "report: no memory");
    for (int i = 0; i < r->T_count; i++)
        report->ascending[i] = i;
    qsort_r(report->ascending, (size_t)r->T_count, sizeof *report->ascending, by_T, r->T);
    TS_TRY(read_curves(report));
    return r->levels > 0 ? NULL : load_vectors(report);
}

void ts_report_close(ts_report *report)
{
    const ts_results *r = report->results;
    for (int k = 0; report->drawn && k < r->T_count * r->start_count; k++)
        free(report->drawn[k].x);
    free(report->drawn);
    free(report->data.x);
    for (int i = 0; i < report->curve_count; i++) {
        free(report->curves[i].points);
        free(report->curves[i].stars);
    }
    free(report->curves);
    free(report->ascending);
}

/* ---- the results ---- */

double ts_report_bits(const ts_results *results, double nats)
{
    return nats / (results->h * results->w * results->c * M_LN2);
}

const ts_finding *ts_report_finding(const ts_results *results, int score, int start)
{
    for (int i = 0; i < results->finding_count; i++)
        if (results->findings[i].score == results->scores[score] &&
            results->findings[i].start == results->starts[start])
            return &results->findings[i];
    return NULL;
}

bool ts_report_is_curve(const ts_results *r, const ts_finding *finding)
{
    return finding && finding->count > r->T_count;
}

const ts_finding_point *ts_report_point(const ts_finding *finding, double T)
{
    const ts_finding_point *nearest = NULL;
    for (int j = 0; finding && j < finding->count; j++)
        if (!nearest || fabs(finding->points[j].T - T) < fabs(nearest->T - T))
            nearest = &finding->points[j];
    return nearest;
}

double ts_report_seeds(const ts_results *results)
{
    return results->finding_count ? results->findings[0].seeds : 1;
}

double ts_report_grid_T(const ts_report *report, double T)
{
    const ts_results *r = report->results;
    for (int k = 0; k < r->T_count; k++)
        if (r->T[report->ascending[k]] >= T - 1e-9)
            return r->T[report->ascending[k]];
    return r->T[report->ascending[r->T_count - 1]];
}

int ts_report_sampler(const ts_results *results)
{
    for (int i = 0; i < results->sampler_count; i++)
        if (!isfinite(results->samplers[i].budget))
            return i;
    return 0;
}

const ts_sample_row *ts_report_sample_at(const ts_results *results, int start, double T)
{
    const int k = ts_results_T_index(results, T);
    return k < 0 ? NULL : ts_results_sample(results, 0, k, start, ts_report_sampler(results));
}

void ts_report_sampler_html(const ts_sampler_entry *sampler, char html[96])
{
    if (isfinite(sampler->budget))
        snprintf(html, 96, "%s within %.0f evaluations", ts_samplers[sampler->kind].html, sampler->budget);
    else
        snprintf(html, 96, "%s", ts_samplers[sampler->kind].html);
}

const char *ts_report_start_html(const ts_results *results, ts_start_kind start)
{
    const ts_start_row *row = &ts_starts[start];
    return results->sde == TS_SDE_VE && row->html_ve ? row->html_ve : row->html;
}

const char *ts_report_start_label(const ts_results *results, ts_start_kind start)
{
    const ts_start_row *row = &ts_starts[start];
    return results->sde == TS_SDE_VE && row->label_ve ? row->label_ve : row->label;
}

/* The best bound of a start and the first score over all T, bits per dimension; infinite where none is known. */
static double best_bits(const ts_results *results, int start)
{
    double best = INFINITY;
    for (int k = 0; k < results->T_count; k++)
        best = fmin(best, ts_results_bound(results, 0, k, start)->terms.bpd.mean); /* fmin passes NaN over */
    return best;
}

static int best_start(const ts_results *results, bool plain)
{
    int best = -1;
    for (int i = 0; i < results->start_count; i++)
        if (ts_starts[results->starts[i]].plain == plain &&
            (best < 0 || best_bits(results, i) < best_bits(results, best)))
            best = i;
    return best;
}

int ts_report_plain(const ts_results *results)
{
    return best_start(results, true);
}

int ts_report_aided(const ts_results *results)
{
    return best_start(results, false);
}

double ts_report_uniform_bits(const ts_results *results)
{
    return results->levels > 1 ? log2(results->levels) : INFINITY;
}

bool ts_report_worse_than_uniform(const ts_results *results, int start)
{
    const double best = best_bits(results, start);
    return isfinite(best) && best > ts_report_uniform_bits(results);
}
