/*
 * What the work of a sweep costs, from its own timings, and what other work would cost then.
 *
 * The model.  seconds an image = seconds of a draw from the start + nfe x seconds of an evaluation: the first of the start,
 * the second of the sampler (whose own arithmetic is in it), both at costs.batch images at once and the median over all
 * rows of the first score, since what else a machine does only adds.  seconds of a training = its steps x a step.
 */
#ifndef TS_SWEEP_ADVICE_COSTS_H
#define TS_SWEEP_ADVICE_COSTS_H

#include "sweep/results.h"

/* Fills the lists of results->costs from the timed rows and the fits. */
ts_status ts_costs_measure(ts_results *results);

/* NULL: it is not known. */
const ts_evaluation_cost *ts_costs_evaluation(const ts_costs *costs, ts_sampler_kind sampler);
const ts_start_cost *ts_costs_start(const ts_costs *costs, ts_start_kind start);

/* Of a row with that many evaluations, an image: seconds, and as half the standard deviation of one measurement; NaN
 * where a part is not known. */
ts_interval ts_costs_image(const ts_costs *costs, ts_start_kind start, ts_sampler_kind sampler, double nfe);

/* Of the training and the fit before the first image from this start. */
double ts_costs_before(const ts_results *results, ts_start_kind start);

#endif
