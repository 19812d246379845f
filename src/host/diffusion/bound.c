/*
 * The evidence lower bound by Monte Carlo.
 *
 * Work is arranged as rows: row r is draw r / count of datum r mod count, and the score's batches are filled
 * with consecutive rows, so that no evaluation is wasted however count, draws and batch size compare.
 */
#include <math.h>
#include <stdlib.h>
#include "diffusion/bound_pass.h"
#include "diffusion/recorded.h"

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

/* ---- reconstruction ---- */

static ts_status reconstruct_levels(ts_pass *p, double *out)
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
    TS_TRY(ts_pass_set_time(p, p->config->eps));
    for (int64_t first = 0, batch = 0; first < p->rows; first += p->n, batch++) {
        TS_TRY(ts_pass_load(p, first));
        TS_TRY(ts_pass_perturb(p, TS_BOUND_RECONSTRUCTION, batch));
        TS_TRY(p->device->k->reconstruction(p->device, &a));
        TS_TRY(ts_pass_fetch(p));
        for (int i = 0; i < p->n && first + i < p->rows; i++)
            out[(first + i) % count] += p->host[i] / p->draws;
    }
    return NULL;
}

static ts_status reconstruct(ts_pass *p, double *out)
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
static double stratified(const ts_pass *p, int64_t row)
{
    const int64_t datum = row % p->config->count, draw = row / p->config->count % p->draws;
    const ts_step_state state = {p->config->seed, (uint32_t)(datum >> 32), TS_BOUND_TIME};
    const ts_philox_words w = ts_random_words(&state, TS_STREAM_TIME, (uint32_t)datum);
    const double offset = ((double)((uint64_t)w.v[0] << 21 | w.v[1] >> 11) + 0.5) * 0x1p-53;
    const double u = offset + (double)draw / p->draws;
    return u < 1.0 ? u : u - 1.0;
}

/* Times of density proportional to g^2/s^2 on [eps, T]. */
static ts_status set_times(ts_pass *p, int64_t first, double T, double *position)
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

static ts_status fetch_rows(ts_pass *p, int64_t first, double *out)
{
    TS_TRY(ts_pass_fetch(p));
    for (int i = 0; i < p->n && first + i < p->rows; i++)
        out[first + i] = p->host[i];
    return NULL;
}

/* A score whose error is measured, batch after batch in the same memory. */
typedef struct measured {
    const ts_pass *p;
    ts_score *score;
    ts_recorded recorded;
} measured;

static ts_status queue_error(void *context)
{
    const measured *m = context;
    const ts_pass *p = m->p;
    const float *net;
    TS_TRY(m->score->evaluate(m->score, p->xt, p->t, &net));
    const ts_squared_error a = {.n = p->n, .d = p->d, .net = net, .z = p->z, .out = p->values};
    return p->device->k->squared_error(p->device, &a);
}

static ts_status measure_error(ts_pass *p, measured *m, int64_t first, double *out)
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

static ts_status measure_noise(ts_pass *p, int64_t first, double *out)
{
    const ts_row_dot a = {.n = p->n, .d = p->d, .x = p->z, .y = p->z, .out = p->values};
    TS_TRY(p->device->k->row_dot(p->device, &a));
    TS_TRY(fetch_rows(p, first, out));
    for (int i = 0; i < p->n && first + i < p->rows; i++)
        out[first + i] -= p->d;
    return NULL;
}

/* exact->score may be NULL. */
static ts_status measure_rows(ts_pass *p, measured *network, measured *exact, double T,
                              ts_progress_fn *progress, void *context, const row_values *v)
{
    for (int64_t first = 0, batch = 0; first < p->rows; first += p->n, batch++) {
        TS_TRY(ts_pass_load(p, first));
        TS_TRY(set_times(p, first, T, v->position));
        TS_TRY(ts_pass_perturb(p, TS_BOUND_NOISE, batch));
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

static control fit_control(const ts_pass *p, const double *position, const double *error, const double *noise)
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
static void average(const ts_pass *p, double Z, const double *share, const row_values *v, const double *error,
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

static ts_status measure(ts_pass *p, ts_score *score, ts_score *exact, ts_progress_fn *progress,
                         void *context, ts_bound *bound)
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
        TS_TRY(ts_pass_check_T(config, config->T[j]));
    if (config->tracks_K && !data->mixture)
        return ts_error(TS_INVALID, "bound: K(T) needs the exact score, which only mixtures have");
    ts_pass p;
    ts_score *exact = NULL;
    ts_status status;
    TS_GOTO(ts_pass_begin(&p, config, data, score->device, score->n, score->d, config->draws), done);
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
    ts_pass_release(&p);
    return status;
}
