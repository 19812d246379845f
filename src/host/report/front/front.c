#include "report/front/front.h"

#include <math.h>
#include <stdlib.h>

#include "base/order.h"
#include "quality/jackknife.h"

/* ---- rows ---- */

int ts_front_rows(const ts_results *r)
{
    return r->T_count * r->start_count * r->sampler_count;
}

bool ts_front_is_longest(const ts_report *report, int index)
{
    const ts_results *r = report->results;
    return r->bounds[index / r->sampler_count].T == r->T[report->ascending[r->T_count - 1]];
}

bool ts_front_is_known(const ts_sample_row *row)
{
    return isfinite(row->sliced_wasserstein.mean) && row->nfe > 0;
}

static bool is_within(const ts_sample_row *row, double nfe)
{
    return ts_front_is_known(row) && row->nfe <= nfe * (1 + 1e-9);
}

/* ---- levels ---- */

/* levels [rows + samplers] is room; how many there are, ascending. */
static int list_levels(const ts_report *report, double *levels)
{
    const ts_results *r = report->results;
    int found = 0, count = 0;
    for (int k = 0; k < r->sampler_count; k++)
        if (isfinite(r->samplers[k].budget))
            levels[found++] = r->samplers[k].budget;
    for (int i = 0, budgets = found; i < ts_front_rows(r) && !budgets; i++)
        if (ts_front_is_longest(report, i) && ts_front_is_known(&r->samples[i]))
            levels[found++] = r->samples[i].nfe;
    qsort(levels, (size_t)found, sizeof *levels, ts_ascending);
    for (int k = 0; k < found; k++)
        if (!count || levels[k] > levels[count - 1])
            levels[count++] = levels[k];
    return count;
}

/* ---- the comparison ---- */

/* What is known of one group at one level. */
typedef struct group {
    const ts_sample_row *best;
    double low, high; /* ends of the interval of the smallest distance */
} group;

static group group_of(const ts_report *report, double nfe, bool longest, double factor)
{
    const ts_results *r = report->results;
    group g = {NULL, INFINITY, INFINITY};
    for (int i = 0; i < ts_front_rows(r); i++) {
        const ts_sample_row *row = &r->samples[i];
        if (ts_front_is_longest(report, i) != longest || !is_within(row, nfe))
            continue;
        if (!g.best || row->sliced_wasserstein.mean < g.best->sliced_wasserstein.mean)
            g.best = row;
        const ts_distance distance = {row->sliced_wasserstein.mean, row->sliced_wasserstein.half};
        double low, high;
        ts_jackknife_ends(distance, factor, &low, &high);
        g.low = fmin(g.low, low);
        g.high = fmin(g.high, high);
    }
    return g;
}

static void compare(const ts_report *report, ts_front *front, ts_front_level *level)
{
    const group longest = group_of(report, level->nfe, true, front->factor);
    const group shorter = group_of(report, level->nfe, false, front->factor);
    level->longest = longest.best;
    level->shorter = shorter.best;
    level->verdict = shorter.high < longest.low   ? TS_FRONT_SHORTER
                     : longest.high < shorter.low ? TS_FRONT_LONGER
                                                  : TS_FRONT_OPEN;
}

static int count_compared(const ts_results *r, double nfe)
{
    int count = 0;
    for (int i = 0; i < ts_front_rows(r); i++)
        count += is_within(&r->samples[i], nfe);
    return count;
}

ts_status ts_front_make(const ts_report *report, ts_front *front)
{
    const ts_results *r = report->results;
    const size_t room = (size_t)ts_front_rows(r) + (size_t)r->sampler_count;
    double *levels = malloc(sizeof *levels * room);
    *front = (ts_front){.levels = calloc(room, sizeof *front->levels)};
    if (!levels || !front->levels) {
        free(levels);
        ts_front_release(front);
        return ts_error(TS_NO_MEMORY, "report: no memory");
    }
    const int count = list_levels(report, levels);
    front->compared = count ? count_compared(r, levels[count - 1]) : 0;
    front->factor = ts_jackknife_simultaneous(front->compared);
    for (int k = 0; k < count; k++) {
        ts_front_level level = {.nfe = levels[k]};
        compare(report, front, &level);
        if (level.longest && level.shorter)
            front->levels[front->count++] = level;
    }
    free(levels);
    return NULL;
}

void ts_front_release(ts_front *front)
{
    free(front->levels);
    *front = (ts_front){.count = 0};
}
