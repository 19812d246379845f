#include "report/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/safetensors.h"
#include "report/chart.h"
#include "report/png.h"
#include "run/run.h"

/* of an image in the page's small grids: whole multiples, shown as they are */
enum { GRID_IMAGES = 64, CELL_IMAGES = 16, CELL_COLUMNS = 4, CELL_PIXELS = 32 };

/* ---- stored samples ---- */

void ts_report_samples_name(double T, const char *prior, const char *score, const char *sampler,
                            char name[128])
{
    char text[32];
    ts_run_T_text(T, text);
    snprintf(name, 128, "T%s_%s_%s_%s", text, prior, score, sampler);
}

typedef struct images {
    int n, h, w, c;
    float *x;
} images;

/* TS_NOT_FOUND where there is no such file. */
static ts_status load_samples(const char *dir, const char *name, images *set)
{
    char *path;
    ts_safetensors *file = NULL;
    *set = (images){.x = NULL};
    if (asprintf(&path, "%s/%s/%s.safetensors", dir, TS_REPORT_SAMPLES, name) < 0)
        return ts_error(TS_NO_MEMORY, "report: no memory");
    ts_status status = ts_safetensors_open(path, &file);
    const int index = status ? -1 : ts_safetensors_find(file, "x");
    if (!status && index < 0)
        status = ts_error(TS_FORMAT, "%s: there is no tensor 'x'", path);
    const ts_safetensors_info *info = status ? NULL : ts_safetensors_at(file, index);
    if (info && (info->rank != 4 || info->type != TS_ST_F32 || info->count < 1 || info->shape[0] > INT32_MAX))
        status = ts_error(TS_FORMAT, "%s: tensor 'x' should be float32 [n,h,w,c]", path);
    if (!status && !(set->x = malloc(info->bytes)))
        status = ts_error(TS_NO_MEMORY, "%s: no memory for %zu bytes", path, info->bytes);
    if (!status)
        status = ts_safetensors_read(file, "x", TS_ST_F32, 4, info->shape, set->x);
    if (!status)
        *set = (images){(int)info->shape[0], (int)info->shape[1], (int)info->shape[2], (int)info->shape[3],
                        set->x};
    ts_safetensors_close(file);
    free(path);
    if (status) {
        free(set->x);
        set->x = NULL;
    }
    return status;
}

/* ---- grids ---- */

static void base64(const unsigned char *bytes, size_t size, FILE *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        const unsigned left = (unsigned)(size - i);
        const unsigned word =
            (unsigned)bytes[i] << 16 | (left > 1 ? bytes[i + 1] : 0u) << 8 | (left > 2 ? bytes[i + 2] : 0u);
        putc(digits[word >> 18], out);
        putc(digits[word >> 12 & 63], out);
        putc(left > 1 ? digits[word >> 6 & 63] : '=', out);
        putc(left > 2 ? digits[word & 63] : '=', out);
    }
}

bool ts_report_grid(const char *dir, const char *name, const char *alternative, FILE *page)
{
    images set;
    unsigned char *png = NULL;
    size_t size = 0;
    ts_status status = load_samples(dir, name, &set);
    if (!status) {
        const int shown = set.n < CELL_IMAGES ? set.n : CELL_IMAGES;
        status = ts_png_encode(set.x, shown, set.h, set.w, set.c, CELL_COLUMNS,
                               set.h < CELL_PIXELS ? CELL_PIXELS / set.h : 1, &png, &size);
    }
    const bool drawn = !status;
    if (drawn) {
        fprintf(page, "<img alt=\"%s\" src=\"data:image/png;base64,", alternative);
        base64(png, size, page);
        fputs("\">", page);
    }
    ts_status_free(status);
    free(png);
    free(set.x);
    return drawn;
}

static ts_status write_grid(const char *dir, const char *name)
{
    images set;
    char *path = NULL;
    ts_status status = load_samples(dir, name, &set);
    if (ts_status_code(status) == TS_NOT_FOUND) { /* deleted by the user, to save space: no picture of it */
        ts_status_free(status);
        return NULL;
    }
    if (!status && asprintf(&path, "%s/grids/%s.png", dir, name) < 0)
        status = ts_error(TS_NO_MEMORY, "report: no memory");
    if (!status)
        status =
            ts_png_grid(path, set.x, set.n < GRID_IMAGES ? set.n : GRID_IMAGES, set.h, set.w, set.c, 0, 0);
    free(path);
    free(set.x);
    return status;
}

static ts_status write_grids(const ts_results *results, const char *dir)
{
    char *folder;
    if (results->levels <= 0 || (results->c != 1 && results->c != 3))
        return NULL;
    if (asprintf(&folder, "%s/grids", dir) < 0)
        return ts_error(TS_NO_MEMORY, "report: no memory");
    ts_status status = ts_file_make_folder(folder);
    free(folder);
    if (!status)
        status = write_grid(dir, "data");
    for (int i = 0; i < results->row_count && !status; i++) {
        const ts_result_row *row = &results->rows[i];
        char name[128];
        ts_report_samples_name(row->T, row->prior, row->score, row->sampler, name);
        status = write_grid(dir, name);
    }
    return status;
}

/* ---- charts ---- */

/* The Euler-Maruyama samples of the first score, for the charts of vectors. */
static ts_status gather_samples(const ts_results *results, const char *dir, images *data,
                                struct ts_chart_set *sets, ts_chart_samples *samples)
{
    TS_TRY(load_samples(dir, "data", data));
    *samples = (ts_chart_samples){
        .data = data->x, .data_count = data->n, .d = data->h * data->w * data->c, .sets = sets};
    for (int i = 0; i < results->row_count; i++) {
        const ts_result_row *row = &results->rows[i];
        if (strcmp(row->sampler, "em") != 0 || strcmp(row->score, results->rows[0].score) != 0)
            continue;
        char name[128];
        images set;
        ts_report_samples_name(row->T, row->prior, row->score, row->sampler, name);
        TS_TRY(load_samples(dir, name, &set));
        struct ts_chart_set *to = &sets[samples->set_count++];
        *to = (struct ts_chart_set){.T = row->T, .x = set.x, .count = set.n};
        strcpy(to->prior, row->prior);
        if (set.h * set.w * set.c != samples->d)
            return ts_error(TS_FORMAT, "%s: samples and data differ in their dimension", dir);
    }
    return NULL;
}

static ts_status draw_charts(const ts_results *results, const char *dir, bool *drawn)
{
    char *folder = NULL;
    images data = {.x = NULL};
    ts_chart_samples samples = {.data = NULL};
    struct ts_chart_set *sets = calloc((size_t)results->row_count + 1, sizeof *sets);
    ts_status status = NULL;
    if (!sets || asprintf(&folder, "%s/charts", dir) < 0)
        status = ts_error(TS_NO_MEMORY, "charts: no memory");
    bool have_samples = false;
    if (!status && results->levels <= 0) {
        status = gather_samples(results, dir, &data, sets, &samples);
        have_samples = !status;
        if (ts_status_code(status) == TS_NOT_FOUND) {
            ts_status_free(status);
            status = NULL;
        }
    }
    if (!status)
        status = ts_charts_draw(results, have_samples ? &samples : NULL, folder, drawn);
    for (int i = 0; sets && i < samples.set_count; i++)
        free((void *)sets[i].x);
    free(data.x);
    free(sets);
    free(folder);
    return status;
}

ts_status ts_report_make(const char *dir, ts_report_result *result)
{
    char *path;
    ts_results results;
    if (asprintf(&path, "%s/sweep.json", dir) < 0)
        return ts_error(TS_NO_MEMORY, "report: no memory");
    ts_status status = ts_results_read_json(path, &results);
    free(path);
    if (ts_status_code(status) == TS_NOT_FOUND) {
        ts_status_free(status);
        return ts_error(TS_NOT_FOUND,
                        "%s holds no finished sweep (sweep.json); `tstar sweep CONFIG --out %s` makes it",
                        dir, dir);
    }
    TS_TRY(status);
    status = draw_charts(&results, dir, &result->charts);
    if (!status)
        status = write_grids(&results, dir);
    if (!status)
        status = ts_report_write(&results, dir);
    ts_results_release(&results);
    return status;
}
