/*
 * Launch sequences: training and samplers on a device that records give the bits that they give on one that
 * does not, whatever happens between their steps; and what may not be recorded fails.  The devices are
 * foreign_device.h's and the CPU, or a card with its recordings and without.
 *
 * To add a case, run the same steps on a device that records and on one that does not (recording.h), demand
 * the same bits, and list the test in main; ranges go into ranges.c.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "diffusion/bound.h"
#include "diffusion/densities/density.h"
#include "diffusion/samplers/sampler.h"
#include "recording.h"

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
        .predicts = TS_PREDICTS_V,
        .weight = TS_WEIGHT_NOISE,
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
        if (i == 14)
            must(ts_training_set_t_max(m->training, 0.3)); /* which is recorded anew */
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
    assert_int_equal(counts->recordings, 2); /* once for each range of t */
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
    const ts_glow_config shape = {SIDE, SIDE, 1, 2, 2, .hidden = 8};
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
    int recorded; /* operations in the last recording so far */
} asked;

static asked asked_since(const foreign_counts *before)
{
    const foreign_counts *now = counts_of_device();
    return (asked){now->recordings - before->recordings, now->replays - before->replays,
                   now->operations - before->operations, now->transfers - before->transfers, now->recorded};
}

enum { STEPS = 7 };

/* Two runs, the weights changed in between, then (RK45) a likelihood; everything in `out` [3][BATCH * D]. */
static void sample(model *m, ts_sampler_kind kind, bool recording, float *out, double *delta, int *nfe,
                   asked *made)
{
    const ts_sampler_config config = {.kind = kind,
                                      .T = 0.8,
                                      .eps = 1e-2,
                                      .steps = STEPS,
                                      .rtol = 1e-2,
                                      .atol = 1e-2,
                                      .denoise = true,
                                      .rho = 7,
                                      .churn = 2,
                                      .churn_noise = 1,
                                      .corrector_steps = 2,
                                      .snr = 0.16};
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
    must(ts_sampler_ode(sampler, 0.01, 0.5, 1e-2, 1e-2, x, probe, delta, &nfe[2]));
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

/* The second run, which only replays, by a sampler with so many operations in an evaluation. */
static void assert_operations(asked made, ts_sampler_kind kind, int evaluation)
{
    const int time = 1, combine = 1, advance = 1, at = time + evaluation, last = at + combine;
    const int norm = 1, noise = 1, copy = 1, squares = 1, scale = 1;
    if (kind == TS_SAMPLER_RK45) {
        const int before = 4, after = 1, slope = at + combine;
        assert_int_equal(made.recorded, 2 * combine + 6 * (combine + slope) + norm);
        assert_int_equal(made.operations, before + slope + 3 * norm + combine + slope + after + last + norm);
        return;
    }
    const int steps[] = {[TS_SAMPLER_EM] = at + combine + advance,
                         [TS_SAMPLER_HEUN] = 2 * at + 3 * combine + advance,
                         [TS_SAMPLER_DPMPP2M] = at + 2 * combine + copy + advance,
                         [TS_SAMPLER_ANCESTRAL] = at + combine + advance,
                         [TS_SAMPLER_EDM] = noise + 3 * combine + 2 * at + copy + advance,
                         [TS_SAMPLER_PC] = 2 * (at + noise + 2 * squares + scale + combine) + at + noise +
                                           combine + advance};
    assert_int_equal(made.recorded, steps[kind]);
    assert_int_equal(made.operations, 1 + norm + last + norm); /* stage[1] is zeroed; looks; the denoising */
}

static void samplers(void **state)
{
    (void)state;
    static const ts_sampler_kind kinds[] = {TS_SAMPLER_EM,   TS_SAMPLER_HEUN,      TS_SAMPLER_DPMPP2M,
                                            TS_SAMPLER_RK45, TS_SAMPLER_ANCESTRAL, TS_SAMPLER_EDM,
                                            TS_SAMPLER_PC};
    static float direct[3 * BATCH * D], replayed[3 * BATCH * D];
    const foreign_counts *counts = counts_of_device();
    int evaluation = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
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
                 * norms, and one more transfer either for the divergences or for denoising, whose outcome
                 * is looked at */
                const int likelihood = run == 2, tries = (nfe[1][run] - 2) / 6;
                assert_true(tries >= 3);
                assert_int_equal(nfe[1][run], 2 + 6 * tries + !likelihood);
                assert_steps(made[run], run == 1, tries, 2 * tries + 5 + 1 + !likelihood);
            } else
                /* tables, state, time of the denoising; a look at the last step's outcome and at its own */
                assert_steps(made[run], run == 1, STEPS, 4 + 2);
        }
        if (i == 0)
            evaluation = made[1].recorded - 3; /* without time, step, advance */
        if (!on_card())
            assert_operations(made[1], kinds[i], evaluation);
    }
}

/* ---- the bound ---- */

static void measure(bool recording, double *out, asked *made)
{
    const double T[] = {0.9, 0.3};
    const ts_bound_config config = {.sde = vp,
                                    .eps = 1e-2,
                                    .T_count = 2,
                                    .T = T,
                                    .draws = 3,
                                    .prior_draws = 1,
                                    .count = IMAGES,
                                    .seed = 9};
    model m;
    ts_score *score;
    ts_bound bound;
    open_unet(&m, recording);
    must(ts_score_network(m.device, m.params, apply_unet, m.unet, BATCH, SIDE, SIDE, 1, false, &score));
    const foreign_counts before = *counts_of_device();
    must(ts_bound_measure(&config, &m.data, score, NULL, NULL, &bound));
    *made = asked_since(&before);
    memcpy(out, bound.diffusion, 2 * IMAGES * sizeof *out);
    ts_bound_release(&bound);
    ts_score_destroy(score);
    close_model(&m);
}

/* One recording for all batches. */
static void bounds(void **state)
{
    (void)state;
    double direct[2 * IMAGES], replayed[2 * IMAGES];
    asked made;
    measure(false, direct, &made);
    measure(true, replayed, &made);
    assert_memory_equal(direct, replayed, sizeof direct);
    assert_int_equal(made.recordings, 1);
    assert_int_equal(made.replays, 3 * IMAGES / BATCH - 1);
    assert_int_equal(counts_of_device()->alive, 0);
}

/* ---- a density of many small operations ---- */

static void evaluate_density(bool recording, float *x, double *log_prob, asked *made)
{
    const ts_glow_config shape = {SIDE, SIDE, 1, 2, 2, .hidden = 8};
    model m;
    ts_density *density;
    void *state, *point, *value;
    open_model(&m, recording);
    ts_device *device = m.device;
    must(ts_glow_create(&shape, m.params, 11, &m.glow));
    must(ts_params_commit(m.params, 11));
    must(ts_density_glow(device, m.glow, m.params, 1, BATCH, SIDE, SIDE, 1, &density));
    must(device->k->allocate(device, sizeof(ts_step_state), &state));
    must(device->k->allocate(device, BATCH * D * sizeof *x, &point));
    must(device->k->allocate(device, BATCH * sizeof *log_prob, &value));
    const foreign_counts before = *counts_of_device();
    for (int i = 0; i < 3; i++) {
        const ts_step_state instance = {.seed = 4, .instance = (uint32_t)i};
        must(device->k->upload(device, state, &instance, sizeof instance));
        must(density->sample(density, state, point));
        must(density->log_prob(density, point, value));
        must(device->k->download(device, x + i * BATCH * D, point, BATCH * D * sizeof *x));
        must(device->k->download(device, log_prob + i * BATCH, value, BATCH * sizeof *log_prob));
    }
    *made = asked_since(&before);
    ts_density_destroy(density);
    device->k->release(device, state);
    device->k->release(device, point);
    device->k->release(device, value);
    close_model(&m);
}

static void densities(void **state)
{
    (void)state;
    static float x[2][3 * BATCH * D];
    double log_prob[2][3 * BATCH];
    asked made;
    evaluate_density(false, x[0], log_prob[0], &made);
    evaluate_density(true, x[1], log_prob[1], &made);
    assert_memory_equal(x[0], x[1], sizeof x[0]);
    assert_memory_equal(log_prob[0], log_prob[1], sizeof log_prob[0]);
    assert_true(memcmp(x[1] + BATCH * D, x[1] + 2 * BATCH * D, BATCH * D * sizeof(float)) != 0);
    assert_int_equal(made.recordings, 2);
    assert_int_equal(made.replays, 4);
    assert_int_equal(counts_of_device()->alive, 0);
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
    device->recording_off = false;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(score_training), cmocka_unit_test(glow_training),
        cmocka_unit_test(samplers),       cmocka_unit_test(bounds),
        cmocka_unit_test(densities),      cmocka_unit_test(ranges),
        cmocka_unit_test(recording_off),  cmocka_unit_test(failures),
        cmocka_unit_test(unrecordable),   cmocka_unit_test(timing_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
