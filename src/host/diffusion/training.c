/* The mechanics that all training loops share. */
#include <stdlib.h>
#include "diffusion/buffer.h"
#include "diffusion/training_internal.h"

static ts_status check_optimizer(const ts_optimizer_config *c)
{
    /* written so that a NaN fails */
    if (!(c->rate >= 0.0) || !(c->epsilon >= 0.0))
        return ts_error(TS_INVALID, "Adam's rate %g and epsilon %g must not be negative", c->rate,
                        c->epsilon);
    if (!(c->beta1 >= 0.0 && c->beta1 < 1.0) || !(c->beta2 >= 0.0 && c->beta2 < 1.0))
        return ts_error(TS_INVALID, "Adam's decays are %g and %g: each must be in [0, 1)", c->beta1,
                        c->beta2);
    if (!(c->ema >= 0.0 && c->ema < 1.0))
        return ts_error(TS_INVALID, "the decay of the averaged weights is %g: it must be in [0, 1)", c->ema);
    if (c->warmup < 0)
        return ts_error(TS_INVALID, "%d steps of warm-up: there cannot be fewer than 0", c->warmup);
    return NULL;
}

static ts_status write_state(ts_training *training, int64_t step)
{
    const ts_step_state state = {.seed = training->seed, .step = (uint32_t)step};
    return training->device->k->upload(training->device, training->state, &state, sizeof state);
}

ts_status ts_training_begin(ts_training *training, ts_device *device, const ts_data *data, ts_params *params,
                            uint64_t seed, const ts_optimizer_config *optimizer)
{
    void *memory;
    training->device = training->recorded.device = device;
    training->data = data;
    training->params = params;
    training->seed = seed;
    TS_TRY(check_optimizer(optimizer));
    if (!data->mixture && (data->count < 1 || !data->bytes == !data->floats))
        return ts_error(TS_INVALID, "no data to train on");
    if (!device->k->optimizer_step || !device->k->advance)
        return ts_error(TS_UNSUPPORTED, "device %s lacks the optimiser: it cannot train", device->k->name);
    TS_TRY(ts_buffer_state(device, &training->state));
    TS_TRY(device->k->allocate(device, sizeof *training->report, &memory));
    training->report = memory;
    TS_TRY(write_state(training, 0));
    if (!ts_params_buffer(params, TS_BUFFER_EMA))
        TS_TRY(ts_params_enable_training(params));
    training->optimizer = (ts_optimizer_step){
        .count = ts_params_count(params),
        .rate = (float)optimizer->rate,
        .beta1 = (float)optimizer->beta1,
        .beta2 = (float)optimizer->beta2,
        .epsilon = (float)optimizer->epsilon,
        .clip = (float)optimizer->clip,
        .ema_decay = (float)optimizer->ema,
        .warmup = (uint32_t)optimizer->warmup,
        .state = training->state,
        .parameters = ts_params_buffer(params, TS_BUFFER_VALUE),
        .gradients = ts_params_buffer(params, TS_BUFFER_GRADIENT),
        .first = ts_params_buffer(params, TS_BUFFER_FIRST),
        .second = ts_params_buffer(params, TS_BUFFER_SECOND),
        .ema = ts_params_buffer(params, TS_BUFFER_EMA),
        .report = training->report,
    };
    training->advance.state = training->state;
    return NULL;
}

/* ---- around a step ---- */

void ts_training_phase(ts_training *training, const char *name)
{
    if (training->phase)
        ts_range_pop(training->device);
    if (name)
        ts_range_push(training->device, name);
    training->phase = name;
}

/* Closes the phase that a step ended in, or that an error left open. */
static ts_status queue_step(void *context)
{
    ts_training *training = context;
    ts_status status = training->queue_step(training);
    ts_training_phase(training, NULL);
    return status;
}

/* Devices keep copies of weights until they hear that these changed, which a replay does not tell them.  So
 * they hear it before a recording, that the making of the copies becomes part of it whatever ran last, and
 * after every replay. */
static ts_status queue_or_replay(ts_training *training)
{
    ts_device *device = training->device;
    if (device->k->record_begin && !device->recording_off && !training->recorded.recording)
        device->k->weights_changed(device);
    TS_TRY(ts_recorded_run(&training->recorded, queue_step, training));
    if (training->recorded.recording)
        device->k->weights_changed(device);
    return NULL;
}

ts_status ts_training_step(ts_training *training)
{
    const int64_t step = training->step;
    const bool directly = step == 0 && training->first_asks_host;
    ts_range_push(training->device, "train step");
    ts_status status = directly ? queue_step(training) : queue_or_replay(training);
    if (!status) {
        training->step++;
        status = training->step_done ? training->step_done(training) : NULL;
    }
    ts_range_pop(training->device);
    return ts_context(status, "step %lld", (long long)step + 1);
}

ts_status ts_training_read(ts_training *training, ts_training_report *report)
{
    return training->read(training, report);
}

ts_status ts_training_profile(ts_training *training, double *profile)
{
    if (!training->read_profile)
        return ts_error(TS_INVALID, "this training has no profile over t");
    return training->read_profile(training, profile);
}

ts_status ts_training_set_profile(ts_training *training, const double *profile)
{
    if (!training->write_profile)
        return ts_error(TS_INVALID, "this training has no profile over t");
    return training->write_profile(training, profile);
}

ts_status ts_training_set_t_max(ts_training *training, double t_max)
{
    if (!training->write_t_max)
        return ts_error(TS_INVALID, "this training has no range of t");
    TS_TRY(training->write_t_max(training, t_max));
    ts_recorded_forget(&training->recorded);
    return NULL;
}

ts_status ts_training_set_step(ts_training *training, int64_t step)
{
    if (step < 0 || step > UINT32_MAX)
        return ts_error(TS_INVALID, "training cannot go on from step %lld: steps are 0 to %lld",
                        (long long)step, (long long)UINT32_MAX);
    TS_TRY(write_state(training, step));
    training->step = step;
    return training->step_was_set ? training->step_was_set(training) : NULL;
}

ts_status ts_training_remember(ts_training *training, ts_training_memory *memory)
{
    if (!training->remember)
        return ts_error(TS_INVALID, "this training remembers nothing beside its parameters");
    return training->remember(training, memory);
}

ts_status ts_training_recall(ts_training *training, const double numbers[TS_TRAINING_NUMBERS])
{
    if (!training->recall)
        return ts_error(TS_INVALID, "this training remembers nothing beside its parameters");
    return training->recall(training, numbers);
}

const ts_graph *ts_training_graph(const ts_training *training)
{
    return training->graph;
}

void ts_training_destroy(ts_training *training)
{
    if (!training)
        return;
    ts_recorded_forget(&training->recorded);
    if (training->release)
        training->release(training);
    ts_graph_destroy(training->graph);
    training->device->k->release(training->device, training->report);
    training->device->k->release(training->device, training->state);
    free(training);
}
