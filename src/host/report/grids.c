#include "report/grids.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "diffusion/samplers/sampler.h"
#include "report/html.h"
#include "report/png.h"
#include "run/starts.h"

/* of an image in the page's small grids: whole multiples, shown as they are */
enum { GRID_IMAGES = 64, CELL_IMAGES = 16, CELL_COLUMNS = 4, CELL_PIXELS = 32 };

/* shown from the beginning */
enum { OPEN_GRIDS = 2 };

static bool can_be_drawn(const ts_results *r)
{
    return r->levels > 0 && (r->c == 1 || r->c == 3);
}

/* ---- files ---- */

/* Of samples, or (`end` then is what their names get) of what is nearest to them. */
static ts_status write_grid(const char *dir, const char *folder, const char *name, const char *end)
{
    ts_stored set;
    char *path;
    TS_TRY(ts_stored_load(dir, folder, name, &set));
    if (!set.x)
        return NULL;
    ts_status status = NULL;
    if (asprintf(&path, "%s/grids/%s%s.png", dir, name, end) < 0) {
        status = ts_error(TS_NO_MEMORY, "report: no memory");
    } else {
        status =
            ts_png_grid(path, set.x, set.n < GRID_IMAGES ? set.n : GRID_IMAGES, set.h, set.w, set.c, 0, 0);
        free(path);
    }
    free(set.x);
    return status;
}

ts_status ts_grids_write(const ts_report *report)
{
    const ts_results *r = report->results;
    char *folder;
    if (!can_be_drawn(r))
        return NULL;
    if (asprintf(&folder, "%s/grids", report->dir) < 0)
        return ts_error(TS_NO_MEMORY, "report: no memory");
    ts_status status = ts_file_make_folder(folder);
    free(folder);
    if (!status)
        status = write_grid(report->dir, TS_SAMPLES_FOLDER, "data", "");
    const int count = ts_results_bound_count(r) * r->sampler_count;
    for (int i = 0; i < count && !status; i++) {
        const ts_bound_row *row = &r->bounds[i / r->sampler_count];
        char name[128];
        ts_samples_name(row->T, row->start, row->score, &r->samples[i].sampler, name);
        status = write_grid(report->dir, TS_SAMPLES_FOLDER, name, "");
        if (!status)
            status = write_grid(report->dir, TS_NEIGHBOURS_FOLDER, name, "_nearest");
    }
    return status;
}

/* ---- the page ---- */

/* The first images as <img> with a data URI, its alternative text begun by the caller's words. */
static ts_status cell(const char *dir, const char *folder, const char *name, const char *alternative,
                      FILE *page)
{
    ts_stored set;
    unsigned char *png = NULL;
    size_t size = 0;
    TS_TRY(ts_stored_load(dir, folder, name, &set));
    if (!set.x)
        return NULL;
    const int shown = set.n < CELL_IMAGES ? set.n : CELL_IMAGES;
    ts_status status = ts_png_encode(set.x, shown, set.h, set.w, set.c, CELL_COLUMNS,
                                     set.h < CELL_PIXELS ? CELL_PIXELS / set.h : 1, &png, &size);
    free(set.x);
    TS_TRY(status);
    fprintf(page, "<img alt=\"%s\" src=\"data:image/png;base64,", alternative);
    ts_html_base64(page, png, size);
    fputs("\">", page);
    free(png);
    return NULL;
}

static ts_status sampler_rows(const ts_report *report, const ts_sampler_entry *sampler, FILE *page)
{
    const ts_results *r = report->results;
    for (int i = 0; i < r->start_count; i++) {
        const ts_start_kind start = r->starts[i];
        fprintf(page, "<tr><th class=\"side\">%s</th>", ts_report_start_html(r, start));
        for (int k = 0; k < r->T_count; k++) {
            const double T = r->T[report->ascending[k]];
            char name[128], alternative[128];
            ts_samples_name(T, start, r->scores[0], sampler, name);
            snprintf(alternative, sizeof alternative, "samples, T = %g, start %s, %s", T,
                     ts_start_kind_words.word[start], ts_sampler_kind_words.word[sampler->kind]);
            fputs("<td>", page);
            TS_TRY(cell(report->dir, TS_SAMPLES_FOLDER, name, alternative, page));
            TS_TRY(cell(report->dir, TS_NEIGHBOURS_FOLDER, name,
                        "the training data nearest to these samples, in their places", page));
            fputs("</td>", page);
        }
        if (i == 0) {
            fprintf(page, "<td rowspan=\"%d\">", r->start_count);
            TS_TRY(cell(report->dir, TS_SAMPLES_FOLDER, "data", "held-out data", page));
            fputs("</td>", page);
        }
        fputs("</tr>\n", page);
    }
    return NULL;
}

ts_status ts_grids_page(const ts_report *report, FILE *page)
{
    const ts_results *r = report->results;
    if (!can_be_drawn(r))
        return NULL;
    fputs(
        "<h2>Samples</h2>\n<p>The same random numbers in every cell; not selected. Where a second "
        "picture stands below, it holds the training datum nearest to each sample, by Euclidean distance.</p>\n",
        page);
    for (int s = 0; s < r->sampler_count; s++) {
        char sampler[96];
        ts_report_sampler_html(&r->samplers[s], sampler);
        /* many grids make a long page: those behind the first ones open at a click */
        const bool folded = s >= OPEN_GRIDS;
        fprintf(page, folded ? "<details><summary>%s</summary>\n" : "<div class=\"keep\"><h3>%s</h3>\n",
                sampler);
        fputs("<div class=\"scroll\"><table class=\"grids\">\n<tr><th></th>", page);
        for (int k = 0; k < r->T_count; k++)
            fprintf(page, "<th><i>T</i>&nbsp;=&nbsp;%g</th>", r->T[report->ascending[k]]);
        fputs("<th>held-out data</th></tr>\n", page);
        TS_TRY(sampler_rows(report, &r->samplers[s], page));
        fprintf(page, "</table></div></%s>\n", folded ? "details" : "div");
    }
    return NULL;
}
