#include "run/scores.h"

#define WANTED_BY(network) (1u << (network))

const ts_score_row ts_scores[TS_SCORE_COUNT] = {
    [TS_SCORE_NETWORK] = {.sections = "model train",
                          .trained = true,
                          .networks = WANTED_BY(TS_NETWORK_SHARED) | WANTED_BY(TS_NETWORK_BOTH),
                          .label = "trained score",
                          .dash = "1",
                          .hollow = false},
    [TS_SCORE_NETWORK_PER_T] = {.sections = "model train",
                                .trained = true,
                                .per_T = true,
                                .networks = WANTED_BY(TS_NETWORK_PER_T) | WANTED_BY(TS_NETWORK_BOTH),
                                .label = "score trained for each T",
                                .dash = "4",
                                .hollow = true},
    [TS_SCORE_EXACT] =
        {.sections = "", .trained = false, .label = "exact score", .dash = "2", .hollow = true},
};
