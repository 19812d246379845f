/* Benchmarks of training and sampling. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include "base/clock.h"
#include "diffusion/buffer.h"
#include "graph/timing.h"
#include "bench/internal.h"
#include "run/evaluate.h"
#include "run/memory.h"
#include "run/trainer.h"

static const double measured_seconds = 8;
enum { LEAST_STEPS = 3, MOST_STEPS = 100000, SYNTHETIC_IMAGES = 1024, SAMPLER_STEPS = 10 };

int ts_bench_compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ---- data and model ---- */

/* Random bytes in the shape of the files that are missing. */
static ts_status synthetic_data(const ts_config *config, ts_device *device, ts_dataset **dataset)
{
    const ts_data_row *row = &ts_data_rows[config->data.kind];
    ts_dataset *d = calloc(1, sizeof *d);
    if (!d)
        return ts_error(TS_NO_MEMORY, "cannot allocate a data set");
    ts_data *train = &d->train;
    *train = (ts_data){.device = device, .count = SYNTHETIC_IMAGES, .levels = 256, .flip = config->data.flip};
    train->h = row->h;
    train->w = row->w;
    train->c = row->c;
    const size_t bytes = (size_t)train->count * (size_t)ts_data_dim(train);
    void *memory = NULL;
    uint8_t *host = malloc(bytes);
    ts_status status = host ? NULL : ts_error(TS_NO_MEMORY, "cannot allocate %zu bytes", bytes);
    for (size_t i = 0; !status && i < bytes; i++)
        host[i] = (uint8_t)ts_philox(1, (uint32_t)i, 0, TS_STREAM_TEST, 0).v[0];
    if (!status)
        status = device->k->allocate(device, bytes, &memory);
    if (!status)
        status = device->k->upload(device, memory, host, bytes);
    train->bytes = memory;
    free(host);
    *dataset = d;
    return status;
}

ts_status ts_bench_open(const ts_config *config, ts_device *device, ts_bench *bench)
{
    ts_status status;
    *bench = (ts_bench){.config = config, .device = device};
    if (ts_data_rows[config->data.kind].vectors)
        return ts_error(TS_INVALID, "data.kind: benchmarks work on images, not on a mixture");
    status = ts_dataset_open(config, device, &bench->dataset);
    if (ts_status_code(status) == TS_NOT_FOUND) {
        ts_status_free(status);
        bench->synthetic = true;
        status = synthetic_data(config, device, &bench->dataset);
    }
    if (!status)
        status = ts_model_create(config, bench->dataset, device, &bench->model);
    if (!status && !bench->model->params)
        status = ts_error(TS_INVALID, "model.kind: benchmarks need a network, not the exact score");
    if (status)
        ts_bench_close(bench);
    return status;
}

void ts_bench_close(ts_bench *bench)
{
    ts_model_destroy(bench->model);
    ts_dataset_close(bench->dataset);
    *bench = (ts_bench){0};
}

/* ---- figures ---- */

ts_status ts_bench_ceiling(const ts_bench *bench, ts_bench_figures *figures)
{
    double flops = 0;
    if (bench->device->k->ceiling)
        TS_TRY(bench->device->k->ceiling(bench->device, &flops));
    figures->ceiling = figures->ceiling > 0 ? 0.5 * (figures->ceiling + flops) : flops;
    return NULL;
}

/* Large against any cache, small against what a benchmark itself takes. */
static const size_t copied_bytes = (size_t)256 << 20;
enum { COPIES = 5 };

typedef struct large_copy {
    ts_device *device;
    void *from, *to;
} large_copy;

static ts_status queue_copy(void *context)
{
    const large_copy *c = context;
    return c->device->k->copy(c->device, c->to, c->from, copied_bytes);
}

static ts_status time_copies(large_copy *copy, double *best)
{
    *best = INFINITY;
    for (int i = 0; i < COPIES; i++) {
        double seconds;
        TS_TRY(ts_time_call(copy->device, queue_copy, copy, &seconds));
        *best = fmin(*best, seconds);
    }
    return NULL;
}

/* Something other than zeros. */
static ts_status fill_source(ts_device *device, void *from)
{
    ts_step_state *state;
    TS_TRY(ts_buffer_state(device, &state));
    const ts_fill_random noise = {.count = (int64_t)(copied_bytes / ts_dtype_size(device->activation)),
                                  .scale = 1,
                                  .stream = TS_STREAM_TEST,
                                  .state = state,
                                  .out = from};
    ts_status status = device->k->fill_random(device, &noise);
    device->k->release(device, state);
    return status;
}

ts_status ts_bench_copy_ceiling(const ts_bench *bench, ts_bench_figures *figures)
{
    ts_device *device = bench->device;
    large_copy copy = {.device = device};
    double seconds;
    ts_status status;
    TS_GOTO(device->k->allocate(device, copied_bytes, &copy.from), end);
    TS_GOTO(device->k->allocate(device, copied_bytes, &copy.to), end);
    TS_GOTO(fill_source(device, copy.from), end);
    TS_GOTO(time_copies(&copy, &seconds), end);
    figures->copy_ceiling = 2.0 * (double)copied_bytes / seconds;
end:
    device->k->release(device, copy.from);
    device->k->release(device, copy.to);
    return status;
}

void ts_bench_memory(const ts_bench *bench, ts_bench_figures *figures)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    figures->process_peak_bytes = (size_t)usage.ru_maxrss * 1024;
    figures->device_peak_bytes = bench->device->peak_bytes;
}

/* ---- training ---- */

static ts_status timed_step(const ts_bench *bench, ts_training *training, double *seconds, double *host)
{
    const double start = ts_seconds();
    TS_TRY(ts_training_step(training));
    *host = ts_seconds() - start;
    TS_TRY(bench->device->k->synchronize(bench->device));
    *seconds = ts_seconds() - start;
    return NULL;
}

/* As many steps again without a wait in between, as training runs them: where this takes less than a step
 * that is waited for, the difference is what host and device do one after the other. */
static ts_status measure_stream(const ts_bench *bench, ts_training *training, int steps,
                                ts_bench_train *result)
{
    ts_device *device = bench->device;
    result->stream_seconds = result->step_seconds;
    if (!device->k->record_begin) /* the host does the work itself */
        return NULL;
    TS_TRY(device->k->synchronize(device));
    const double start = ts_seconds();
    for (int i = 0; i < steps; i++)
        TS_TRY(ts_training_step(training));
    TS_TRY(device->k->synchronize(device));
    result->stream_seconds = (ts_seconds() - start) / steps;
    return NULL;
}

static ts_status measure_steps(const ts_bench *bench, ts_training *training, int steps, ts_progress *progress,
                               ts_bench_train *result)
{
    ts_device *device = bench->device;
    double warm, host_warm, *times = malloc(2 * MOST_STEPS * sizeof *times), *host = times + MOST_STEPS;
    if (!times)
        return ts_error(TS_NO_MEMORY, "cannot allocate the times of the steps");
    ts_status status;
    TS_GOTO(timed_step(bench, training, &result->first_seconds, &host_warm), end);
    const uint64_t allocations = device->allocations, launches = device->launches;
    TS_GOTO(timed_step(bench, training, &warm, &host_warm),
            end); /* where a device records, this is recorded */
    result->launches = (int64_t)(device->launches - launches);
    const double start = ts_seconds();
    int done = 0;
    while (done < MOST_STEPS &&
           (steps > 0 ? done < steps : done < LEAST_STEPS || ts_seconds() - start < measured_seconds)) {
        if (ts_progress_stopped(progress))
            TS_GOTO(ts_error(TS_INTERRUPTED, "interrupted"), end);
        TS_GOTO(timed_step(bench, training, &times[done], &host[done]), end);
        done++;
        const double share = steps > 0 ? (double)done / steps : (ts_seconds() - start) / measured_seconds;
        ts_progress_report(progress, "bench train", 100 * (share < 1 ? share : 1), 100, "%", NULL);
    }
    qsort(times, (size_t)done, sizeof *times, ts_bench_compare);
    qsort(host, (size_t)done, sizeof *host, ts_bench_compare);
    result->figures.host_seconds = 0.5 * (host[done / 2] + host[(done - 1) / 2]);
    result->steps = done;
    result->step_seconds = 0.5 * (times[done / 2] + times[(done - 1) / 2]);
    result->least = times[0];
    result->most = times[done - 1];
    TS_GOTO(measure_stream(bench, training, done, result), end);
    result->figures.late_allocations = device->allocations - allocations;
end:
    free(times);
    return status;
}

ts_status ts_bench_train_run(const ts_bench *bench, int steps, ts_progress *progress, ts_bench_train *result)
{
    const ts_score_training_config config = ts_trainer_config(bench->config);
    const ts_model *model = bench->model;
    ts_bench_figures *figures = &result->figures;
    ts_training *training = NULL;
    ts_status status;
    *result = (ts_bench_train){.batch = config.batch, .parameters = ts_params_count(model->params)};
    if (steps > MOST_STEPS)
        return ts_error(TS_INVALID, "--steps %d: at most %d steps are timed", steps, MOST_STEPS);
    TS_TRY(ts_bench_ceiling(bench, figures));
    TS_GOTO(ts_training_score(bench->device, &config, &bench->dataset->train, model->params,
                              model->row->apply, model->network, &training),
            end);
    TS_GOTO(measure_steps(bench, training, steps, progress, result), end);
    const ts_graph *graph = ts_training_graph(training);
    result->plan_bytes = ts_graph_arena_bytes(graph);
    result->no_reuse_bytes = ts_graph_no_reuse_bytes(graph);
    result->step_flops = ts_graph_flops(graph, false) + ts_graph_flops(graph, true);
    figures->images_per_second = config.batch / result->step_seconds;
    figures->flops = result->step_flops / result->step_seconds;
    ts_bench_memory(bench, figures);
    TS_GOTO(ts_bench_copy_ceiling(bench, figures), end);
    TS_GOTO(ts_bench_ceiling(bench, figures), end);
end:
    ts_training_destroy(training);
    return ts_memory_advise(status, model, "train.batch", config.batch, true);
}

/* ---- sampling ---- */

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
    /* A step's evaluations, times the steps of a whole run, plus what comes once (the denoising). */
    const int once = config.denoise ? 1 : 0;
    result->nfe = adaptive ? nfe : once + (double)(nfe - once) / config.steps * whole;
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
    TS_TRY(ts_evaluate_sampler(config, config->sample.sampler, config->train.T, &settings));
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
