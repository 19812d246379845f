#include "diffusion/densities/whitening.h"

#include <math.h>
#include <stdlib.h>
#include "diffusion/buffer.h"

void ts_whitening_destroy(ts_whitening *whitening)
{
    if (!whitening)
        return;
    const ts_kernels *k = whitening->device->k;
    k->release(whitening->device, whitening->mean);
    k->release(whitening->device, whitening->values);
    k->release(whitening->device, whitening->vectors);
    free(whitening->spectrum);
    free(whitening);
}

static ts_status to_device(ts_device *device, const double *host, size_t count, double **memory)
{
    TS_TRY(ts_buffer_doubles(device, count, memory));
    return device->k->upload(device, *memory, host, count * sizeof *host);
}

static ts_status fill(ts_whitening *w, const ts_data_gaussian *gaussian)
{
    const size_t d = (size_t)w->d;
    double *basis = calloc(d * d, sizeof *basis);
    w->spectrum = malloc(d * sizeof *w->spectrum);
    if (!basis || !w->spectrum) {
        free(basis);
        return ts_error(TS_NO_MEMORY, "no memory for a basis of %zu dimensions", d);
    }
    for (int i = 0; i < w->d; i++)
        w->spectrum[i] = ts_data_gaussian_value(gaussian, i);
    ts_status status = ts_data_gaussian_basis(gaussian, basis);
    if (!status)
        status = to_device(w->device, basis, d * d, &w->vectors);
    free(basis);
    TS_TRY(status);
    TS_TRY(to_device(w->device, gaussian->mean, d, &w->mean));
    return to_device(w->device, w->spectrum, d, &w->values);
}

ts_status ts_whitening_create(ts_device *device, const ts_data_gaussian *gaussian, const ts_sde *sde,
                              ts_whitening **whitening)
{
    *whitening = NULL;
    if (!device->k->whiten)
        return ts_error(TS_UNSUPPORTED, "whitening: the %s device lacks its operation", device->k->name);
    ts_whitening *w = calloc(1, sizeof *w);
    if (!w)
        return ts_error(TS_NO_MEMORY, "whitening: out of memory");
    w->device = device;
    w->sde = *sde;
    w->d = gaussian->d;
    ts_status status = fill(w, gaussian);
    if (status)
        ts_whitening_destroy(w);
    else
        *whitening = w;
    return ts_context(status, "whitening");
}

ts_whiten ts_whitening_rows(const ts_whitening *whitening, int n, const float *t, bool inverse)
{
    return (ts_whiten){.n = n,
                       .d = whitening->d,
                       .inverse = inverse,
                       .sde = whitening->sde,
                       .t = t,
                       .mean = whitening->mean,
                       .values = whitening->values,
                       .vectors = whitening->vectors};
}

double ts_whitening_log_det(const ts_whitening *whitening, double T)
{
    const double a = ts_sde_mean(&whitening->sde, T), s = ts_sde_std(&whitening->sde, T);
    double sum = 0;
    for (int i = 0; i < whitening->d; i++)
        sum -= 0.5 * log(a * a * whitening->spectrum[i] + s * s);
    return sum;
}
