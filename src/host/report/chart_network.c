/* Charts of the network: where it errs, and how its training went. */
#include <math.h>
#include <stddef.h>

#include "report/chart_internal.h"
#include "run/scores.h"
#include "run/starts.h"

/* Of Okabe and Ito's palette, told apart with every common colour blindness. */
static const char *const colors[] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"};
enum { COLORS = sizeof colors / sizeof *colors };

/* ---- over t ---- */

/* The block of a profile; its line's title. */
static void profile_block(const ts_profile *profile, char block[64])
{
    if (ts_scores[profile->score].per_T)
        snprintf(block, 64, "%s-%g", ts_score_kind_words.word[profile->score], profile->T);
    else
        snprintf(block, 64, "%s", ts_score_kind_words.word[profile->score]);
}

static void profile_title(const ts_profile *profile, FILE *script)
{
    if (ts_scores[profile->score].per_T)
        ts_gnuplot_text(script, "trained for {/:Italic T} = %g", profile->T);
    else
        ts_gnuplot_text(script, "%s", ts_scores[profile->score].label);
}

/* Whether it is of a network that another one's profile shows too: with both trainings side by side that of
 * T = train.T is the one for all T. */
static bool is_repeated(const ts_results *r, const ts_profile *profile)
{
    bool has_gain = false;
    for (int i = 0; i < r->gain_count; i++)
        has_gain |= r->gains[i].T == profile->T;
    return r->gain_count && ts_scores[profile->score].per_T && !has_gain;
}

/* The one for all T, beside those for each; NULL: not both are there. */
static const ts_profile *shared_profile(const ts_results *r)
{
    for (int i = 0; i < r->profile_count && r->gain_count; i++)
        if (ts_scores[r->profiles[i].score].trained && !ts_scores[r->profiles[i].score].per_T)
            return &r->profiles[i];
    return NULL;
}

/* Of each profile, or of those that `own` asks for, a line of these columns of the block that `prefix` begins. */
static void profile_panel(const ts_results *r, const char *prefix, const char *columns, const char *style,
                          bool own, FILE *script)
{
    const char *before = "plot ";
    for (int i = 0; i < r->profile_count; i++) {
        const ts_score_row *score = &ts_scores[r->profiles[i].score];
        char block[64];
        if (is_repeated(r, &r->profiles[i]) || (own && !score->per_T))
            continue;
        profile_block(&r->profiles[i], block);
        fprintf(script,
                "%s'profile.dat' index '%s%s' using %s with %s linewidth 1.8 dashtype %s pointtype %d "
                "pointsize 0.5 linecolor '%s' title ",
                before, prefix, block, columns, style, i ? score->dash : "1", i && score->hollow ? 6 : 7,
                i ? colors[i % COLORS] : "#222222"); /* starts have colours of their own */
        profile_title(&r->profiles[i], script);
        before = ", \\\n  ";
    }
}

/* A start's own error over T, and the one point where the bound is the best: where the first score's crosses it. */
static bool crossing_data(const ts_results *r, int start, FILE *data)
{
    const ts_finding *f = ts_report_finding(r, 0, start);
    bool known = false;
    for (int j = 0; ts_report_is_curve(r, f) && j < f->count; j++)
        known |= f->points[j].start_error.mean > 0;
    if (!known)
        return false;
    char block[80];
    snprintf(block, sizeof block, "start-%s", ts_chart_start_of(r, start).block);
    ts_gnuplot_block(data, block, "T, mean (net - z)^2 of the start density's own score");
    for (int j = 0; j < f->count; j++) {
        ts_gnuplot_value(data, f->points[j].T);
        ts_gnuplot_value(data, f->points[j].start_error.mean > 0 ? f->points[j].start_error.mean : NAN);
        ts_gnuplot_line_end(data);
    }
    const ts_finding_point *best = ts_report_point(f, f->T_best);
    const bool within = best != f->points && best != f->points + f->count - 1;
    snprintf(block, sizeof block, "crossing-%s", ts_chart_start_of(r, start).block);
    ts_gnuplot_block(data, block,
                     "T of the best bound, the same there; nothing where that is an end of the range");
    ts_gnuplot_value(data, within ? best->T : NAN);
    ts_gnuplot_value(data, within ? best->start_error.mean : NAN);
    ts_gnuplot_line_end(data);
    return true;
}

static void crossing_series(const ts_results *r, int start, FILE *script)
{
    const ts_chart_series series = ts_chart_start_of(r, start);
    fprintf(script,
            ", \\\n  'profile.dat' index 'start-%s' using 1:2 with lines linewidth 2 linecolor '%s' title ",
            series.block, series.color);
    ts_gnuplot_text(script, "%s", series.title);
    fprintf(
        script,
        ", \\\n  'profile.dat' index 'crossing-%s' using 1:2 with points pointtype %d pointsize 1.3 linewidth 2 "
        "linecolor '%s' notitle",
        series.block, series.hollow, series.color);
}

/* The errors of start densities' own scores that no curve shows, at the sweep's T. */
static bool own_data(const ts_report *report, int start, FILE *data)
{
    const ts_results *r = report->results;
    const ts_finding *f = ts_report_finding(r, 0, start);
    char block[80];
    bool known = false;
    if (ts_starts[r->starts[start]].score && ts_report_is_curve(r, f))
        return false;
    for (int t = 0; t < r->T_count; t++)
        known |= ts_results_bound(r, 0, t, start)->start_error.mean > 0;
    if (!known)
        return false;
    snprintf(block, sizeof block, "own-%s", ts_chart_start_of(r, start).block);
    ts_gnuplot_block(data, block, "T, mean (net - z)^2 of the start density's own score, 95 % interval");
    for (int k = 0; k < r->T_count; k++) {
        const ts_interval error = ts_results_bound(r, 0, report->ascending[k], start)->start_error;
        ts_gnuplot_value(data, r->T[report->ascending[k]]);
        ts_gnuplot_value(data, error.mean > 0 ? error.mean : NAN);
        ts_gnuplot_value(data, isfinite(error.half) ? error.half : 0);
        ts_gnuplot_line_end(data);
    }
    return true;
}

/* Those that lie upon others are smaller, so that both are seen. */
static void own_series(const ts_results *r, int start, int above, bool title, FILE *script)
{
    const ts_chart_series series = ts_chart_start_of(r, start);
    fprintf(script,
            ", \\\n  'profile.dat' index 'own-%s' using 1:2:3 with yerrorbars linewidth 1.8 pointtype %d "
            "pointsize %g linecolor '%s' title ",
            series.block, series.point, above ? 0.6 : 1.1, series.color);
    ts_gnuplot_text(script, "%s", title ? series.title : "");
}

static double middle_of(const ts_profile_bin *bin)
{
    return sqrt(bin->t_low * bin->t_high);
}

/* Returns whether there is anything to show. */
static bool profile_data(const ts_results *r, FILE *data)
{
    bool known = false;
    for (int i = 0; i < r->profile_count; i++) {
        const ts_profile *profile = &r->profiles[i];
        char block[64];
        profile_block(profile, block);
        ts_gnuplot_block(data, block,
                         "t (geometric middle), mean (net - z)^2, 95 % interval, integrand in nats per unit "
                         "time, 95 % interval");
        for (int k = 0; k < profile->count; k++) {
            const ts_profile_bin *bin = &profile->bins[k];
            known |= middle_of(bin) > 0 && bin->mse.mean >= 0 && bin->integrand.mean > 0;
            ts_gnuplot_value(data, middle_of(bin));
            ts_gnuplot_value(data, bin->mse.mean);
            ts_gnuplot_value(data, isfinite(bin->mse.half) ? bin->mse.half : 0);
            ts_gnuplot_value(data, bin->integrand.mean);
            ts_gnuplot_value(data, isfinite(bin->integrand.half) ? bin->integrand.half : 0);
            ts_gnuplot_line_end(data);
        }
    }
    return known;
}

/* The errors of the networks for each T, of that of the one for all, in the bins that both have. */
static void ratio_data(const ts_results *r, const ts_profile *shared, FILE *data)
{
    for (int i = 0; i < r->profile_count; i++) {
        const ts_profile *profile = &r->profiles[i];
        char block[64], name[80];
        if (!ts_scores[profile->score].per_T || is_repeated(r, profile))
            continue;
        profile_block(profile, block);
        snprintf(name, sizeof name, "ratio-%s", block);
        ts_gnuplot_block(data, name,
                         "t (geometric middle), mean (net - z)^2 divided by that of the network for all T");
        for (int k = 0; k < profile->count && k < shared->count; k++) {
            if (profile->bins[k].t_high != shared->bins[k].t_high)
                continue;
            ts_gnuplot_value(data, middle_of(&profile->bins[k]));
            ts_gnuplot_value(data, profile->bins[k].mse.mean / shared->bins[k].mse.mean);
            ts_gnuplot_line_end(data);
        }
    }
}

bool ts_chart_profile(const ts_report *report, FILE *data, FILE *script)
{
    const ts_results *r = report->results;
    const ts_profile *shared = shared_profile(r);
    bool crosses[TS_START_COUNT] = {false}, own[TS_START_COUNT] = {false};
    int lines = 0, rows = 1, marked = 0;
    if (!profile_data(r, data))
        return false;
    for (int i = 0; i < r->profile_count; i++)
        lines += !is_repeated(r, &r->profiles[i]);
    for (int start = 0; start < r->start_count; start++) {
        crosses[start] = crossing_data(r, start, data);
        own[start] = own_data(report, start, data);
        lines += crosses[start] || own[start];
    }
    if (lines > 1)
        rows = ts_chart_legend(script, lines, 4);
    else
        fputs("unset key\n", script);
    fprintf(script, "set multiplot layout 1,2 margins 0.095,0.985,0.2,%.3f spacing 0.125,0\n",
            0.98 - 0.06 * rows);
    ts_gnuplot_x_label(script, "time {/:Italic t}");
    ts_gnuplot_y_label(script, "mean squared error of the noise", 0.018);
    /* on a linear axis, where profiles cross; above 1e-4: below, nothing is at stake */
    fputs(
        "set xrange [0:1.02]\nset logscale y\nset yrange [1e-4<*:2<*]\n"
        "set arrow 1 from graph 0, first 1 to graph 1, first 1 nohead dashtype 3 "
        "linecolor '#444444' back\nset label 1 'predicting zero' at graph 0.99, first 1 right offset 0,0.45 "
        "font @small textcolor '#444444'\n",
        script);
    ts_gnuplot_powers(script, 'y');
    profile_panel(r, "", "1:2:3", "yerrorlines", false, script);
    for (int start = 0; start < r->start_count; start++) {
        if (crosses[start])
            crossing_series(r, start, script);
        if (own[start])
            own_series(r, start, marked++, !crosses[start], script);
    }
    fputs("\nunset label 1\nset xrange [*:*]\nset yrange [*:*]\nset logscale x\nunset key\n", script);
    ts_gnuplot_powers(script, 'x');
    if (shared) {
        fputs("unset logscale y\nset format y '%g'\n", script);
        ratio_data(r, shared, data);
        ts_gnuplot_y_label(script, "error by that of the network for all {/:Italic T}", 0.521);
        profile_panel(r, "ratio-", "1:2", "linespoints", true, script);
    } else {
        fputs("unset arrow 1\n", script);
        ts_gnuplot_y_label(script, "integrand, nats per unit of time", 0.521);
        profile_panel(r, "", "1:4:5", "yerrorlines", false, script);
    }
    fputs("\nunset multiplot\n", script);
    return true;
}

/* ---- over steps ---- */

static void curve_data(const ts_report *report, FILE *data, double *last_step)
{
    for (int i = 0; i < report->curve_count; i++) {
        const ts_curve *curve = &report->curves[i];
        char block[32];
        snprintf(block, sizeof block, "curve%d", i);
        ts_gnuplot_block(data, block, "step, loss, gradient norm");
        for (int k = 0; k < curve->count; k++) {
            ts_gnuplot_value(data, curve->points[k].step);
            ts_gnuplot_value(data, curve->points[k].loss);
            ts_gnuplot_value(data, curve->points[k].gradient_norm);
            ts_gnuplot_line_end(data);
        }
        *last_step = fmax(*last_step, curve->points[curve->count - 1].step);
    }
}

/* A panel of one quantity over steps, `member` of the points, on a logarithmic axis that fits it. */
static void curve_panel(const ts_report *report, int column, size_t member, FILE *script)
{
    double low = INFINITY, high = 0;
    for (int i = 0; i < report->curve_count; i++)
        for (int k = 0; k < report->curves[i].count; k++) {
            const double value = *(const double *)((const char *)&report->curves[i].points[k] + member);
            if (value > 1e-15 && value < 1e15) { /* what is beyond is cut off */
                low = fmin(low, value);
                high = fmax(high, value);
            }
        }
    if (!(high > 0)) /* not logged: an empty panel */
        low = high = 1;
    low *= 0.8;
    high *= 1.25;
    ts_gnuplot_log_tics(script, 'y', low, high);
    fprintf(script, "set yrange [%.6g:%.6g]\n", low, high);
    for (int i = 0; i < report->curve_count; i++) {
        fprintf(script,
                "%s'training.dat' index 'curve%d' using 1:%d with lines linewidth 1.6 linecolor '%s' title ",
                i ? ", \\\n  " : "plot ", i, column, colors[i % COLORS]);
        if (isnan(report->curves[i].T))
            ts_gnuplot_text(script, "one network");
        else
            ts_gnuplot_text(script, "{/:Italic T} = %g", report->curves[i].T);
    }
    fputc('\n', script);
}

/* The bound on held-out data where it is best for each start, with its interval. */
static bool bound_data(const ts_results *r, FILE *data)
{
    bool any = false;
    ts_gnuplot_block(data, "bound", "start, bits/dim, low and high end of its 95 % interval");
    for (int start = 0; start < r->start_count; start++) {
        const ts_finding *f = ts_report_finding(r, 0, start);
        const ts_finding_point *point = f ? ts_report_point(f, f->T_best) : NULL;
        const ts_interval bits = point ? point->bpd : (ts_interval){NAN, NAN};
        const double half = isfinite(bits.half) ? bits.half : 0;
        ts_gnuplot_value(data, start);
        ts_gnuplot_value(data, bits.mean);
        ts_gnuplot_value(data, bits.mean - half);
        ts_gnuplot_value(data, bits.mean + half);
        ts_gnuplot_line_end(data);
        any |= isfinite(bits.mean);
    }
    return any;
}

static void bound_panel(const ts_results *r, FILE *script)
{
    fprintf(script, "unset xlabel\nset xrange [-0.6:%g]\nset xtics rotate by 35 right font @small (",
            r->start_count - 0.4);
    for (int start = 0; start < r->start_count; start++) {
        ts_gnuplot_text(script, "%s", ts_chart_start_of(r, start).title);
        fprintf(script, " %d%s", start, start + 1 < r->start_count ? ", " : ")\nplot ");
    }
    for (int start = 0; start < r->start_count; start++) {
        const ts_chart_series series = ts_chart_start_of(r, start);
        fprintf(script,
                "%s'training.dat' index 'bound' every ::%d::%d using 1:2:3:4 with yerrorbars linewidth 1.6 "
                "pointtype %d linecolor '%s' notitle",
                start ? ", \\\n  " : "", start, start, series.point, series.color);
    }
    fputc('\n', script);
}

/* A round number that goes two to five times into the range. */
static double step_of_tics(double range)
{
    const double power = pow(10, floor(log10(range / 2))), digit = range / 2 / power;
    return power * (digit >= 5 ? 5 : digit >= 2 ? 2 : 1);
}

bool ts_chart_training(const ts_report *report, FILE *data, FILE *script)
{
    const ts_results *r = report->results;
    double last_step = 0;
    if (report->curve_count == 0)
        return false;
    curve_data(report, data, &last_step);
    if (!(last_step > 0))
        return false;
    const bool levels = ts_scores[r->scores[0]].trained && bound_data(r, data);
    const int panels = levels ? 3 : 2;
    const double left = 0.095, spacing = 0.115, width = (0.975 - left - spacing * (panels - 1)) / panels;
    static const char key[] =
        "set key at graph 0.5, graph 1.2 center top horizontal maxrows 2 samplen 1.4 font @small\n";
    fprintf(script,
            "set multiplot layout 1,%d margins %g,0.975,0.2,0.83 spacing %g,0\n"
            "set xrange [0:%.10g]\nset xtics %.10g\nset logscale y\n%s",
            panels, left, spacing, last_step, step_of_tics(last_step),
            report->curve_count > 1 ? key : "unset key\n");
    ts_gnuplot_x_label(script, "step");
    ts_gnuplot_y_label(script, "training loss", left - 0.077);
    curve_panel(report, 2, offsetof(struct ts_curve_point, loss), script);
    ts_gnuplot_y_label(script, "gradient norm", left - 0.077 + width + spacing);
    fputs("unset key\n", script);
    curve_panel(report, 3, offsetof(struct ts_curve_point, gradient_norm), script);
    if (levels) {
        fputs("unset logscale y\nset format y '%g'\nset ytics autofreq\nset yrange [*:*]\n", script);
        ts_gnuplot_y_label(script, "bound at the end, bits/dim", left - 0.077 + 2 * (width + spacing));
        bound_panel(r, script);
    }
    fputs("unset multiplot\n", script);
    return true;
}

/* ---- T* over steps ---- */

static bool star_data(const ts_curve *curve, int start, FILE *data)
{
    bool known = false;
    for (int k = 0; k < curve->star_count; k++)
        known = known || isfinite(curve->stars[k].of[start].T);
    if (!known)
        return false;
    ts_gnuplot_block(data, ts_start_kind_words.word[ts_crossing_starts[start]],
                     "step, T*, low and high end of its confidence set");
    for (int k = 0; k < curve->star_count; k++) {
        const ts_crossing_T *T = &curve->stars[k].of[start];
        ts_gnuplot_value(data, curve->stars[k].step);
        ts_gnuplot_value(data, T->T);
        ts_gnuplot_value(data, T->low);
        ts_gnuplot_value(data, T->high);
        ts_gnuplot_line_end(data);
    }
    return true;
}

bool ts_chart_T_star(const ts_report *report, FILE *data, FILE *script)
{
    const ts_curve *curve = report->curves;
    const ts_results *r = report->results;
    const char *before = "plot ";
    int known = 0;
    while (curve < report->curves + report->curve_count && !curve->star_count)
        curve++;
    if (curve == report->curves + report->curve_count)
        return false;
    const double last_step = curve->stars[curve->star_count - 1].step;
    fprintf(script, "set multiplot layout 1,1 margins 0.095,0.975,0.2,%.3f\n",
            0.98 - 0.09 * ts_chart_legend(script, TS_CROSSING_COUNT, 4));
    fprintf(script, "set xrange [0:%.10g]\nset xtics %.10g\nset yrange [0:1.05]\n", last_step,
            step_of_tics(last_step));
    ts_gnuplot_x_label(script, "step");
    ts_gnuplot_y_label(script, "{/:Italic T}*", 0.018);
    for (int start = 0; start < TS_CROSSING_COUNT; start++) {
        const ts_start_kind kind = ts_crossing_starts[start];
        const char *word = ts_start_kind_words.word[kind];
        if (!star_data(curve, start, data))
            continue;
        fprintf(
            script,
            "%s'T_star.dat' index '%s' using 1:3:4 with filledcurves fillcolor '%s' fillstyle transparent solid 0.15 "
            "noborder notitle, \\\n  '' index '%s' using 1:2 with linespoints linewidth 2 pointtype %d pointsize "
            "0.6 linecolor '%s' title ",
            before, word, ts_starts[kind].color, word, ts_starts[kind].point, ts_starts[kind].color);
        ts_gnuplot_text(script, "%s", ts_report_start_label(r, kind));
        before = ", \\\n  ";
        known++;
    }
    fputs("\nunset multiplot\n", script);
    return known > 0;
}
