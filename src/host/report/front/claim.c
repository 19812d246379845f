/* What the comparison at equal evaluations shows, in words no stronger than it. */
#include <math.h>

#include "diffusion/samplers/sampler.h"
#include "report/front/front.h"
#include "report/html.h"

static void name_longest(const ts_report *report, FILE *page)
{
    const ts_results *r = report->results;
    fprintf(page, "<i>T</i>&nbsp;=&nbsp;%g", r->T[report->ascending[r->T_count - 1]]);
}

/* "0.115 +- 0.006 at T = 0.4 from the Glow by EDM" */
static void name_row(const ts_results *r, const ts_sample_row *row, FILE *page)
{
    const ts_bound_row *bound = &r->bounds[(row - r->samples) / r->sampler_count];
    ts_html_interval(page, 4, row->sliced_wasserstein);
    fprintf(page, " at <i>T</i>&nbsp;=&nbsp;%g from %s by %s", bound->T,
            ts_report_start_html(r, bound->start), ts_samplers[row->sampler.kind].html);
}

static int count_of(const ts_front *front, ts_front_verdict verdict)
{
    int count = 0;
    for (int k = 0; k < front->count; k++)
        count += front->levels[k].verdict == verdict;
    return count;
}

static void summary(const ts_report *report, const ts_front *front, FILE *page)
{
    const int better = count_of(front, TS_FRONT_SHORTER), worse = count_of(front, TS_FRONT_LONGER);
    const char *plural = ts_html_plural(front->count);
    fputs("<p>At equal evaluations a shorter <i>T</i> is ", page);
    if (better)
        fprintf(page, "<b>shown to be better</b> at %d", better);
    else
        fputs("<b>not shown to be better</b> at any", page);
    fprintf(page, " of %d budget%s", front->count, plural);
    if (worse)
        fprintf(page, ", and shown to be worse at %d", worse);
    fputs(", against ", page);
    name_longest(report, page);
    fputs(" with the start, sampler and steps that suit it best. Nearest to held-out data come:</p>\n<ul>\n",
          page);
}

static void level_line(const ts_results *r, const ts_front_level *level, FILE *page)
{
    static const char *const verdicts[] = {[TS_FRONT_OPEN] = "not told apart",
                                           [TS_FRONT_SHORTER] = "the shorter <i>T</i> is nearer",
                                           [TS_FRONT_LONGER] = "the longest <i>T</i> is nearer"};
    fprintf(page, "<li>within %.0f evaluations: ", level->nfe);
    name_row(r, level->shorter, page);
    fputs("; ", page);
    name_row(r, level->longest, page);
    fprintf(page, ": %s</li>\n", verdicts[level->verdict]);
}

static void say(const ts_report *report, const ts_front *front, FILE *page)
{
    const ts_results *r = report->results;
    if (!front->count) {
        fputs("<p>At equal evaluations <i>T</i> was not compared: ", page);
        name_longest(report, page);
        fputs(
            " and a shorter one were not sampled with as few evaluations (<code>sweep.nfe</code> does that).</p>\n",
            page);
        return;
    }
    summary(report, front, page);
    for (int k = 0; k < front->count; k++)
        level_line(r, &front->levels[k], page);
    fprintf(
        page,
        "</ul>\n<p class=\"note\">These are %sWasserstein distances, each the smallest of many and so rather too small. "
        "The verdicts allow for that: they are by intervals %.2g times as wide as those printed (on the scale of the logarithm), which hold for all %d "
        "distances at once with 95&nbsp;%%. They cover the images, not a second training.</p>\n",
        r->projections > 1 ? "sliced " : "", front->factor, front->compared);
}

ts_status ts_front_write(const ts_report *report, FILE *page)
{
    ts_front front;
    TS_TRY(ts_front_make(report, &front));
    say(report, &front, page);
    ts_front_release(&front);
    return NULL;
}
