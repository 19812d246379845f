/* Benchmark of sampling: the configured sampler on the untrained network. */
#include "bench/internal.h"

#include "base/clock.h"
#include "diffusion/buffer.h"
#include "run/evaluate.h"
#include "run/memory.h"

enum { SAMPLER_STEPS = 10 };

static ts_status evaluation_flops(const ts_bench *bench, double *flops)
{
    ts_graph *graph = NULL;
    ts_bench_ends ends;
    ts_status status = ts_bench_graph(bench, 1, false, NULL, &graph, &ends);
    if (!status)
        *flops = ts_graph_flops(graph, false);
    ts_graph_destroy(graph);
    return status;
}

/* Noise at T in x, then one run of the sampler. */
static ts_status timed_run(const ts_bench *bench, ts_sampler *sampler, const ts_sampler_config *config,
                           ts_density *start_density, const ts_step_state *state, float *x, int *nfe,
                           double *seconds, double *host)
{
    ts_device *device = bench->device;
    TS_TRY(start_density->sample(start_density, state, x));
    TS_TRY(device->k->synchronize(device));
    const double start = ts_seconds();
    TS_TRY(ts_sampler_run(sampler, config, 1, 0, x, nfe));
    *host = ts_seconds() - start;
    TS_TRY(device->k->synchronize(device));
    *seconds = ts_seconds() - start;
    return NULL;
}

/* What a step launches: what two steps queue more than one, none of it recorded; a first step does not count,
 * for which a device makes what it keeps. */
static ts_status count_launches(const ts_bench *bench, ts_sampler *sampler, ts_sampler_config config,
                                ts_density *noise, const ts_step_state *state, float *x, int64_t *launches)
{
    ts_device *device = bench->device;
    const bool recording_off = device->recording_off;
    int64_t queued[3] = {0};
    ts_status status = NULL;
    device->recording_off = true;
    for (int i = 0; i < 3 && !status; i++) {
        int nfe;
        double seconds, host;
        const uint64_t before = device->launches;
        config.steps = i < 2 ? 1 : 2;
        status = timed_run(bench, sampler, &config, noise, state, x, &nfe, &seconds, &host);
        queued[i] = (int64_t)(device->launches - before);
    }
    device->recording_off = recording_off;
    *launches = queued[2] - queued[1];
    return status;
}

static ts_status measure_sampler(const ts_bench *bench, ts_sampler *sampler, ts_sampler_config config,
                                 int steps, ts_density *noise, const ts_step_state *state, float *x,
                                 ts_bench_sample *result)
{
    const bool adaptive = !ts_samplers[config.kind].integrator;
    const int whole = config.steps;
    int nfe;
    double seconds, host;
    if (!adaptive) {
        config.steps = steps < whole ? steps : whole;
        TS_TRY(count_launches(bench, sampler, config, noise, state, x, &result->launches));
    }
    TS_TRY(timed_run(bench, sampler, &config, noise, state, x, &nfe, &seconds, &host)); /* warms up */
    const uint64_t allocations = bench->device->allocations;
    TS_TRY(timed_run(bench, sampler, &config, noise, state, x, &nfe, &seconds, &host));
    result->evaluations = nfe;
    config.steps = whole;
    result->nfe = adaptive ? nfe : (double)ts_sampler_nfe(&config);
    result->evaluations_per_second = result->batch * nfe / seconds;
    result->figures.host_seconds = host / nfe;
    result->figures.late_allocations = bench->device->allocations - allocations;
    return NULL;
}

ts_status ts_bench_sample_run(const ts_bench *bench, int steps, ts_progress *progress,
                              ts_bench_sample *result)
{
    const ts_config *config = bench->config;
    ts_device *device = bench->device;
    ts_bench_figures *figures = &result->figures;
    ts_score *score = NULL;
    ts_density *noise = NULL;
    ts_sampler *sampler = NULL;
    ts_sampler_config settings;
    ts_step_state *state = NULL;
    float *x = NULL;
    ts_status status;
    *result = (ts_bench_sample){.batch = config->sample.batch};
    const size_t count = (size_t)result->batch * (size_t)ts_data_dim(&bench->dataset->train);
    ts_progress_report(progress, "bench sample", 0, 1, "runs", NULL);
    TS_TRY(ts_evaluate_sampler(config, config->sample.sampler, ts_config_largest_T(config), &settings));
    TS_TRY(evaluation_flops(bench, &result->evaluation_flops));
    TS_TRY(ts_bench_ceiling(bench, figures));
    TS_GOTO(ts_model_score(bench->model, result->batch, false, &score), end);
    TS_GOTO(ts_sampler_create(score, &bench->model->sde, &sampler), end);
    TS_GOTO(ts_density_normal(device, result->batch, score->d, 1, &noise), end);
    TS_GOTO(ts_buffer_floats(device, count, &x), end);
    TS_GOTO(ts_buffer_state(device, &state), end);
    TS_GOTO(
        measure_sampler(bench, sampler, settings, steps > 0 ? steps : SAMPLER_STEPS, noise, state, x, result),
        end);
    figures->images_per_second = result->evaluations_per_second / result->nfe;
    figures->flops = result->evaluations_per_second * result->evaluation_flops;
    ts_bench_memory(bench, figures);
    TS_GOTO(ts_bench_copy_ceiling(bench, figures), end);
    TS_GOTO(ts_bench_ceiling(bench, figures), end);
    ts_progress_report(progress, "bench sample", 1, 1, "runs", NULL);
end:
    device->k->release(device, state);
    device->k->release(device, x);
    ts_sampler_destroy(sampler);
    ts_density_destroy(noise);
    ts_score_destroy(score);
    return ts_memory_advise(status, bench->model, "sample.batch", result->batch, false);
}
