/*
 * What the bound's terms share: batches of rows of held-out data, and x_t of them.  Row r is draw r / count of datum
 * r mod count, and batches are filled with consecutive rows.
 */
#ifndef TS_DIFFUSION_BOUND_PASS_H
#define TS_DIFFUSION_BOUND_PASS_H

#include "diffusion/bound.h"

/* Instances keep the bound's draws apart from each other and from those of training and sampling. */
enum { TS_BOUND_TIME = TS_BOUND_DATA + 1, TS_BOUND_NOISE, TS_BOUND_RECONSTRUCTION, TS_BOUND_PRIOR };

/* Buffers for batches of n rows and what every pass needs. */
typedef struct ts_pass {
    const ts_bound_config *config;
    const ts_data *data;
    ts_device *device;
    int n, d, draws;
    int64_t rows; /* count draws */
    ts_step_state *data_state, *noise_state;
    float *x0, *xt, *z, *t; /* device: [n,d], [n,d], [n,d], [n] */
    double *values;         /* device [n] */
    double *host;
    float *host_t;
} ts_pass;

/* Errors: TS_INVALID, of a configuration, model and data that do not go together.  Release it after an error too. */
ts_status ts_pass_begin(ts_pass *pass, const ts_bound_config *config, const ts_data *data, ts_device *device,
                        int n, int d, int draws);
void ts_pass_release(ts_pass *pass);
ts_status ts_pass_check_T(const ts_bound_config *config, double T);

/* x0 of rows first .. first + n - 1; rows beyond the last start again. */
ts_status ts_pass_load(ts_pass *pass, int64_t first);
/* x_t of the rows at pass->t with fresh noise z, a function of (seed, instance, batch). */
ts_status ts_pass_perturb(ts_pass *pass, uint32_t instance, int64_t batch);
ts_status ts_pass_set_time(ts_pass *pass, double t);
ts_status ts_pass_fetch(ts_pass *pass); /* host <- values */

#endif
