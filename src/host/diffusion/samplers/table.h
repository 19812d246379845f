/*
 * The samplers: one table, a row a kind, with all that the engine, the sweep and the report know of it.
 *
 * To add one: its word in base/kinds.h, its own .c with a ts_integrator (internal.h), and its row in table.c.
 */
#ifndef TS_DIFFUSION_SAMPLERS_TABLE_H
#define TS_DIFFUSION_SAMPLERS_TABLE_H

#include "diffusion/samplers/sampler.h"

typedef struct ts_integrator ts_integrator; /* internal.h */

typedef struct ts_sampler_row {
    const ts_integrator *integrator; /* of fixed steps; NULL: adaptive, the ODE's RK45 */
    bool log_snr;                    /* steps uniform in log(a/s); else in t */
    int usual_steps;                 /* whatever T; 0: in proportion to T */
    const char *text, *html;         /* what it is called */
} ts_sampler_row;

extern const ts_sampler_row ts_samplers[TS_SAMPLER_COUNT];

#endif
