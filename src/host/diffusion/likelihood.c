/*
 * The likelihood by the probability-flow ODE.  Work is arranged as rows like the bound's: row r is draw r / count of
 * datum r mod count, and draw k is probe k mod probes of dequantisation k / probes.
 */
#include <math.h>
#include <stdlib.h>
#include "diffusion/buffer.h"
#include "diffusion/likelihood.h"
#include "diffusion/samplers/sampler.h"

enum { INSTANCE_DEQUANTISE = 0x46000000, INSTANCE_PROBE };

typedef struct pass {
    const ts_likelihood_config *config;
    const ts_data *data;
    ts_device *device;
    ts_sampler *sampler;
    int n, d, probes;
    int64_t draws, rows;
    ts_step_state *data_state, *probe_state;
    float *x, *probe; /* device [n,d] */
    double *values;   /* device [n] */
    float *host;      /* [n,d] */
    double *delta, *host_values;
} pass;

static int probes_of(const ts_likelihood_config *config, int d)
{
    return config->probes ? config->probes : d;
}

int64_t ts_likelihood_draws(const ts_likelihood_config *config, const ts_data *data)
{
    return (int64_t)probes_of(config, ts_data_dim(data)) * (data->levels ? config->dequantisations : 1);
}

ts_interval ts_likelihood_bits(ts_interval log_prob, const ts_data *data)
{
    const double bits = 1.0 / (ts_data_dim(data) * M_LN2);
    const double width = data->levels ? -log2(ts_data_spacing(data)) : 0.0;
    return (ts_interval){width - log_prob.mean * bits, log_prob.half * bits};
}

/* ---- creation ---- */

static void pass_release(pass *p)
{
    void *device_memory[] = {p->data_state, p->probe_state, p->x, p->probe, p->values};
    for (size_t i = 0; i < sizeof device_memory / sizeof *device_memory; i++)
        if (device_memory[i])
            p->device->k->release(p->device, device_memory[i]);
    ts_sampler_destroy(p->sampler);
    free(p->host);
    free(p->delta);
    free(p->host_values);
}

static ts_status pass_allocate(pass *p, ts_score *score)
{
    const size_t n = (size_t)p->n, count = n * (size_t)p->d;
    const ts_step_state state = {p->config->seed, 0, TS_BOUND_DATA};
    TS_TRY(ts_sampler_create(score, &p->config->sde, &p->sampler));
    ts_sampler_stop_at(p->sampler, p->config->stop);
    TS_TRY(ts_buffer_state(p->device, &p->data_state));
    TS_TRY(ts_buffer_state(p->device, &p->probe_state));
    TS_TRY(ts_buffer_floats(p->device, count, &p->x));
    TS_TRY(ts_buffer_floats(p->device, count, &p->probe));
    TS_TRY(ts_buffer_doubles(p->device, n, &p->values));
    p->host = malloc(count * sizeof *p->host);
    p->delta = malloc(n * sizeof *p->delta);
    p->host_values = malloc(n * sizeof *p->host_values);
    if (!p->host || !p->delta || !p->host_values)
        return ts_error(TS_NO_MEMORY, "cannot allocate batches of %d", p->n);
    return p->device->k->upload(p->device, p->data_state, &state, sizeof state);
}

static ts_status check(const ts_likelihood_config *c, const ts_data *data, const ts_score *score, double T,
                       int density_count, ts_density *const *densities)
{
    const int d = ts_data_dim(data);
    if (score->device != data->device)
        return ts_error(TS_INVALID, "likelihood: data and score are on different devices");
    if (score->d != d)
        return ts_error(TS_INVALID, "likelihood: the score is for %d dimensions, the data have %d", score->d,
                        d);
    for (int i = 0; i < density_count; i++)
        if (densities[i]->n != score->n || densities[i]->d != d)
            return ts_error(TS_INVALID,
                            "likelihood: the %s start is for batches of %d in %d dimensions, not %d in %d",
                            densities[i]->name, densities[i]->n, densities[i]->d, score->n, d);
    if (c->count < 1 || (!data->mixture && c->count > data->count))
        return ts_error(TS_INVALID, "likelihood: %lld data asked for, the set has %lld", (long long)c->count,
                        (long long)data->count);
    if (data->levels == 1)
        return ts_error(TS_INVALID, "likelihood: data on 1 level; at least 2 are needed");
    if (c->probes < 0 || c->dequantisations < 1 || c->count > INT64_MAX / 2 / ts_likelihood_draws(c, data))
        return ts_error(TS_INVALID, "likelihood: %d probes of %d draws for each datum", c->probes,
                        c->dequantisations);
    if (!(c->eps > 0.0 && T > c->eps && T <= 1.0))
        return ts_error(TS_INVALID, "likelihood: T = %g is not in (eps, 1] with eps = %g", T, c->eps);
    return NULL;
}

/* ---- rows ---- */

/* Uniform noise over a level's width around each value: a function of seed, datum and draw. */
static ts_status dequantise(pass *p, int64_t first)
{
    const size_t bytes = (size_t)p->n * (size_t)p->d * sizeof *p->host;
    const double spacing = ts_data_spacing(p->data);
    ts_step_state state = {p->config->seed, 0, INSTANCE_DEQUANTISE};
    TS_TRY(p->device->k->download(p->device, p->host, p->x, bytes));
    TS_TRY(p->device->k->synchronize(p->device));
    for (int64_t i = 0; i < p->n; i++) {
        const int64_t datum = (first + i) % p->config->count, draw = (first + i) / p->config->count;
        state.step = (uint32_t)(draw / p->probes);
        for (int64_t j = 0; j < p->d; j++) {
            const int64_t element = datum * p->d + j;
            const ts_philox_words w = ts_random_words(&state, TS_STREAM_NOISE, (uint32_t)(element / 4));
            const double u = (double)ts_uniform_from(w.v[element % 4]) - 0.5;
            p->host[i * p->d + j] += (float)(spacing * u);
        }
    }
    return p->device->k->upload(p->device, p->x, p->host, bytes);
}

/* Unit vectors are scaled by sqrt(d): the mean of d of them is then the trace, as of other probes. */
static ts_status load_unit_vectors(pass *p, int64_t first)
{
    const int64_t count = (int64_t)p->n * p->d;
    for (int64_t i = 0; i < count; i++)
        p->host[i] = 0.0f;
    for (int64_t i = 0; i < p->n; i++)
        p->host[i * p->d + (first + i) / p->config->count % p->d] = (float)sqrt(p->d);
    return p->device->k->upload(p->device, p->probe, p->host, (size_t)count * sizeof *p->host);
}

static ts_status load_probes(pass *p, int64_t first, int64_t batch)
{
    if (!p->config->probes)
        return load_unit_vectors(p, first);
    const ts_step_state state = {p->config->seed, (uint32_t)batch, INSTANCE_PROBE};
    const ts_fill_random a = {.count = (int64_t)p->n * p->d,
                              .scale = 1.0f,
                              .rademacher = p->config->probe == TS_PROBE_RADEMACHER,
                              .stream = TS_STREAM_PROBE,
                              .state = p->probe_state,
                              .out = p->probe,
                              .wide = true};
    TS_TRY(p->device->k->upload(p->device, p->probe_state, &state, sizeof state));
    return p->device->k->fill_random(p->device, &a);
}

/* Adds log nu(x_T) + delta to the data of the rows. */
static ts_status add_rows(pass *p, int64_t first, double T, ts_density *density, double *log_prob)
{
    TS_TRY(density->log_prob(density, p->x, p->values));
    TS_TRY(p->device->k->download(p->device, p->host_values, p->values, (size_t)p->n * sizeof *p->values));
    TS_TRY(p->device->k->synchronize(p->device));
    for (int i = 0; i < p->n && first + i < p->rows; i++) {
        const int64_t datum = (first + i) % p->config->count;
        const double value = p->host_values[i] + p->delta[i];
        if (!isfinite(value))
            return ts_error(TS_NOT_FINITE,
                            "likelihood: of datum %lld from T = %g, %s start, it is not finite",
                            (long long)datum, T, density->name);
        log_prob[datum] += value / (double)p->draws;
    }
    return NULL;
}

static ts_status measure(pass *p, double T, int density_count, ts_density *const *densities,
                         ts_progress_fn *progress, void *context, double *log_prob, double *nfe)
{
    const ts_likelihood_config *c = p->config;
    int64_t batch = 0;
    for (int64_t first = 0; first < p->rows; first += p->n, batch++) {
        int evaluations;
        TS_TRY(ts_data_eval_rows(p->data, c->count, p->n, first, p->data_state, p->x));
        if (p->data->levels)
            TS_TRY(dequantise(p, first));
        TS_TRY(load_probes(p, first, batch));
        TS_TRY(
            ts_sampler_ode(p->sampler, c->eps, T, c->rtol, c->atol, p->x, p->probe, p->delta, &evaluations));
        *nfe += evaluations;
        for (int k = 0; k < density_count; k++)
            TS_TRY(add_rows(p, first, T, densities[k], log_prob + k * c->count));
        const int64_t done = first + p->n < p->rows ? first + p->n : p->rows;
        if (progress && !progress(context, (double)done / (double)p->rows) && done < p->rows)
            return ts_error(TS_INTERRUPTED, "interrupted");
    }
    *nfe /= (double)batch;
    return NULL;
}

ts_status ts_likelihood_measure(const ts_likelihood_config *config, const ts_data *data, ts_score *score,
                                double T, int density_count, ts_density *const *densities,
                                ts_progress_fn *progress, void *context, double *log_prob, double *nfe)
{
    TS_TRY(check(config, data, score, T, density_count, densities));
    pass p = {.config = config,
              .data = data,
              .device = score->device,
              .n = score->n,
              .d = score->d,
              .probes = probes_of(config, score->d),
              .draws = ts_likelihood_draws(config, data)};
    p.rows = config->count * p.draws;
    *nfe = 0.0;
    for (int64_t i = 0; i < density_count * config->count; i++)
        log_prob[i] = 0.0;
    ts_status status = pass_allocate(&p, score);
    if (!status)
        status = measure(&p, T, density_count, densities, progress, context, log_prob, nfe);
    pass_release(&p);
    return ts_context(status, "likelihood");
}
