/* The bound's term of a start density, and how well that density's own score knows the noise. */
#include <math.h>

#include "diffusion/bound_pass.h"

static double conditional_entropy(const ts_pass *p, double T)
{
    const double s = ts_sde_std(&p->config->sde, T);
    return 0.5 * p->d * log(2.0 * M_PI * M_E * s * s);
}

static ts_status check_log_prob(const ts_pass *p, const ts_density *density, double T, int64_t first)
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
static ts_status fetch_log_prob(ts_pass *p, ts_density *density, double T, int64_t first)
{
    TS_TRY(density->log_prob(density, p->xt, p->values));
    TS_TRY(ts_pass_fetch(p));
    return check_log_prob(p, density, T, first);
}

/*
 * KL(q(x_T|x0) || nu) by draws, row by row.  -log nu(x_T) contains about beta/2 ||z||^2 with
 * beta = s^2/(s^2 + a^2) when nu has the scale of x_T (exactly that for N(0,I) under VP), and ||z||^2 is known
 * to be d on average: subtracting the difference keeps the mean and removes most of the noise.
 */
static ts_status add_prior(ts_pass *p, double T, int64_t first, double *prior)
{
    const ts_bound_config *c = p->config;
    const double a = ts_sde_mean(&c->sde, T), s = ts_sde_std(&c->sde, T), beta = s * s / (s * s + a * a);
    const double entropy = conditional_entropy(p, T);
    for (int i = 0; i < p->n && first + i < p->rows; i++)
        prior[(first + i) % c->count] -= (entropy + p->host[i]) / p->draws;
    const ts_row_dot dot = {.n = p->n, .d = p->d, .x = p->z, .y = p->z, .out = p->values};
    TS_TRY(p->device->k->row_dot(p->device, &dot));
    TS_TRY(ts_pass_fetch(p));
    for (int i = 0; i < p->n && first + i < p->rows; i++)
        prior[(first + i) % c->count] -= 0.5 * beta * (p->host[i] - p->d) / p->draws;
    return NULL;
}

/* kl += log p_T(x_T), the exact density's part. */
static ts_status add_exact(ts_pass *p, int64_t first, double *kl)
{
    const ts_mixture_evaluate a = {.n = p->n,
                                   .sde = p->config->sde,
                                   .mixture = p->data->mixture->view,
                                   .x = p->xt,
                                   .t = p->t,
                                   .log_prob = p->values};
    TS_TRY(p->device->k->mixture_evaluate(p->device, &a));
    TS_TRY(ts_pass_fetch(p));
    for (int i = 0; i < p->n && first + i < p->rows; i++)
        kl[(first + i) % p->config->count] += p->host[i] / p->draws;
    return NULL;
}

/* By draws of x_T: the prior term, and log p_T(x_T) - log nu(x_T); either may be NULL. */
static ts_status draw_prior(ts_pass *p, ts_density *density, double T, double *prior, double *kl)
{
    TS_TRY(ts_pass_set_time(p, T));
    for (int64_t first = 0, batch = 0; first < p->rows; first += p->n, batch++) {
        TS_TRY(ts_pass_load(p, first));
        TS_TRY(ts_pass_perturb(p, TS_BOUND_PRIOR, batch));
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
static ts_status expected_prior(ts_pass *p, ts_density *density, double T, double *prior)
{
    const ts_bound_config *c = p->config;
    const double a = ts_sde_mean(&c->sde, T), s = ts_sde_std(&c->sde, T);
    const double entropy = conditional_entropy(p, T);
    for (int64_t first = 0; first < c->count; first += p->n) {
        double constant;
        TS_TRY(ts_pass_load(p, first));
        TS_TRY(density->expected_log_prob(density, a, s, p->x0, p->values, &constant));
        TS_TRY(ts_pass_fetch(p));
        TS_TRY(check_log_prob(p, density, T, first));
        for (int i = 0; i < p->n && first + i < c->count; i++)
            prior[first + i] = -entropy - (constant + p->host[i]);
    }
    return NULL;
}

static ts_status measure_prior(ts_pass *p, ts_density *density, double T, double *prior, double *kl)
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
    TS_TRY(ts_pass_check_T(config, T));
    if (kl_prior && !data->mixture)
        return ts_error(TS_INVALID, "bound: KL(p_T || nu) needs the exact density, which only mixtures have");
    ts_pass p;
    ts_status status =
        ts_pass_begin(&p, config, data, density->device, density->n, density->d, config->prior_draws);
    if (!status)
        status = measure_prior(&p, density, T, prior, kl_prior);
    ts_pass_release(&p);
    return status;
}

/* ---- the density's own score ---- */

static ts_status measure_error(ts_pass *p, ts_density *density, double T, double *error)
{
    const double s = ts_sde_std(&p->config->sde, T);
    TS_TRY(ts_pass_set_time(p, T));
    for (int64_t first = 0, batch = 0; first < p->rows; first += p->n, batch++) {
        ts_squared_error a = {.n = p->n, .d = p->d, .z = p->z, .out = p->values};
        TS_TRY(ts_pass_load(p, first));
        TS_TRY(ts_pass_perturb(p, TS_BOUND_PRIOR, batch));
        TS_TRY(density->noise(density, s, p->xt, &a.net));
        TS_TRY(p->device->k->squared_error(p->device, &a));
        TS_TRY(ts_pass_fetch(p));
        for (int i = 0; i < p->n && first + i < p->rows; i++)
            error[(first + i) % p->config->count] += p->host[i] / p->draws / p->d;
        if (p->config->stop && *p->config->stop && first + p->n < p->rows)
            return ts_error(TS_INTERRUPTED, "bound: interrupted");
    }
    return NULL;
}

ts_status ts_bound_start_error(const ts_bound_config *config, const ts_data *data, double T,
                               ts_density *density, double *error)
{
    ts_pass p;
    TS_TRY(ts_pass_check_T(config, T));
    if (!density->noise)
        return ts_error(TS_INVALID, "bound: the %s start has no score of its own", density->name);
    ts_status status =
        ts_pass_begin(&p, config, data, density->device, density->n, density->d, config->prior_draws);
    for (int64_t i = 0; !status && i < config->count; i++)
        error[i] = 0.0;
    if (!status)
        status = measure_error(&p, density, T, error);
    ts_pass_release(&p);
    return status;
}
