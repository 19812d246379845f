/* Benchmark of training: whole steps. */
#include "bench/internal.h"

#include <stdlib.h>

#include "base/clock.h"
#include "run/memory.h"
#include "run/training/trainer.h"

static const double measured_seconds = 8;
enum { LEAST_STEPS = 3, MOST_STEPS = 100000 };

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
