/* A training batch from data to x_t, step by step. */
#include "kernels/cpu/cpu.h"

enum { SLOT_X0 = 1 }; /* perturb uses 0 */

ts_status ts_cpu_noisy_batch(ts_device *device, const ts_noisy_batch *a)
{
    const int d = a->data.h * a->data.w * a->data.c;
    ts_gather data = a->data;
    void *x0;
    TS_TRY(ts_cpu_scratch(device, SLOT_X0, (size_t)data.n * (size_t)d * sizeof(float), &x0));
    data.x0 = x0;
    const ts_perturb noise = {.n = data.n,
                              .d = d,
                              .sde = a->times.sde,
                              .state = a->times.state,
                              .x0 = x0,
                              .t = a->times.t,
                              .xt = a->xt,
                              .z = a->z,
                              .predicts = a->predicts};
    TS_TRY(ts_cpu_gather(device, &data));
    TS_TRY(ts_cpu_draw_times(device, &a->times));
    return ts_cpu_perturb(device, &noise);
}
