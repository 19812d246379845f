/*
 * Launch sequences: training and samplers on a device that records give the bits that they give on one that
 * does not, whatever happens between their steps; and what may not be recorded fails.  The devices are
 * foreign_device.h's and the CPU, or a card with its recordings and without.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "diffusion/recorded.h"
#include "diffusion/sampler.h"
#include "diffusion/training.h"
#include "foreign_device.h"

enum { SIDE = 8, IMAGES = 40, LEVELS = 17, BATCH = 8, BINS = 4, D = SIDE * SIDE };

static const ts_device_options one_thread = {.threads = 1};

/* ---- the device that records, and the one that does not ---- */

static ts_kernels without, counted;
static ts_status (*card_replay)(ts_device *device, void *recording);
static ts_status (*card_end)(ts_device *device, void **recording);
static void (*card_free)(ts_device *device, void *recording);
static foreign_counts card_counts;

static bool on_card(void)
{
    return getenv("TSTAR_TEST_DEVICE") != NULL;
}

static const foreign_counts *counts_of_device(void)
{
    return on_card() ? &card_counts : foreign_device_counts();
}

static ts_status count_replay(ts_device *device, void *recording)
{
    card_counts.replays++;
    return card_replay(device, recording);
}

static ts_status count_recording(ts_device *device, void **recording)
{
    TS_TRY(card_end(device, recording));
    card_counts.recordings++;
    card_counts.alive++;
    return NULL;
}

static void count_free(ts_device *device, void *recording)
{
    card_counts.alive -= recording != NULL;
    card_free(device, recording);
}

static ts_status open_card(bool recording, ts_device **device)
{
    TS_TRY(ts_device_open("cpu", &one_thread, device)); /* which means the one that the environment names */
    card_counts = (foreign_counts){0};
    counted = without = *(*device)->k;
    without.record_begin = NULL;
    card_replay = counted.replay;
    card_end = counted.record_end;
    card_free = counted.recording_free;
    counted.replay = count_replay;
    counted.record_end = count_recording;
    counted.recording_free = count_free;
    (*device)->k = recording ? &counted : &without;
    return NULL;
}

static ts_status open_device(bool recording, ts_device **device)
{
    if (on_card())
        return open_card(recording, device);
    return recording ? foreign_device_open(&one_thread, device) : ts_device_open("cpu", &one_thread, device);
}

static const ts_sde vp = {.kind = TS_SDE_VP, .beta_min = 0.1, .beta_max = 20.0};

static void must(ts_status status)
{
    if (status)
        fail_msg("%s", ts_status_message(status));
}

/* ---- a model on either device ---- */

typedef struct model {
    ts_device *device;
    ts_data data;
    ts_params *params;
    ts_unet *unet;
    ts_glow *glow;
    ts_training *training;
} model;

static ts_tensor apply_unet(const void *unet, ts_graph *graph, ts_tensor x, ts_tensor t, bool training)
{
    return ts_unet_apply(unet, graph, x, t, training);
}

static void open_model(model *m, bool recording)
{
    uint8_t bytes[IMAGES][D];
    void *memory;
    *m = (model){0};
    must(open_device(recording, &m->device));
    for (int i = 0; i < IMAGES * D; i++)
        bytes[i / D][i % D] = (uint8_t)(ts_philox(7, (uint32_t)i, 0, TS_STREAM_TEST, 0).v[0] % LEVELS);
    must(m->device->k->allocate(m->device, sizeof bytes, &memory));
    must(m->device->k->upload(m->device, memory, bytes, sizeof bytes));
    m->data = (ts_data){.device = m->device,
                        .h = SIDE,
                        .w = SIDE,
                        .c = 1,
                        .count = IMAGES,
                        .levels = LEVELS,
                        .flip = true,
                        .bytes = memory};
    must(ts_params_create(m->device, &m->params));
}

static void open_unet(model *m, bool recording)
{
    const ts_unet_config shape = {.height = SIDE,
                                  .width = SIDE,
                                  .channels = 1,
                                  .nf = 8,
                                  .levels = 2,
                                  .ch_mult = {1, 2},
                                  .num_res_blocks = 1,
                                  .attn_count = 1,
                                  .attn_resolutions = {4},
                                  .dropout = 0.1f};
    open_model(m, recording);
    must(ts_unet_create(&shape, m->params, &m->unet));
    must(ts_params_commit(m->params, 3));
}

static void close_model(model *m)
{
    ts_training_destroy(m->training);
    ts_unet_destroy(m->unet);
    ts_glow_destroy(m->glow);
    ts_params_destroy(m->params);
    ts_data_release(&m->data);
    ts_device_close(m->device);
}

/* Every buffer of the parameters, bit for bit. */
static void assert_same(const model *a, const model *b)
{
    static const ts_param_buffer kept[] = {TS_BUFFER_VALUE, TS_BUFFER_FIRST, TS_BUFFER_SECOND, TS_BUFFER_EMA};
    const size_t bytes = (size_t)ts_params_count(a->params) * sizeof(float);
    float *x = malloc(bytes), *y = malloc(bytes);
    assert_true(x && y);
    for (int k = 0; k < 4; k++) {
        must(a->device->k->download(a->device, x, ts_params_buffer(a->params, kept[k]), bytes));
        must(b->device->k->download(b->device, y, ts_params_buffer(b->params, kept[k]), bytes));
        assert_memory_equal(x, y, bytes);
    }
    free(x);
    free(y);
}

static void assert_same_report(const model *a, const model *b)
{
    ts_training_report x, y;
    must(ts_training_read(a->training, &x));
    must(ts_training_read(b->training, &y));
    assert_true(x.step == y.step && x.loss == y.loss && x.gradient_norm == y.gradient_norm);
    assert_true(x.skipped == y.skipped && x.rollbacks == y.rollbacks && x.rate_scale == y.rate_scale);
}

/* ---- score training ---- */

/* What else uses the device and the weights between two steps. */
static void evaluate_average(model *m)
{
    ts_score *score;
    void *x, *t;
    const float *net;
    const float times[BATCH] = {0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f, 0.7f, 0.8f};
    must(ts_params_swap_ema(m->params));
    must(ts_score_network(m->device, m->params, apply_unet, m->unet, BATCH, SIDE, SIDE, 1, false, &score));
    must(m->device->k->allocate(m->device, BATCH * D * sizeof(float), &x));
    must(m->device->k->allocate(m->device, sizeof times, &t));
    must(m->device->k->upload(m->device, t, times, sizeof times));
    must(score->evaluate(score, x, t, &net));
    m->device->k->release(m->device, x);
    m->device->k->release(m->device, t);
    ts_score_destroy(score);
    must(ts_params_swap_ema(m->params));
}

static void train(model *m, bool recording)
{
    const ts_score_training_config config = {
        .sde = vp,
        .t_min = 1e-3,
        .t_max = 0.6,
        .sampling = TS_TIME_IMPORTANCE,
        .low_discrepancy = true,
        .batch = BATCH,
        .profile_bins = BINS,
        .seed = 21,
        .optimizer = {.rate = 2e-3,
                      .beta1 = 0.9,
                      .beta2 = 0.999,
                      .epsilon = 1e-8,
                      .clip = 1,
                      .ema = 0.99,
                      .warmup = 6},
    };
    open_unet(m, recording);
    must(ts_training_score(m->device, &config, &m->data, m->params, apply_unet, m->unet, &m->training));
    for (int i = 0; i < 16; i++) {
        if (i == 1 || i == 9)
            evaluate_average(m);
        if (i == 12)
            must(ts_training_set_step(m->training, 1000)); /* as a resumed run does */
        must(ts_training_step(m->training));
    }
}

static void score_training(void **state)
{
    (void)state;
    model direct, replayed;
    double profile[2][BINS][2];
    train(&direct, false);
    train(&replayed, true);
    const foreign_counts *counts = counts_of_device();
    assert_int_equal(counts->recordings, 1);
    assert_int_equal(counts->replays, 15);
    if (!on_card()) {
        assert_true(counts->recorded > 100);
        assert_true(counts->announced >= counts->replays + 1); /* weights change unseen in each replay */
    }
    assert_same(&direct, &replayed);
    must(ts_training_profile(direct.training, &profile[0][0][0]));
    must(ts_training_profile(replayed.training, &profile[1][0][0]));
    assert_memory_equal(profile[0], profile[1], sizeof profile[0]);
    assert_same_report(&direct, &replayed);
    const int operations = counts->operations;
    const uint64_t launches = replayed.device->launches;
    must(ts_training_step(replayed.training));
    assert_int_equal(counts->operations, operations); /* nothing of a step is outside of the recording */
    assert_true(!on_card() || replayed.device->launches == launches);
    close_model(&direct);
    close_model(&replayed);
    assert_int_equal(counts->alive, 0);
}

/* ---- the Glow ---- */

/* At this rate the guard takes the fit back, which changes an argument of the optimiser. */
static void fit(model *m, bool recording)
{
    const ts_glow_config shape = {SIDE, SIDE, 1, 2, 2, 8};
    const ts_glow_training_config config = {
        .sde = vp,
        .T = 0.3,
        .batch = BATCH,
        .seed = 5,
        .optimizer =
            {.rate = 3, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .clip = 0, .ema = 0.9, .warmup = 0},
    };
    open_model(m, recording);
    must(ts_glow_create(&shape, m->params, 11, &m->glow));
    must(ts_params_commit(m->params, 11));
    must(ts_training_glow(m->device, &config, &m->data, m->params, m->glow, &m->training));
    for (int i = 0; i < 100; i++)
        must(ts_training_step(m->training));
}

static void glow_training(void **state)
{
    (void)state;
    model direct, replayed;
    ts_training_report report;
    fit(&direct, false);
    fit(&replayed, true);
    assert_same_report(&direct, &replayed);
    assert_same(&direct, &replayed);
    must(ts_training_read(replayed.training, &report));
    const foreign_counts *counts = counts_of_device();
    assert_true(report.rollbacks > 0);
    assert_true(counts->recordings > 1 && counts->recordings <= 1 + report.rollbacks);
    assert_int_equal(counts->replays, 98); /* the first step initialises, the second warms up */
    close_model(&direct);
    close_model(&replayed);
    assert_int_equal(counts->alive, 0);
}

/* ---- samplers ---- */

/* What the host asked of the device in one run. */
typedef struct asked {
    int recordings, replays, operations, transfers;
} asked;

static asked asked_since(const foreign_counts *before)
{
    const foreign_counts *now = counts_of_device();
    return (asked){now->recordings - before->recordings, now->replays - before->replays,
                   now->operations - before->operations, now->transfers - before->transfers};
}

enum { STEPS = 7 };

/* Two runs, the weights changed in between, then (RK45) a likelihood; everything in `out` [3][BATCH * D]. */
static void sample(model *m, ts_sampler_kind kind, bool recording, float *out, double *delta, int *nfe,
                   asked *made)
{
    const ts_sampler_config config = {
        .kind = kind, .T = 0.8, .eps = 1e-2, .steps = STEPS, .rtol = 1e-2, .atol = 1e-2, .denoise = true};
    const size_t bytes = BATCH * D * sizeof *out;
    ts_score *score;
    ts_sampler *sampler;
    void *x, *probe;
    float noise[BATCH * D];
    for (int i = 0; i < BATCH * D; i++)
        noise[i] = (float)sin(i * 1.7) + (float)cos(i * 0.31);
    open_unet(m, recording);
    ts_device *device = m->device;
    must(ts_score_network(device, m->params, apply_unet, m->unet, BATCH, SIDE, SIDE, 1, true, &score));
    must(ts_sampler_create(score, &vp, &sampler));
    must(device->k->allocate(device, bytes, &x));
    must(device->k->allocate(device, bytes, &probe));
    must(device->k->upload(device, probe, noise, bytes));
    for (int run = 0; run < 2; run++) {
        must(device->k->upload(device, x, noise, bytes));
        foreign_counts before = *counts_of_device();
        must(ts_sampler_run(sampler, &config, 3, (uint32_t)run, x, &nfe[run]));
        made[run] = asked_since(&before);
        must(device->k->download(device, out + run * BATCH * D, x, bytes));
        float *weights = malloc((size_t)ts_params_count(m->params) * sizeof *weights);
        assert_non_null(weights);
        void *values = ts_params_buffer(m->params, TS_BUFFER_VALUE);
        const size_t all = (size_t)ts_params_count(m->params) * sizeof *weights;
        must(device->k->download(device, weights, values, all));
        for (int64_t i = 0; i < ts_params_count(m->params); i++)
            weights[i] = 1.5f * weights[i] + 0.01f;
        must(device->k->upload(device, values, weights, all));
        device->k->weights_changed(device);
        free(weights);
    }
    foreign_counts before = *counts_of_device();
    must(ts_sampler_flow(sampler, 0.01, 0.5, 1e-2, 1e-2, x, probe, delta, &nfe[2]));
    made[2] = asked_since(&before);
    must(device->k->download(device, out + 2 * BATCH * D, x, bytes));
    device->k->release(device, x);
    device->k->release(device, probe);
    ts_sampler_destroy(sampler);
    ts_score_destroy(score);
    close_model(m);
}

/* That every step is one replay of one recording, but for the first of a run that has none from the run
 * before; and that the host exchanges nothing with the device but what steers an adaptive step.  What a card
 * keeps for itself is not counted. */
static void assert_steps(asked made, bool again, int steps, int transfers)
{
    assert_int_equal(made.recordings, !again);
    assert_int_equal(made.replays, steps - !again);
    if (!on_card())
        assert_int_equal(made.transfers, transfers);
}

static void samplers(void **state)
{
    (void)state;
    static const ts_sampler_kind kinds[] = {TS_SAMPLER_EULER_MARUYAMA, TS_SAMPLER_HEUN, TS_SAMPLER_DPMPP2M,
                                            TS_SAMPLER_RK45};
    static float direct[3 * BATCH * D], replayed[3 * BATCH * D];
    const foreign_counts *counts = counts_of_device();
    for (int i = 0; i < 4; i++) {
        model m;
        double delta[2][BATCH];
        int nfe[2][3];
        asked made[3];
        sample(&m, kinds[i], false, direct, delta[0], nfe[0], made);
        sample(&m, kinds[i], true, replayed, delta[1], nfe[1], made);
        assert_memory_equal(direct, replayed, sizeof direct);
        assert_memory_equal(delta[0], delta[1], sizeof delta[0]);
        assert_memory_equal(nfe[0], nfe[1], sizeof nfe[0]);
        assert_true(memcmp(direct, direct + BATCH * D, BATCH * D * sizeof *direct) != 0);
        assert_int_equal(counts->alive, 0);
        for (int run = 0; run < 3; run++) {
            if (run == 2 || kinds[i] == TS_SAMPLER_RK45) {
                /* two evaluations to begin with, then tries of six; the first costs two blocks and three
                 * norms, and one more transfer either for the divergences or for denoising */
                const int likelihood = run == 2, tries = (nfe[1][run] - 2) / 6;
                assert_true(tries >= 3);
                assert_int_equal(nfe[1][run], 2 + 6 * tries + !likelihood);
                assert_steps(made[run], run == 1, tries, 2 * tries + 5 + 1);
            } else
                assert_steps(made[run], run == 1, STEPS,
                             3 + 1); /* tables, state; the last evaluation's time */
        }
    }
}

/* ---- ranges for profilers ---- */

static void open_training(model *m, bool recording)
{
    const ts_score_training_config config = {
        .sde = vp,
        .t_min = 1e-3,
        .t_max = 0.6,
        .batch = BATCH,
        .profile_bins = BINS,
        .seed = 21,
        .optimizer = {.rate = 2e-3, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .ema = 0.99},
    };
    open_unet(m, recording);
    must(ts_training_score(m->device, &config, &m->data, m->params, apply_unet, m->unet, &m->training));
}

/* Phase, layer, kernel; a layer has the same name in both passes. */
static void ranges(void **state)
{
    (void)state;
    static const char *const there[] = {
        "train step",
        "train step > batch",
        "train step > forward > input conv > conv_forward",
        "train step > forward > down 0 block 0 conv0 > conv_forward",
        "train step > backward > down 0 block 0 conv0 > conv_backward",
        "train step > forward > down 0 halving resampling > resample_forward",
        "train step > backward > middle attention softmax > attention_backward",
        "train step > forward > up 1 block 1 norm1 > group_norm_forward",
        "train step > loss",
        "train step > backward > time > dense_backward",
        "train step > optimizer",
    };
    model m;
    if (on_card()) /* which shows its ranges to profilers alone */
        skip();
    open_training(&m, true);
    foreign_counts *counts = foreign_device_counts();
    must(ts_training_step(m.training));
    for (size_t i = 0; i < sizeof there / sizeof *there; i++)
        if (!foreign_device_range(there[i]))
            fail_msg("no range: %s", there[i]);
    assert_false(foreign_device_range("train step > forward > conv_forward"));
    assert_int_equal(counts->depth, 0);
    must(ts_training_step(m.training)); /* recorded */
    assert_int_equal(counts->depth, 0);
    const int operations = counts->recorded;
    close_model(&m);
    /* an error on the way closes what is open */
    for (int i = 0, at = 1; at <= operations; i++, at += operations / 12) {
        open_training(&m, true);
        counts->fail_in = at;
        ts_status status = ts_training_step(m.training);
        assert_int_equal(ts_status_code(status), TS_DEVICE);
        ts_status_free(status);
        assert_int_equal(counts->depth, 0);
        assert_int_equal(counts->least_depth, 0);
        counts->fail_in = 0;
        must(ts_training_step(m.training)); /* the device goes on */
        close_model(&m);
        assert_int_equal(counts->alive, 0);
    }
}

/* The Glow's layers; and a device that is asked to does not record. */
static void unrecorded(void **state)
{
    (void)state;
    const ts_glow_config shape = {SIDE, SIDE, 1, 2, 2, 8};
    const ts_glow_training_config config = {
        .sde = vp,
        .T = 0.3,
        .batch = BATCH,
        .optimizer = {.rate = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .ema = 0.9}};
    static const char *const there[] = {
        "train step > batch",
        "train step > forward > level 0 step 1 network conv1 > dense_forward",
        "train step > backward > level 0 step 1 network conv1 > dense_backward",
        "train step > forward > level 1 step 0 matrix > glow_matrix_forward",
        "train step > backward > level 1 step 1 coupling > coupling_backward",
        "train step > backward > level 0 split > gaussian_backward",
        "train step > optimizer",
    };
    model direct, m;
    for (int i = 0; i < 2; i++) {
        model *one = i ? &m : &direct;
        open_model(one, i);
        one->device->unrecorded = i;
        must(ts_glow_create(&shape, one->params, 11, &one->glow));
        must(ts_params_commit(one->params, 11));
        must(ts_training_glow(one->device, &config, &one->data, one->params, one->glow, &one->training));
        for (int step = 0; step < 4; step++)
            must(ts_training_step(one->training));
    }
    const foreign_counts *counts = counts_of_device();
    assert_int_equal(counts->recordings, 0);
    for (size_t i = 0; i < sizeof there / sizeof *there && !on_card(); i++)
        if (!foreign_device_range(there[i]))
            fail_msg("no range: %s", there[i]);
    assert_int_equal(counts->depth, 0);
    assert_same(&direct, &m);
    close_model(&direct);
    close_model(&m);
}

/* ---- what may not be recorded ---- */

typedef struct upload {
    ts_device *device;
    void *to;
} upload;

static ts_status upload_one(void *context)
{
    const upload *u = context;
    const float one = 1;
    return u->device->k->upload(u->device, u->to, &one, sizeof one);
}

typedef struct failing {
    int calls, from, to; /* these calls fail */
} failing;

static ts_status fail_inside(void *context)
{
    failing *f = context;
    const int call = f->calls++;
    return call >= f->from && call < f->to ? ts_error(TS_DEVICE, "as asked") : NULL;
}

static void failures(void **state)
{
    (void)state;
    ts_device *device;
    failing f = {.from = 1, .to = 100};
    must(open_device(true, &device));
    upload u = {.device = device};
    must(device->k->allocate(device, sizeof(float), &u.to));
    ts_recorded recorded = {.device = device};
    must(ts_recorded_run(&recorded, upload_one, &u));
    ts_status status = ts_recorded_run(&recorded, upload_one, &u);
    assert_int_equal(ts_status_code(status), TS_INVALID);
    ts_status_free(status);
    recorded = (ts_recorded){.device = device};
    must(ts_recorded_run(&recorded, fail_inside, &f));
    status = ts_recorded_run(&recorded, fail_inside, &f);
    assert_int_equal(ts_status_code(status), TS_DEVICE);
    ts_status_free(status);
    ts_recorded_forget(&recorded);
    /* what failed the first time has not all run: the second time is a first time */
    device->unrecorded = false;
    f = (failing){.from = 0, .to = 1};
    recorded = (ts_recorded){.device = device};
    status = ts_recorded_run(&recorded, fail_inside, &f);
    assert_int_equal(ts_status_code(status), TS_DEVICE);
    ts_status_free(status);
    must(ts_recorded_run(&recorded, fail_inside, &f));
    assert_int_equal(counts_of_device()->alive, 0);
    must(ts_recorded_run(&recorded, fail_inside, &f));
    assert_int_equal(counts_of_device()->alive, 1);
    ts_recorded_forget(&recorded);
    assert_int_equal(counts_of_device()->alive, 0);
    device->k->release(device, u.to);
    ts_device_close(device);
}

/* ---- timing ---- */

static void count_call(void *context, const char *operation, const int shape[4], double flops, double bytes,
                       double seconds)
{
    (void)operation, (void)shape, (void)flops, (void)bytes;
    assert_true(seconds > 0);
    ++*(int *)context;
}

/* Forward and backward, timed step by step or not; net and the gradient of x come back. */
static void run_graph(model *m, bool timed, float net[BATCH * D], float dx[BATCH * D])
{
    ts_graph *graph;
    void *state;
    float ones[BATCH * D], times[BATCH];
    int calls = 0;
    must(ts_params_enable_gradients(m->params));
    must(m->device->k->allocate(m->device, sizeof(ts_step_state), &state));
    must(ts_graph_create(m->device, m->params, &graph));
    ts_graph_set_state(graph, state);
    const ts_tensor x = ts_graph_input(graph, "x", BATCH, SIDE, SIDE, 1);
    const ts_tensor t = ts_graph_input_vector(graph, "t", BATCH);
    const ts_tensor y = ts_unet_apply(m->unet, graph, x, t, true);
    ts_graph_output(graph, y, true);
    must(ts_graph_plan(graph, TS_PLAN_PARAM_GRADIENTS | TS_PLAN_INPUT_GRADIENTS));
    for (int i = 0; i < BATCH * D; i++)
        ones[i] = 1 - 0.01f * (float)(i % 7);
    for (int i = 0; i < BATCH; i++)
        times[i] = 0.1f * (float)(i + 1);
    must(m->device->k->upload(m->device, ts_graph_data(graph, x), ones, sizeof ones));
    must(m->device->k->upload(m->device, ts_graph_data(graph, t), times, sizeof times));
    must(m->device->k->upload(m->device, ts_graph_gradient(graph, y), ones, sizeof ones));
    if (timed) {
        must(ts_graph_profile(graph, true, count_call, &calls));
        assert_true(calls > 50);
    } else {
        must(ts_graph_forward(graph));
        must(ts_graph_backward(graph));
    }
    must(m->device->k->download(m->device, net, ts_graph_data(graph, y), sizeof ones));
    must(m->device->k->download(m->device, dx, ts_graph_gradient(graph, x), sizeof ones));
    ts_graph_destroy(graph);
    m->device->k->release(m->device, state);
}

/* Steps that are repeated to be timed leave what one call of each leaves. */
static void timing_changes_nothing(void **unused)
{
    (void)unused;
    model plain, timed;
    static float net[2][BATCH * D], dx[2][BATCH * D];
    open_unet(&plain, false);
    open_unet(&timed, true);
    run_graph(&plain, false, net[0], dx[0]);
    run_graph(&timed, true, net[1], dx[1]);
    assert_memory_equal(net[0], net[1], sizeof net[0]);
    assert_memory_equal(dx[0], dx[1], sizeof dx[0]);
    bool any = false;
    for (int i = 0; i < BATCH * D; i++)
        any |= dx[0][i] != 0;
    assert_true(any);
    close_model(&plain);
    close_model(&timed);
}

/* A device that fails to record goes on without, and says so. */
static void unrecordable(void **state)
{
    (void)state;
    model direct, m;
    if (on_card())
        skip();
    open_training(&direct, false);
    open_training(&m, true);
    foreign_counts *counts = foreign_device_counts();
    for (int i = 0; i < 4; i++) {
        must(ts_training_step(direct.training));
        counts->fail_in = i == 1 ? 50 : 0;
        must(ts_training_step(m.training));
    }
    assert_int_equal(counts->alive, 0);
    assert_int_equal(counts->replays, 0);
    assert_non_null(strstr(m.device->not_recorded, "as asked"));
    assert_same(&direct, &m);
    assert_same_report(&direct, &m);
    close_model(&direct);
    close_model(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(score_training), cmocka_unit_test(glow_training),
        cmocka_unit_test(samplers),       cmocka_unit_test(ranges),
        cmocka_unit_test(unrecorded),     cmocka_unit_test(failures),
        cmocka_unit_test(unrecordable),   cmocka_unit_test(timing_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
