/*
 * The measures of quality, by the words of ts_measure_kind: what each is, what it needs, which way is better; and those of
 * features (sets.h), all of them between two sets at once.
 */
#ifndef TS_QUALITY_MEASURES_H
#define TS_QUALITY_MEASURES_H

#include "quality/frechet.h"

typedef struct ts_measure_row {
    const char *text, *unit; /* for people */
    bool larger;             /* is better */
    bool points;             /* of the data themselves; else of features */
    bool network;            /* of a trained network's features alone */
    bool inception;          /* of Inception's alone: on others the number has another name */
    bool moments;            /* a mean and a covariance are enough; else each datum is looked at */
    int least;               /* data that it needs in each set */
} ts_measure_row;

extern const ts_measure_row ts_measure_rows[TS_MEASURE_COUNT];

/* A set of them: 1u << kind. */
typedef unsigned ts_measure_set;

static inline bool ts_measure_in(ts_measure_set set, ts_measure_kind kind)
{
    return set >> kind & 1;
}

/* Whether any measure of the set has what `of` reads. */
bool ts_measures_any(ts_measure_set set, bool (*of)(const ts_measure_row *row));
bool ts_measure_is_of_features(const ts_measure_row *row);
bool ts_measure_is_of_network(const ts_measure_row *row);
bool ts_measure_is_of_points(const ts_measure_row *row);
bool ts_measure_is_of_moments(const ts_measure_row *row);

/* TS_INVALID where a measure is of Inception's features alone, and the weights in the file are another's. */
ts_status ts_measures_check_network(ts_measure_set set, ts_feature_network_kind network, const char *weights);

/* value +- half of each measure; NaN +- NaN: not measured. */
typedef struct ts_measures {
    ts_distance of[TS_MEASURE_COUNT];
    double
        extrapolated; /* the Frechet distance's, to sets without end (Chong and Forsyth 2020): FID-infinity */
} ts_measures;

ts_measures ts_measures_unknown(void);

/* One side: a set of features, or its moments alone (set.n 0); moments are needed by measures of them. */
typedef struct ts_measured_set {
    ts_feature_set set;
    ts_feature_moments *moments;
} ts_measured_set;

/* Takes rows [n][count] (malloc), and makes the moments where the measures want them. */
ts_status ts_measured_set_take(float *rows, int64_t n, int count, ts_measure_set measures, int threads,
                               ts_measured_set *set);
void ts_measured_set_release(ts_measured_set *set);

/* Those of the measures that are of features; the others stay as they are. */
ts_status ts_measure_features(const ts_measured_set *real, const ts_measured_set *generated,
                              ts_measure_set measures, int threads, ts_progress *progress,
                              ts_measures *result);

#endif
