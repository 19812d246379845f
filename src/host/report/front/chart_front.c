/* The cost front: the nearest that samples come to data for at most so much, at the longest T and at shorter ones. */
#include <math.h>
#include <stdlib.h>

#include "report/chart_internal.h"
#include "report/front/front.h"
#include "sweep/advice/costs.h"

/* What is paid: evaluations, or seconds an image by the cost model, which other work on the machine disturbs less than
 * a single timing. */
typedef enum currency { NFE, SECONDS, CURRENCIES } currency;
static const char *const currency_names[CURRENCIES] = {"nfe", "seconds"};
static const char *const currency_labels[CURRENCIES] = {"network evaluations (NFE)", "seconds per image"};

typedef struct group {
    const char *name, *color, *dash, *title;
    int point;
} group;
static const group groups[2] = {{"longest", "#000000", "2", "{/:Italic T} = %g", 5},
                                {"shorter", "#0072B2", "1", "every shorter {/:Italic T}", 7}};

typedef struct entry {
    double cost, T;
    ts_interval distance;
} entry;

typedef struct axes {
    double x_low, x_high, y_low, y_high;
} axes;

static void widen(double value, double *low, double *high)
{
    if (value > 1e-15 && value < 1e15) {
        *low = fmin(*low, value);
        *high = fmax(*high, value);
    }
}

/* A logarithmic axis has a place for it. */
static bool is_drawn(const entry *e)
{
    return e->cost > 1e-15 && e->cost < 1e15 && e->distance.mean > 1e-15 && e->distance.mean < 1e15;
}

static int by_cost(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    return x->cost != y->cost ? (x->cost > y->cost) - (x->cost < y->cost)
                              : (x->distance.mean > y->distance.mean) - (x->distance.mean < y->distance.mean);
}

/* The rows of a group, by their cost. */
static int list_rows(const ts_report *report, bool longest, currency c, entry *list)
{
    const ts_results *r = report->results;
    int count = 0;
    for (int i = 0; i < ts_front_rows(r); i++) {
        const ts_sample_row *row = &r->samples[i];
        const ts_bound_row *bound = &r->bounds[i / r->sampler_count];
        if (ts_front_is_longest(report, i) != longest || !ts_front_is_known(row))
            continue;
        const double seconds = ts_costs_image(&r->costs, bound->start, row->sampler.kind, row->nfe).mean;
        list[count] = (entry){c == NFE ? row->nfe : seconds, bound->T, row->sliced_wasserstein};
        count += is_drawn(&list[count]);
    }
    qsort(list, (size_t)count, sizeof *list, by_cost);
    return count;
}

/* Of rows by their cost those that are nearer than every cheaper one, in place; of costs that an eye cannot tell apart the
 * nearest. */
static int keep_front(entry *list, int count)
{
    int kept = 0;
    for (int i = 0; i < count; i++) {
        if (kept && !(list[i].distance.mean < list[kept - 1].distance.mean))
            continue;
        if (kept && list[i].cost < 1.01 * list[kept - 1].cost)
            kept--;
        list[kept++] = list[i];
    }
    return kept;
}

static void block(FILE *data, const char *what, currency c, const group *g, const char *columns)
{
    char name[64];
    snprintf(name, sizeof name, "%s-%s-%s", what, currency_names[c], g->name);
    ts_gnuplot_block(data, name, columns);
}

static void values(FILE *data, const double *value, int count)
{
    for (int i = 0; i < count; i++)
        ts_gnuplot_value(data, value[i]);
    ts_gnuplot_line_end(data);
}

/* Returns the last point of its front, whose values are NaN where there is none. */
static entry group_data(const ts_report *report, int k, currency c, entry *list, axes *a, FILE *data)
{
    const group *g = &groups[k];
    const int rows = list_rows(report, k == 0, c, list);
    block(data, "rows", c, g, "cost, (sliced) Wasserstein distance");
    for (int i = 0; i < rows; i++) {
        values(data, (double[]){list[i].cost, list[i].distance.mean}, 2);
        widen(list[i].cost, &a->x_low, &a->x_high);
    }
    const int count = keep_front(list, rows);
    block(data, "front", c, g, "cost, distance, ends of its 95 % interval, T");
    for (int i = 0; i < count; i++) {
        const double mean = list[i].distance.mean,
                     half = isfinite(list[i].distance.half) ? list[i].distance.half : 0;
        const double low = fmax(mean - half, 1e-3 * mean);
        values(data, (double[]){list[i].cost, mean, low, mean + half, list[i].T}, 5);
        widen(fmax(low, 0.6 * mean), &a->y_low, &a->y_high);
        widen(mean + half, &a->y_low, &a->y_high);
    }
    return count ? list[count - 1] : (entry){NAN, NAN, {NAN, NAN}};
}

/* Returns whether both axes have a range. */
static bool write_data(const ts_report *report, currency c, entry *list, axes *a, FILE *data)
{
    *a = (axes){INFINITY, 0, INFINITY, 0};
    entry last[2];
    for (int k = 0; k < 2; k++)
        last[k] = group_data(report, k, c, list, a, data);
    widen(report->results->floor.sliced_wasserstein_low, &a->y_low, &a->y_high);
    if (!(a->x_high > 0) || !(a->y_high > 0))
        return false;
    *a = (axes){a->x_low / 1.3, a->x_high * 1.3, a->y_low / 1.15, a->y_high * 1.25};
    for (int k = 0; k < 2; k++) {
        block(data, "end", c, &groups[k], "from the front's last point to the end of the axis");
        values(data, (double[]){last[k].cost, last[k].distance.mean}, 2);
        values(data, (double[]){a->x_high, last[k].distance.mean}, 2);
    }
    return true;
}

static void panel(const ts_report *report, currency c, const axes *a, FILE *script)
{
    const ts_results *r = report->results;
    ts_gnuplot_log_tics(script, 'x', a->x_low, a->x_high);
    ts_gnuplot_log_tics(script, 'y', a->y_low, a->y_high);
    ts_gnuplot_x_label(script, currency_labels[c]);
    fprintf(script, "set xrange [%.6g:%.6g]\nset yrange [%.6g:%.6g]\nplot ", a->x_low, a->x_high, a->y_low,
            a->y_high);
    for (int k = 0; k < 2; k++) {
        const group *g = &groups[k];
        const char *name = currency_names[c];
        fprintf(
            script,
            "'front.dat' index 'rows-%s-%s' using 1:2 with points pointtype %d pointsize 0.3 linecolor '%s' notitle, "
            "\\\n  '' index 'front-%s-%s' using 1:2 with steps linewidth 1.6 dashtype %s linecolor '%s' notitle, "
            "\\\n  '' index 'end-%s-%s' using 1:2 with lines linewidth 1.6 dashtype %s linecolor '%s' notitle, "
            "\\\n  '' index 'front-%s-%s' using 1:2:3:4 with yerrorbars linewidth 1.2 pointtype %d pointsize 0.8 "
            "linecolor '%s' notitle, \\\n  ",
            name, g->name, g->point, g->color, name, g->name, g->dash, g->color, name, g->name, g->dash,
            g->color, name, g->name, g->point, g->color);
    }
    fprintf(
        script,
        "'' index 'front-%s-%s' using 1:2:(sprintf(tex ? '\\scriptsize %%g' : '%%g', $5)) with labels font @small left "
        "offset 0.5,0.6 textcolor '%s' notitle",
        currency_names[c], groups[1].name, groups[1].color);
    for (int k = 0; k < 2 && c == NFE; k++) {
        fprintf(script, ", \\\n  keyentry with linespoints dashtype %s pointtype %d linecolor '%s' title ",
                groups[k].dash, groups[k].point, groups[k].color);
        ts_gnuplot_text(script, groups[k].title, r->T[report->ascending[r->T_count - 1]]);
    }
    if (c == NFE)
        fputs(
            ", \\\n  keyentry with boxes fillstyle solid 1 noborder fillcolor '#DDDDDD' title 'training data'",
            script);
    fputc('\n', script);
}

static void draw(const ts_report *report, const axes *a, int panels, FILE *script)
{
    const ts_results *r = report->results;
    const ts_floor *f = &r->floor;
    const int rows = ts_chart_legend(script, 3, 3);
    fprintf(script,
            "set multiplot layout 1,%d margins 0.095,0.985,0.17,%.3f spacing 0.09,0\nset logscale xy\n",
            panels, 0.95 - 0.055 * rows);
    ts_gnuplot_y_label(script, r->projections > 1 ? "sliced Wasserstein distance" : "Wasserstein distance",
                       0.018);
    if (isfinite(f->sliced_wasserstein_low) && isfinite(f->sliced_wasserstein_high))
        fprintf(script,
                "set object 1 rectangle from graph 0, first %.8g to graph 1, first %.8g fillcolor '#DDDDDD' "
                "fillstyle solid 1 noborder behind\n",
                f->sliced_wasserstein_low, f->sliced_wasserstein_high);
    for (int c = 0; c < panels; c++) {
        panel(report, (currency)c, &a[c], script);
        fputs("unset key\nunset label 99\n", script);
    }
    fputs("unset multiplot\n", script);
}

bool ts_chart_front(const ts_report *report, FILE *data, FILE *script)
{
    axes a[CURRENCIES];
    int panels = 0;
    entry *list = report->results->T_count > 1
                      ? malloc(sizeof *list * ((size_t)ts_front_rows(report->results) + 1))
                      : NULL;
    if (!list)
        return false;
    while (panels < CURRENCIES && write_data(report, (currency)panels, list, &a[panels], data))
        panels++;
    free(list);
    if (panels)
        draw(report, a, panels, script);
    return panels > 0;
}
