/*
 * A density on x_T that the reverse process can start from: N(0, sigma^2 I), the exact mixture at T, or a
 * fitted model. "With and without the auxiliary model" is a choice of density, nowhere a special case.
 */
#ifndef TS_DIFFUSION_DENSITIES_DENSITY_H
#define TS_DIFFUSION_DENSITIES_DENSITY_H

#include "diffusion/data.h"
#include "diffusion/mixture.h"
#include "nn/nn.h"

typedef struct ts_density ts_density;

struct ts_density {
    const char *name; /* "normal" */
    ts_device *device;
    int n, d;
    /* x [n,d] drawn with TS_STREAM_START of `state` (device memory). */
    ts_status (*sample)(ts_density *density, const ts_step_state *state, float *x);
    /* log_prob [n] (double, device) at x [n,d] (float32, device). */
    ts_status (*log_prob)(ts_density *density, const float *x, double *log_prob);
    /* Or NULL: E log nu(a x0 + s z) over z ~ N(0, I) in closed form: *constant + values [n] (double, device)
     * for the rows of x0 [n,d] (float32, device). */
    ts_status (*expected_log_prob)(ts_density *density, double a, double s, const float *x0, double *values,
                                   double *constant);
    /* Or NULL: *noise <- -s grad log nu at x [n,d] (float32, device), the noise that the density's own score predicts in
     * x = a x0 + s z: a device address, [n,d] float32, valid until the next call. */
    ts_status (*noise)(ts_density *density, double s, const float *x, const float **noise);
    void (*destroy)(ts_density *density);
};

ts_status ts_density_normal(ts_device *device, int n, int d, double sigma, ts_density **density);
ts_status ts_density_mixture(const ts_mixture *mixture, const ts_sde *sde, double T, int n,
                             ts_density **density);
/* At T, with the parameters as they are now in `params`; does not own glow and params. */
ts_status ts_density_glow(ts_device *device, const ts_glow *glow, ts_params *params, double T, int n, int h,
                          int w, int c, ts_density **density);
void ts_density_destroy(ts_density *density);

#endif
