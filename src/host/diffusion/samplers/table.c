#include "diffusion/samplers/table.h"

#include "diffusion/samplers/internal.h"

const ts_sampler_row ts_samplers[TS_SAMPLER_COUNT] = {
    [TS_SAMPLER_EM] = {.integrator = &ts_euler_maruyama,
                       .text = "Euler-Maruyama",
                       .html = "Euler&ndash;Maruyama"},
    [TS_SAMPLER_HEUN] = {.integrator = &ts_heun, .text = "Heun", .html = "Heun"},
    [TS_SAMPLER_RK45] = {.text = "RK45", .html = "RK45"},
    /* needs few steps, whatever T (Lu et al. 2022) */
    [TS_SAMPLER_DPMPP2M] = {.integrator = &ts_dpmpp2m,
                            .log_snr = true,
                            .usual_steps = 20,
                            .text = "DPM-Solver++(2M)",
                            .html = "DPM-Solver++(2M)"},
};
