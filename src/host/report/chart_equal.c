/* How far samples are from data when every T may spend as much: a panel for each start and sampler. */
#include <math.h>

#include "diffusion/samplers/sampler.h"
#include "report/chart_internal.h"

/* From short T to long, light enough at neither end to be lost on white. */
static const char *const ramp[] = {"#440154", "#46327E", "#365C8D", "#277F8E",
                                   "#1FA187", "#4AC16D", "#A0C52A"};
enum { RAMP = sizeof ramp / sizeof *ramp };
static const int points[] = {7, 5, 9, 11, 13, 6, 4, 8};
enum { POINTS = sizeof points / sizeof *points, MOST_TICS = 12 };

static const char *color_of(const ts_results *r, int k)
{
    return ramp[r->T_count > 1 ? k * (RAMP - 1) / (r->T_count - 1) : 0];
}

/* The samplers that have a column: the places of their first budget. */
static int next_sampler(const ts_results *r, int from)
{
    for (int i = from; i < r->sampler_count; i++) {
        bool first = isfinite(r->samplers[i].budget);
        for (int k = 0; k < i; k++)
            first = first && !(r->samplers[k].kind == r->samplers[i].kind && isfinite(r->samplers[k].budget));
        if (first)
            return i;
    }
    return -1;
}

static int count_samplers(const ts_results *r)
{
    int count = 0;
    for (int i = next_sampler(r, 0); i >= 0; i = next_sampler(r, i + 1))
        count++;
    return count;
}

static bool is_drawn(ts_interval value)
{
    return value.mean > 1e-15 && value.mean < 1e15;
}

static void block_of(const ts_results *r, int start, int sampler, int T, char block[128])
{
    snprintf(block, 128, "%s-%s-%d", ts_chart_start_of(r, start).block,
             ts_sampler_kind_words.word[r->samplers[sampler].kind], T);
}

/* What the axes show: evaluations and distances. */
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

/* The budgets of one sampler, start and T.  Points of one cost stand beside each other. */
static void line_data(const ts_report *report, int start, int sampler, int k, axes *a, FILE *data)
{
    const ts_results *r = report->results;
    const double beside = exp(0.06 * (k - 0.5 * (r->T_count - 1)));
    char block[128];
    block_of(r, start, sampler, k, block);
    ts_gnuplot_block(data, block,
                     "nfe, the same moved aside, (sliced) Wasserstein distance, ends of its interval");
    for (int i = 0; i < r->sampler_count; i++) {
        const ts_sample_row *row = ts_results_sample(r, 0, report->ascending[k], start, i);
        const ts_interval y = row->sliced_wasserstein;
        if (r->samplers[i].kind != r->samplers[sampler].kind || !isfinite(r->samplers[i].budget))
            continue;
        const bool drawn = is_drawn(y) && row->nfe > 0;
        const double half = isfinite(y.half) ? y.half : 0, low = fmax(y.mean - half, 1e-3 * y.mean);
        ts_gnuplot_value(data, row->nfe);
        ts_gnuplot_value(data, drawn ? row->nfe * beside : NAN);
        ts_gnuplot_value(data, drawn ? y.mean : NAN);
        ts_gnuplot_value(data, drawn ? low : NAN);
        ts_gnuplot_value(data, drawn ? y.mean + half : NAN);
        ts_gnuplot_line_end(data);
        if (drawn) {
            widen(row->nfe * beside, &a->x_low, &a->x_high);
            widen(y.mean + half, &a->y_low, &a->y_high);
            widen(fmax(low, 0.6 * y.mean), &a->y_low, &a->y_high);
        }
    }
}

static axes write_data(const ts_report *report, FILE *data)
{
    const ts_results *r = report->results;
    axes a = {INFINITY, 0, INFINITY, 0};
    for (int start = 0; start < r->start_count; start++)
        for (int sampler = next_sampler(r, 0); sampler >= 0; sampler = next_sampler(r, sampler + 1))
            for (int k = 0; k < r->T_count; k++)
                line_data(report, start, sampler, k, &a, data);
    return a;
}

static void panel(const ts_results *r, int start, int sampler, FILE *script)
{
    for (int k = 0; k < r->T_count; k++) {
        char block[128];
        block_of(r, start, sampler, k, block);
        fprintf(
            script,
            "%s'equal.dat' index '%s' using 2:3 with lines linewidth 1.4 linecolor '%s' notitle, \\\n  "
            "'' index '%s' using 2:3:4:5 with yerrorbars linewidth 1.2 pointtype %d pointsize 0.7 linecolor '%s' "
            "notitle",
            k ? ", \\\n  " : "plot ", block, color_of(r, k), block, points[k % POINTS], color_of(r, k));
    }
}

/* The legend of all panels: T, and the training data. */
static void keys(const ts_report *report, FILE *script)
{
    const ts_results *r = report->results;
    for (int k = 0; k < r->T_count; k++) {
        fprintf(script, ", \\\n  keyentry with points pointtype %d linecolor '%s' title ", points[k % POINTS],
                color_of(r, k));
        ts_gnuplot_text(script, "{/:Italic T} = %g", r->T[report->ascending[k]]);
    }
    fputs(", \\\n  keyentry with boxes fillstyle solid 1 noborder fillcolor '#DDDDDD' title 'training data'",
          script);
}

/* ---- axes ---- */

static void tics(char axis, const double *values, int count, bool labelled, FILE *script)
{
    fprintf(script, "set %ctics (", axis);
    for (int i = 0; i < count; i++) {
        fprintf(script, i ? ", '" : "'");
        if (labelled)
            fprintf(script, "%g", values[i]);
        fprintf(script, "' %.10g", values[i]);
    }
    fputs(")\n", script);
}

/* The budgets, but those so near to the one before that their labels would run into each other. */
static int choose_x(const ts_results *r, int columns, double values[MOST_TICS])
{
    const double apart = 1.2 + 0.1 * columns;
    int count = 0;
    for (; count < MOST_TICS; count++) {
        double next = INFINITY;
        for (int k = 0; k < r->sampler_count; k++)
            if (r->samplers[k].budget > (count ? apart * values[count - 1] : 0))
                next = fmin(next, r->samplers[k].budget);
        if (!isfinite(next))
            break;
        values[count] = next;
    }
    return count;
}

/* 1, 2 and 5 times powers of ten. */
static int choose_y(const axes *a, double values[MOST_TICS])
{
    static const double digits[] = {1, 2, 5};
    int count = 0;
    for (int power = (int)floor(log10(a->y_low)); power <= 15; power++)
        for (int k = 0; k < (a->y_high < 200 * a->y_low ? 3 : 1); k++) {
            const double value = digits[k] * pow(10, power);
            if (value >= a->y_low && value <= a->y_high && count < MOST_TICS)
                values[count++] = value;
        }
    return count;
}

/* ---- all panels ---- */

static void name_panel(const ts_results *r, int start, int sampler, int columns, int column, FILE *script)
{
    fputs("unset label 1\nunset label 2\n", script);
    if (start == 0) {
        fputs("set label 1 ", script);
        ts_gnuplot_text(script, "%s", ts_samplers[r->samplers[sampler].kind].text);
        fputs(" at graph 0.5, graph 1.1 center font @small\n", script);
    }
    if (column == columns - 1) {
        const ts_chart_series series = ts_chart_start_of(r, start);
        fputs("set label 2 ", script);
        ts_gnuplot_text(script, "%s", series.title);
        fprintf(script, " at screen 0.975, graph 0.5 center rotate by -90 font @small textcolor '%s'\n",
                series.color);
    }
}

static void grid(const ts_report *report, int columns, const axes *a, FILE *script)
{
    const ts_results *r = report->results;
    double x[MOST_TICS], y[MOST_TICS];
    const int x_count = choose_x(r, columns, x), y_count = choose_y(a, y);
    for (int start = 0; start < r->start_count; start++) {
        int column = 0;
        for (int sampler = next_sampler(r, 0); sampler >= 0;
             sampler = next_sampler(r, sampler + 1), column++) {
            tics('x', x, x_count, start == r->start_count - 1, script);
            tics('y', y, y_count, column == 0, script);
            name_panel(r, start, sampler, columns, column, script);
            panel(r, start, sampler, script);
            if (start == 0 && column == 0) {
                keys(report, script);
                fputs("\nunset key\nunset label 97\nunset label 99", script);
            }
            fputc('\n', script);
        }
    }
}

bool ts_chart_equal(const ts_report *report, FILE *data, FILE *script)
{
    const ts_results *r = report->results;
    const ts_floor *f = &r->floor;
    const int columns = count_samplers(r);
    if (!columns)
        return false;
    axes a = write_data(report, data);
    if (!(a.x_high > 0) || !(a.y_high > 0))
        return false;
    widen(f->sliced_wasserstein_low, &a.y_low, &a.y_high);
    a = (axes){a.x_low / 1.25, a.x_high * 1.25, a.y_low / 1.15, a.y_high * 1.15};
    const double pixels = TS_CHART_EQUAL_HEIGHT + TS_CHART_EQUAL_ROW * r->start_count;
    const double above = 30 + 24 * ts_chart_legend(script, r->T_count + 1, 5), below = 68, between = 18;
    fprintf(
        script,
        "set multiplot layout %d,%d margins 0.095,0.955,%.4f,%.4f spacing 0.014,%.4f\nset logscale xy\nset tics scale 0.6\n"
        "set xrange [%.6g:%.6g]\nset yrange [%.6g:%.6g]\nset label 97 ",
        r->start_count, columns, below / pixels, 1 - above / pixels, between / pixels, a.x_low, a.x_high,
        a.y_low, a.y_high);
    ts_gnuplot_text(script, "network evaluations (NFE)");
    fprintf(script, " at screen 0.525, screen %.4f center\nset label 99 ", 14 / pixels);
    ts_gnuplot_text(script, "%s distance", r->projections > 1 ? "sliced Wasserstein" : "Wasserstein");
    fputs(" at screen 0.018, screen 0.5 center rotate by 90\n", script);
    if (isfinite(f->sliced_wasserstein_low) && isfinite(f->sliced_wasserstein_high))
        fprintf(script,
                "set object 1 rectangle from graph 0, first %.8g to graph 1, first %.8g fillcolor '#DDDDDD' "
                "fillstyle solid 1 noborder behind\n",
                f->sliced_wasserstein_low, f->sliced_wasserstein_high);
    grid(report, columns, &a, script);
    fputs("unset multiplot\n", script);
    return true;
}
