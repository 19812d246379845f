/* What the integrators share. */
#include "diffusion/samplers/internal.h"

/* A run that has nothing to replay begins directly: what the first evaluation has to do for changed weights
 * is not to be part of every step. */
void ts_sampler_freeze(ts_sampler *sampler, const ts_sampler_frozen *frozen)
{
    const ts_sampler_frozen *f = &sampler->frozen;
    if (f->queue != frozen->queue || f->x != frozen->x || f->probe != frozen->probe ||
        f->rtol != frozen->rtol || f->atol != frozen->atol || f->corrector_steps != frozen->corrector_steps)
        ts_recorded_forget(&sampler->recorded);
    sampler->frozen = *frozen;
    sampler->recorded.warm = sampler->recorded.recording != NULL;
}

ts_status ts_sampler_evaluate(ts_sampler *sampler, const float *x, const float *times,
                              const ts_step_state *state, const float **net)
{
    ts_sampler *s = sampler;
    const ts_fill_time a = {.n = s->n, .times = times, .state = state, .t = s->t};
    TS_TRY(s->k->fill_time(s->device, &a));
    return s->score->evaluate(s->score, x, s->t, net);
}

void ts_sampler_within(ts_sampler *sampler, double low, double high)
{
    ts_score *score = sampler->score;
    if (!score->within || !score->within(score, low, high))
        return;
    ts_recorded_forget(&sampler->recorded);
    sampler->recorded.warm = false; /* another network, say, may have to make its weights ready */
}

ts_status ts_sampler_combine(ts_sampler *sampler, int64_t count, int terms, const ts_coefficients *c,
                             const float *const *x, float *y)
{
    ts_linear_combine a = {.count = count, .terms = terms, .c = *c, .y = y};
    for (int i = 0; i < terms; i++)
        a.x[i] = x[i];
    return sampler->k->linear_combine(sampler->device, &a);
}

ts_coefficients ts_sampler_row_at(const ts_sampler *sampler, const ts_integrator *integrator, int first)
{
    return (ts_coefficients){
        .table = sampler->coefficients + first, .stride = integrator->width, .state = sampler->state};
}

ts_status ts_sampler_combine_row(ts_sampler *sampler, const ts_integrator *integrator, int first, int terms,
                                 const float *const *x, float *y)
{
    const ts_coefficients c = ts_sampler_row_at(sampler, integrator, first);
    return ts_sampler_combine(sampler, sampler->count, terms, &c, x, y);
}

ts_status ts_sampler_noise(ts_sampler *sampler, uint32_t stream, float *out)
{
    const ts_fill_random a = {.count = sampler->count,
                              .scale = 1.0f,
                              .stream = stream,
                              .state = sampler->state,
                              .out = out,
                              .wide = true};
    return sampler->k->fill_random(sampler->device, &a);
}

ts_status ts_sampler_advance(ts_sampler *sampler)
{
    const ts_advance a = {.state = sampler->state};
    return sampler->k->advance(sampler->device, &a);
}

double ts_sampler_ode_factor(const ts_sde *sde, double t)
{
    return 0.5 * ts_sde_diffusion2(sde, t) / ts_sde_std(sde, t);
}

void ts_sampler_stop_at(ts_sampler *sampler, const volatile sig_atomic_t *stop)
{
    sampler->stop = stop;
}

ts_status ts_sampler_stopped(const ts_sampler *sampler)
{
    return sampler->stop && *sampler->stop ? ts_error(TS_INTERRUPTED, "interrupted") : NULL;
}
