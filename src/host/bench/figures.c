/* What every benchmark works on and says: data, model, ceilings, memory. */
#include "bench/internal.h"

#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "diffusion/buffer.h"
#include "graph/timing.h"

enum { SYNTHETIC_IMAGES = 1024 };

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
    train->unit = config->sde.kind == TS_SDE_VE;
    train->h = config->data.resize ? config->data.resize : row->h;
    train->w = config->data.resize ? config->data.resize : row->w;
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
    status = ts_dataset_open(config, device, NULL, &bench->dataset);
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

/* ---- the model's graph ---- */

ts_status ts_bench_graph(const ts_bench *bench, int n, bool training, const ts_step_state *state,
                         ts_graph **graph, ts_bench_ends *ends)
{
    const ts_model *model = bench->model;
    TS_TRY(ts_graph_create(bench->device, model->params, graph));
    ts_graph_set_state(*graph, state);
    ends->x = ts_graph_input(*graph, "x", n, model->h, model->w, model->c);
    ends->t = ts_graph_input_vector(*graph, "t", n);
    ends->net = model->row->apply(model->network, *graph, ends->x, ends->t, training);
    ts_graph_output(*graph, ends->net, training);
    return ts_graph_plan(*graph, training ? TS_PLAN_PARAM_GRADIENTS : TS_PLAN_FORWARD);
}
