#include "diffusion/bound_pass.h"

#include <stdlib.h>
#include "diffusion/buffer.h"

void ts_pass_release(ts_pass *p)
{
    void *device_memory[] = {p->data_state, p->noise_state, p->x0, p->xt, p->z, p->t, p->values};
    for (size_t i = 0; i < sizeof device_memory / sizeof *device_memory; i++)
        if (device_memory[i])
            p->device->k->release(p->device, device_memory[i]);
    free(p->host);
    free(p->host_t);
}

static ts_status pass_allocate(ts_pass *p)
{
    const size_t n = (size_t)p->n, count = n * (size_t)p->d;
    TS_TRY(ts_buffer_state(p->device, &p->data_state));
    TS_TRY(ts_buffer_state(p->device, &p->noise_state));
    TS_TRY(ts_buffer_floats(p->device, count, &p->x0));
    TS_TRY(ts_buffer_floats(p->device, count, &p->xt));
    TS_TRY(ts_buffer_floats(p->device, count, &p->z));
    TS_TRY(ts_buffer_floats(p->device, n, &p->t));
    TS_TRY(ts_buffer_doubles(p->device, n, &p->values));
    p->host = malloc(n * sizeof *p->host);
    p->host_t = malloc(n * sizeof *p->host_t);
    if (!p->host || !p->host_t)
        return ts_error(TS_NO_MEMORY, "cannot allocate batches of %d", p->n);
    const ts_step_state state = {p->config->seed, 0, TS_BOUND_DATA};
    return p->device->k->upload(p->device, p->data_state, &state, sizeof state);
}

static ts_status check(const ts_bound_config *config, const ts_data *data, const ts_device *device, int d,
                       int draws)
{
    if (device != data->device)
        return ts_error(TS_INVALID, "bound: data and model are on different devices");
    if (d != ts_data_dim(data))
        return ts_error(TS_INVALID, "bound: the model is for %d dimensions, the data have %d", d,
                        ts_data_dim(data));
    if (config->count < 1 || (!data->mixture && config->count > data->count))
        return ts_error(TS_INVALID, "bound: %lld data asked for, the set has %lld", (long long)config->count,
                        (long long)data->count);
    if (draws < 1 || config->count > INT64_MAX / draws / 2)
        return ts_error(TS_INVALID, "bound: %d draws for each datum", draws);
    if (!(config->eps > 0.0 && config->eps < 1.0))
        return ts_error(TS_INVALID, "bound: eps = %g is not in (0, 1)", config->eps);
    return NULL;
}

ts_status ts_pass_check_T(const ts_bound_config *config, double T)
{
    if (T > config->eps && T <= 1.0)
        return NULL;
    return ts_error(TS_INVALID, "bound: T = %g is not in (eps, 1] with eps = %g", T, config->eps);
}

ts_status ts_pass_begin(ts_pass *p, const ts_bound_config *config, const ts_data *data, ts_device *device,
                        int n, int d, int draws)
{
    *p = (ts_pass){.config = config, .data = data, .device = device, .n = n, .d = d, .draws = draws};
    TS_TRY(check(config, data, device, d, draws));
    p->rows = config->count * draws;
    return ts_context(pass_allocate(p), "bound");
}

ts_status ts_pass_load(ts_pass *p, int64_t first)
{
    return ts_data_eval_rows(p->data, p->config->count, p->n, first, p->data_state, p->x0);
}

ts_status ts_pass_perturb(ts_pass *p, uint32_t instance, int64_t batch)
{
    const ts_step_state state = {p->config->seed, (uint32_t)batch, instance};
    TS_TRY(p->device->k->upload(p->device, p->noise_state, &state, sizeof state));
    const ts_perturb a = {.n = p->n,
                          .d = p->d,
                          .sde = p->config->sde,
                          .state = p->noise_state,
                          .x0 = p->x0,
                          .t = p->t,
                          .xt = p->xt,
                          .z = p->z,
                          .wide = true};
    return p->device->k->perturb(p->device, &a);
}

ts_status ts_pass_set_time(ts_pass *p, double t)
{
    for (int i = 0; i < p->n; i++)
        p->host_t[i] = (float)t;
    return p->device->k->upload(p->device, p->t, p->host_t, (size_t)p->n * sizeof *p->t);
}

ts_status ts_pass_fetch(ts_pass *p)
{
    TS_TRY(p->device->k->download(p->device, p->host, p->values, (size_t)p->n * sizeof *p->host));
    return p->device->k->synchronize(p->device);
}
