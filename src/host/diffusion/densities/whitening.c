#include "diffusion/densities/whitening.h"

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
    free(whitening);
}

static ts_status to_device(ts_device *device, const double *host, size_t count, double **memory)
{
    TS_TRY(ts_buffer_doubles(device, count, memory));
    return device->k->upload(device, *memory, host, count * sizeof *host);
}

static ts_status fill(ts_whitening *w, const ts_data_gaussian *gaussian)
{
    const size_t d = (size_t)gaussian->d;
    double *basis = calloc(d * d, sizeof *basis), *values = malloc(d * sizeof *values);
    ts_status status = basis && values ? ts_data_gaussian_basis(gaussian, basis)
                                       : ts_error(TS_NO_MEMORY, "no memory for a basis of %zu dimensions", d);
    for (int i = 0; !status && i < gaussian->d; i++)
        values[i] = ts_data_gaussian_value(gaussian, i);
    if (!status)
        status = to_device(w->device, basis, d * d, &w->vectors);
    if (!status)
        status = to_device(w->device, values, d, &w->values);
    free(basis);
    free(values);
    TS_TRY(status);
    return to_device(w->device, gaussian->mean, d, &w->mean);
}

ts_status ts_whitening_create(ts_device *device, const ts_data_gaussian *gaussian, const ts_sde *sde,
                              ts_whitening **whitening)
{
    *whitening = NULL;
    ts_whitening *w = calloc(1, sizeof *w);
    if (!w)
        return ts_error(TS_NO_MEMORY, "whitening: out of memory");
    w->device = device;
    ts_status status = fill(w, gaussian);
    if (status) {
        ts_whitening_destroy(w);
        return ts_context(status, "whitening");
    }
    w->arguments = (ts_whiten){
        .d = gaussian->d, .sde = *sde, .mean = w->mean, .values = w->values, .vectors = w->vectors};
    *whitening = w;
    return NULL;
}
