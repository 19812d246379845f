#include "report/chart.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "report/chart_internal.h"
#include "report/gnuplot.h"
#include "run/scores.h"
#include "run/starts.h"

/* ---- the charts ---- */

typedef struct chart {
    const char *name;
    ts_chart_writer *write;
    int width, height; /* pixels of the SVG */
    int a_start;       /* of height, more for each start */
    const char *caption;
} chart;

static const chart charts[TS_CHARTS] = {
    {"profile", ts_chart_profile, 920, 430, 0,
     "Where to stop. Left: the network's held-out error over time and, in the same unit, how fast the prior term of each "
     "start falls that has a density at every <i>T</i>: of one that the forward process carries, the error of its own score "
     "(of a Glow for all <i>T</i> it is not). The bound wants a longer <i>T</i> exactly while the network's is the lower: where two lines cross "
     "(mark), the bound is the best. Marks with bars are the error of a start's own score at the <i>T</i> of the sweep where no process "
     "carries that start from one <i>T</i> to another, as of a Glow: a diagnosis of what it knows of the noise, not an estimate of "
     "<i>T</i>*, for a flow is no forward marginal. Predicting zero would score 1. Right: the integrand of the diffusion term, whose integral "
     "up to <i>T</i> is that term; where networks trained for one <i>T</i> alone stand beside the one for all <i>T</i>, instead "
     "their error divided by its: below 1 they are the better ones."},
    {"bound", ts_chart_bound, 920, 430, 0,
     "The bound on the negative log-likelihood against the diffusion time <i>T</i>. Left: bits per dimension "
     "with 95&nbsp;% intervals over held-out data, a curve where the start has a density at every <i>T</i>; "
     "a start that is far worse than all others leaves the panel. Right: what "
     "each <i>T</i> loses against the best <i>T</i> of the same start, compared datum by datum; the 95&nbsp;% bands hold at "
     "all <i>T</i> at once. <i>T</i>* is where a line first meets the tolerance, the bar above its confidence set."},
    {"terms", ts_chart_terms, 920, 430, 0,
     "The terms of the bound over <i>T</i>, with 95&nbsp;% bands that hold at all <i>T</i> at once. Left: the diffusion term "
     "<i>I</i>(<i>T</i>), which grows with <i>T</i>, with the reconstruction, which does not change; and the prior term of each start, "
     "which falls. Right: their sum, the bound, above the first of the two: the distance between them is the prior term. What "
     "is fitted for each <i>T</i> has marks at those of the sweep."},
    {"cost", ts_chart_cost, 920, 800, 0,
     "What samples cost and how far they are from held-out data, lower left is better. Every sampler takes steps of "
     "its own, so <i>T</i> is compared at equal step length, or tolerance: a shorter one is cheaper. Lines run over "
     "<i>T</i>, which labels their ends, and every point from <i>N</i>(0,&nbsp;<i>I</i>); bars are 95&nbsp;% "
     "intervals, of distances over images and, where there are several batches, of seconds over these. The grey "
     "band is how far as many training data are from held-out data, its line their mean; samples can lie below."},
    {"quality", ts_chart_quality, 920, 860, 0,
     "The measures of a trained network's features against <i>T</i> (left) and against what a sample costs (right), each "
     "sampler with steps of its own; bars are 95&nbsp;% intervals over images, the grey line is that of as many training "
     "data. Of FID and the kernel distance smaller is better, of precision and recall larger. All go with the number of "
     "images: compare at the same number alone."},
    {"equal", ts_chart_equal, 920, TS_CHART_EQUAL_HEIGHT, TS_CHART_EQUAL_ROW,
     "<i>T</i> compared at equal cost: how far samples are from held-out data when every <i>T</i> may spend as many "
     "network evaluations, so that a shorter one takes finer steps. A row for each start, a column for each sampler, "
     "which takes the most steps that fit; points of one cost stand a little apart, bars are 95&nbsp;% intervals over "
     "images, and the grey band is that of as many training data."},
    {"front", ts_chart_front, 920, 430, 0,
     "The cost front: how near samples come to held-out data for at most so many evaluations (left) and seconds an image "
     "(right, by what evaluations and draws from the start take here), over all starts, samplers and numbers of steps. "
     "One line is of the longest <i>T</i>, the other of all shorter ones, whose <i>T</i> labels its marks; bars are 95&nbsp;% "
     "intervals of single distances, dots all that was measured, the grey band as many training data. The lines pick the "
     "smallest of many distances: which of them is shown to be lower is said in the finding."},
    {"training", ts_chart_training, 920, 400, 0,
     "How training went, by its log: loss (the mean since the point before) and gradient norm over steps. "
     "Right: what it came to, the bound on held-out data at its best <i>T</i> with its 95&nbsp;% interval."},
    {"T_star", ts_chart_T_star, 920, 330, 0,
     "<i>T</i>* while training: at each measurement, where the network's held-out error crosses that of a start density's "
     "own score, which is where the bound from that start is the best. Bands are the 95&nbsp;% confidence sets, over which "
     "data were held out. As the network learns, it beats a start density up to a longer <i>T</i>."},
    {"decomposition", ts_chart_decomposition, 920, 440, 0,
     "The bound falls short of the entropy by <i>G</i>(<i>T</i>) = <i>I</i>(<i>T</i>) &minus; "
     "<i>K</i>(<i>T</i>), what the score misses, plus the divergence between <i>p</i>(<i>x</i>, <i>T</i>) and "
     "the start density. For this mixture both are known."},
    {"samples_1d", ts_chart_samples_1d, 920, 420, 0,
     "Samples by <i>T</i> (columns) and start density (rows): histograms, with held-out data as the line."},
    {"samples_2d", ts_chart_samples_2d, 920, 420, 0,
     "Samples by <i>T</i> (columns) and start density (rows) over held-out data (grey)."},
};

const char *ts_chart_name(int index)
{
    return charts[index].name;
}

const char *ts_chart_caption(int index)
{
    return charts[index].caption;
}

/* ---- series ---- */

ts_chart_series ts_chart_start_of(const ts_results *results, int start)
{
    const ts_start_kind start_kind = results->starts[start];
    const ts_score_kind score_kind = results->scores[0];
    const ts_start_row *row = &ts_starts[start_kind];
    ts_chart_series series = {.color = row->color, .dash = "1", .point = row->point, .hollow = row->hollow};
    snprintf(series.block, sizeof series.block, "%s-%s", ts_start_kind_words.word[start_kind],
             ts_score_kind_words.word[score_kind]);
    snprintf(series.title, sizeof series.title, "%s", ts_report_start_label(results, start_kind));
    return series;
}

ts_chart_series ts_chart_series_of(const ts_results *results, int score, int start)
{
    ts_chart_series series = ts_chart_start_of(results, start);
    const ts_start_kind start_kind = results->starts[start];
    const ts_score_row *row = &ts_scores[results->scores[score]];
    if (score > 0) { /* the first one is drawn whole */
        series.dash = row->dash;
        series.point = row->hollow ? series.hollow : series.point;
    }
    snprintf(series.block, sizeof series.block, "%s-%s", ts_start_kind_words.word[start_kind],
             ts_score_kind_words.word[results->scores[score]]);
    if (results->score_count > 1)
        snprintf(series.title, sizeof series.title, "%s, %s", ts_report_start_label(results, start_kind),
                 row->label);
    return series;
}

int ts_chart_legend(FILE *script, int entries, int columns)
{
    const int rows = (entries + columns - 1) / columns;
    fprintf(script,
            "set key at screen 0.53, screen 0.995 center top vertical maxrows %d width %d samplen 2.4\n",
            rows, columns > 2 ? -1 : 1);
    return rows;
}

/* ---- files ---- */

static ts_status write_file(const char *folder, const char *name, const char *end, ts_text *text)
{
    char *path, *string;
    size_t size;
    TS_TRY(ts_text_finish(text, &string, &size));
    ts_status status;
    if (asprintf(&path, "%s/%s%s", folder, name, end) < 0) {
        status = ts_error(TS_NO_MEMORY, "charts: no memory");
    } else {
        status = ts_file_write(path, string, size);
        free(path);
    }
    free(string);
    return status;
}

static ts_status remove_file(const char *folder, const char *name, const char *end)
{
    char *path;
    if (asprintf(&path, "%s/%s%s", folder, name, end) < 0)
        return ts_error(TS_NO_MEMORY, "charts: no memory");
    ts_status status = NULL;
    if (unlink(path) && errno != ENOENT)
        status = ts_error(TS_IO, "%s: %s", path, strerror(errno));
    free(path);
    return status;
}

/* A picture of older results must not stay behind. */
static ts_status remove_old(const char *folder, const char *name)
{
    for (int i = 0; ts_gnuplot_drawn[i]; i++)
        TS_TRY(remove_file(folder, name, ts_gnuplot_drawn[i]));
    TS_TRY(remove_file(folder, name, ".dat"));
    return remove_file(folder, name, ".gp");
}

/* Writes the .dat and .gp files of one chart; *wanted is false where the report lacks its numbers. */
static ts_status write_chart(const chart *c, const ts_report *report, const char *folder, bool *wanted)
{
    ts_text data, script;
    TS_TRY(ts_text_open(&data));
    ts_status status = ts_text_open(&script);
    if (status) {
        ts_text_abandon(&data);
        return status;
    }
    ts_gnuplot_preamble(script.out, c->name, c->width, c->height + c->a_start * report->results->start_count);
    *wanted = c->write(report, data.out, script.out);
    fputs("unset output\n", script.out);
    if (!*wanted) {
        ts_text_abandon(&data);
        ts_text_abandon(&script);
        return NULL;
    }
    status = write_file(folder, c->name, ".dat", &data);
    if (status) {
        ts_text_abandon(&script);
        return status;
    }
    return write_file(folder, c->name, ".gp", &script);
}

static ts_status draw(ts_report *report, const char *folder, bool *drawn)
{
    *drawn = true;
    TS_TRY(ts_file_make_folder(folder));
    for (int i = 0; i < TS_CHARTS; i++) {
        bool wanted;
        TS_TRY(remove_old(folder, charts[i].name));
        TS_TRY(write_chart(&charts[i], report, folder, &wanted));
        if (wanted && *drawn)
            TS_TRY(ts_gnuplot_run(folder, charts[i].name, drawn));
        report->charts[i] = wanted && *drawn;
    }
    return NULL;
}

ts_status ts_charts_draw(ts_report *report, bool *drawn)
{
    char *folder;
    if (asprintf(&folder, "%s/charts", report->dir) < 0)
        return ts_error(TS_NO_MEMORY, "charts: no memory");
    ts_status status = draw(report, folder, drawn);
    free(folder);
    return status;
}
