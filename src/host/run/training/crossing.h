/*
 * Where the loss profiles of the network and of a start density cross: T* of a training on its way, at the price of a few
 * evaluations.
 *
 * For a start that the forward process carries (N(0, I), the Gaussian of the data), the bound's derivative is
 *
 *   dELBO/dT = 1/2 (g^2/s^2) (E||net_nu - z||^2 - E||net - z||^2)   at T,   net_nu = -s grad log nu_T:
 *
 * the bound wants a longer T exactly while the network predicts the noise better than the start's own score does.  Its
 * integral over T is minus the prior and the diffusion term, each of them datum by datum: the first in closed form, once
 * for all, the second from one pass over held-out data with the averaged weights, dropout off.  Where the integral is the
 * largest the profiles cross (with several crossings at the best of them; with none at an end of the range).
 *
 * The range of T is that of sweep.T, as far as the network is trained; where train.T auto shortens that, the range is cut
 * between two points of it.  The interval is the confidence set of that T
 * (quality/bands.h): it covers which data were held out.
 */
#ifndef TS_RUN_TRAINING_CROSSING_H
#define TS_RUN_TRAINING_CROSSING_H

#include "run/run.h"

/* The starts whose prior term is closed form. */
#define TS_CROSSING_STARTS(X) X(NORMAL) X(GAUSSIAN)

enum {
#define X(name) TS_CROSSING_##name,
    TS_CROSSING_STARTS(X)
#undef X
        TS_CROSSING_COUNT
};
extern const ts_start_kind ts_crossing_starts[TS_CROSSING_COUNT];

typedef struct ts_crossing_T {
    double T, low, high;
} ts_crossing_T;

typedef struct ts_crossing ts_crossing;

/* Takes the first train.eval_data of the held-out data, or all; the run outlives it.  *crossing is NULL where there is no
 * range: the network is not trained above the smallest T of the sweep, or there are fewer than two data. */
ts_status ts_crossing_open(ts_run *run, ts_crossing **crossing);
/* Of gaussian NaN above 4096 dimensions, where its covariance would cost more than the measurement is worth.
 * With the model's weights as they are now, averages in their place and back: the training goes on bitwise as without. */
ts_status ts_crossing_measure(ts_crossing *crossing, ts_crossing_T stars[TS_CROSSING_COUNT]);
/* The largest T of the range. */
double ts_crossing_end(const ts_crossing *crossing);
/* Cuts the range behind its last point that is not above T; false where that leaves no range to measure. */
bool ts_crossing_cut(ts_crossing *crossing, double T);
void ts_crossing_close(ts_crossing *crossing); /* NULL is fine */

#endif
