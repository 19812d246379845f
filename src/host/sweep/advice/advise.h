/*
 * Which T, start, sampler and number of steps a sweep's own measurements advise for a budget: the smallest sliced
 * Wasserstein distance to held-out data among what fits, by exhaustive search over
 *
 *   - every row of samples of the first score, and
 *   - between two numbers of steps of one T, start and sampler of which the lower fits and the upper does not, and whose
 *     distances' intervals are apart with the upper the nearer: the most steps that fit, with the distance interpolated in
 *     log(steps).  Nothing is extrapolated, and between distances that are not told apart nothing is interpolated.
 *
 * Seconds are those of the cost model (costs.h).
 */
#ifndef TS_SWEEP_ADVICE_ADVISE_H
#define TS_SWEEP_ADVICE_ADVISE_H

#include "sweep/results.h"

/* All of it must be kept; INFINITY: no limit. */
typedef struct ts_budget {
    double nfe;               /* network evaluations a sample */
    double seconds_per_image; /* the draw from the start included */
    double hours;             /* training, fit and images together */
    double images;            /* NaN: unknown, and needed with hours */
} ts_budget;

typedef struct ts_advised {
    double T;
    ts_start_kind start;
    ts_sampler_kind sampler;
    double steps, nfe;        /* steps: NaN of an adaptive sampler */
    ts_interval seconds;      /* an image, predicted; half: the standard deviation of one measurement */
    ts_interval distance;     /* predicted: that of the row, or interpolated */
    const ts_sample_row *row; /* the row itself, or the lower one that the prediction is from */
    const ts_bound_row *bound;
} ts_advised;

typedef struct ts_advice {
    ts_advised best;
    double before, total; /* seconds: training and fit; with all images, NaN where their number is unknown */
    int count;            /* of rows and interpolations that fit */
    int tied; /* of them beside the best, not told apart from it: their intervals overlap, all held at once */
    int within;          /* of them beside the best, those whose own distance is in its interval */
    ts_advised cheapest; /* of these and the best, by seconds, or where those are unknown by evaluations */
} ts_advice;

/* Errors: TS_INVALID where nothing fits, saying what the least would be; where a limit makes no sense. */
ts_status ts_advise(const ts_results *results, const ts_budget *budget, ts_advice *advice);

#endif
