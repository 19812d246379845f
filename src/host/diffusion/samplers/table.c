/*
 * The samplers, a row a kind.  A new one is its integrator in a file of this folder and its row here.
 */
#include "diffusion/samplers/internal.h"

/* clang-format off */
const ts_sampler_row ts_samplers[TS_SAMPLER_COUNT] = {
    /* kind                 integrator,         uniform in,   evaluations, steps, what it is called */
    [TS_SAMPLER_EM]      = {&ts_euler_maruyama, TS_GRID_T,       1,  0, "Euler-Maruyama",   "Euler&ndash;Maruyama"},
    [TS_SAMPLER_HEUN]    = {&ts_heun,           TS_GRID_T,       2,  0, "Heun",             "Heun"},
    [TS_SAMPLER_RK45]    = {NULL,               TS_GRID_T,       6,  0, "RK45",             "RK45"},
    /* few steps do, whatever T (Lu et al. 2022) */
    [TS_SAMPLER_DPMPP2M] = {&ts_dpmpp2m,        TS_GRID_LOG_SNR, 1, 20, "DPM-Solver++(2M)", "DPM-Solver++(2M)"},
};
/* clang-format on */
