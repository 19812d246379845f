#include "report/source.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/safetensors.h"
#include "report/curves.h"
#include "run/starts.h"

/* ---- stored samples ---- */

ts_status ts_stored_load(const char *dir, const char *name, ts_stored *set)
{
    char *path;
    ts_safetensors *file = NULL;
    *set = (ts_stored){.x = NULL};
    if (asprintf(&path, "%s/%s/%s.safetensors", dir, TS_SAMPLES_FOLDER, name) < 0)
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
    TS_TRY(ts_stored_load(report->dir, "data", &report->data));
    if (!(report->drawn = calloc((size_t)(r->T_count * r->start_count), sizeof *report->drawn)))
        return ts_error(TS_NO_MEMORY, "report: no memory");
    for (int k = 0; k < r->T_count * r->start_count; k++) {
        char name[128];
        ts_samples_name(r->T[k / r->start_count], r->starts[k % r->start_count], r->scores[0], r->samplers[0],
                        name);
        TS_TRY(ts_stored_load(report->dir, name, &report->drawn[k]));
        const ts_stored *data = &report->data, *set = &report->drawn[k];
        if (data->x && set->x && (set->h != data->h || set->w != data->w || set->c != data->c))
            return ts_error(TS_FORMAT, "%s: samples %s and held-out data differ in their dimension",
                            report->dir, name);
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
    TS_TRY(ts_curves_read(report));
    return r->levels > 0 ? NULL : load_vectors(report);
}

void ts_report_close(ts_report *report)
{
    const ts_results *r = report->results;
    for (int k = 0; report->drawn && k < r->T_count * r->start_count; k++)
        free(report->drawn[k].x);
    free(report->drawn);
    free(report->data.x);
    ts_curves_release(report);
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

const ts_finding_point *ts_report_point(const ts_finding *finding, double T)
{
    const ts_finding_point *nearest = NULL;
    for (int j = 0; finding && j < finding->count; j++)
        if (!nearest || fabs(finding->points[j].T - T) < fabs(nearest->T - T))
            nearest = &finding->points[j];
    return nearest;
}

double ts_report_grid_T(const ts_report *report, double T)
{
    const ts_results *r = report->results;
    for (int k = 0; k < r->T_count; k++)
        if (r->T[report->ascending[k]] >= T - 1e-9)
            return r->T[report->ascending[k]];
    return r->T[report->ascending[r->T_count - 1]];
}

const ts_sample_row *ts_report_sample_at(const ts_results *results, int start, double T)
{
    const int k = ts_results_T_index(results, T);
    return k < 0 ? NULL : ts_results_sample(results, 0, k, start, 0);
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
