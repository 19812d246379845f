/*
 * Runs: the directory and its lock, training with resume, the bound, samples.
 *
 * To add a case, take a configuration of run_test.h in a folder below FOLDER, and list the test in main.
 */
#define FOLDER "test_run_files"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/decimal.h"
#include "base/file.h"
#include "elsewhere.h"
#include "run/checkpoint.h"
#include "run/evaluate.h"
#include "run/scores.h"
#include "run/training/trainer.h"
#include "run_files.h"

/* ---- the directory ---- */

static void test_directory(void **state)
{
    (void)state;
    ts_run_options options = cpu;
    options.command = "tstar train 'a b.yaml'";
    ts_run *run;
    must(ts_run_create(FOLDER "/deep/run", config_of(on_mixture, "seed=9"), false, &options, &run));
    char *before, *after, *text;
    size_t bytes;
    must(ts_config_print(run->config, NULL, &before));
    ts_run_close(run);
    assert_true(ts_run_exists(FOLDER "/deep/run"));
    assert_false(ts_run_exists(FOLDER "/deep"));
    run = reopen(FOLDER "/deep/run", NULL);
    must(ts_config_print(run->config, NULL, &after));
    assert_string_equal(before, after);
    assert_int_equal(run->config->run.seed, 9);
    free(before);
    free(after);
    char device[sizeof run->device->description + 1];
    snprintf(device, sizeof device, "%s\n", run->device->description);
    ts_run_close(run);
    must(ts_file_read(FOLDER "/deep/run/command.txt", 4096, &text, &bytes));
    assert_int_equal(strncmp(text, "tstar train 'a b.yaml' # ", 25), 0);
    assert_non_null(strstr(text, device));
    free(text);
    must_fail(ts_run_open(FOLDER "/deep", NULL, 0, false, &cpu, &run), TS_NOT_FOUND,
              FOLDER "/deep: not a run");
}

static char told[64];

static void tell(const char *why)
{
    snprintf(told, sizeof told, "%s", why);
}

/* A device that gave up recording says so when its run ends. */
static void test_unrecorded(void **state)
{
    (void)state;
    ts_run_options options = cpu;
    options.on_recording_error = tell;
    ts_run *run;
    for (int i = 0; i < 2; i++) {
        must(ts_run_create(NULL, config_of(on_mixture, NULL), false, &options, &run));
        strcpy(run->device->recording_error, i ? "no memory for it" : "");
        ts_run_close(run);
        assert_string_equal(told, i ? "no memory for it" : "");
    }
}

static void test_T_text(void **state)
{
    (void)state;
    const struct {
        double T;
        const char *text;
    } cases[] = {
        {1, "1.0"}, {0.4, "0.4"}, {0.1 + 0.2, "0.30000000000000004"}, {0.25, "0.25"}, {1e-5, "1e-05"}};
    char text[32];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ts_T_text(cases[i].T, text);
        assert_string_equal(text, cases[i].text);
    }
}

/* Another process that holds the run: creating and opening for writing are refused, reading is not. */
static void test_lock(void **state)
{
    (void)state;
    int ready[2], done[2];
    char byte = 0;
    train(FOLDER, on_mixture, NULL, false);
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(done), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        ts_run *held;
        close(done[1]);
        ts_status status = ts_run_open(FOLDER, NULL, 0, true, &cpu, &held);
        bool failed = status || write(ready[1], "x", 1) != 1;
        failed |= read(done[0], &byte, 1) < 0; /* until the parent is done, or dead */
        _exit(failed);
    }
    close(done[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    ts_run *run;
    must_fail(ts_run_create(FOLDER, config_of(on_mixture, NULL), true, &cpu, &run), TS_BUSY,
              FOLDER ": another process");
    must_fail(ts_run_open(FOLDER, NULL, 0, true, &cpu, &run), TS_BUSY, FOLDER ": another process");
    ts_run_close(reopen(FOLDER, NULL));
    close(done[1]);
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result) && WEXITSTATUS(result) == 0);
    must(ts_run_open(FOLDER, NULL, 0, true, &cpu, &run)); /* the lock ends with its process */
    ts_run_close(run);
    close(ready[0]);
    close(ready[1]);
}

/* ---- training ---- */

typedef struct watcher {
    ts_progress base;
    volatile sig_atomic_t stop;
    int64_t at;        /* what to do when so many steps are done */
    ts_params *poison; /* put a NaN there, or (NULL) ask to stop */
} watcher;

static void watch(ts_progress *progress, const char *phase, double done, double total, const char *unit,
                  const char *note)
{
    (void)total, (void)note;
    watcher *w = (watcher *)progress;
    if (strcmp(phase, "first step") == 0) /* of a device that chooses its algorithms */
        return;
    assert_string_equal(phase, "train");
    assert_string_equal(unit, "steps");
    if ((int64_t)done != w->at)
        return;
    if (!w->poison) {
        w->stop = 1;
        return;
    }
    const ts_param_info *info = ts_params_info(w->poison, 0);
    int64_t count = 1;
    for (int i = 0; i < info->rank; i++)
        count *= info->shape[i];
    float *values = calloc((size_t)count, sizeof *values);
    values[0] = NAN;
    must(ts_params_set(w->poison, 0, TS_BUFFER_VALUE, values));
    free(values);
}

static void watch_share(ts_progress *progress, const char *phase, double done, double total, const char *unit,
                        const char *note)
{
    (void)progress, (void)phase, (void)unit, (void)note;
    assert_true(done <= total);
}

/* Stops after `at` steps, between checkpoints and log lines. */
static void train_interrupted(const char *dir, const char *const *keys, int64_t at)
{
    watcher w = {.base = {.update = watch}, .at = at - 1}; /* asked in one step, the next still runs */
    w.base.stop = &w.stop;
    ts_run *run = create(dir, keys, NULL, false);
    char text[64];
    snprintf(text, sizeof text, "interrupted at step %d of %d", (int)at, run->config->train.steps);
    ts_status status = ts_trainer_run(run, &(ts_trainer_options){.progress = &w.base}, NULL);
    assert_string_equal(ts_status_message(status), text); /* names no option: the library has none */
    assert_int_equal(ts_status_code(status), TS_INTERRUPTED);
    ts_status_free(status);
    ts_run_close(run);
}

static void check_resume(const char *const *keys, int64_t at, const char *fewer)
{
    train(FOLDER "/whole", keys, NULL, false);
    train(FOLDER "/again", keys, NULL, false);
    same_files(FOLDER "/whole/" TS_CHECKPOINT_FILE, FOLDER "/again/" TS_CHECKPOINT_FILE);
    train_interrupted(FOLDER "/stopped", keys, at);
    train(FOLDER "/stopped", keys, NULL, true);
    same_files(FOLDER "/whole/" TS_CHECKPOINT_FILE, FOLDER "/stopped/" TS_CHECKPOINT_FILE);
    train(FOLDER "/longer", keys, fewer, false); /* ended, then asked for more steps */
    train(FOLDER "/longer", keys, NULL, true);
    same_files(FOLDER "/whole/" TS_CHECKPOINT_FILE, FOLDER "/longer/" TS_CHECKPOINT_FILE);
}

static void test_resume_on_mixture(void **state)
{
    (void)state;
    check_resume(on_mixture, 7, "train.steps=10");
}

static void test_resume_on_digits(void **state)
{
    (void)state;
    check_resume(on_digits, 3, "train.steps=5");
}

/* The small network on digits as an NCSN++ under VE. */
static const char *const on_ve[] = {
    "data.kind=digits", "sde={kind: ve, sigma_min: 0.001, sigma_max: 10}",
    "model={kind: ncsnpp, nf: 8, ch_mult: [1, 1], num_res_blocks: 1, dropout: 0.1}",
    "train={batch: 4, log_every: 4, checkpoint_every: 5, steps: 8, warmup: 3, lr: 1e-2}",
    "bound={draws: 1, prior_draws: 1, count: 16, batch: 16}"};

static void test_resume_on_ve(void **state)
{
    (void)state;
    check_resume(on_ve, 3, "train.steps=5");
}

/* Networks that predict something else, told of the log-SNR. */
static const char *const on_mixture_v[] = {
    "data={kind: mixture, mixture: {weights: [1, 1], means: [-1, 1], stds: [.3, .2], count: 64}}",
    "model={kind: mlp, hidden: 8, blocks: 1, predicts: v, time_input: log_snr}",
    "train={batch: 16, log_every: 4, checkpoint_every: 5, steps: 12, warmup: 3}", "train.loss=likelihood",
    "train.lr=1e-2"};
static const char *const on_digits_x0[] = {
    "data.kind=digits",
    "model={nf: 8, ch_mult: [1, 1], num_res_blocks: 1, dropout: 0.1, predicts: x0, time_input: log_snr}",
    "train={batch: 4, log_every: 4, checkpoint_every: 5, steps: 8, warmup: 3}", "sde.kind=subvp",
    "train.t_sampling=importance"};

static void test_resume_of_predictions(void **state)
{
    (void)state;
    check_resume(on_mixture_v, 7, "train.steps=10");
    assert_int_equal(start_clean(NULL), 0);
    check_resume(on_digits_x0, 3, "train.steps=5");
}

static void read_frequencies(const ts_run *run, float frequencies[8])
{
    const ts_params *params = run->model->params;
    const ts_param p = ts_params_find(params, "all_modules.0.W");
    assert_true(p >= 0 && ts_param_elements(ts_params_info(params, p)) == 8);
    must(ts_params_get(params, p, TS_BUFFER_VALUE, frequencies));
}

/* Fourier frequencies are drawn and then stay what they are, through training and in a checkpoint. */
static void test_frequencies_are_frozen(void **state)
{
    (void)state;
    float drawn[8], trained[8], loaded[8];
    double squares = 0;
    ts_run *run = create(FOLDER "/ve", on_ve, NULL, false);
    read_frequencies(run, drawn);
    must(ts_trainer_run(run, &(ts_trainer_options){0}, NULL));
    read_frequencies(run, trained);
    ts_run_close(run);
    run = reopen(FOLDER "/ve", "seed=2"); /* whose own draw would be another */
    ts_checkpoint checkpoint;
    must(ts_checkpoint_load_weights(run, true, &checkpoint));
    ts_checkpoint_release(&checkpoint);
    read_frequencies(run, loaded);
    ts_run_close(run);
    assert_memory_equal(drawn, trained, sizeof drawn);
    assert_memory_equal(drawn, loaded, sizeof drawn);
    for (int i = 0; i < 8; i++)
        squares += (double)drawn[i] * (double)drawn[i] / 8;
    assert_true(sqrt(squares) > 6 && sqrt(squares) < 30); /* about fourier_scale = 16 */
}

static int log_steps(const char *path, long long *steps, int limit)
{
    FILE *file = fopen(path, "r");
    char line[512];
    int count = 0;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        assert_true(count < limit);
        assert_int_equal(sscanf(line, "{\"step\": %lld, \"loss\": ", &steps[count]), 1);
        assert_non_null(strstr(line, "}\n"));
        count++;
    }
    fclose(file);
    return count;
}

/* A run that died after logging step 16 but before saving it: the log ends without doubled or torn lines. */
static void test_log_after_a_crash(void **state)
{
    (void)state;
    long long steps[16];
    train(FOLDER, on_mixture, "train.steps=10", false);
    FILE *file = fopen(FOLDER "/log.jsonl", "a");
    fputs("{\"step\": 12, \"loss\": 1, \"seconds\": 1}\n{\"step\": 16, \"lo", file);
    fclose(file);
    train(FOLDER, on_mixture, NULL, true);
    assert_int_equal(log_steps(FOLDER "/log.jsonl", steps, 16), 6);
    const long long expected[] = {4, 8, 10, 12, 16, 20};
    assert_memory_equal(steps, expected, sizeof expected);
}

/* A run that has been trained further than is asked: nothing is done, and nobody hears of "20 of 10
 * steps". */
static void test_trained_further(void **state)
{
    (void)state;
    ts_trainer_result result;
    watcher w = {.base = {.update = watch_share}};
    train(FOLDER, on_mixture, NULL, false);
    assert_int_equal(system("cp " FOLDER "/" TS_CHECKPOINT_FILE " " FOLDER "/before"), 0);
    ts_run *run = create(FOLDER, on_mixture, "train.steps=10", true);
    must(ts_trainer_run(run, &(ts_trainer_options){.resume = true, .progress = &w.base}, &result));
    ts_run_close(run);
    assert_int_equal(result.step, 20);
    assert_true(isnan(result.loss));
    same_files(FOLDER "/" TS_CHECKPOINT_FILE, FOLDER "/before");
}

static void test_not_finite(void **state)
{
    (void)state;
    train(FOLDER "/good", on_mixture, "train.steps=5", false);
    ts_run *run = create(FOLDER "/bad", on_mixture, NULL, false);
    watcher w = {.base = {.update = watch}, .at = 7, .poison = run->model->params};
    must_fail(ts_trainer_run(run, &(ts_trainer_options){.progress = &w.base}, NULL), TS_NOT_FINITE,
              "step 8: the loss is not finite; the checkpoint of step 5 stays");
    ts_run_close(run);
    run = reopen(FOLDER "/bad", NULL);
    ts_checkpoint checkpoint;
    must(ts_checkpoint_load(run, &checkpoint));
    assert_int_equal(checkpoint.step, 5);
    ts_checkpoint_release(&checkpoint);
    ts_run_close(run);
    train(FOLDER "/bad", on_mixture, "train.steps=5", true); /* and serves to go on */
    ts_run *never = create(FOLDER "/never", on_mixture, NULL, false);
    w = (watcher){.base = {.update = watch}, .at = 0, .poison = never->model->params};
    must_fail(ts_trainer_run(never, &(ts_trainer_options){.progress = &w.base}, NULL), TS_NOT_FINITE,
              "step 1: the loss is not finite; there is no checkpoint yet");
    ts_run_close(never);
}

/* ---- evaluation ---- */

static void test_bound_eps(void **state)
{
    (void)state;
    const char *const kinds[] = {"sde.kind=vp", "sde.kind=subvp"};
    for (int i = 0; i < 2; i++) {
        ts_config *config = config_of(on_digits, kinds[i]);
        const ts_sde sde = ts_config_sde(config);
        const ts_data digits = {.levels = 17}, points = {.levels = 0}, fine = {.levels = 256};
        const double eps = ts_evaluate_eps(config, &digits);
        assert_true(fabs(ts_sde_std(&sde, eps) - 0.125 / 8) < 1e-9);
        assert_true(ts_evaluate_eps(config, &points) == config->train.eps);
        assert_true(ts_evaluate_eps(config, &fine) >= config->train.eps);
        config->bound.eps = 0.02;
        assert_true(ts_evaluate_eps(config, &digits) == 0.02);
        ts_config_free(config);
    }
}

/* Under VE images are in [0, 1] inside, and at an eighth of the level spacing the reconstruction is next to
 * certain, as it is only if the bound knows the levels. */
static void test_ve_data(void **state)
{
    (void)state;
    enum { N = 16, D = 64 };
    float inside[N * D], outside[N * D];
    const double T = 1;
    const ts_start_kind normal = TS_START_NORMAL;
    ts_evaluate_row row;
    ts_samples samples;
    ts_sampler_config sampler;
    ts_run *run;
    must(ts_run_create(NULL, config_of(on_ve, NULL), false, &cpu, &run));
    const ts_sde sde = ts_config_sde(run->config);
    const ts_data *test = &run->dataset->test;
    const ts_kernels *k = run->device->k;
    void *batch, *draws;
    must(k->allocate(run->device, sizeof inside, &batch));
    must(k->allocate(run->device, sizeof(ts_step_state), &draws));
    must(ts_data_eval_batch(test, N, 0, draws, batch));
    must(k->download(run->device, inside, batch, sizeof inside));
    k->release(run->device, draws);
    k->release(run->device, batch);
    must(ts_dataset_read(test, 1, 0, N, outside));
    float largest = 0, smallest = 1;
    for (int i = 0; i < N * D; i++) {
        largest = fmaxf(largest, inside[i]);
        smallest = fminf(smallest, inside[i]);
        assert_true(outside[i] == 2 * inside[i] - 1);
    }
    assert_true(largest == 1 && smallest == 0);
    assert_true(fabs(ts_sde_std(&sde, ts_evaluate_eps(run->config, test)) - 1.0 / 16 / 8) < 1e-9);
    must(ts_evaluate_bound(run, 1, &T, 1, &normal, NULL, &row));
    assert_true(row.terms.reconstruction.mean < 0 && row.terms.reconstruction.mean > -0.1);
    /* x_T is N(x0, 10^2): of the data nothing is left but sum x0^2 / 200 */
    assert_true(row.terms.prior.mean > 0 && row.terms.prior.mean < 0.2);
    must(ts_evaluate_sampler(run->config, TS_SAMPLER_HEUN, T, &sampler));
    sampler.steps = 2;
    sampler.denoise = false;
    must(ts_evaluate_samples(run, &sampler, TS_START_NORMAL, N, NULL, &samples));
    double sum = 0; /* an untrained network's score is 0, so x_T comes out: sigma(1) = 10, times 2 */
    for (int i = 0; i < N * D; i++)
        sum += pow((double)samples.x[i] + 1, 2) / (N * D);
    assert_true(fabs(sqrt(sum) - 20) < 2);
    ts_samples_release(&samples);
    ts_run_close(run);
}

/* With the exact score and start the bound is E log p_eps at every T; short by KL[p_T || N(0, I)] from N(0,
 * I). */
static void test_exact_bound(void **state)
{
    (void)state;
    const char *extra = "model.kind=exact";
    ts_run *run;
    ts_config *config = config_of(on_mixture, extra);
    config->data.mixture.count = 20000;
    must(ts_run_create(NULL, config, false, &cpu, &run));
    const double T[] = {1, 0.3, 0.15};
    const ts_start_kind starts[] = {TS_START_MIXTURE, TS_START_NORMAL};
    ts_evaluate_row rows[6];
    must(ts_evaluate_bound(run, 3, T, 2, starts, NULL, rows));
    for (int i = 0; i < 3; i++) {
        const ts_evaluate_row *exact = &rows[2 * i], *normal = &rows[2 * i + 1];
        assert_true(exact->terms.T == T[i]);
        assert_int_equal(normal->start, TS_START_NORMAL);
        assert_true(exact->mixture && exact->kl_prior.mean == 0);
        assert_true(fabs(exact->terms.elbo.mean - rows[0].terms.elbo.mean) < 3 * exact->terms.elbo.half);
        const double gap = exact->terms.elbo.mean - normal->terms.elbo.mean;
        assert_true(fabs(gap - normal->kl_prior.mean) < 3 * normal->kl_prior.half + 1e-3);
    }
    assert_true(rows[5].kl_prior.mean > 3 * rows[5].kl_prior.half); /* at T = 0.15 the gap is plain */
    ts_run_close(run);
}

static void test_evaluation_limits(void **state)
{
    (void)state;
    train(FOLDER, on_mixture, "train.T=0.5", false);
    ts_run *run = reopen(FOLDER, NULL);
    const ts_start_kind normal[] = {TS_START_NORMAL}, glow[] = {TS_START_GLOW};
    const ts_sampler_kind em = TS_SAMPLER_EM;
    const double above = 0.6, below = 1e-5, beyond = 1.5, inside = 0.4;
    ts_evaluate_row row;
    ts_sampler_config sampler;
    ts_samples samples;
    must_fail(ts_evaluate_bound(run, 1, &above, 1, normal, NULL, &row), TS_INVALID,
              "trained on t up to train.T = 0.5");
    must_fail(ts_evaluate_bound(run, 1, &below, 1, normal, NULL, &row), TS_INVALID,
              "T must lie in (1e-05, 1]");
    must_fail(ts_evaluate_bound(run, 1, &beyond, 1, normal, NULL, &row), TS_INVALID,
              "T must lie in (1e-05, 1]");
    must_fail(ts_evaluate_bound(run, 1, &inside, 1, glow, NULL, &row), TS_NOT_FOUND, "glow_T0.4.safetensors");
    must_fail(ts_evaluate_sampler(run->config, em, 0.001, &sampler), TS_INVALID, "above sample.eps");
    must(ts_evaluate_sampler(run->config, em, above, &sampler));
    must_fail(ts_evaluate_samples(run, &sampler, TS_START_NORMAL, 4, NULL, &samples), TS_INVALID,
              "trained on t up to");
    ts_run_close(run);
}

/* Every sampler of the exact score, started exactly, brings the mixture's mean and variance back.  A hybrid with what is
 * the same score above a time gives the same bits, and does not count what is evaluated above. */
static void test_samples(void **state)
{
    (void)state;
    ts_run *run;
    ts_config *config = config_of(on_mixture, "model.kind=exact");
    const int N = elsewhere() ? 500 : 2500;
    config->sample.batch = 2 * N / 5; /* N is not a multiple of it */
    must(ts_run_create(NULL, config, false, &cpu, &run));
    const int nfe[TS_SAMPLER_COUNT] = {[TS_SAMPLER_EM] = 401, [TS_SAMPLER_HEUN] = 801};
    const int below[TS_SAMPLER_COUNT] = {[TS_SAMPLER_EM] = 201, [TS_SAMPLER_HEUN] = 401};
    const ts_score_choice hybrid = {TS_SCORE_HYBRID, 0.2};
    const double variance = 1 + (.3 * .3 + .2 * .2) / 2;
    for (int k = 0; k < TS_SAMPLER_COUNT; k++) {
        ts_sampler_config sampler;
        ts_samples samples, again;
        run->choice = NULL;
        must(ts_evaluate_sampler(run->config, (ts_sampler_kind)k, 0.4, &sampler));
        must(ts_evaluate_samples(run, &sampler, TS_START_MIXTURE, N, NULL, &samples));
        run->choice = &hybrid;
        must(ts_evaluate_samples(run, &sampler, TS_START_MIXTURE, N, NULL, &again));
        assert_memory_equal(samples.x, again.x, (size_t)N * sizeof(float));
        assert_true(samples.seconds_per_image.mean > 0);
        assert_true(nfe[k] ? samples.nfe == nfe[k] && again.nfe == below[k] : samples.nfe > 5);
        assert_true(again.nfe < samples.nfe);
        double sum = 0, squares = 0;
        for (int i = 0; i < N; i++) {
            sum += (double)samples.x[i];
            squares += (double)samples.x[i] * (double)samples.x[i];
        }
        assert_true(fabs(sum / N) < 4 * sqrt(variance / N));
        assert_true(fabs(squares / N - variance) < 0.1);
        ts_samples_release(&again);
        run->choice = NULL; /* the same bits in pieces */
        for (int first = 0; first < N; first += 1000) {
            const int count = N - first < 1000 ? N - first : 1000;
            must(ts_evaluate_some_samples(run, &sampler, TS_START_MIXTURE, N, first, count, NULL, &again));
            assert_memory_equal(samples.x + first, again.x, (size_t)count * sizeof(float));
            ts_samples_release(&again);
        }
        ts_samples_release(&samples);
    }
    ts_run_close(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_directory, start_clean),
        cmocka_unit_test(test_unrecorded),
        cmocka_unit_test(test_T_text),
        cmocka_unit_test_setup(test_lock, start_clean),
        cmocka_unit_test_setup(test_resume_on_mixture, start_clean),
        cmocka_unit_test_setup(test_resume_on_digits, start_clean),
        cmocka_unit_test_setup(test_resume_on_ve, start_clean),
        cmocka_unit_test_setup(test_resume_of_predictions, start_clean),
        cmocka_unit_test_setup(test_frequencies_are_frozen, start_clean),
        cmocka_unit_test_setup(test_log_after_a_crash, start_clean),
        cmocka_unit_test_setup(test_trained_further, start_clean),
        cmocka_unit_test_setup(test_not_finite, start_clean),
        cmocka_unit_test(test_bound_eps),
        cmocka_unit_test(test_ve_data),
        cmocka_unit_test(test_exact_bound),
        cmocka_unit_test_setup(test_evaluation_limits, start_clean),
        cmocka_unit_test(test_samples),
    };
    return cmocka_run_group_tests(tests, NULL, start_clean);
}
