/*
 * Denoising score matching (Vincent 2011; Ho et al. 2020; Song et al. 2021).
 */
#include <math.h>
#include <stdlib.h>
#include "diffusion/buffer.h"
#include "diffusion/training_internal.h"

typedef struct score_training {
    ts_training base;
    int batch, bins;
    ts_noisy_batch noisy; /* of stored data; its times are those of a mixture too */
    ts_perturb perturb;   /* of a mixture */
    ts_score_loss loss;
    float *x0;         /* device, [batch,d]; of a mixture */
    double *sums;      /* device: the total of the loss, then the profile [bins][2] */
    int64_t read_step; /* step of the last read */
    uint32_t skipped;  /* as last read */
} score_training;

/* ---- a step ---- */

/*
 * One training step, d = h w c.  It queues operations and waits for nothing; on a device that records launches
 * it is called twice, and what the second call queued is replayed at every step from then on.
 */
static ts_status queue_step(void *training)
{
    score_training *s = training;
    ts_training *b = training;
    ts_device *device = b->device;
    const ts_kernels *k = device->k;

    /* t [batch] on [t_min, t_max], z ~ N(0, I), x_t = a(t) x0 + s(t) z; what is predicted takes z's place */
    ts_training_phase(b, "batch");
    if (b->data->mixture) {
        TS_TRY(ts_data_train_batch(b->data, s->batch, b->state, s->x0)); /* x0 [batch,d], drawn fresh */
        TS_TRY(k->draw_times(device, &s->noisy.times));                  /* t [batch] */
        TS_TRY(k->perturb(device, &s->perturb));                         /* z, x_t [batch,h,w,c] */
    } else {
        TS_TRY(k->noisy_batch(device, &s->noisy)); /* all of it from bytes [count,h,w,c] in one operation */
    }
    ts_training_phase(b, NULL);

    TS_TRY(ts_graph_forward(b->graph)); /* net(x_t, t) [batch,h,w,c] */

    ts_training_phase(b, "loss"); /* w(t) mean_d (net - z)^2 [batch], and d mean loss / d net [batch,h,w,c] */
    TS_TRY(k->score_loss(device, &s->loss));
    ts_training_phase(b, NULL);

    TS_TRY(ts_graph_backward(b->graph)); /* gradients += d mean loss / d parameters [count] */

    ts_training_phase(b, "optimizer"); /* clipping, Adam and EMA of parameters [count]; gradients = 0 */
    TS_TRY(k->optimizer_step(device, &b->optimizer));
    return k->advance(device, &b->advance); /* state->step += 1: other draws at the next replay */
}

/* ---- reading ---- */

static ts_status read_report(ts_training *training, ts_training_report *report)
{
    score_training *s = (score_training *)training;
    ts_device *device = training->device;
    const int64_t images = (training->step - s->read_step) * s->batch;
    double total;
    ts_optimizer_report optimizer;
    TS_TRY(device->k->synchronize(device));
    TS_TRY(device->k->download(device, &total, s->sums, sizeof total));
    TS_TRY(device->k->download(device, &optimizer, training->report, sizeof optimizer));
    TS_TRY(device->k->zero(device, s->sums, sizeof total));
    *report = (ts_training_report){
        .step = training->step,
        .loss = images > 0 ? total / (double)images : 0.0,
        .gradient_norm = (double)optimizer.norm,
        .skipped = optimizer.skipped,
        .first_skipped = optimizer.skipped ? (int64_t)optimizer.first_skipped : -1,
        .finite = isfinite(total) && optimizer.skipped == s->skipped,
        .rate_scale = 1.0,
    };
    s->read_step = training->step;
    s->skipped = optimizer.skipped;
    return NULL;
}

static ts_status read_profile(ts_training *training, double *profile)
{
    score_training *s = (score_training *)training;
    ts_device *device = training->device;
    TS_TRY(device->k->synchronize(device));
    return device->k->download(device, profile, s->loss.profile, 2 * (size_t)s->bins * sizeof *profile);
}

static ts_status write_profile(ts_training *training, const double *profile)
{
    score_training *s = (score_training *)training;
    ts_device *device = training->device;
    return device->k->upload(device, s->loss.profile, profile, 2 * (size_t)s->bins * sizeof *profile);
}

static ts_status check_range(double t_min, double t_max)
{
    if (!(t_min > 0.0 && t_min < t_max && t_max <= 1.0))
        return ts_error(TS_INVALID, "t is drawn from [%g, %g]: it must be that 0 < eps < T <= 1", t_min,
                        t_max);
    return NULL;
}

static ts_status write_t_max(ts_training *training, double t_max)
{
    score_training *s = (score_training *)training;
    ts_device *device = training->device;
    TS_TRY(check_range(s->loss.t_min, t_max));
    TS_TRY(device->k->synchronize(device)); /* a replay may be on its way */
    s->noisy.times.t_max = s->loss.t_max = t_max;
    return device->k->zero(device, s->loss.profile, 2 * (size_t)s->bins * sizeof(double));
}

static ts_status step_was_set(ts_training *training)
{
    score_training *s = (score_training *)training;
    s->read_step = training->step;
    return training->device->k->zero(training->device, s->sums, sizeof(double));
}

/* ---- making ---- */

static void release(ts_training *training)
{
    score_training *s = (score_training *)training;
    ts_device *device = training->device;
    device->k->release(device, s->x0);
    device->k->release(device, s->noisy.z);
    device->k->release(device, s->loss.loss);
    device->k->release(device, s->sums);
}

static ts_status check(const ts_device *device, const ts_score_training_config *c, const ts_data *data)
{
    const ts_kernels *k = device->k;
    if (c->batch < 1 || c->profile_bins < 1)
        return ts_error(TS_INVALID, "batch %d and profile bins %d must be at least 1", c->batch,
                        c->profile_bins);
    TS_TRY(check_range(c->t_min, c->t_max));
    if (!k->score_loss ||
        (data->mixture ? !k->mixture_sample || !k->draw_times || !k->perturb : !k->noisy_batch))
        return ts_error(TS_UNSUPPORTED, "device %s lacks operations of score training", k->name);
    return NULL;
}

/* The network for one batch, forward and backward; its tensors are where the operations read and write. */
static ts_status build(score_training *s, ts_network_apply *apply, const void *model)
{
    ts_training *b = &s->base;
    const int h = b->data->h, w = b->data->w, c = b->data->c;
    TS_TRY(ts_graph_create(b->device, b->params, &b->graph));
    ts_graph_set_state(b->graph, b->state);
    ts_tensor x = ts_graph_input(b->graph, "x", s->batch, h, w, c); /* [batch,h,w,c] */
    ts_tensor t = ts_graph_input_vector(b->graph, "t", s->batch);   /* [batch] */
    ts_tensor net = apply(model, b->graph, x, t, true);             /* [batch,h,w,c] */
    ts_graph_output(b->graph, net, true);
    TS_TRY(ts_graph_plan(b->graph, TS_PLAN_PARAM_GRADIENTS));
    int shape[4];
    ts_graph_shape(b->graph, net, shape);
    if (shape[0] != s->batch || shape[1] != h || shape[2] != w || shape[3] != c)
        return ts_error(TS_INVALID, "the network gives [%d,%d,%d,%d] where the data are [%d,%d,%d,%d]",
                        shape[0], shape[1], shape[2], shape[3], s->batch, h, w, c);
    s->noisy.times.t = ts_graph_data(b->graph, t);
    s->noisy.xt = ts_graph_data(b->graph, x);
    s->loss.net = ts_graph_data(b->graph, net);
    s->loss.dnet = ts_graph_gradient(b->graph, net);
    return NULL;
}

static ts_status allocate(score_training *s)
{
    ts_device *device = s->base.device;
    const size_t elements = (size_t)s->batch * (size_t)ts_data_dim(s->base.data);
    if (s->base.data->mixture)
        TS_TRY(ts_buffer_floats(device, elements, &s->x0));
    TS_TRY(device->k->allocate(device, elements * ts_dtype_size(device->activation), &s->noisy.z));
    TS_TRY(ts_buffer_floats(device, (size_t)s->batch, &s->loss.loss));
    return ts_buffer_doubles(device, 1 + 2 * (size_t)s->bins, &s->sums);
}

static void freeze(score_training *s, const ts_score_training_config *c)
{
    const int d = ts_data_dim(s->base.data);
    ts_draw_times *times = &s->noisy.times;
    times->n = s->loss.n = s->batch;
    times->sde = s->loss.sde = c->sde;
    times->t_min = s->loss.t_min = c->t_min;
    times->t_max = s->loss.t_max = c->t_max;
    times->sampling = c->sampling;
    times->low_discrepancy = c->low_discrepancy;
    times->state = s->base.state;
    s->noisy.predicts = s->loss.predicts = c->predicts;
    s->noisy.data = ts_data_train_examples(s->base.data, s->batch, s->base.state);
    s->perturb = (ts_perturb){.n = s->batch,
                              .d = d,
                              .sde = c->sde,
                              .state = s->base.state,
                              .x0 = s->x0,
                              .t = times->t,
                              .xt = s->noisy.xt,
                              .z = s->noisy.z,
                              .predicts = c->predicts};
    s->loss.d = d;
    s->loss.t = times->t;
    s->loss.bins = s->bins;
    s->loss.weight = c->weight;
    s->loss.z = s->noisy.z;
    s->loss.total = s->sums;
    s->loss.profile = s->sums + 1;
}

ts_status ts_training_score(ts_device *device, const ts_score_training_config *config, const ts_data *data,
                            ts_params *params, ts_network_apply *apply, const void *model,
                            ts_training **training)
{
    ts_status status;
    *training = NULL;
    TS_TRY(check(device, config, data));
    score_training *s = calloc(1, sizeof *s);
    if (!s)
        return ts_error(TS_NO_MEMORY, "cannot allocate a training");
    ts_training *b = &s->base;
    b->queue_step = queue_step;
    b->read = read_report;
    b->read_profile = read_profile;
    b->write_profile = write_profile;
    b->write_t_max = write_t_max;
    b->step_was_set = step_was_set;
    b->release = release;
    s->batch = config->batch;
    s->bins = config->profile_bins;
    TS_GOTO(ts_training_begin(b, device, data, params, config->seed, &config->optimizer), fail);
    TS_GOTO(build(s, apply, model), fail);
    TS_GOTO(allocate(s), fail);
    freeze(s, config);
    *training = b;
    return NULL;
fail:
    ts_training_destroy(b);
    return status;
}
