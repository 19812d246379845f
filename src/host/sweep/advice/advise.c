#include "sweep/advice/advise.h"

#include <math.h>
#include <stdlib.h>

#include "quality/jackknife.h"
#include "sweep/advice/costs.h"

/* ---- the budget ---- */

/* The most seconds an image from this start may take. */
static double seconds_within(const ts_results *r, const ts_budget *budget, ts_start_kind start)
{
    const double whole = isfinite(budget->hours)
                             ? (3600 * budget->hours - ts_costs_before(r, start)) / budget->images
                             : INFINITY;
    return fmin(budget->seconds_per_image, whole);
}

/* The most evaluations that it may: below zero where not even the draw fits, NaN where the costs are not known. */
static double evaluations_within(const ts_results *r, const ts_budget *budget, ts_start_kind start,
                                 ts_sampler_kind sampler)
{
    const double seconds = seconds_within(r, budget, start);
    const ts_evaluation_cost *evaluation = ts_costs_evaluation(&r->costs, sampler);
    const ts_start_cost *draw = ts_costs_start(&r->costs, start);
    if (!isfinite(seconds))
        return budget->nfe;
    return evaluation && draw ? fmin(budget->nfe, (seconds - draw->seconds) / evaluation->seconds) : NAN;
}

/* What fits exactly is not to be lost to rounding. */
static bool fits(double nfe, double most)
{
    return nfe <= most * (1 + 1e-9);
}

/* ---- candidates ---- */

static ts_advised candidate(const ts_results *r, int index, double steps, double nfe, ts_interval distance)
{
    const ts_sample_row *row = &r->samples[index];
    const ts_bound_row *bound = &r->bounds[index / r->sampler_count];
    return (ts_advised){.T = bound->T,
                        .start = bound->start,
                        .sampler = row->sampler.kind,
                        .steps = steps,
                        .nfe = nfe,
                        .seconds = ts_costs_image(&r->costs, bound->start, row->sampler.kind, nfe),
                        .distance = distance,
                        .row = row,
                        .bound = bound};
}

static bool is_known(const ts_sample_row *row)
{
    return isfinite(row->sliced_wasserstein.mean) && row->nfe > 0;
}

/* The row of the same T, start and sampler with the next larger number of steps; NULL: there is none. */
static const ts_sample_row *next_steps(const ts_results *r, int index)
{
    const ts_sample_row *first = &r->samples[index - index % r->sampler_count], *row = &r->samples[index];
    const ts_sample_row *next = NULL;
    for (const ts_sample_row *other = first; other < first + r->sampler_count; other++)
        if (other->sampler.kind == row->sampler.kind && is_known(other) && other->steps > row->steps &&
            (!next || other->steps < next->steps))
            next = other;
    return next;
}

/* Between the row, which fits, and the next, which does not. */
static bool interpolate(const ts_results *r, int index, double most, ts_advised *advised)
{
    const ts_sample_row *low = &r->samples[index], *high = next_steps(r, index);
    if (!high || fits(high->nfe, most))
        return false;
    const ts_interval a = low->sliced_wasserstein, b = high->sliced_wasserstein;
    const double evaluations = (high->nfe - low->nfe) / (high->steps - low->steps);
    const double steps = low->steps + floor((most * (1 + 1e-9) - low->nfe) / evaluations);
    /* written so that an unknown interval says no */
    if (!(b.mean + b.half < a.mean - a.half) || !(steps > low->steps) || !(evaluations > 0))
        return false;
    const double share = log(steps / low->steps) / log(high->steps / low->steps);
    const ts_interval distance = {a.mean + share * (b.mean - a.mean), fmax(a.half, b.half)};
    *advised = candidate(r, index, steps, low->nfe + evaluations * (steps - low->steps), distance);
    return true;
}

static int collect(const ts_results *r, const ts_budget *budget, ts_advised *list)
{
    int count = 0;
    for (int i = 0; i < r->T_count * r->start_count * r->sampler_count; i++) {
        const ts_sample_row *row = &r->samples[i];
        const ts_start_kind start = r->bounds[i / r->sampler_count].start;
        const double most = evaluations_within(r, budget, start, row->sampler.kind);
        if (!is_known(row) || !fits(row->nfe, most))
            continue;
        list[count++] = candidate(r, i, row->steps, row->nfe, row->sliced_wasserstein);
        count += interpolate(r, i, most, &list[count]);
    }
    return count;
}

/* ---- the choice ---- */

static bool is_cheaper(const ts_advised *a, const ts_advised *b)
{
    return isfinite(a->seconds.mean) && isfinite(b->seconds.mean) ? a->seconds.mean < b->seconds.mean
                                                                  : a->nfe < b->nfe;
}

/* Of equal distances the cheaper one. */
static bool is_better(const ts_advised *a, const ts_advised *b)
{
    return a->distance.mean < b->distance.mean || (a->distance.mean == b->distance.mean && is_cheaper(a, b));
}

static ts_distance distance_of(const ts_advised *a)
{
    return (ts_distance){a->distance.mean, a->distance.half};
}

static void choose(const ts_advised *list, int count, ts_advice *advice)
{
    const double factor = ts_jackknife_simultaneous(count);
    const ts_advised *best = list;
    for (int i = 1; i < count; i++)
        if (is_better(&list[i], best))
            best = &list[i];
    advice->best = advice->cheapest = *best;
    advice->count = count;
    double low, high, unused;
    ts_jackknife_ends(distance_of(best), factor, &unused, &high);
    for (int i = 0; i < count; i++) {
        ts_jackknife_ends(distance_of(&list[i]), factor, &low, &unused);
        if (&list[i] == best || low > high)
            continue;
        advice->tied++;
        if (!(list[i].distance.mean <= best->distance.mean + best->distance.half))
            continue;
        advice->within++;
        if (is_cheaper(&list[i], &advice->cheapest))
            advice->cheapest = list[i];
    }
}

/* ---- where nothing fits ---- */

/* What the cheapest row would take of one limit, with the others away; INFINITY: no row is known. */
static double least(const ts_results *r, const ts_budget *budget, int limit)
{
    double least = INFINITY;
    for (int i = 0; i < r->T_count * r->start_count * r->sampler_count; i++) {
        const ts_sample_row *row = &r->samples[i];
        const ts_start_kind start = r->bounds[i / r->sampler_count].start;
        const double seconds = ts_costs_image(&r->costs, start, row->sampler.kind, row->nfe).mean;
        const double amounts[] = {row->nfe, seconds,
                                  (ts_costs_before(r, start) + budget->images * seconds) / 3600};
        if (is_known(row))
            least = fmin(least, amounts[limit]); /* fmin passes NaN over */
    }
    return least;
}

static ts_status too_small(const ts_results *r, const ts_budget *budget)
{
    const double limits[] = {budget->nfe, budget->seconds_per_image, budget->hours};
    static const char *const amounts[] = {"network evaluations a sample", "seconds an image",
                                          "hours for training, fit and images"};
    for (int k = 0; k < 3; k++) {
        const double needed = least(r, budget, k);
        if (isfinite(needed) && limits[k] < needed)
            return ts_error(TS_INVALID, "%.4g %s are too few: what this sweep measured takes at least %.4g",
                            limits[k], amounts[k], needed);
    }
    return isfinite(least(r, budget, 0))
               ? ts_error(TS_INVALID, "nothing that the sweep measured keeps all of these limits at once")
               : ts_error(TS_INVALID, "the sweep holds no samples with a known distance");
}

static ts_status check(const ts_budget *budget)
{
    const double limits[] = {budget->nfe, budget->seconds_per_image, budget->hours};
    for (int k = 0; k < 3; k++)
        if (!(limits[k] > 0))
            return ts_error(TS_INVALID, "a budget of %g: it must be above 0", limits[k]);
    if (isfinite(budget->hours) && !(budget->images > 0))
        return ts_error(TS_INVALID, "a budget of hours needs the number of images");
    return NULL;
}

ts_status ts_advise(const ts_results *r, const ts_budget *budget, ts_advice *advice)
{
    *advice = (ts_advice){.count = 0};
    TS_TRY(check(budget));
    ts_advised *list = malloc(sizeof *list * (size_t)(2 * r->T_count * r->start_count * r->sampler_count));
    if (!list)
        return ts_error(TS_NO_MEMORY, "no memory for what may be advised");
    const int count = collect(r, budget, list);
    if (count)
        choose(list, count, advice);
    free(list);
    if (!count)
        return too_small(r, budget);
    advice->before = ts_costs_before(r, advice->best.start);
    advice->total = advice->before + budget->images * advice->best.seconds.mean;
    return NULL;
}
