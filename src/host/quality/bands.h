/*
 * Which of several means is the largest, and which are nearly so, with statements that hold together.
 *
 *   mu(j) = E x(j), j < points: say the bound at each T, estimated from independent rows x_i [points], one a datum.
 *
 * The estimands depend on no number of data: best = argmax mu, and star = min { j : loss(j) <= tolerance } with
 * loss(j) = max_k mu(k) - mu(j).  More data sharpen the answer instead of moving it.
 *
 * Of all pairs, mu(k) - mu(j) lies within d_kj +- c s_kj at once with probability 95 %: d the difference of the means, s its
 * standard error over rows, and c the quantile of the largest |t| over pairs, by the bootstrap: of up to 128 rows by rows
 * drawn anew, each time with their own standard errors, which sees how skewed they are (Hall 1988); of more by multipliers
 * (Chernozhukov, Chetverikov, Kato 2013; normal ones, each repetition divided by (chi^2_{n-1} / (n - 1))^1/2, which is
 * exact where rows are normal).  No split of the data is needed, whichever mean is the largest.  From the bands follows, at 95 % each:
 *
 *   best lies in { j : no k is above j for certain };
 *   loss(j) lies in [max_k d_kj - c s_kj, max_k d_kj + c s_kj] for every j at once, k = j included;
 *   star lies between the first j whose lower band does not exceed the tolerance and the first whose upper one does not.
 *
 * Rows that depend on their neighbours are taken in blocks, one after the other: what is said of rows above then holds of
 * the blocks' means.  A last block that is not whole counts in the means mu, not in their noise.
 *
 * The last is an equivalence test: j is within the tolerance where that is shown, not where data are too few to deny it.
 *
 * Where k trainings were measured on the same data, mu is their mean too, x_i what they give on average, and a difference
 * has a second error, e_kj: how far the mean of k trainings is from that of all.  It has k - 1 degrees of freedom only, too
 * few for a standard error of its own for every pair, which would come out near zero for some pair by chance.  So bands keep
 * their shape, c s_kj with s over data, and c grows: to the quantile of the largest |t + e_kj / s_kj|, where e is drawn as
 * Sum_l g_l (curve of training l - their mean) / (k (k - 1))^1/2, g standard normal, divided by (chi^2_{k-1} / (k - 1))^1/2.
 * Where trainings differ in one direction, which is what most of their variance is, that is Student's law of it; in
 * several it is conservative.  Both errors have laws of their own (Behrens and Fisher), and few seeds make wide bands.
 */
#ifndef TS_QUALITY_BANDS_H
#define TS_QUALITY_BANDS_H

#include <stdbool.h>
#include <stdint.h>
#include "diffusion/interval.h"

typedef struct ts_bands_config {
    double tolerance; /* in the unit of the rows */
    int repetitions;  /* of the bootstrap */
    uint64_t seed;    /* of its multipliers */
    int64_t block;    /* rows depend on their neighbours: of so many in a row; 0 or 1: they are independent */
    int seeds;        /* trainings that the rows are of, at most TS_MOST_SEEDS; 0 or 1: one */
    int threads;      /* 0: OpenMP's default; the result does not depend on it */
} ts_bands_config;

enum { TS_BANDS_REPETITIONS = 2000 };

typedef struct ts_bands {
    int points;
    double quantile;               /* c */
    int best, best_low, best_high; /* of the estimate; the ends of the set that holds it */
    int star, star_low, star_high; /* star_high: points - 1 where none is shown to be within the tolerance */
    bool tie;                      /* no two points are told apart */
    bool *may_be_best;             /* [points]: that set */
    double *loss, *loss_low, *loss_high; /* [points] */
    double *chance;                      /* [points]: how often each was the best of a repetition */
} ts_bands;

/* rows [seeds][n][points], points >= 1, at least 2 blocks.  Errors: TS_INVALID, TS_NOT_FINITE (a row that is not), TS_NO_MEMORY. */
ts_status ts_bands_make(const double *rows, int64_t n, int points, const ts_bands_config *config,
                        ts_bands *bands);
void ts_bands_release(ts_bands *bands);

/* half [points]: every mu(j) lies within mean(j) +- half[j] at once with probability 95 %, by the same bootstrap of the largest
 * |t|, here over points.  Of the configuration the tolerance is not asked for.  Errors: the same. */
ts_status ts_bands_of_means(const double *rows, int64_t n, int points, const ts_bands_config *config,
                            double *half);

#endif
