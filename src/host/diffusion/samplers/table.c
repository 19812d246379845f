/*
 * The samplers, a row a kind.  A new one is its integrator in a file of this folder and its row here.
 */
#include "diffusion/samplers/internal.h"

/* clang-format off */
static const ts_sampler_row table[] = {
    /* kind                 integrator,         uniform in,   evaluations, steps */
    [TS_SAMPLER_EM]      = {&ts_euler_maruyama, TS_GRID_T,       1,  0},
    [TS_SAMPLER_HEUN]    = {&ts_heun,           TS_GRID_T,       2,  0},
    [TS_SAMPLER_RK45]    = {NULL,               TS_GRID_T,       6,  0},
    [TS_SAMPLER_DPMPP2M] = {&ts_dpmpp2m,        TS_GRID_LOG_SNR, 1, 20}, /* few do, whatever T (Lu et al. 2022) */
};
/* clang-format on */

const ts_sampler_row *ts_sampler_row_of(ts_sampler_kind kind)
{
    return &table[kind];
}
