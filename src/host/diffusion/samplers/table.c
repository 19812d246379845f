/*
 * The samplers, a row a kind.  A new one is its integrator in a file of this folder and its row here.
 */
#include "diffusion/samplers/internal.h"

/* clang-format off */
const ts_sampler_row ts_samplers[TS_SAMPLER_COUNT] = {
    /* kind                   integrator,              uniform in,      evaluations, corrects, steps, what it is called */
    [TS_SAMPLER_EM]        = {&ts_euler_maruyama,      TS_GRID_T,       1, false,  0, "Euler-Maruyama",   "Euler&ndash;Maruyama"},
    [TS_SAMPLER_HEUN]      = {&ts_heun,                TS_GRID_T,       2, false,  0, "Heun",             "Heun"},
    [TS_SAMPLER_RK45]      = {NULL,                    TS_GRID_T,       6, false,  0, "RK45",             "RK45"},
    /* few steps do, whatever T (Lu et al. 2022) */
    [TS_SAMPLER_DPMPP2M]   = {&ts_dpmpp2m,             TS_GRID_LOG_SNR, 1, false, 20, "DPM-Solver++(2M)", "DPM-Solver++(2M)"},
    [TS_SAMPLER_ANCESTRAL] = {&ts_ancestral,           TS_GRID_T,       1, false,  0, "ancestral",        "ancestral"},
    /* likewise (Karras et al. 2022, table 1) */
    [TS_SAMPLER_EDM]       = {&ts_edm,                 TS_GRID_KARRAS,  2, false, 18, "EDM",              "EDM"},
    [TS_SAMPLER_PC]        = {&ts_predictor_corrector, TS_GRID_T,       1, true,   0, "predictor-corrector", "predictor&ndash;corrector"},
};
/* clang-format on */
