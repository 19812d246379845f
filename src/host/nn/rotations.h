/*
 * The matrices that a flow's 1x1 convolutions begin as: random rotations W = P L (U + diag(sign exp(log_s))).
 */
#ifndef TS_NN_ROTATIONS_H
#define TS_NN_ROTATIONS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"

/* Those of a level, one after the other.  Where their product is kept, the last one turns back what the others
 * turned, so that it is the identity. */
typedef struct ts_rotations {
    uint64_t seed;
    double *product, *next; /* [c,c] each: of those so far, the identity before the first; or NULL */
} ts_rotations;

/* out <- the factors of the next one, for a layer of that number with c channels, `last` of its level: lower, upper,
 * permutation [c,c] each, log_s, sign [c] each. */
ts_status ts_rotations_next(ts_rotations *rotations, uint32_t layer, bool last, int c, float *out);

#endif
