#include "run/threads.h"

#include "nn/nn.h"
#include "run/memory.h"
#include "run/starts/glow.h"

int ts_threads_for(double flops, int most)
{
    const double threads = flops / TS_FLOP_A_THREAD;
    return threads < 1 ? 1 : threads < most ? (int)threads : most;
}

ts_status ts_threads_flow_flops(const ts_run *run, double *flops)
{
    const ts_config *config = run->config;
    const ts_data *data = &run->dataset->train;
    const ts_glow_config shape = ts_model_flow(config, data);
    ts_params *params = NULL;
    ts_glow *glow = NULL;
    double bytes;
    ts_status status;
    *flops = 0;
    status = ts_fit_check(run);
    if (status) {
        ts_status_free(status);
        return NULL;
    }
    TS_GOTO(ts_params_create(run->device, &params), done);
    TS_GOTO(ts_glow_create(&shape, params, 1, &glow), done);
    TS_GOTO(ts_params_commit(params, 1), done);
    status = ts_memory_plan_flow(run->device, params, glow, data->h, data->w, data->c, config->glow.batch,
                                 &bytes, flops);
done:
    ts_glow_destroy(glow);
    ts_params_destroy(params);
    return status;
}

static ts_status work_flops(const ts_run *run, ts_work work, double *flops)
{
    const ts_config *config = run->config;
    const int batch = work == TS_WORK_TRAIN    ? config->train.batch
                      : work == TS_WORK_SAMPLE ? config->sample.batch
                                               : config->bound.batch;
    double bytes;
    *flops = 0;
    if (work == TS_WORK_FIT)
        return ts_threads_flow_flops(run, flops);
    if (!run->model || !run->model->params)
        return NULL;
    return ts_memory_plan(run->model, batch, false, &bytes, flops);
}

ts_status ts_threads_choose(ts_run *run, const ts_run_options *options)
{
    ts_device *device = run->device;
    const int most = device->threads;
    double flops;
    if (options->work == TS_WORK_ANY || options->device_options.threads || !device->k->set_threads ||
        most < 2)
        return NULL;
    TS_TRY(work_flops(run, options->work, &flops));
    const int threads = flops > 0 ? ts_threads_for(flops, most) : most;
    if (threads == most)
        return NULL;
    device->k->set_threads(device, threads);
    run->threads_at_hand = most;
    run->pass_flops = flops;
    return NULL;
}
