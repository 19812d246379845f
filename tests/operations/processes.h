/*
 * What rows need to know of the forward processes, by the table of their definitions.
 */
#ifndef TS_TESTS_OPERATIONS_PROCESSES_H
#define TS_TESTS_OPERATIONS_PROCESSES_H

#include <math.h>
#include "kernels/sde.h"

/* B(t) of VP and sub-VP */
static inline double process_b(const ts_sde *e, double t)
{
    return e->beta_min * t + (e->beta_max - e->beta_min) * t * t / 2;
}

/* Lambda(t): VP ln(exp(B) - 1), sub-VP 2 ln sinh(B/2), VE 2 t ln(smax/smin). */
static inline double process_lambda(const ts_sde *e, double t)
{
    const double b = process_b(e, t);
    return e->kind == TS_SDE_VP      ? log(expm1(b))
           : e->kind == TS_SDE_SUBVP ? 2 * log(sinh(b / 2))
                                     : 2 * t * log(e->sigma_max / e->sigma_min);
}

/* s^2/a^2: VP exp(B) - 1, sub-VP (2 sinh(B/2))^2, VE sigma^2. */
static inline double process_ratio(const ts_sde *e, double t)
{
    const double b = process_b(e, t);
    return e->kind == TS_SDE_VP      ? expm1(b)
           : e->kind == TS_SDE_SUBVP ? pow(2 * sinh(b / 2), 2)
                                     : pow(e->sigma_min * pow(e->sigma_max / e->sigma_min, t), 2);
}

#endif
