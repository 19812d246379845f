/*
 * The noise of a distance between two finite sets, by leaving out groups of points.
 *
 * A distance between a [n] and b [m] is a number computed from two independent samples.  What an interval is
 * to hold is the mean of that number over all such pairs of samples, of these sizes.  The variance about it
 * is the sum of what a and b contribute (their samples are independent, so the first-order terms do not mix),
 * and each is estimated by the delete-group jackknife: a's points fall into g random groups, the distance is
 * computed g times without one of them, and with h_k = n / n_k, n_k points in group k,
 *
 *   theta_k = h_k theta - (h_k - 1) theta_(-k),   variance = 1/g sum_k (theta_k - mean)^2 / (h_k - 1)
 *
 * (Busing, Meijer, van der Leeden 1999; for groups of one size Quenouille's and Tukey's).  Where the sets
 * come from one law, the distance has no first-order term and the jackknife is conservative (Efron and Stein
 * 1981): the interval holds more often than it says.  A bootstrap would duplicate points and bias
 * a distance upward.
 *
 * The bias of the distances is not in the interval: see distances.h.
 */
#ifndef TS_QUALITY_JACKKNIFE_H
#define TS_QUALITY_JACKKNIFE_H

#include <stdint.h>
#include "base/status.h"

enum { TS_JACKKNIFE_GROUPS = 20 };

typedef struct ts_distance {
    double value, half; /* 95 %: value +- half; half is NaN where a set is too small to tell */
} ts_distance;

/* A distance with what each of its two sets adds to its variance.  unbiased: with the jackknife's estimate of its bias
 * taken away, the distance extrapolated linearly in 1/n and 1/m to sets without end. */
typedef struct ts_estimate {
    double value, unbiased, variance[2];
    int groups[2];
} ts_estimate;

/* How many groups n points fall into: 20, or n if that is less. */
int ts_jackknife_groups(int64_t n);
/* How many of n points are in a group; sizes differ by at most one. */
int64_t ts_jackknife_size(int64_t n, int group);
/* group [n] <- each point's group: at random, since files may be ordered, by a rule that depends on n
 * alone. */
ts_status ts_jackknife_assign(int64_t n, uint8_t *group);

/* The variance from n points' estimate and its values without each group; NaN of one group. */
double ts_jackknife_variance(int64_t n, double value, const double *without);
/* Fills in what one side (0, 1) of n points adds to an estimate, from its values without each group (NULL: unknown): the
 * variance, and to `unbiased` the mean of theta_k - theta (Quenouille 1956). */
void ts_jackknife_side(ts_estimate *estimate, int side, int64_t n, const double *without);

/* value +- t (variance[0] + variance[1])^1/2, with Student's t at the degrees of freedom of the sum (Welch
 * 1947, Satterthwaite 1946). */
ts_distance ts_jackknife_interval(const ts_estimate *estimate);
/* The same of an estimate that is a square.  Its root r is nearer to normal than itself: r +- h on that scale
 * is r^2 - 2 r h + h^2 to r^2 + 2 r h + h^2, of which half is the larger side; 2 r h is the half width above.
 * Without h^2 an estimate that came out small would have too small an interval. */
ts_distance ts_jackknife_interval_of_square(const ts_estimate *estimate);
/* The same of a share of n points.  Where it is next to 0 or 1, leaving out groups may change nothing: the interval is no
 * narrower than Wilson's (1927) of n independent points. */
ts_distance ts_jackknife_interval_of_share(const ts_estimate *estimate, int64_t n);

/* What half widths of 95 % of single distances are to be multiplied by, so that `count` of them hold at once with
 * 95 % (Bonferroni), whichever is then looked at: the smallest, say.  For the fewest degrees of freedom that an interval
 * of ts_jackknife_groups has. */
double ts_jackknife_simultaneous(int count);
/* The ends of an interval `factor` times as wide, on the scale of the logarithm: value exp(-+ factor half/value).  There a
 * distance that is uncertain is nearer to normal, and none is below zero.  0 and infinity where `half` is not known. */
void ts_jackknife_ends(ts_distance distance, double factor, double *low, double *high);

#endif
