/* Samples of a run. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "run/algorithms.h"
#include "run/evaluate.h"
#include "run/memory.h"
#include "run/scores.h"

ts_status ts_evaluate_sampler(const ts_config *config, ts_sampler_kind kind, double T,
                              ts_sampler_config *sampler)
{
    const double eps = config->sample.eps;
    *sampler = (ts_sampler_config){.kind = kind,
                                   .T = T,
                                   .eps = eps,
                                   .steps = config->sample.steps,
                                   .rtol = config->sample.rtol,
                                   .atol = config->sample.atol,
                                   .denoise = config->sample.denoise,
                                   .rho = config->sample.rho,
                                   .churn = config->sample.churn,
                                   .churn_min = config->sample.churn_min,
                                   .churn_max = config->sample.churn_max,
                                   .churn_noise = config->sample.churn_noise,
                                   .corrector_steps = config->sample.corrector_steps,
                                   .snr = config->sample.snr};
    if (!(T > eps && T <= 1))
        return ts_error(TS_INVALID, "T must lie in (%g, 1], above sample.eps = %g, not %g", eps, eps, T);
    if (!sampler->steps)
        sampler->steps = ts_samplers[kind].steps ? ts_samplers[kind].steps
                                                 : (int)fmax(1, round(config->sample.steps_per_unit * T));
    return NULL;
}

typedef struct generation {
    ts_run *run;
    const ts_sampler_config *config;
    ts_progress *progress;
    int n;            /* images a batch */
    int first, total; /* places of its images among all */
    ts_start start;
    ts_open_score score;
    ts_sampler *sampler;
    ts_step_state *state; /* device */
    float *x;             /* device [n,d] */
} generation;

static ts_status prepare(generation *g, ts_start_kind start)
{
    ts_run *run = g->run;
    ts_device *device = run->device;
    const ts_sde sde = ts_config_sde(run->config);
    const size_t values = (size_t)g->n * (size_t)ts_data_dim(&run->dataset->test);
    void *memory;
    TS_TRY(ts_start_open(run, start, g->config->T, g->n, &g->start));
    TS_TRY(ts_score_open(run, start, g->n, &g->score));
    TS_TRY(ts_sampler_create(g->score.score, &sde, &g->sampler));
    ts_sampler_stop_at(g->sampler, g->progress ? g->progress->stop : NULL);
    TS_TRY(device->k->allocate(device, sizeof *g->state, &memory));
    g->state = memory;
    TS_TRY(device->k->allocate(device, values * sizeof(float), &memory));
    g->x = memory;
    return NULL;
}

static ts_status draw_start(generation *g, uint32_t batch)
{
    const ts_step_state state = {.seed = (uint64_t)g->run->config->run.seed, .instance = batch};
    TS_TRY(g->run->device->k->upload(g->run->device, g->state, &state, sizeof state));
    return g->start.density->sample(g->start.density, g->state, g->x);
}

/* One evaluation before the clock runs, so that what devices make ready at first use is not counted. */
static ts_status warm_up(generation *g)
{
    ts_device *device = g->run->device;
    float *t = NULL, *host = malloc((size_t)g->n * sizeof(float));
    const float *net;
    void *memory;
    if (!host)
        return ts_error(TS_NO_MEMORY, "no memory for %d times", g->n);
    for (int i = 0; i < g->n; i++)
        host[i] = (float)g->config->T;
    ts_status status = device->k->allocate(device, (size_t)g->n * sizeof(float), &memory);
    if (!status) {
        t = memory;
        TS_GOTO(device->k->upload(device, t, host, (size_t)g->n * sizeof(float)), done);
        TS_GOTO(draw_start(g, 0), done);
        TS_GOTO(g->score.score->evaluate(g->score.score, g->x, t, &net), done);
        status = device->k->synchronize(device);
    done:
        device->k->release(device, t);
    }
    free(host);
    return status;
}

static ts_status interrupted(int done, int count)
{
    return ts_error(TS_INTERRUPTED, "sampling interrupted after %d of %d images", done, count);
}

static ts_status generate(generation *g, ts_samples *samples)
{
    ts_device *device = g->run->device;
    const size_t d = (size_t)samples->h * (size_t)samples->w * (size_t)samples->c;
    double seconds = 0, start_seconds = 0, evaluations = 0;
    int batches = 0;
    ts_algorithms_announce(device, g->progress);
    TS_TRY(warm_up(g));
    for (int done = 0; done < samples->n; done += g->n, batches++) {
        const int kept = samples->n - done < g->n ? samples->n - done : g->n;
        int nfe;
        const uint32_t instance = (uint32_t)(g->first / g->n + batches);
        const double began = ts_seconds();
        TS_TRY(draw_start(g, instance));
        TS_TRY(device->k->synchronize(device));
        start_seconds += ts_seconds() - began;
        ts_status status =
            ts_sampler_run(g->sampler, g->config, (uint64_t)g->run->config->run.seed, instance, g->x, &nfe);
        if (ts_status_code(status) == TS_INTERRUPTED) {
            ts_status_free(status);
            return interrupted(g->first + done, g->total);
        }
        TS_TRY(status);
        TS_TRY(device->k->synchronize(device));
        seconds += ts_seconds() - began;
        evaluations += nfe;
        TS_TRY(device->k->download(device, samples->x + (size_t)done * d, g->x,
                                   (size_t)kept * d * sizeof(float)));
        ts_progress_report(g->progress, "sample", g->first + done + kept, g->total, "images", NULL);
        if (ts_progress_stopped(g->progress) && done + kept < samples->n)
            return interrupted(g->first + done + kept, g->total);
    }
    samples->nfe = evaluations / batches;
    samples->seconds_per_image = (ts_interval){seconds / ((double)batches * g->n), NAN};
    samples->start_seconds = start_seconds / ((double)batches * g->n);
    return NULL;
}

static ts_status check(const ts_run *run, const ts_sampler_config *sampler, int count)
{
    if (count < 1)
        return ts_error(TS_INVALID, "%d samples: must be at least 1", count);
    return ts_score_check_T(run, sampler->T);
}

ts_status ts_evaluate_samples(ts_run *run, const ts_sampler_config *sampler, ts_start_kind start, int count,
                              ts_progress *progress, ts_samples *samples)
{
    return ts_evaluate_some_samples(run, sampler, start, count, 0, count, progress, samples);
}

ts_status ts_evaluate_some_samples(ts_run *run, const ts_sampler_config *sampler, ts_start_kind start,
                                   int total, int first, int count, ts_progress *progress,
                                   ts_samples *samples)
{
    const ts_data *data = &run->dataset->test;
    const int batch = run->config->sample.batch;
    *samples = (ts_samples){.n = count, .h = data->h, .w = data->w, .c = data->c};
    TS_TRY(check(run, sampler, count));
    samples->x = malloc((size_t)count * (size_t)ts_data_dim(data) * sizeof(float));
    if (!samples->x)
        return ts_error(TS_NO_MEMORY, "no memory for %d samples", count);
    generation g = {.run = run,
                    .config = sampler,
                    .progress = progress,
                    .n = batch < total ? batch : total,
                    .first = first,
                    .total = total};
    ts_status status = prepare(&g, start);
    if (!status)
        status = generate(&g, samples);
    run->device->k->release(run->device, g.x);
    run->device->k->release(run->device, g.state);
    ts_sampler_destroy(g.sampler);
    ts_score_close(&g.score);
    ts_start_release(&g.start);
    if (status)
        ts_samples_release(samples);
    else
        ts_data_to_symmetric(data, (int64_t)count * ts_data_dim(data), samples->x);
    return ts_memory_advise(status, run->model, "sample.batch", g.n, false);
}

void ts_samples_release(ts_samples *samples)
{
    free(samples->x);
    *samples = (ts_samples){0};
}
