/* Made-up results of a sweep, for the tests of what is made from results. */
#ifndef TS_TESTS_REPORT_MADE_UP_H
#define TS_TESTS_REPORT_MADE_UP_H

#include "sweep/results.h"

/* Image data with the starts normal and glow, or a mixture on the line with two scores and the starts normal
 * and mixture; two samplers each. */
void made_up_results(bool mixture, ts_results *results);

/* Image data where the first sampler keeps to 20 evaluations, with the likelihood by the ODE, and what networks
 * trained for T = 0.4 and 0.1 gain. */
void made_up_comparisons(ts_results *results);

/* Stores what a sweep stores beside them in an existing folder: samples (8x8 images, or numbers) and
 * sweep.json. */
void made_up_store(const ts_results *results, const char *folder);

#endif
