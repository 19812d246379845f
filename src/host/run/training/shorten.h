/*
 * train.T auto: when the range of t of a training on its way becomes shorter, and how short.
 *
 * The bound wants a longer T exactly while the network predicts the noise better than the start's own score does
 * (crossing.h), so above the T* of every start nothing that the network learns serves anybody.  What must be covered is
 * the largest T that anyone starts from: of the starts that sweep.starts asks for (where it is empty: all) and whose T*
 * is measured, or of all that are measured where it asks for none of these, the largest upper end of the confidence
 * sets.  A start that fits x_T better than the Gaussian of the data does has its T* below the Gaussian's.
 *
 * T* rises while the network learns.  So the range is not shortened to what one measurement says, but to the highest end
 * since T was last found to be wanted as long as it is, and only once train.auto_patience measurements have found
 * nothing above that end: each that does begins the count anew.  What was cut off is never taken back.
 */
#ifndef TS_RUN_SHORTEN_H
#define TS_RUN_SHORTEN_H

#include "run/checkpoint.h"
#include "run/training/crossing.h"

/* Tells of a measurement on a range of T that ends at `end`: the T to shorten to, below `end`, or 0: not now. */
double ts_shorten_to(ts_shortening *shortening, const ts_config *config, double end,
                     const ts_crossing_T stars[TS_CROSSING_COUNT]);

#endif
