/*
 * Means over data with the intervals that they lie in.
 *
 * Data are independent of each other, or depend on their neighbours alone: then they are taken in blocks of so many, one
 * after the other, and the blocks' means, which hardly depend on each other any more, tell the variance of the whole mean
 * (non-overlapping batch means; Schmeiser 1982).  A last block that is not whole counts in the mean, not in the variance.
 * Blocks are few, so their interval is Student's at one degree of freedom less than there are; that of single data is
 * 1.96 standard errors.
 *
 * Where what is measured was trained from k seeds, all measured on the same data, the mean is that over seeds too, and the
 * square of its half width is the sum of two: of data, for what the seeds give on average, as above; and of seeds, from the
 * variance between their means, Student's at k - 1 degrees of freedom.  Each error keeps its own law, so the sum holds at
 * least as often as it says, whichever is the larger (one quantile at Satterthwaite's degrees of freedom for both does
 * not: of two seeds that happen to agree it holds in 88 %).
 */
#ifndef TS_DIFFUSION_INTERVAL_H
#define TS_DIFFUSION_INTERVAL_H

#include <stdint.h>
#include "base/status.h"

typedef struct ts_interval {
    double mean, half; /* 95 %: mean +- half */
} ts_interval;

/* Welford's running mean and sum of squared deviations. */
typedef struct ts_moments {
    int64_t count;
    double mean, squares;
} ts_moments;

enum { TS_MOST_SEEDS = 32 };

/* Of values that come one by one, in the order of the data. */
typedef struct ts_running {
    int64_t block;
    int seeds;
    ts_moments data, blocks, within; /* of means over seeds; within: the block that is not whole yet */
    double seed[TS_MOST_SEEDS];      /* the mean of each seed */
} ts_running;

/* block <= 1: each datum is by itself; seeds in [1, TS_MOST_SEEDS]. */
ts_running ts_running_of(int64_t block, int seeds);
void ts_running_add(ts_running *running, const double *values); /* [seeds]: what a datum has from each seed */
/* Of a single value, or block, the half width is infinite. */
ts_interval ts_running_interval(const ts_running *running);
/* The standard deviation between the seeds' means; NaN of one seed. */
double ts_running_between(const ts_running *running);

/* The same of values that are all there. */
ts_interval ts_interval_of(const double *values, int64_t count);
ts_interval ts_interval_of_blocks(const double *values, int64_t count, int64_t block);

/* Whether so many data make the two blocks that an interval takes at least; else TS_INVALID, naming data.block. */
ts_status ts_blocks_check(int64_t count, int64_t block);

/* The point that |t| exceeds with probability 5 %, t Student's with so many degrees of freedom >= 1; and with any other
 * probability in (0, 1). */
double ts_student(int freedom);
double ts_student_at(double probability, int freedom);

#endif
