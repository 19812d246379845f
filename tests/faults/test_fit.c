/*
 * A Glow whose rate is beyond all reason: no fit is left behind, unless it found its footing in time.
 */
#define FOLDER "fit_faults_test"
#include <math.h>
#include <stdio.h>
#include <unistd.h>
#include "run_test.h"
#include "run/starts/glow.h"

static ts_training_report train_glow(double rate, int steps)
{
    ts_run *run = create(NULL, on_digits, NULL, false);
    const ts_glow_config shape = {
        .height = 8, .width = 8, .channels = 1, .levels = 1, .steps = 1, .hidden = 8};
    const ts_glow_training_config config = {
        .sde = ts_config_sde(run->config),
        .T = 0.4,
        .batch = 8,
        .seed = 1,
        .optimizer = {.rate = rate, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .clip = 1, .ema = 0.9}};
    ts_params *params;
    ts_glow *glow;
    ts_training *training;
    ts_training_report report;
    must(ts_params_create(run->device, &params));
    must(ts_glow_create(&shape, params, 1, &glow));
    must(ts_params_commit(params, 1));
    must(ts_training_glow(run->device, &config, &run->dataset->train, params, glow, &training));
    for (int i = 0; i < steps; i++)
        must(ts_training_step(training));
    must(ts_training_read(training, &report));
    ts_training_destroy(training);
    ts_glow_destroy(glow);
    ts_params_destroy(params);
    ts_run_close(run);
    return report;
}

static void the_report_says_what_stood(void **state)
{
    (void)state;
    ts_training_report report = train_glow(1e-3, 40);
    assert_int_equal(report.stood, 40);
    assert_int_equal(report.rollbacks, 0);
    report = train_glow(1e6, 40);
    assert_int_equal(report.stood, 0);
    assert_int_equal(report.rollbacks, 2);
    /* of a fit that learned nothing: the loss of its initialisation, about that of a normal, not 0 */
    assert_true(report.loss > 0.5 && report.loss < 3);
}

static void fit(const char *glow, ts_code code, const char *message, ts_fit_result *result)
{
    ts_run *run = create(FOLDER "/run", on_digits, glow, true);
    run->config->train.log_every = 2; /* each look at the loss takes a bad step back */
    ts_status status = ts_fit_glow(run, 0.4, NULL, result);
    if (code)
        must_fail(status, code, message);
    else
        must(status);
    assert_int_equal(access(FOLDER "/run/glow_T0.4.safetensors", F_OK), code ? -1 : 0);
    assert_int_equal(access(FOLDER "/run/glow_T0.4.partial.safetensors", F_OK), -1);
    ts_run_close(run);
}

static void a_fit_that_diverges_is_an_error(void **state)
{
    (void)state;
    ts_fit_result result;
    fit("glow.lr=1e6", TS_NOT_FINITE, "the Glow diverges: 6 of its 6 steps had to be taken back", &result);
    fit("glow={lr: 1e6, warmup: 0, steps: 80}", TS_NOT_FINITE, "the Glow diverges", &result); /* at a step */
}

/* The rate comes down to what works, but only just before the end. */
static void hardly_a_step_is_no_fit(void **state)
{
    (void)state;
    ts_fit_result result;
    fit("glow={lr: 3e4, warmup: 0, steps: 37}", TS_NOT_FINITE, " of its 37 steps had to be taken back",
        &result);
}

static void a_fit_that_recovers_is_one(void **state)
{
    (void)state;
    ts_fit_result result;
    fit("glow={lr: 100, warmup: 0, steps: 44}", TS_OK, NULL, &result);
    assert_true(result.rollbacks > 3 && result.rollbacks < 15);
    assert_true(isfinite(result.loss) && result.loss < 1.6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_report_says_what_stood),
        cmocka_unit_test_setup(a_fit_that_diverges_is_an_error, start_clean),
        cmocka_unit_test_setup(hardly_a_step_is_no_fit, start_clean),
        cmocka_unit_test_setup(a_fit_that_recovers_is_one, start_clean),
    };
    return cmocka_run_group_tests(tests, NULL, start_clean);
}
