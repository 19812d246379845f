/*
 * Maximum likelihood of a Glow on forward samples at T (Kingma and Dhariwal 2018), and the guard that keeps a
 * fit from diverging (training.h).
 */
#include <math.h>
#include <stdlib.h>
#include "diffusion/buffer.h"
#include "diffusion/training_internal.h"

enum { WINDOW = 32, BUFFERS = 4 };

/* How much worse than the best window a window may be, nats a dimension.  The mean over a window of a fit in
 * good health varies by hundredths; a fit that has lost its footing loses whole nats within a few steps. */
static const double tolerance = 0.5;

static const double smallest_scale = 1e-6; /* of the rate */

static const ts_param_buffer buffers[BUFFERS] = {TS_BUFFER_VALUE, TS_BUFFER_FIRST, TS_BUFFER_SECOND,
                                                 TS_BUFFER_EMA};

typedef struct glow_training {
    ts_training base;
    int batch, d;
    ts_tensor log_prob;
    ts_draw_times
        draws[2]; /* of n > 0 where T is drawn: evenly for some rows, else where there is most to learn */
    ts_perturb perturb;
    ts_linear_combine add_up;
    float *x0;        /* device, [batch,d] */
    float *t;         /* device, [batch], all T or drawn: the graph's input */
    float *cotangent; /* device, [batch]: -1/(batch d), the gradient of the objective by each log-density */
    float *sums;      /* device, [batch]: log-densities, summed over the steps of the window */
    float *host;      /* [batch] */

    /* the guard */
    float *good;     /* device, [BUFFERS][count]: as of the last good window */
    float rate;      /* as configured */
    double scale;    /* of the rate */
    double best;     /* lowest mean loss of a window so far */
    int steps;       /* in this window */
    uint32_t before; /* skipped steps before this window */
    int64_t rollbacks;
    int64_t stood; /* steps of good windows */

    /* since the last read: of finished windows, and what of the current one was read already */
    double loss, read_loss;
    int64_t images, read_images;
    double last_loss; /* reported when no step has stood since */
} glow_training;

/* ---- the guard ---- */

static ts_status save(glow_training *g)
{
    const ts_training *b = &g->base;
    const int64_t count = ts_params_count(b->params);
    for (int i = 0; i < BUFFERS; i++)
        TS_TRY(b->device->k->copy(b->device, g->good + i * count, ts_params_buffer(b->params, buffers[i]),
                                  (size_t)count * sizeof(float)));
    return NULL;
}

static ts_status restore(glow_training *g)
{
    const ts_training *b = &g->base;
    const int64_t count = ts_params_count(b->params);
    for (int i = 0; i < BUFFERS; i++)
        TS_TRY(b->device->k->copy(b->device, ts_params_buffer(b->params, buffers[i]), g->good + i * count,
                                  (size_t)count * sizeof(float)));
    b->device->k->weights_changed(b->device);
    return NULL;
}

/* Sum of the losses, nats a dimension, over the images of the current window. */
static ts_status window_loss(glow_training *g, double *loss)
{
    ts_device *device = g->base.device;
    TS_TRY(device->k->synchronize(device));
    TS_TRY(device->k->download(device, g->host, g->sums, (size_t)g->batch * sizeof *g->host));
    *loss = 0;
    for (int i = 0; i < g->batch; i++)
        *loss -= g->host[i] / (double)g->d;
    return NULL;
}

static ts_status start_window(glow_training *g)
{
    ts_device *device = g->base.device;
    g->steps = 0;
    g->read_loss = 0;
    g->read_images = 0;
    return device->k->zero(device, g->sums, (size_t)g->batch * sizeof *g->sums);
}

static ts_status roll_back(glow_training *g, double mean)
{
    g->rollbacks++;
    g->scale /= 2;
    if (g->scale < smallest_scale)
        return ts_error(TS_NOT_FINITE,
                        "the Glow diverges (loss %g nats a dimension, best %g) even at a rate of %g", mean,
                        g->best, g->rate * g->scale);
    g->base.optimizer.rate = (float)(g->rate * g->scale);
    ts_recorded_forget(&g->base.recorded);
    return restore(g);
}

/* Looks at the steps since the window began: *loss and whether they may stand. */
static ts_status judge(glow_training *g, ts_optimizer_report *report, double *loss, bool *good)
{
    ts_device *device = g->base.device;
    TS_TRY(window_loss(g, loss));
    TS_TRY(device->k->download(device, report, g->base.report, sizeof *report));
    const double mean = *loss / ((double)g->steps * g->batch);
    *good = g->steps == 0 || (isfinite(mean) && report->skipped == g->before && mean <= g->best + tolerance);
    return NULL;
}

/* Adds the current window's loss to what the next report says, less what the last one said of it. */
static void note(glow_training *g, double loss)
{
    const int64_t images = (int64_t)g->steps * g->batch;
    g->loss += loss - g->read_loss;
    g->images += images - g->read_images;
    g->read_loss = loss;
    g->read_images = images;
}

static ts_status end_window(glow_training *g)
{
    ts_optimizer_report report;
    double loss;
    bool good;
    TS_TRY(judge(g, &report, &loss, &good));
    if (good) {
        note(g, loss);
        g->best = fmin(g->best, loss / ((double)g->steps * g->batch));
        g->stood += g->steps;
        TS_TRY(save(g));
    } else {
        TS_TRY(roll_back(g, loss / ((double)g->steps * g->batch)));
    }
    g->before = report.skipped;
    return start_window(g);
}

/* ---- a step ---- */

/* The actnorms from the first batch; the average begins where the parameters do. */
static ts_status initialize(glow_training *g)
{
    ts_training *b = &g->base;
    const ts_kernels *k = b->device->k;
    const size_t bytes = (size_t)ts_params_count(b->params) * sizeof(float);
    TS_TRY(ts_graph_forward_initialize(b->graph));
    return k->copy(b->device, ts_params_buffer(b->params, TS_BUFFER_EMA),
                   ts_params_buffer(b->params, TS_BUFFER_VALUE), bytes);
}

/* What the first loss must be judged by, and returned to. */
static ts_status first_look(glow_training *g)
{
    double loss;
    TS_TRY(window_loss(g, &loss));
    g->best = g->last_loss = loss / g->batch;
    if (!isfinite(g->best))
        return ts_error(TS_NOT_FINITE, "the loss of the Glow as initialised is not finite");
    return save(g);
}

/*
 * One training step, d = h w c.  All but the first queue operations and wait for nothing; the first sets the
 * actnorms from its batch and looks at its loss before anything is updated.
 */
static ts_status queue_step(void *training)
{
    glow_training *g = training;
    ts_training *b = training;
    ts_device *device = b->device;
    const ts_kernels *k = device->k;
    const bool first = b->step == 0;

    ts_training_phase(b, "batch");                                   /* z ~ N(0, I), x_T = a(T) x0 + s(T) z */
    TS_TRY(ts_data_train_batch(b->data, g->batch, b->state, g->x0)); /* x0 [batch,d] */
    for (int i = 0; i < 2; i++)
        if (g->draws[i].n)
            TS_TRY(k->draw_times(device, &g->draws[i])); /* T [batch] */
    TS_TRY(k->perturb(device, &g->perturb));             /* x_T [batch,h,w,c] */
    ts_training_phase(b, NULL);

    TS_TRY(first ? initialize(g) : ts_graph_forward(b->graph)); /* log nu(x_T) [batch] */

    /* loss: minus the mean of log nu(x_T) / d, of which the gradient by each is -1/(batch d) */
    TS_TRY(k->linear_combine(device, &g->add_up)); /* sums [batch] += log nu(x_T) */
    if (first)
        TS_TRY(first_look(g));
    TS_TRY(k->copy(device, ts_graph_gradient(b->graph, g->log_prob), g->cotangent,
                   (size_t)g->batch * sizeof *g->cotangent));

    TS_TRY(ts_graph_backward(b->graph)); /* gradients += d loss / d parameters [count] */

    ts_training_phase(b, "optimizer"); /* clipping, Adam and EMA of parameters [count]; gradients = 0 */
    TS_TRY(k->optimizer_step(device, &b->optimizer));
    return k->advance(device, &b->advance); /* state->step += 1: other draws at the next replay */
}

static ts_status step_done(ts_training *training)
{
    glow_training *g = (glow_training *)training;
    g->steps++;
    return training->step % WINDOW ? NULL : end_window(g);
}

/* ---- reading ---- */

static ts_status read_report(ts_training *training, ts_training_report *report)
{
    glow_training *g = (glow_training *)training;
    ts_optimizer_report optimizer;
    double loss;
    bool good;
    TS_TRY(judge(g, &optimizer, &loss, &good));
    if (good)
        note(g, loss);
    else
        TS_TRY(end_window(g)); /* whoever reads may use the parameters next */
    if (g->images > 0)
        g->last_loss = g->loss / (double)g->images;
    *report = (ts_training_report){.step = training->step,
                                   .loss = g->last_loss,
                                   .gradient_norm = (double)optimizer.norm,
                                   .skipped = optimizer.skipped,
                                   .finite = true,
                                   .stood = g->stood + g->steps,
                                   .rollbacks = g->rollbacks,
                                   .rate_scale = g->scale};
    g->loss = 0;
    g->images = 0;
    return NULL;
}

/* A fit that goes on elsewhere has no best loss yet, and returns to here at worst. */
static ts_status step_was_set(ts_training *training)
{
    glow_training *g = (glow_training *)training;
    g->best = INFINITY;
    g->stood = training->step;
    g->loss = 0;
    g->images = 0;
    TS_TRY(start_window(g));
    return training->step > 0 ? save(g) : NULL;
}

/* ---- what goes on elsewhere ---- */

/* The members of glow_training that are numbers, in the order of ts_training_memory; three of the optimiser's
 * report stand behind them. */
#define NUMBERS(X)                                                                                           \
    X(scale)                                                                                                 \
    X(best)                                                                                                  \
    X(steps) X(before) X(rollbacks) X(stood) X(loss) X(read_loss) X(images) X(read_images) X(last_loss)
#define X(name) +1
_Static_assert(NUMBERS(X) + 3 == TS_TRAINING_NUMBERS && BUFFERS + 1 == TS_TRAINING_BUFFERS, "training.h");
#undef X

static ts_status remember(ts_training *training, ts_training_memory *memory)
{
    static const char *const names[BUFFERS] = {"good.value", "good.first", "good.second", "good.ema"};
    glow_training *g = (glow_training *)training;
    const int64_t count = ts_params_count(training->params);
    ts_optimizer_report report;
    int n = 0;
    TS_TRY(training->device->k->synchronize(training->device));
    TS_TRY(training->device->k->download(training->device, &report, training->report, sizeof report));
#define X(name) memory->numbers[n++] = (double)g->name;
    NUMBERS(X)
#undef X
    memory->numbers[n++] = (double)report.norm;
    memory->numbers[n++] = report.skipped;
    memory->numbers[n++] = report.first_skipped;
    for (int i = 0; i < BUFFERS; i++) {
        memory->buffers[i].name = names[i];
        memory->buffers[i].count = count;
        memory->buffers[i].values = g->good + i * count;
    }
    memory->buffers[BUFFERS].name = "log_densities";
    memory->buffers[BUFFERS].count = g->batch;
    memory->buffers[BUFFERS].values = g->sums;
    return NULL;
}

static ts_status recall(ts_training *training, const double numbers[TS_TRAINING_NUMBERS])
{
    glow_training *g = (glow_training *)training;
    int n = 0;
#define X(name) g->name = (__typeof__(g->name))numbers[n++];
    NUMBERS(X)
#undef X
    const ts_optimizer_report report = {.norm = (float)numbers[n],
                                        .skipped = (uint32_t)numbers[n + 1],
                                        .first_skipped = (uint32_t)numbers[n + 2]};
    g->base.optimizer.rate = (float)(g->rate * g->scale);
    ts_recorded_forget(&g->base.recorded);
    return training->device->k->upload(training->device, training->report, &report, sizeof report);
}

/* ---- making ---- */

static void release(ts_training *training)
{
    glow_training *g = (glow_training *)training;
    ts_device *device = training->device;
    device->k->release(device, g->x0);
    device->k->release(device, g->perturb.z);
    device->k->release(device, g->cotangent);
    device->k->release(device, g->sums);
    device->k->release(device, g->good);
    free(g->host);
}

static ts_status check(const ts_device *device, const ts_glow_training_config *c, const ts_data *data)
{
    const ts_kernels *k = device->k;
    if (c->batch < 2)
        return ts_error(TS_INVALID,
                        "a batch of %d: the Glow is initialised from the spread of its first batch, so it "
                        "must be at least 2",
                        c->batch);
    if (!(c->T > 0 && c->T <= 1))
        return ts_error(TS_INVALID, "T is %g; it must be in (0, 1]", c->T);
    if (c->T_low && !(c->T_low > 0 && c->T_low <= c->T))
        return ts_error(TS_INVALID, "the smallest T is %g; it must be in (0, %g], the largest", c->T_low,
                        c->T);
    if (!k->perturb || !k->linear_combine || !k->draw_times ||
        (data->mixture ? !k->mixture_sample : !k->gather))
        return ts_error(TS_UNSUPPORTED, "the %s device lacks operations of the Glow fit", k->name);
    return NULL;
}

static ts_status build(glow_training *g, const ts_glow *glow)
{
    ts_training *b = &g->base;
    TS_TRY(ts_graph_create(b->device, b->params, &b->graph));
    ts_graph_set_state(b->graph, b->state);
    ts_tensor x = ts_graph_input(b->graph, "x", g->batch, b->data->h, b->data->w, b->data->c);
    ts_tensor t = ts_graph_input_vector(b->graph, "t", g->batch);
    g->log_prob = ts_glow_log_prob(glow, b->graph, x, t, NULL); /* [batch,h,w,c], [batch] -> [batch] */
    ts_graph_output(b->graph, g->log_prob, true);
    TS_TRY(ts_graph_plan(b->graph, TS_PLAN_PARAM_GRADIENTS));
    g->perturb.xt = ts_graph_data(b->graph, x);
    g->t = ts_graph_data(b->graph, t);
    return NULL;
}

static ts_status set_time(glow_training *g, float T)
{
    for (int i = 0; i < g->batch; i++)
        g->host[i] = T;
    return g->base.device->k->upload(g->base.device, g->t, g->host, (size_t)g->batch * sizeof *g->t);
}

static ts_status allocate(glow_training *g)
{
    ts_device *device = g->base.device;
    const size_t n = (size_t)g->batch, elements = n * (size_t)g->d;
    g->host = malloc(n * sizeof *g->host);
    if (!g->host)
        return ts_error(TS_NO_MEMORY, "cannot allocate %zu bytes", n * sizeof *g->host);
    TS_TRY(ts_buffer_floats(device, elements, &g->x0));
    TS_TRY(device->k->allocate(device, elements * ts_dtype_size(device->activation), &g->perturb.z));
    TS_TRY(ts_buffer_fill(device, n, (float)(-1.0 / (double)elements), &g->cotangent));
    TS_TRY(ts_buffer_floats(device, n, &g->sums));
    return ts_buffer_floats(device, BUFFERS * (size_t)ts_params_count(g->base.params), &g->good);
}

/* Nothing is left of the data at a long T, where the flow must not forget to do nothing. */
static void draw_times(glow_training *g, const ts_glow_training_config *c)
{
    const int even = g->batch / 8;
    g->draws[0] = (ts_draw_times){.n = even,
                                  .sde = c->sde,
                                  .sampling = TS_TIME_UNIFORM,
                                  .low_discrepancy = true,
                                  .t_min = c->T_low,
                                  .t_max = c->T,
                                  .state = g->base.state,
                                  .t = g->t};
    g->draws[1] = g->draws[0];
    g->draws[1].n = g->batch - even;
    g->draws[1].sampling = TS_TIME_STRUCTURE;
    g->draws[1].t += even;
}

static void freeze(glow_training *g, const ts_glow_training_config *c)
{
    if (c->T_low)
        draw_times(g, c);
    g->perturb.n = g->batch;
    g->perturb.d = g->d;
    g->perturb.sde = c->sde;
    g->perturb.state = g->base.state;
    g->perturb.x0 = g->x0;
    g->perturb.t = g->t;
    g->add_up = (ts_linear_combine){.count = g->batch,
                                    .terms = 2,
                                    .c.value = {1, 1},
                                    .x = {g->sums, ts_graph_data(g->base.graph, g->log_prob)},
                                    .y = g->sums};
    g->rate = g->base.optimizer.rate;
    g->scale = 1;
    g->best = INFINITY;
}

ts_status ts_training_glow(ts_device *device, const ts_glow_training_config *config, const ts_data *data,
                           ts_params *params, const ts_glow *glow, ts_training **training)
{
    ts_status status;
    *training = NULL;
    TS_TRY(check(device, config, data));
    glow_training *g = calloc(1, sizeof *g);
    if (!g)
        return ts_error(TS_NO_MEMORY, "cannot allocate a training");
    ts_training *b = &g->base;
    b->queue_step = queue_step;
    b->first_asks_host = true;
    b->step_done = step_done;
    b->read = read_report;
    b->remember = remember;
    b->recall = recall;
    b->step_was_set = step_was_set;
    b->release = release;
    g->batch = config->batch;
    g->d = ts_data_dim(data);
    TS_GOTO(ts_training_begin(b, device, data, params, config->seed, &config->optimizer), fail);
    TS_GOTO(build(g, glow), fail);
    TS_GOTO(allocate(g), fail);
    TS_GOTO(set_time(g, (float)config->T), fail);
    freeze(g, config);
    *training = b;
    return NULL;
fail:
    ts_training_destroy(b);
    return status;
}
