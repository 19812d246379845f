#include "run/scores.h"

const ts_score_row ts_scores[TS_SCORE_COUNT] = {
    [TS_SCORE_NETWORK] =
        {.sections = "model train", .trained = true, .label = "trained score", .dash = "1", .hollow = false},
    [TS_SCORE_EXACT] =
        {.sections = "", .trained = false, .label = "exact score", .dash = "2", .hollow = true},
};
