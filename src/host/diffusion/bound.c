/*
 * The evidence lower bound by Monte Carlo.
 *
 * Work is arranged as rows: row r is draw r / count of datum r mod count, and the score's batches are filled
 * with consecutive rows, so that no evaluation is wasted however count, draws and batch size compare.
 */
#include <math.h>
#include <stdlib.h>
#include "diffusion/bound.h"
#include "diffusion/recorded.h"
#include "diffusion/buffer.h"

/* Instances keep the bound's draws apart from each other and from those of training and sampling. */
enum { INSTANCE_TIME = TS_BOUND_DATA + 1, INSTANCE_NOISE, INSTANCE_RECONSTRUCTION, INSTANCE_PRIOR };

/* ---- what the terms add up to ---- */

void ts_bound_combine_seeds(int seeds, const ts_bound *const *bounds, int T_index, double T,
                            const double *const *priors, int d, ts_bound_terms *terms)
{
    const ts_running none = ts_running_of(bounds[0]->block, seeds);
    ts_running elbo = none, reconstruction = none, start = none, diffusion = none;
    for (int64_t i = 0; i < bounds[0]->count; i++) {
        double r[TS_MOST_SEEDS], prior[TS_MOST_SEEDS], I[TS_MOST_SEEDS], sum[TS_MOST_SEEDS];
        for (int k = 0; k < seeds; k++) {
            r[k] = bounds[k]->reconstruction[i];
            prior[k] = priors[k][i];
            I[k] = bounds[k]->diffusion[i * bounds[k]->T_count + T_index];
            sum[k] = r[k] - prior[k] - I[k];
        }
        ts_running_add(&reconstruction, r);
        ts_running_add(&start, prior);
        ts_running_add(&diffusion, I);
        ts_running_add(&elbo, sum);
    }
    *terms = (ts_bound_terms){.T = T,
                              .elbo = ts_running_interval(&elbo),
                              .reconstruction = ts_running_interval(&reconstruction),
                              .prior = ts_running_interval(&start),
                              .diffusion = ts_running_interval(&diffusion)};
    const double bits = 1.0 / (d * M_LN2);
    terms->bpd = (ts_interval){-terms->elbo.mean * bits, terms->elbo.half * bits};
}

void ts_bound_combine(const ts_bound *bound, int T_index, double T, const double *prior, int d,
                      ts_bound_terms *terms)
{
    ts_bound_combine_seeds(1, &bound, T_index, T, &prior, d, terms);
}

void ts_bound_release(ts_bound *bound)
{
    free(bound->reconstruction);
    free(bound->diffusion);
    free(bound->K);
    *bound = (ts_bound){0};
}

/* ---- rows ---- */

/* Buffers for batches of n rows and what every pass needs. */
typedef struct pass {
    const ts_bound_config *config;
    const ts_data *data;
    ts_device *device;
    int n, d, draws;
    int64_t rows; /* count draws */
    ts_step_state *data_state, *noise_state;
    float *x0, *xt, *z, *t;
    double *values; /* device [n] */
    double *host;
    float *host_t;
} pass;

static void pass_release(pass *p)
{
    void *device_memory[] = {p->data_state, p->noise_state, p->x0, p->xt, p->z, p->t, p->values};
    for (size_t i = 0; i < sizeof device_memory / sizeof *device_memory; i++)
        if (device_memory[i])
            p->device->k->release(p->device, device_memory[i]);
    free(p->host);
    free(p->host_t);
}

static ts_status pass_allocate(pass *p)
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

static ts_status check_T(const ts_bound_config *config, double T)
{
    if (T > config->eps && T <= 1.0)
        return NULL;
    return ts_error(TS_INVALID, "bound: T = %g is not in (eps, 1] with eps = %g", T, config->eps);
}

static ts_status pass_begin(pass *p, const ts_bound_config *config, const ts_data *data, ts_device *device,
                            int n, int d, int draws)
{
    *p = (pass){.config = config, .data = data, .device = device, .n = n, .d = d, .draws = draws};
    TS_TRY(check(config, data, device, d, draws));
    p->rows = config->count * draws;
    return ts_context(pass_allocate(p), "bound");
}

/* x0 of rows first .. first + n - 1; rows beyond the last start again. */
static ts_status load_rows(pass *p, int64_t first)
{
    return ts_data_eval_rows(p->data, p->config->count, p->n, first, p->data_state, p->x0);
}

/* x_t of the rows at p->t with fresh noise, a function of (seed, instance, batch). */
static ts_status perturb_rows(pass *p, uint32_t instance, int64_t batch)
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

static ts_status set_time(pass *p, double t)
{
    for (int i = 0; i < p->n; i++)
        p->host_t[i] = (float)t;
    return p->device->k->upload(p->device, p->t, p->host_t, (size_t)p->n * sizeof *p->t);
}

static ts_status fetch(pass *p)
{
    TS_TRY(p->device->k->download(p->device, p->host, p->values, (size_t)p->n * sizeof *p->host));
    return p->device->k->synchronize(p->device);
}

/* ---- reconstruction ---- */

static ts_status reconstruct_levels(pass *p, double *out)
{
    const ts_data *data = p->data;
    const int64_t count = p->config->count;
    const double t = (float)p->config->eps; /* as the rows have it */
    if (data->levels < 2)
        return ts_error(TS_INVALID, "bound: data on %d level; at least 2 are needed", data->levels);
    const ts_reconstruction a = {.n = p->n,
                                 .d = p->d,
                                 .levels = data->levels,
                                 .first = ts_data_lowest(data),
                                 .spacing = ts_data_spacing(data),
                                 .a = ts_sde_mean(&p->config->sde, t),
                                 .s = ts_sde_std(&p->config->sde, t),
                                 .x0 = p->x0,
                                 .x = p->xt,
                                 .out = p->values};
    TS_TRY(set_time(p, p->config->eps));
    for (int64_t first = 0, batch = 0; first < p->rows; first += p->n, batch++) {
        TS_TRY(load_rows(p, first));
        TS_TRY(perturb_rows(p, INSTANCE_RECONSTRUCTION, batch));
        TS_TRY(p->device->k->reconstruction(p->device, &a));
        TS_TRY(fetch(p));
        for (int i = 0; i < p->n && first + i < p->rows; i++)
            out[(first + i) % count] += p->host[i] / p->draws;
    }
    return NULL;
}

static ts_status reconstruct(pass *p, double *out)
{
    if (p->data->levels)
        return reconstruct_levels(p, out);
    const double s = ts_sde_std(&p->config->sde, p->config->eps);
    for (int64_t i = 0; i < p->config->count; i++)
        out[i] = -0.5 * p->d * log(2.0 * M_PI * M_E * s * s);
    return NULL;
}

/* ---- the diffusion term ---- */

/* What the rows of the diffusion term gave, [rows] each. */
typedef struct row_values {
    double *position; /* u in [0, 1), Lambda(t) = Lambda(eps) + u (Lambda(T) - Lambda(eps)) */
    double *error;    /* ||net - z||^2 */
    double *exact;    /* the same with the exact score, or NULL */
    double *noise;    /* ||z||^2 - d */
} row_values;

/* A draw's place in its datum's strata.  Each datum has an offset of its own, uniform with 53 bits:
 * independent offsets keep the data's estimates independent, on which the intervals rest. */
static double stratified(const pass *p, int64_t row)
{
    const int64_t datum = row % p->config->count, draw = row / p->config->count % p->draws;
    const ts_step_state state = {p->config->seed, (uint32_t)(datum >> 32), INSTANCE_TIME};
    const ts_philox_words w = ts_random_words(&state, TS_STREAM_TIME, (uint32_t)datum);
    const double offset = ((double)((uint64_t)w.v[0] << 21 | w.v[1] >> 11) + 0.5) * 0x1p-53;
    const double u = offset + (double)draw / p->draws;
    return u < 1.0 ? u : u - 1.0;
}

/* Times of density proportional to g^2/s^2 on [eps, T]. */
static ts_status set_times(pass *p, int64_t first, double T, double *position)
{
    const ts_bound_config *c = p->config;
    const double low = ts_sde_lambda(&c->sde, c->eps), high = ts_sde_lambda(&c->sde, T);
    for (int i = 0; i < p->n; i++) {
        const double u = stratified(p, first + i);
        const double t = ts_sde_lambda_inverse(&c->sde, low + u * (high - low));
        p->host_t[i] = (float)fmin(fmax(t, c->eps), T);
        if (first + i < p->rows)
            position[first + i] = u;
    }
    return p->device->k->upload(p->device, p->t, p->host_t, (size_t)p->n * sizeof *p->t);
}

static ts_status fetch_rows(pass *p, int64_t first, double *out)
{
    TS_TRY(fetch(p));
    for (int i = 0; i < p->n && first + i < p->rows; i++)
        out[first + i] = p->host[i];
    return NULL;
}

/* A score whose error is measured, batch after batch in the same memory. */
typedef struct measured {
    const pass *p;
    ts_score *score;
    ts_recorded recorded;
} measured;

static ts_status queue_error(void *context)
{
    const measured *m = context;
    const pass *p = m->p;
    const float *net;
    TS_TRY(m->score->evaluate(m->score, p->xt, p->t, &net));
    const ts_squared_error a = {.n = p->n, .d = p->d, .net = net, .z = p->z, .out = p->values};
    return p->device->k->squared_error(p->device, &a);
}

static ts_status measure_error(pass *p, measured *m, int64_t first, double *out)
{
    const ts_score *score = m->score;
    TS_TRY(ts_recorded_run(&m->recorded, queue_error, m));
    TS_TRY(fetch_rows(p, first, out));
    for (int i = 0; i < p->n && first + i < p->rows; i++)
        if (!isfinite(out[first + i]))
            return ts_error(TS_NOT_FINITE,
                            "bound: diffusion term: the %s score of datum %lld at t = %g is not finite",
                            score->name, (long long)((first + i) % p->config->count), (double)p->host_t[i]);
    return NULL;
}

static ts_status measure_noise(pass *p, int64_t first, double *out)
{
    const ts_row_dot a = {.n = p->n, .d = p->d, .x = p->z, .y = p->z, .out = p->values};
    TS_TRY(p->device->k->row_dot(p->device, &a));
    TS_TRY(fetch_rows(p, first, out));
    for (int i = 0; i < p->n && first + i < p->rows; i++)
        out[first + i] -= p->d;
    return NULL;
}

/* exact->score may be NULL. */
static ts_status measure_rows(pass *p, measured *network, measured *exact, double T, ts_progress_fn *progress,
                              void *context, const row_values *v)
{
    for (int64_t first = 0, batch = 0; first < p->rows; first += p->n, batch++) {
        TS_TRY(load_rows(p, first));
        TS_TRY(set_times(p, first, T, v->position));
        TS_TRY(perturb_rows(p, INSTANCE_NOISE, batch));
        TS_TRY(measure_noise(p, first, v->noise));
        TS_TRY(measure_error(p, network, first, v->error));
        if (exact->score)
            TS_TRY(measure_error(p, exact, first, v->exact));
        if (progress && !progress(context, fmin(1.0, (double)(first + p->n) / (double)p->rows)))
            return ts_error(TS_INTERRUPTED, "bound: interrupted");
    }
    return NULL;
}

/* ---- its noise ---- */

enum { MAX_BINS = 32, ROWS_PER_BIN = 64 };

/*
 * Much of the noise of ||net - z||^2 is that of ||z||^2, whose mean is known: where the score cannot tell the
 * noise from the data, they are nearly the same.  So beta(t) (||z||^2 - d) is subtracted, a control variate
 * with mean zero at every x0 and t.  beta, the regression coefficient, depends on t; it is estimated in bins
 * of t, and for each half of the data (even and odd) from the other half.  A datum's beta thus never depends
 * on the datum's own draws: its estimate stays unbiased and uncorrelated with the others'.
 */
typedef struct control {
    int bins;
    double beta[2][MAX_BINS]; /* for the data of each half */
} control;

static control fit_control(const pass *p, const double *position, const double *error, const double *noise)
{
    double products[2][MAX_BINS] = {{0}}, squares[2][MAX_BINS] = {{0}};
    const int64_t bins = p->rows / (2 * ROWS_PER_BIN);
    control c = {.bins = bins > MAX_BINS ? MAX_BINS : bins > 1 ? (int)bins : 1};
    for (int64_t r = 0; r < p->rows; r++) {
        const int other = !(r % p->config->count & 1), bin = (int)(position[r] * c.bins);
        products[other][bin] += error[r] * noise[r];
        squares[other][bin] += noise[r] * noise[r];
    }
    for (int half = 0; half < 2; half++)
        for (int b = 0; b < c.bins; b++)
            c.beta[half][b] = squares[half][b] > 0.0 ? products[half][b] / squares[half][b] : 0.0;
    return c;
}

/* out[datum][T'] = Z/2 mean over the datum's draws of 1{t <= T'} (error - beta noise), for every T' of the
 * list, Z = Lambda(T) - Lambda(eps) with T the largest; share[T'] is the position of T'. */
static void average(const pass *p, double Z, const double *share, const row_values *v, const double *error,
                    double *out)
{
    const ts_bound_config *c = p->config;
    const control fit = fit_control(p, v->position, error, v->noise);
    const double weight = 0.5 * Z / p->draws;
    for (int64_t r = 0; r < p->rows; r++) {
        const int64_t datum = r % c->count;
        const double u = v->position[r], beta = fit.beta[datum & 1][(int)(u * fit.bins)];
        const double value = weight * (error[r] - beta * v->noise[r]);
        for (int j = 0; j < c->T_count; j++)
            if (u <= share[j])
                out[datum * c->T_count + j] += value;
    }
}

static ts_status measure(pass *p, ts_score *score, ts_score *exact, ts_progress_fn *progress, void *context,
                         ts_bound *bound)
{
    const ts_bound_config *c = p->config;
    double T = 0.0;
    for (int j = 0; j < c->T_count; j++)
        T = fmax(T, c->T[j]);
    const double low = ts_sde_lambda(&c->sde, c->eps), Z = ts_sde_lambda(&c->sde, T) - low;
    TS_TRY(reconstruct(p, bound->reconstruction));

    const size_t rows = (size_t)p->rows;
    double *share = calloc((size_t)c->T_count, sizeof *share), *memory = calloc(rows, 4 * sizeof *memory);
    ts_status status = NULL;
    if (!share || !memory) {
        status = ts_error(TS_NO_MEMORY, "bound: cannot hold %lld draws", (long long)p->rows);
    } else {
        const row_values v = {memory, memory + rows, exact ? memory + 2 * rows : NULL, memory + 3 * rows};
        for (int j = 0; j < c->T_count; j++)
            share[j] = (ts_sde_lambda(&c->sde, c->T[j]) - low) / Z;
        measured network = {p, score, {.device = p->device}}, mixture = {p, exact, {.device = p->device}};
        status = measure_rows(p, &network, &mixture, T, progress, context, &v);
        ts_recorded_forget(&network.recorded);
        ts_recorded_forget(&mixture.recorded);
        if (!status)
            average(p, Z, share, &v, v.error, bound->diffusion);
        if (!status && exact)
            average(p, Z, share, &v, v.exact, bound->K);
    }
    free(share);
    free(memory);
    return status;
}

static ts_status bound_allocate(const ts_bound_config *config, ts_bound *bound)
{
    const size_t count = (size_t)config->count, T_count = (size_t)config->T_count;
    bound->count = config->count;
    bound->block = config->block;
    bound->T_count = config->T_count;
    bound->reconstruction = calloc(count, sizeof(double));
    bound->diffusion = calloc(count, T_count * sizeof(double));
    if (config->tracks_K)
        bound->K = calloc(count, T_count * sizeof(double));
    if (!bound->reconstruction || !bound->diffusion || (config->tracks_K && !bound->K))
        return ts_error(TS_NO_MEMORY, "bound: cannot hold %lld data at %d T", (long long)config->count,
                        config->T_count);
    return NULL;
}

ts_status ts_bound_measure(const ts_bound_config *config, const ts_data *data, ts_score *score,
                           ts_progress_fn *progress, void *context, ts_bound *bound)
{
    *bound = (ts_bound){0};
    if (config->T_count < 1)
        return ts_error(TS_INVALID, "bound: no T given");
    for (int j = 0; j < config->T_count; j++)
        TS_TRY(check_T(config, config->T[j]));
    if (config->tracks_K && !data->mixture)
        return ts_error(TS_INVALID, "bound: K(T) needs the exact score, which only mixtures have");
    pass p;
    ts_score *exact = NULL;
    ts_status status;
    TS_GOTO(pass_begin(&p, config, data, score->device, score->n, score->d, config->draws), done);
    if (config->tracks_K)
        TS_GOTO(ts_score_mixture(data->mixture, &config->sde, score->n, &exact), done);
    TS_GOTO(bound_allocate(config, bound), done);
    ts_range_push(p.device, "bound");
    status = measure(&p, score, exact, progress, context, bound);
    ts_range_pop(p.device);
done:
    if (status)
        ts_bound_release(bound);
    if (exact)
        ts_score_destroy(exact);
    pass_release(&p);
    return status;
}

/* ---- the prior term ---- */

static double conditional_entropy(const pass *p, double T)
{
    const double s = ts_sde_std(&p->config->sde, T);
    return 0.5 * p->d * log(2.0 * M_PI * M_E * s * s);
}

static ts_status check_log_prob(const pass *p, const ts_density *density, double T, int64_t first)
{
    for (int i = 0; i < p->n && first + i < p->rows; i++)
        if (!isfinite(p->host[i]))
            return ts_error(TS_NOT_FINITE,
                            "bound: prior term: the log-density of the %s start at T = %g is not finite for "
                            "datum %lld",
                            density->name, T, (long long)((first + i) % p->config->count));
    return NULL;
}

/* log nu(x_T) of the rows into p->host. */
static ts_status fetch_log_prob(pass *p, ts_density *density, double T, int64_t first)
{
    TS_TRY(density->log_prob(density, p->xt, p->values));
    TS_TRY(fetch(p));
    return check_log_prob(p, density, T, first);
}

/*
 * KL(q(x_T|x0) || nu) by draws, row by row.  -log nu(x_T) contains about beta/2 ||z||^2 with
 * beta = s^2/(s^2 + a^2) when nu has the scale of x_T (exactly that for N(0,I) under VP), and ||z||^2 is known
 * to be d on average: subtracting the difference keeps the mean and removes most of the noise.
 */
static ts_status add_prior(pass *p, double T, int64_t first, double *prior)
{
    const ts_bound_config *c = p->config;
    const double a = ts_sde_mean(&c->sde, T), s = ts_sde_std(&c->sde, T), beta = s * s / (s * s + a * a);
    const double entropy = conditional_entropy(p, T);
    for (int i = 0; i < p->n && first + i < p->rows; i++)
        prior[(first + i) % c->count] -= (entropy + p->host[i]) / p->draws;
    const ts_row_dot dot = {.n = p->n, .d = p->d, .x = p->z, .y = p->z, .out = p->values};
    TS_TRY(p->device->k->row_dot(p->device, &dot));
    TS_TRY(fetch(p));
    for (int i = 0; i < p->n && first + i < p->rows; i++)
        prior[(first + i) % c->count] -= 0.5 * beta * (p->host[i] - p->d) / p->draws;
    return NULL;
}

/* kl += log p_T(x_T), the exact density's part. */
static ts_status add_exact(pass *p, int64_t first, double *kl)
{
    const ts_mixture_evaluate a = {.n = p->n,
                                   .sde = p->config->sde,
                                   .mixture = p->data->mixture->view,
                                   .x = p->xt,
                                   .t = p->t,
                                   .log_prob = p->values};
    TS_TRY(p->device->k->mixture_evaluate(p->device, &a));
    TS_TRY(fetch(p));
    for (int i = 0; i < p->n && first + i < p->rows; i++)
        kl[(first + i) % p->config->count] += p->host[i] / p->draws;
    return NULL;
}

/* By draws of x_T: the prior term, and log p_T(x_T) - log nu(x_T); either may be NULL. */
static ts_status draw_prior(pass *p, ts_density *density, double T, double *prior, double *kl)
{
    TS_TRY(set_time(p, T));
    for (int64_t first = 0, batch = 0; first < p->rows; first += p->n, batch++) {
        TS_TRY(load_rows(p, first));
        TS_TRY(perturb_rows(p, INSTANCE_PRIOR, batch));
        TS_TRY(fetch_log_prob(p, density, T, first));
        for (int i = 0; kl && i < p->n && first + i < p->rows; i++)
            kl[(first + i) % p->config->count] -= p->host[i] / p->draws;
        if (prior)
            TS_TRY(add_prior(p, T, first, prior));
        if (kl)
            TS_TRY(add_exact(p, first, kl));
        if (p->config->stop && *p->config->stop && first + p->n < p->rows)
            return ts_error(TS_INTERRUPTED, "bound: interrupted");
    }
    return NULL;
}

/* The prior term in closed form: given x0 nothing about it is drawn. */
static ts_status expected_prior(pass *p, ts_density *density, double T, double *prior)
{
    const ts_bound_config *c = p->config;
    const double a = ts_sde_mean(&c->sde, T), s = ts_sde_std(&c->sde, T);
    const double entropy = conditional_entropy(p, T);
    for (int64_t first = 0; first < c->count; first += p->n) {
        double constant;
        TS_TRY(load_rows(p, first));
        TS_TRY(density->expected_log_prob(density, a, s, p->x0, p->values, &constant));
        TS_TRY(fetch(p));
        TS_TRY(check_log_prob(p, density, T, first));
        for (int i = 0; i < p->n && first + i < c->count; i++)
            prior[first + i] = -entropy - (constant + p->host[i]);
    }
    return NULL;
}

static ts_status measure_prior(pass *p, ts_density *density, double T, double *prior, double *kl)
{
    const bool closed = density->expected_log_prob;
    for (int64_t i = 0; i < p->config->count; i++) {
        prior[i] = 0.0;
        if (kl)
            kl[i] = 0.0;
    }
    if (closed)
        TS_TRY(expected_prior(p, density, T, prior));
    return closed && !kl ? NULL : draw_prior(p, density, T, closed ? NULL : prior, kl);
}

ts_status ts_bound_prior(const ts_bound_config *config, const ts_data *data, double T, ts_density *density,
                         double *prior, double *kl_prior)
{
    TS_TRY(check_T(config, T));
    if (kl_prior && !data->mixture)
        return ts_error(TS_INVALID, "bound: KL(p_T || nu) needs the exact density, which only mixtures have");
    pass p;
    ts_status status =
        pass_begin(&p, config, data, density->device, density->n, density->d, config->prior_draws);
    if (!status)
        status = measure_prior(&p, density, T, prior, kl_prior);
    pass_release(&p);
    return status;
}
