/*
 * What the rows of operations that draw share: a step state, and random numbers in double precision.
 */
#ifndef TS_TESTS_OPERATIONS_RANDOM_H
#define TS_TESTS_OPERATIONS_RANDOM_H

#include <math.h>
#include "operations.h"

static const ts_step_state state5 = {.seed = 0x1234567890ull, .step = 5, .instance = 2};

static inline const ts_step_state *device_state(ot *t, const ts_step_state *s)
{
    return ot_state(t, s->seed, s->step, s->instance);
}

/* ---- random numbers in double precision ---- */

static inline uint32_t word_of(const ts_step_state *s, uint32_t stream, uint64_t element)
{
    return ts_philox(s->seed, (uint32_t)(element / 4), s->step, stream, s->instance).v[element % 4];
}

static inline double uniform_of(const ts_step_state *s, uint32_t stream, uint64_t element)
{
    return ((double)word_of(s, stream, element) + 0.5) * 0x1p-32;
}

static inline double normal_of(const ts_step_state *s, uint32_t stream, uint64_t element)
{
    const double radius = sqrt(-2.0 * log(uniform_of(s, stream, element & ~(uint64_t)1)));
    const double angle = 6.283185307179586 * uniform_of(s, stream, element | 1);
    return radius * (element & 1 ? cos(angle) : sin(angle));
}

#endif
