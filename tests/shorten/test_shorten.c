/*
 * train.T auto: the rule that shortens the range of t, and trainings that obey it.
 *
 * To add a case: measurements and what the rule makes of them in `the_rule`, or keys in `runs`.
 */
#define FOLDER "test_shorten_files"

#include <math.h>
#include <stdio.h>
#include "near.h"
#include "run/checkpoint.h"
#include "run/evaluate.h"
#include "run/training/shorten.h"
#include "run_files.h"

/* ---- the rule ---- */

static void the_rule(void **state)
{
    (void)state;
    enum { MOST = 10 };
    const double end = 0.9;
    const struct {
        const char *keys; /* of the starts */
        int patience, count;
        double normal[MOST], gaussian[MOST], expected[MOST]; /* ends of the sets, and T to shorten to */
    } cases[] = {
        {"sweep.starts=[]", 1, 2, {0.9, 0.8}, {0.3, 0.3}, {0, 0.8}},
        {"sweep.starts=[]", 3, 5, {0.5, 0.6, 0.7, 0.7, 0.6}, {0.8, 0.8, 0.8, 0.6, 0.6}, {0, 0, 0.8, 0, 0}},
        /* one that is higher begins the count anew, one at the end all of it */
        {"sweep.starts=[normal]", 3, 6, {0.5, 0.5, 0.6, 0.6, 0.5, 0.4}, {0}, {0, 0, 0, 0, 0.6, 0}},
        {"sweep.starts=[normal]", 2, 5, {0.8, 0.9, 0.7, 0.9, 0.9}, {0}, {0}},
        {"sweep.starts=[normal]", 2, 5, {0.8, 0.9, 0.7, 0.6, 0.9}, {0}, {0, 0, 0, 0.7, 0}},
        /* of starts that are asked for alone, of all where none of these is measured */
        {"sweep.starts=[gaussian, glow]", 2, 2, {0.9, 0.9}, {0.5, 0.5}, {0, 0.5}},
        {"sweep.starts=[glow]", 2, 2, {0.7, 0.7}, {0.5, 0.5}, {0, 0.7}},
        {"sweep.starts=[gaussian]", 2, 2, {0.7, 0.7}, {NAN, NAN}, {0, 0.7}},
        {"sweep.starts=[]", 1, 1, {NAN}, {NAN}, {0}},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        char patience[64];
        ts_config *config;
        snprintf(patience, sizeof patience, "train.auto_patience=%d", cases[k].patience);
        const char *overrides[] = {"train.T=auto", patience, cases[k].keys};
        must(ts_config_load(NULL, overrides, 3, &config));
        ts_shortening memory = {0};
        for (int i = 0; i < cases[k].count; i++) {
            const ts_crossing_T stars[] = {[TS_CROSSING_NORMAL] = {.high = cases[k].normal[i]},
                                           [TS_CROSSING_GAUSSIAN] = {.high = cases[k].gaussian[i]}};
            assert_true(ts_shorten_to(&memory, config, end, stars) == cases[k].expected[i]);
        }
        ts_config_free(config);
    }
}

/* ---- trainings ---- */

/* A mixture whose second moment M2 is above 2: what predicts nothing errs less than N(0, I), until they cross. */
static const char *const on_wide[] = {
    "data={kind: mixture, mixture: {weights: [1, 1], means: [-2, 2], stds: [.1, .1], count: 2048}}",
    "model={kind: mlp, hidden: 8, blocks: 1}",
    "train={T: auto, auto_patience: 3, eval_every: 2, eval_data: 2048, batch: 256, log_every: 4, checkpoint_every: 5, steps: 11, warmup: 3, "
    "lr: 0}",
    "sweep={T: [1, .1], starts: [normal]}", "bound={draws: 2, prior_draws: 2, count: 64}"};

/* Of the log's line of this step. */
static double T_of_step(const char *log, int step)
{
    char key[32];
    double T = NAN;
    snprintf(key, sizeof key, "{\"step\": %d,", step);
    const char *line = strstr(log, key);
    assert_non_null(line);
    const char *at = strstr(line, "\"T\": ");
    assert_non_null(at);
    assert_true(at < strchr(line, '\n'));
    assert_int_equal(sscanf(at, "\"T\": %lf", &T), 1);
    return T;
}

/* Errors 1 of predicting nothing and s^2 a^2 M2 + a^4 of N(0, I) are equal where a^2 = 1/(M2 - 1). */
static void known_crossing(void **state)
{
    (void)state;
    ts_run *run = create(FOLDER "/known", on_wide, NULL, false);
    const ts_sde sde = ts_config_sde(run->config);
    const double T = ts_sde_time_of_beta_integral(&sde, log(4.01 - 1));
    ts_trainer_result result;
    char *log;
    size_t bytes;
    must(ts_trainer_run(run, &(ts_trainer_options){.resume = false}, &result));
    NEAR(pow(ts_sde_mean(&sde, T), 2), 1 / 3.01, 1e-9);
    print_message("T* = %.4f, training ends on t up to %g\n", T, result.T);
    assert_true(result.T == run->reach && result.T >= T && result.T < T + 0.2);
    must(ts_file_read(FOLDER "/known/log.jsonl", 1 << 20, &log, &bytes));
    assert_true(T_of_step(log, 2) == 1 && T_of_step(log, 4) == 1); /* patience */
    NEAR(T_of_step(log, 6), result.T, 1e-5);
    NEAR(T_of_step(log, 11), result.T, 1e-5);
    free(log);
    ts_run_close(run);
}

/* What was cut off is neither drawn nor evaluated, by whoever opens the run. */
static void beyond_is_refused(void **state)
{
    (void)state;
    ts_checkpoint checkpoint;
    ts_run *run = reopen(FOLDER "/known", NULL);
    ts_samples samples;
    ts_sampler_config sampler;
    ts_evaluate_row rows[2];
    const ts_start_kind normal = TS_START_NORMAL;
    must(ts_checkpoint_load_weights(run, true, &checkpoint));
    const double T = checkpoint.T, beyond = T + 0.01;
    assert_true(T < 1 && T == run->reach);
    ts_checkpoint_release(&checkpoint);
    must(ts_evaluate_bound(run, 1, &T, 1, &normal, NULL, rows));
    must_fail(ts_evaluate_bound(run, 1, &beyond, 1, &normal, NULL, rows), TS_INVALID,
              "alone, to which train.T auto came");
    must(ts_evaluate_sampler(run->config, TS_SAMPLER_EM, beyond, &sampler));
    must_fail(ts_evaluate_samples(run, &sampler, normal, 4, NULL, &samples), TS_INVALID,
              "this network was trained on t up to");
    ts_run_close(run);
}

typedef struct stopper {
    ts_progress base;
    volatile sig_atomic_t stop;
    int64_t at;
} stopper;

static void watch(ts_progress *progress, const char *phase, double done, double total, const char *unit,
                  const char *note)
{
    (void)phase, (void)total, (void)unit, (void)note;
    stopper *s = (stopper *)progress;
    s->stop = (int64_t)done == s->at;
}

/* One that learns. */
static const char rate[] = "train.lr=1e-3";

static void train_until(const char *dir, int64_t step)
{
    stopper s = {.base = {.update = watch}, .at = step - 1}; /* asked in one step, the next still runs */
    s.base.stop = &s.stop;
    ts_run *run = create(dir, on_wide, rate, ts_run_exists(dir));
    ts_status status = ts_trainer_run(run, &(ts_trainer_options){.resume = true, .progress = &s.base}, NULL);
    assert_int_equal(ts_status_code(status), TS_INTERRUPTED);
    ts_status_free(status);
    ts_run_close(run);
}

/* Before, while patience is counted, and after: the bits of a training that was not stopped. */
static void stopped_and_resumed(void **state)
{
    (void)state;
    train(FOLDER "/whole", on_wide, rate, false);
    ts_run *whole = reopen(FOLDER "/whole", NULL);
    ts_checkpoint checkpoint;
    must(ts_checkpoint_load_weights(whole, true, &checkpoint));
    assert_true(checkpoint.T < 1 && checkpoint.profile);
    double drawn = 0;
    for (int i = 0; i < checkpoint.bins; i++)
        drawn += checkpoint.profile[2 * i + 1];
    assert_true(drawn == 256 * 5); /* since step 6 */
    ts_checkpoint_release(&checkpoint);
    ts_run_close(whole);
    train_until(FOLDER "/stopped", 3);
    train_until(FOLDER "/stopped", 5);
    train_until(FOLDER "/stopped", 7);
    train(FOLDER "/stopped", on_wide, rate, true);
    same_files(FOLDER "/whole/" TS_CHECKPOINT_FILE, FOLDER "/stopped/" TS_CHECKPOINT_FILE);
    /* ended at a step where no longer run measures, then asked for more */
    ts_config *config = config_of(on_wide, rate);
    config->train.steps = 5;
    ts_run *run;
    must(ts_run_create(FOLDER "/longer", config, false, &cpu, &run));
    must(ts_trainer_run(run, &(ts_trainer_options){.resume = false}, NULL));
    ts_run_close(run);
    train(FOLDER "/longer", on_wide, rate, true);
    same_files(FOLDER "/whole/" TS_CHECKPOINT_FILE, FOLDER "/longer/" TS_CHECKPOINT_FILE);
}

/* All that is trained, whatever the configuration is called. */
static void same_training(const char *a, const char *b)
{
    static const ts_param_buffer buffers[] = {TS_BUFFER_VALUE, TS_BUFFER_FIRST, TS_BUFFER_SECOND,
                                              TS_BUFFER_EMA};
    ts_run *runs[2] = {reopen(a, NULL), reopen(b, NULL)};
    ts_checkpoint checkpoint[2];
    float *scratch[2];
    for (int i = 0; i < 2; i++) {
        must(ts_params_enable_training(runs[i]->model->params));
        must(ts_checkpoint_load(runs[i], &checkpoint[i]));
        must(ts_params_scratch(runs[i]->model->params, &scratch[i]));
    }
    const ts_params *params = runs[0]->model->params;
    for (int p = 0; p < ts_params_table_size(params); p++)
        for (int k = 0; k < (ts_params_info(params, p)->trained ? 4 : 1); k++) {
            must(ts_params_get(params, p, buffers[k], scratch[0]));
            must(ts_params_get(runs[1]->model->params, p, buffers[k], scratch[1]));
            assert_memory_equal(scratch[0], scratch[1],
                                (size_t)ts_param_elements(ts_params_info(params, p)) * sizeof(float));
        }
    assert_int_equal(checkpoint[0].bins, checkpoint[1].bins);
    assert_memory_equal(checkpoint[0].profile, checkpoint[1].profile,
                        2 * (size_t)checkpoint[0].bins * sizeof(double));
    assert_true(checkpoint[0].T == checkpoint[1].T && checkpoint[0].step == checkpoint[1].step);
    for (int i = 0; i < 2; i++) {
        free(scratch[i]);
        ts_checkpoint_release(&checkpoint[i]);
        ts_run_close(runs[i]);
    }
}

/* A range that is never shortened is that of a number. */
static void never_shortened(void **state)
{
    (void)state;
    ts_run *run;
    const char *const names[] = {FOLDER "/never", FOLDER "/number"};
    for (int i = 0; i < 2; i++) {
        ts_config *config = config_of(on_wide, rate);
        config->train.auto_patience = 100;
        config->train.T = i;
        must(ts_run_create(names[i], config, false, &cpu, &run));
        must(ts_trainer_run(run, &(ts_trainer_options){.resume = false}, NULL));
        ts_run_close(run);
    }
    same_training(names[0], names[1]);
}

/* ---- what is refused ---- */

static void wrong_keys(void **state)
{
    (void)state;
    static const struct {
        const char *key, *message;
    } cases[] = {
        {"train.T=soon", "--set train.T=soon: train.T must be a number or auto, not soon"},
        {"train.T=0", "train.T must lie in [1e-06, 1], not 0"},
        {"train.eval_every=0",
         "--set train.eval_every=0: train.T auto is told by measurements of T*: train.eval_every "
         "must be at least 1, not 0"},
        {"sweep.T=[0.5]", "train.T auto looks for T* between the T of sweep.T: it must have at least two"},
    };
    ts_config *config;
    char *text;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *overrides[] = {"train.T=auto", cases[i].key};
        must_fail(ts_config_load(NULL, overrides, 2, &config), TS_INVALID, cases[i].message);
    }
    const char *overrides[] = {"train.T=auto", "sweep.T=[0.6, 0.8, 0.1]"};
    must(ts_config_load(NULL, overrides, 2, &config));
    assert_true(ts_config_largest_T(config) == 0.8);
    must(ts_config_print(config, "train", &text));
    assert_non_null(strstr(text, "  T: auto\n"));
    free(text);
    ts_config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rule),
        cmocka_unit_test_setup(known_crossing, start_clean),
        cmocka_unit_test(beyond_is_refused), /* behind known_crossing */
        cmocka_unit_test_setup(stopped_and_resumed, start_clean),
        cmocka_unit_test_setup(never_shortened, start_clean),
        cmocka_unit_test(wrong_keys),
    };
    return cmocka_run_group_tests(tests, start_clean, start_clean);
}
