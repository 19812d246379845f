#include "report/chart_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

extern char **environ;

/* ---- the charts ---- */

typedef struct chart {
    const char *name;
    ts_chart_writer *write;
    int width, height; /* pixels of the SVG */
    const char *caption;
} chart;

static const chart charts[] = {
    {"bound", ts_chart_bound, 920, 400,
     "The bound on the negative log-likelihood against the diffusion time <i>T</i>. Left: bits per dimension "
     "with "
     "95 % "
     "intervals over held-out data. Right: what each <i>T</i> loses against the best <i>T</i> of the same "
     "start, compared "
     "datum by datum (paired 95 % intervals); <i>T</i>* is the smallest <i>T</i> whose interval reaches "
     "zero."},
    {"terms", ts_chart_terms, 920, 400,
     "The three terms of the bound. A shorter <i>T</i> moves bits from the diffusion term to the prior term; "
     "the "
     "auxiliary density keeps the prior term near what is unavoidable."},
    {"cost", ts_chart_cost, 920, 760,
     "What samples cost and how far they are from held-out data, lower left is better. Points are labelled "
     "by "
     "<i>T</i>. The grey band is the distance between held-out and training data of the same number: what a "
     "perfect "
     "sampler would score."},
    {"profile", ts_chart_profile, 920, 380,
     "Where the network errs: its held-out squared error over time (left), and the integrand of the "
     "diffusion "
     "term (right), whose integral up to <i>T</i> is that term."},
    {"decomposition", ts_chart_decomposition, 920, 400,
     "The bound falls short of the entropy by <i>G</i>(<i>T</i>) = <i>I</i>(<i>T</i>) &minus; "
     "<i>K</i>(<i>T</i>), what the score misses, plus the divergence "
     "between <i>p</i>(<i>x</i>, <i>T</i>) and the start density. For this mixture both are known."},
    {"samples_1d", ts_chart_samples_1d, 920, 420,
     "Samples by <i>T</i> (columns) and start density (rows): histograms, with held-out data as the line."},
    {"samples_2d", ts_chart_samples_2d, 920, 420,
     "Samples by <i>T</i> (columns) and start density (rows) over held-out data (grey)."},
};

enum { CHART_COUNT = sizeof charts / sizeof *charts };

const char *ts_chart_name(int index)
{
    return index >= 0 && index < CHART_COUNT ? charts[index].name : NULL;
}

const char *ts_chart_caption(int index)
{
    return index >= 0 && index < CHART_COUNT ? charts[index].caption : NULL;
}

/* ---- what charts share ---- */

/* Okabe and Ito's palette, told apart with every common colour blindness and in grey print. */
static const struct style {
    const char *prior, *title, *color;
    int point, hollow;
} styles[] = {
    {"normal", "{/:Italic N}(0, {/:Italic I})", "#D55E00", 7, 6},
    {"glow", "Glow", "#0072B2", 5, 4},
    {"mixture", "exact {/:Italic p_T}", "#009E73", 9, 8},
};

static bool is_new(const ts_chart_series *series, int count, const ts_result_row *row)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(series[i].prior, row->prior) && !strcmp(series[i].score, row->score))
            return false;
    return true;
}

int ts_chart_series_of(const ts_results *results, ts_chart_series series[TS_CHART_SERIES])
{
    int count = 0;
    bool several_scores = false;
    for (int i = 0; i < results->row_count && count < TS_CHART_SERIES; i++) {
        const ts_result_row *row = &results->rows[i];
        several_scores |= strcmp(row->score, results->rows[0].score) != 0;
        if (is_new(series, count, row))
            series[count++] = (ts_chart_series){.prior = row->prior, .score = row->score};
    }
    for (int i = 0; i < count; i++) {
        ts_chart_series *s = &series[i];
        const struct style *style = &styles[0];
        for (size_t k = 0; k < sizeof styles / sizeof *styles; k++)
            if (!strcmp(styles[k].prior, s->prior))
                style = &styles[k];
        const bool exact = !strcmp(s->score, "exact");
        s->color = style->color;
        s->dash = exact ? "2" : "1";
        s->point = exact ? style->hollow : style->point;
        s->hollow = style->hollow;
        snprintf(s->block, sizeof s->block, "%s-%s", s->prior, s->score);
        snprintf(s->title, sizeof s->title, "%s%s", style->title,
                 !several_scores ? ""
                 : exact         ? ", exact score"
                                 : ", trained score");
    }
    return count;
}

int ts_chart_starts_of(const ts_results *results, ts_chart_series series[TS_CHART_SERIES])
{
    ts_chart_series all[TS_CHART_SERIES];
    const int all_count = ts_chart_series_of(results, all);
    int count = 0;
    for (int i = 0; i < all_count; i++)
        if (!strcmp(all[i].score, all[0].score)) {
            series[count] = all[i];
            char *suffix = strstr(series[count].title, ", trained score");
            if (suffix)
                *suffix = 0;
            count++;
        }
    return count;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int ts_chart_times_of(const ts_results *results, double times[TS_CHART_TIMES])
{
    int count = 0;
    for (int i = 0; i < results->row_count; i++) {
        bool known = count == TS_CHART_TIMES;
        for (int k = 0; k < count && !known; k++)
            known = times[k] == results->rows[i].T;
        if (!known)
            times[count++] = results->rows[i].T;
    }
    qsort(times, (size_t)count, sizeof *times, ascending);
    return count;
}

void ts_chart_block(FILE *data, const char *name, const char *columns)
{
    /* gnuplot finds a block by the comment right before it */
    fprintf(data, "%s# columns: %s\n# %s\n", ftell(data) > 0 ? "\n\n" : "", columns, name);
}

void ts_chart_log_tics(FILE *script, char axis, double low, double high, bool labels)
{
    const bool narrow = high / low < 200;
    const char *separator = "";
    fprintf(script, "set %ctics (", axis);
    for (int power = (int)floor(log10(low)); power <= (int)ceil(log10(high)); power++)
        for (int k = 0; k < (narrow ? 3 : 1); k++) {
            const double value = (k == 0 ? 1 : k == 1 ? 2 : 5) * pow(10, power);
            if (value < low || value > high)
                continue;
            if (labels)
                fprintf(script, "%s\"%g\" %g", separator, value, value);
            else
                fprintf(script, "%s\"\" %g", separator, value);
            separator = ", ";
        }
    fputs(")\n", script);
}

void ts_chart_y_label(FILE *script, const char *text, double at)
{
    fprintf(script, "set label 99 \"%s\" at graph %.3f, graph 0.5 center rotate by 90\n", text, -at);
}

double ts_chart_bits(const ts_results *results, double nats)
{
    return nats / (results->h * results->w * results->c * M_LN2);
}

/* ---- writing and running one script ---- */

static void write_preamble(FILE *script, const chart *c)
{
    fprintf(
        script,
        "# Redraw with:  gnuplot -e \"format='pdf'\" %s.gp   (or 'svg')\n"
        "if (!exists('format')) format = 'svg'\n"
        "if (format eq 'svg') {\n"
        "  set terminal svg size %d,%d dynamic enhanced font 'Helvetica,15' background 'white' name '%s'\n"
        "} else {\n"
        "  set terminal pdfcairo size %.2fin,%.2fin enhanced font 'Helvetica,10' linewidth 0.8\n"
        "}\n"
        "set output '%s.' . format\n"
        "small = format eq 'svg' ? \"',11'\" : \"',7.5'\"\n"
        "set encoding utf8\n"
        "set border 3 linecolor '#444444'\n"
        "set tics nomirror out textcolor '#222222'\n"
        "set grid linetype 1 linewidth 0.6 linecolor '#E4E4E4'\n"
        "set key noopaque samplen 2.2 spacing 1.15\n"
        "set bars 0.6\n\n",
        c->name, c->width, c->height, c->name, c->width / 132.0, c->height / 132.0, c->name);
}

/* One run of gnuplot in `folder`; its messages go to `log` there. */
static ts_status run_gnuplot(const char *folder, const char *name, const char *format, bool *found)
{
    char setting[32], script[64], log[64];
    snprintf(setting, sizeof setting, "format='%s'", format);
    snprintf(script, sizeof script, "%s.gp", name);
    snprintf(log, sizeof log, "%s.log", name);
    char *arguments[] = {"gnuplot", "-e", setting, script, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, folder);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    pid_t child;
    const int failure = posix_spawnp(&child, "gnuplot", &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    *found = failure != ENOENT;
    if (failure == ENOENT)
        return NULL;
    if (failure)
        return ts_error(TS_IO, "gnuplot could not be started: %s", strerror(failure));
    int result;
    while (waitpid(child, &result, 0) < 0)
        if (errno != EINTR)
            return ts_error(TS_IO, "gnuplot: %s", strerror(errno));
    if (!WIFEXITED(result) || WEXITSTATUS(result) != 0)
        return ts_error(TS_IO, "gnuplot failed on %s/%s; its messages are in %s/%s", folder, script, folder,
                        log);
    return NULL;
}

static ts_status path_of(const char *folder, const char *name, const char *extension, char **path)
{
    if (asprintf(path, "%s/%s.%s", folder, name, extension) < 0)
        return ts_error(TS_NO_MEMORY, "charts: no memory");
    return NULL;
}

static ts_status write_text(const char *folder, const char *name, const char *extension, const char *text,
                            size_t size)
{
    char *path;
    TS_TRY(path_of(folder, name, extension, &path));
    ts_status status = ts_file_write(path, text, size);
    free(path);
    return status;
}

static void remove_file(const char *folder, const char *name, const char *extension)
{
    char *path;
    ts_status status = path_of(folder, name, extension, &path);
    if (!status) {
        unlink(path);
        free(path);
    }
    ts_status_free(status);
}

/* Writes the .dat and .gp files of one chart; *wanted is false where the results lack its numbers. */
static ts_status write_chart(const chart *c, const ts_results *results, const ts_chart_samples *samples,
                             const char *folder, bool *wanted)
{
    char *data_text = NULL, *script_text = NULL;
    size_t data_size = 0, script_size = 0;
    ts_status status = NULL;
    *wanted = false;
    FILE *data = open_memstream(&data_text, &data_size);
    FILE *script = open_memstream(&script_text, &script_size);
    if (data && script) {
        write_preamble(script, c);
        *wanted = c->write(results, samples, data, script);
    }
    const bool failed = !data || !script;
    if ((data && fclose(data)) | (script && fclose(script)) | failed)
        status = ts_error(TS_NO_MEMORY, "charts: no memory");
    if (!status && *wanted)
        status = write_text(folder, c->name, "dat", data_text, data_size);
    if (!status && *wanted)
        status = write_text(folder, c->name, "gp", script_text, script_size);
    free(data_text);
    free(script_text);
    return status;
}

static ts_status draw_chart(const chart *c, const char *folder, bool *drawn)
{
    static const char *const formats[] = {"svg", "pdf"};
    for (int i = 0; i < 2 && *drawn; i++)
        TS_TRY(run_gnuplot(folder, c->name, formats[i], drawn));
    remove_file(folder, c->name, "log");
    return NULL;
}

ts_status ts_charts_draw(const ts_results *results, const ts_chart_samples *samples, const char *folder,
                         bool *drawn)
{
    *drawn = true;
    TS_TRY(ts_file_make_folder(folder));
    for (int i = 0; i < CHART_COUNT; i++) {
        bool wanted;
        /* a picture of older results must not stay behind */
        remove_file(folder, charts[i].name, "svg");
        remove_file(folder, charts[i].name, "pdf");
        TS_TRY(write_chart(&charts[i], results, samples, folder, &wanted));
        if (wanted && *drawn)
            TS_TRY(draw_chart(&charts[i], folder, drawn));
    }
    return NULL;
}
