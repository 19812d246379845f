/* Benchmark of single operations: the training graph's own, one by one, and the optimiser. */
#include <stdlib.h>
#include <string.h>
#include "diffusion/buffer.h"
#include "graph/timing.h"
#include "bench/internal.h"
#include "run/memory.h"

enum { REPEATS = 5 };

/* ---- collecting: the calls of a pass come in the same order every time ---- */

typedef struct call {
    ts_bench_operation one;
    double *seconds; /* [repeats] */
} call;

typedef struct recorder {
    call *calls;
    int count, room;
    int position, pass, repeats; /* pass -1: not recorded */
    bool failed;
} recorder;

static call *next_call(recorder *r)
{
    if (r->position == r->room) {
        const int room = r->room ? 2 * r->room : 256;
        call *calls = realloc(r->calls, (size_t)room * sizeof *calls);
        if (!calls)
            return NULL;
        r->calls = calls;
        r->room = room;
    }
    call *c = &r->calls[r->position++];
    if (r->position > r->count) {
        *c = (call){.seconds = calloc((size_t)r->repeats, sizeof(double))};
        r->count = r->position;
    }
    return c->seconds ? c : NULL;
}

static void record(void *context, const char *operation, const int shape[4], double flops, double bytes,
                   double seconds)
{
    recorder *r = context;
    if (r->pass < 0)
        return;
    call *c = next_call(r);
    if (!c) {
        r->failed = true;
        return;
    }
    strncpy(c->one.name, operation, sizeof c->one.name - 1);
    memcpy(c->one.shape, shape, sizeof c->one.shape);
    c->one.flops = flops;
    c->one.bytes = bytes;
    c->seconds[r->pass] = seconds;
}

static void recorder_release(recorder *r)
{
    for (int i = 0; i < r->count; i++)
        free(r->calls[i].seconds);
    free(r->calls);
}

/* Calls of the same operation on the same shape become one row. */
static void add_row(ts_bench_ops *result, const ts_bench_operation *one, double seconds)
{
    ts_bench_operation *row = result->operations;
    const ts_bench_operation *end = row + result->count;
    while (row < end && (strcmp(row->name, one->name) || memcmp(row->shape, one->shape, sizeof row->shape)))
        row++;
    if (row == end) {
        *row = *one;
        row->flops = row->bytes = 0;
        result->count++;
    }
    row->calls++;
    row->seconds += seconds;
    row->flops += one->flops;
    row->bytes += one->bytes;
    result->seconds += seconds;
}

static int slower_first(const void *a, const void *b)
{
    return ts_bench_compare(&((const ts_bench_operation *)b)->seconds,
                            &((const ts_bench_operation *)a)->seconds);
}

static ts_status summarise(recorder *r, ts_bench_ops *result)
{
    result->operations = calloc((size_t)r->count + 1, sizeof *result->operations);
    if (!result->operations || r->failed)
        return ts_error(TS_NO_MEMORY, "cannot allocate the list of operations");
    for (int i = 0; i < r->count; i++) {
        qsort(r->calls[i].seconds, (size_t)r->repeats, sizeof(double), ts_bench_compare);
        add_row(result, &r->calls[i].one, r->calls[i].seconds[r->repeats / 2]);
    }
    qsort(result->operations, (size_t)result->count, sizeof *result->operations, slower_first);
    return NULL;
}

/* ---- running ---- */

typedef struct optimizer_call {
    ts_device *device;
    ts_optimizer_step step;
} optimizer_call;

static ts_status queue_optimizer(void *context)
{
    const optimizer_call *c = context;
    return c->device->k->optimizer_step(c->device, &c->step);
}

/* The optimiser over all parameters: 5 arrays read, 4 written and the gradients zeroed. */
static ts_status time_optimizer(const ts_bench *bench, const ts_step_state *state, recorder *r)
{
    ts_device *device = bench->device;
    const ts_params *params = bench->model->params;
    void *report = NULL;
    double seconds;
    TS_TRY(device->k->allocate(device, sizeof(ts_optimizer_report), &report));
    optimizer_call one = {.device = device,
                          .step = {.count = ts_params_count(params),
                                   .rate = 1e-4f,
                                   .beta1 = 0.9f,
                                   .beta2 = 0.999f,
                                   .epsilon = 1e-8f,
                                   .clip = 1,
                                   .ema_decay = 0.9999f,
                                   .warmup = 1,
                                   .state = state,
                                   .parameters = ts_params_buffer(params, TS_BUFFER_VALUE),
                                   .gradients = ts_params_buffer(params, TS_BUFFER_GRADIENT),
                                   .first = ts_params_buffer(params, TS_BUFFER_FIRST),
                                   .second = ts_params_buffer(params, TS_BUFFER_SECOND),
                                   .ema = ts_params_buffer(params, TS_BUFFER_EMA),
                                   .report = report}};
    ts_status status = ts_time_call(device, queue_optimizer, &one, &seconds);
    if (!status)
        record(r, "optimizer_step", (const int[4]){1, 1, 1, (int)one.step.count}, 0,
               40.0 * (double)one.step.count, seconds);
    device->k->release(device, report);
    return status;
}

static ts_status fill(const ts_bench *bench, int64_t count, float scale, const ts_step_state *state,
                      void *out)
{
    const ts_fill_random noise = {
        .count = count, .scale = scale, .stream = TS_STREAM_TEST, .state = state, .out = out};
    return bench->device->k->fill_random(bench->device, &noise);
}

static ts_status fill_time(const ts_bench *bench, int n, void *t)
{
    float *host = malloc((size_t)n * sizeof *host);
    if (!host)
        return ts_error(TS_NO_MEMORY, "cannot allocate %d times", n);
    for (int i = 0; i < n; i++)
        host[i] = (i + 0.5f) / n;
    ts_status status = bench->device->k->upload(bench->device, t, host, (size_t)n * sizeof *host);
    if (!status)
        status = bench->device->k->synchronize(bench->device);
    free(host);
    return status;
}

/* Something other than zeros in front of every operation. */
static ts_status fill_ends(const ts_bench *bench, ts_graph *graph, const ts_bench_ends *ends, int n,
                           const ts_step_state *state)
{
    const int64_t count = (int64_t)n * ts_data_dim(&bench->dataset->train);
    TS_TRY(fill(bench, count, 1, state, ts_graph_data(graph, ends->x)));
    TS_TRY(fill_time(bench, n, ts_graph_data(graph, ends->t)));
    return fill(bench, count, 1e-3f, state, ts_graph_gradient(graph, ends->net));
}

static ts_status run_passes(const ts_bench *bench, ts_graph *graph, const ts_bench_ends *ends,
                            const ts_step_state *state, ts_progress *progress, recorder *r)
{
    for (r->pass = -1; r->pass < r->repeats; r->pass++) { /* the first warms up */
        if (ts_progress_stopped(progress))
            return ts_error(TS_INTERRUPTED, "interrupted");
        ts_progress_report(progress, "bench ops", r->pass + 1, r->repeats, "passes", NULL);
        r->position = 0;
        TS_TRY(fill_ends(bench, graph, ends, bench->config->train.batch, state));
        TS_TRY(ts_graph_profile(graph, true, record, r));
        TS_TRY(time_optimizer(bench, state, r));
    }
    return NULL;
}

ts_status ts_bench_ops_run(const ts_bench *bench, int repeats, ts_progress *progress, ts_bench_ops *result)
{
    ts_device *device = bench->device;
    ts_bench_figures *figures = &result->figures;
    recorder r = {.repeats = repeats > 0 ? repeats : REPEATS};
    ts_step_state *state = NULL;
    ts_graph *graph = NULL;
    ts_bench_ends ends;
    ts_status status;
    *result = (ts_bench_ops){0};
    TS_TRY(ts_bench_ceiling(bench, figures));
    TS_TRY(ts_params_enable_training(bench->model->params));
    TS_GOTO(ts_buffer_state(device, &state), end);
    TS_GOTO(ts_bench_graph(bench, bench->config->train.batch, true, state, &graph, &ends), end);
    TS_GOTO(run_passes(bench, graph, &ends, state, progress, &r), end);
    TS_GOTO(summarise(&r, result), end);
    figures->images_per_second = bench->config->train.batch / result->seconds;
    figures->flops = (ts_graph_flops(graph, false) + ts_graph_flops(graph, true)) / result->seconds;
    ts_bench_memory(bench, figures);
    TS_GOTO(ts_bench_copy_ceiling(bench, figures), end);
    TS_GOTO(ts_bench_ceiling(bench, figures), end);
end:
    if (status) {
        free(result->operations);
        result->operations = NULL;
    }
    recorder_release(&r);
    ts_graph_destroy(graph);
    device->k->release(device, state);
    return ts_memory_advise(status, bench->model, "train.batch", bench->config->train.batch, true);
}
