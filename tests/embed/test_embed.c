/*
 * A program that embeds the library: it knows the public header alone.
 *
 * To add a case, call the function of tstar.h as a stranger would, and list the test in main.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <tstar/tstar.h>

#define FOLDER "test_embed_files"

static void must(int result, char *const *error)
{
    if (result)
        fail_msg("%s", *error);
}

static int stop_at_five(void *context, const char *phase, double done, double total)
{
    assert_string_equal(phase, "train");
    assert_true(total == 12);
    ++*(int *)context;
    return done >= 5;
}

static void test_train_and_sample(void **state)
{
    (void)state;
    const char *keys[] = {"train={steps: 12, batch: 32, lr: 1e-2, warmup: 2}", "model={hidden: 8, blocks: 1}",
                          "data.mixture.count=50", "sample.steps_per_unit=20"};
    int calls = 0;
    const tstar_options stopping = {
        .device = "cpu", .threads = 1, .progress = stop_at_five, .context = &calls};
    const tstar_options plain = {.device = "cpu", .threads = 1};
    char *error;
    assert_int_equal(tstar_train(SOURCE_DIR "/configs/mixture2d.yaml", keys, 4, FOLDER, &stopping, &error),
                     1);
    assert_non_null(strstr(error, "interrupted at step 6 of 12"));
    free(error);
    assert_true(calls >= 5);
    must(tstar_train(SOURCE_DIR "/configs/mixture2d.yaml", keys, 4, FOLDER, &plain, &error), &error);

    tstar_model *model;
    int h, w, c;
    double nfe;
    float x[10][2];
    must(tstar_open(FOLDER, NULL, 0, &plain, &model, &error), &error);
    tstar_shape(model, &h, &w, &c);
    assert_true(h == 1 && w == 1 && c == 2);
    must(tstar_sample(model, 0.5, "mixture", "em", 10, &x[0][0], &nfe, &error), &error);
    assert_true(nfe == 11); /* ten steps and the denoising one */
    for (int i = 0; i < 10; i++)
        assert_true(isfinite(x[i][0]) && isfinite(x[i][1]));
    tstar_close(model);
}

static void test_exact(void **state)
{
    (void)state;
    const char *keys[] = {"model.kind=exact"};
    const tstar_options plain = {.device = "cpu", .threads = 1};
    tstar_model *model;
    tstar_bound bound;
    char *error;
    must(tstar_open(SOURCE_DIR "/configs/mixture1d.yaml", keys, 1, &plain, &model, &error), &error);
    must(tstar_elbo(model, 0.4, "mixture", &bound, &error), &error);
    /* the exact bound is -H(p_eps) = -0.5337 nats for this mixture at eps = 1e-3 (by quadrature) */
    assert_true(fabs(bound.elbo.mean + 0.53375) < 1.6 * bound.elbo.half);
    assert_true(fabs(bound.bpd.mean + bound.elbo.mean / log(2)) < 1e-9);
    assert_true(
        fabs(bound.elbo.mean - (bound.reconstruction.mean - bound.prior.mean - bound.diffusion.mean)) < 1e-9);
    tstar_close(model);
}

static void test_errors(void **state)
{
    (void)state;
    tstar_model *model;
    char *error;
    assert_int_equal(tstar_open("no/such", NULL, 0, NULL, &model, &error), 2);
    assert_null(model);
    assert_non_null(strstr(error, "no/such"));
    free(error);
    assert_int_equal(tstar_open("no/such", NULL, 0, NULL, &model, NULL), 2);
    assert_int_equal(tstar_fit("no/such", 0.4, NULL, NULL), 2);
    assert_true(strlen(tstar_version()) >= 5);
}

static int clean(void **state)
{
    (void)state;
    return system("rm -rf " FOLDER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_train_and_sample, clean),
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, clean);
}
