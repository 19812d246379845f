/*
 * The configuration: defaults, files, overrides, round trip, and every kind of mistake with its message.
 *
 * To add a case, add a line to the test of its kind of mistake: text, override, the whole message. A new key
 * needs none: test_visit goes through all of them.
 */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "config/config.h"

#define FILE_NAME "test_config.yaml"

static void write_file(const char *text)
{
    FILE *file = fopen(FILE_NAME, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static ts_config *must_load(const char *path, const char *const *overrides, int count)
{
    ts_config *config;
    ts_status status = ts_config_load(path, overrides, count, &config);
    if (status)
        fail_msg("%s", ts_status_message(status));
    return config;
}

/* Loading must fail as TS_INVALID with exactly this message, or with one that begins so, on one line. */
static void expect_message(const char *text, const char *override, const char *message, bool whole)
{
    ts_config *config;
    if (text)
        write_file(text);
    ts_status status = ts_config_load(text ? FILE_NAME : NULL, &override, override != NULL, &config);
    assert_non_null(status);
    assert_null(config);
    const char *got = ts_status_message(status);
    if (whole ? strcmp(got, message) != 0 : strncmp(got, message, strlen(message)) != 0)
        fail_msg("\"%s\" should %s \"%s\"", got, whole ? "be" : "begin with", message);
    assert_null(strchr(got, '\n'));
    assert_int_equal(ts_status_code(status), TS_INVALID);
    ts_status_free(status);
}

static void expect_error(const char *text, const char *override, const char *message)
{
    expect_message(text, override, message, true);
}

static void expect_beginning(const char *text, const char *override, const char *beginning)
{
    expect_message(text, override, beginning, false);
}

static void test_defaults(void **state)
{
    (void)state;
    ts_config *config = must_load(NULL, NULL, 0);
    assert_string_equal(config->run.name, "run");
    assert_int_equal(config->data.kind, TS_DATA_DIGITS);
    assert_int_equal(config->train.steps, 100000);
    assert_true(config->train.lr == 2e-4);
    assert_true(config->train.low_discrepancy);
    assert_false(config->data.flip);
    assert_int_equal(config->model.ch_mult.count, 2);
    assert_int_equal(config->model.ch_mult.v[1], 2);
    assert_int_equal(config->sweep.T.count, 6);
    assert_true(config->sweep.T.v[5] == 0.1);
    assert_int_equal(config->data.mixture.means.rows, 0);
    assert_int_equal(config->sweep.starts.count, 0);
    ts_config_free(config);
}

static void test_file_and_overrides(void **state)
{
    (void)state;
    write_file(
        "name: \"a \\\"quoted\\\" name\"\n"
        "seed: 7\n"
        "data:\n"
        "  kind: mixture\n"
        "  mixture: {weights: [1, 3], means: [[0, 1], [2, 3]], covariances: [[1, .5, .5, 2], [1, 0, 0, 1]]}\n"
        "model: {kind: mlp}\n"
        "train:\n"
        "sweep: {T: [1, 0.3333333333333333], starts: [mixture, normal]}\n");
    const char *overrides[] = {"seed=8", "train.steps=12", "train={lr: 1e-2, batch: 3}",
                               "model.attn_resolutions=[8, 4]", "data.mixture.count=99"};
    ts_config *config = must_load(FILE_NAME, overrides, 5);
    assert_string_equal(config->run.name, "a \"quoted\" name");
    assert_int_equal(config->run.seed, 8);
    assert_int_equal(config->train.steps, 12);
    assert_int_equal(config->train.batch, 3);
    assert_true(config->train.lr == 1e-2);
    assert_int_equal(config->model.attn_resolutions.count, 2);
    assert_int_equal(config->model.attn_resolutions.v[1], 4);
    assert_int_equal(config->data.mixture.count, 99);
    assert_int_equal(config->data.mixture.covariances.rows, 2);
    assert_int_equal(config->data.mixture.covariances.columns, 4);
    assert_true(config->data.mixture.covariances.v[3] == 2);
    assert_true(config->sweep.T.v[1] == 0.3333333333333333);
    assert_int_equal(config->sweep.starts.count, 2);
    assert_int_equal(config->sweep.starts.v[0], TS_START_MIXTURE);
    assert_int_equal(config->sweep.starts.v[1], TS_START_NORMAL);
    ts_config_free(config);
    overrides[0] = "sweep.starts=glow,gaussian"; /* without brackets, and instead of the file's */
    config = must_load(FILE_NAME, overrides, 1);
    assert_int_equal(config->sweep.starts.count, 2);
    assert_int_equal(config->sweep.starts.v[1], TS_START_GAUSSIAN);
    ts_config_free(config);
}

static void test_flat_matrix(void **state)
{
    (void)state;
    const char *overrides[] = {
        "data={kind: mixture, mixture: {weights: [1, 1], means: [-1, 1], stds: [[.1], [.2]]}}",
        "model.kind=exact"};
    ts_config *config = must_load(NULL, overrides, 2);
    assert_int_equal(config->data.mixture.means.rows, 2);
    assert_int_equal(config->data.mixture.means.columns, 1);
    assert_true(config->data.mixture.means.v[0] == -1);
    assert_true(config->data.mixture.stds.v[1] == .2);
    ts_config_free(config);
}

/* Printed, read again and printed again: the same text, for the defaults and for values that are hard to
 * print. */
static void test_round_trip(void **state)
{
    (void)state;
    const char *const cases[][3] = {{"seed=1", "seed=2", "sweep.starts=[glow, normal]"},
                                    {"name=\"tab\\t, quote \\\", backslash \\\\, umlaut \\u00fc\"",
                                     "train.lr=0.1234567890123456789", "train.eps=1e-9"},
                                    {"data={kind: mixture, mixture: {weights: [0.1, 0.7], means: [[1e-300, "
                                     "3], [5, 1e300]], stds: [[1, 2], [3, 4]]}}",
                                     "model.kind=exact", "sweep.T=[0.30000000000000004]"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *first, *second;
        ts_config *config = must_load(NULL, cases[i], 3);
        assert_null(ts_config_print(config, NULL, &first));
        ts_config_free(config);
        write_file(first);
        config = must_load(FILE_NAME, NULL, 0);
        assert_null(ts_config_print(config, NULL, &second));
        ts_config_free(config);
        assert_string_equal(first, second);
        free(first);
        free(second);
    }
}

static void test_mistakes_in_files(void **state)
{
    (void)state;
    expect_error("train:\n  steps: 5\n  stepz: 6\n", NULL,
                 FILE_NAME ":3: unknown key train.stepz (did you mean train.steps?)");
    expect_error("steps: 5\n", NULL, FILE_NAME ":1: unknown key steps (did you mean train.steps?)");
    expect_error("trian: {steps: 5}\n", NULL, FILE_NAME ":1: unknown key trian (did you mean train?)");
    expect_error("quite_other: 1\n", NULL,
                 FILE_NAME ":1: unknown key quite_other (tstar info --keys lists them)");
    expect_error("train:\n  steps: many\n", NULL, FILE_NAME ":2: train.steps must be an integer, not many");
    expect_error("train:\n  steps: 1.5\n", NULL, FILE_NAME ":2: train.steps must be an integer, not 1.5");
    expect_error("train:\n  steps:\n", NULL, FILE_NAME ":2: train.steps must be an integer, not nothing");
    expect_error("train: {steps: 0}\n", NULL, FILE_NAME ":1: train.steps must lie in [1, 2147483647], not 0");
    expect_error("train: {steps: 99999999999999999999}\n", NULL,
                 FILE_NAME ":1: train.steps must lie in [1, 2147483647], not 99999999999999999999");
    expect_error("train: {lr: fast}\n", NULL, FILE_NAME ":1: train.lr must be a number, not fast");
    expect_error("train: {lr: .nan}\n", NULL, FILE_NAME ":1: train.lr must be a number, not .nan");
    expect_error("train: {lr: nan}\n", NULL, FILE_NAME ":1: train.lr must be a number, not nan");
    expect_error("data: {flip: maybe}\n", NULL, FILE_NAME ":1: data.flip must be true or false, not maybe");
    char kinds[128], message[256]; /* as many as there are */
    ts_words_list(&ts_data_kind_words, "|", "|", kinds, sizeof kinds);
    snprintf(message, sizeof message, FILE_NAME ":2: data.kind must be one of %s, not digit", kinds);
    expect_error("data:\n  kind: digit\n", NULL, message);
    expect_error("model: {ch_mult: 2}\n", NULL,
                 FILE_NAME ":1: model.ch_mult must be a list such as [1, 2], not 2");
    expect_error("model: {ch_mult: [1, [2]]}\n", NULL,
                 FILE_NAME ":1: model.ch_mult must be an integer, not a list");
    expect_error("data:\n  mixture:\n    means: [[1, 2],\n      [3]]\n", NULL,
                 FILE_NAME ":4: data.mixture.means: row 2 has 1 values where the first has 2");
    expect_error("sweep: {starts: normal}\n", NULL,
                 FILE_NAME ":1: sweep.starts must be a list such as [normal, gaussian], not normal");
    expect_error(
        "sweep:\n  starts: [normal, other]\n", NULL,
        FILE_NAME
        ":2: sweep.starts must be one of normal|gaussian|dpmixture|glow|glow_all|mixture, not other");
    expect_error("sweep:\n  starts: [glow, normal, glow]\n", NULL,
                 FILE_NAME ":2: sweep.starts: glow is given twice");
    expect_error("sweep:\n  nfe: [20, 1]\n", NULL,
                 FILE_NAME
                 ":2: sweep.nfe: 1 is too few evaluations for a step of em, which takes 2 with denoising");
    expect_error("sample: {denoise: false, corrector_steps: 3}\nsweep:\n  samplers: [rk45, pc]\n  nfe: [3]\n",
                 NULL, FILE_NAME ":4: sweep.nfe: 3 is too few evaluations for a step of pc, which takes 4");
    expect_error("sweep: {nfe: [0, 20, 0]}\n", NULL, FILE_NAME ":1: sweep.nfe holds 0 twice");
    expect_error("train: 5\n", NULL, FILE_NAME ":1: train must be a mapping of keys to values, not 5");
    expect_error("- 1\n", NULL,
                 FILE_NAME ":1: a configuration must be a mapping of keys to values, not a list");
    expect_error("seed: 1\nseed: 2\n", NULL, FILE_NAME ":2: seed is given twice");
    expect_error("seed: 1\n---\nseed: 2\n", NULL,
                 FILE_NAME ":3: a second YAML document begins here; one is allowed");
    expect_error("train:\n  steps: [1\n", NULL,
                 FILE_NAME
                 ":3: not valid YAML: did not find expected ',' or ']' while parsing a flow sequence");
    expect_error("? [1]\n: 2\n", NULL, FILE_NAME ":1: a key must be a word, not a list");
}

static void test_mistakes_in_overrides(void **state)
{
    (void)state;
    expect_error(NULL, "train.stepz=3",
                 "--set train.stepz=3: unknown key train.stepz (did you mean train.steps?)");
    expect_error(NULL, "train.steps", "--set train.steps: write KEY=VALUE, such as --set train.steps=1000");
    expect_error(NULL, "=3", "--set =3: write KEY=VALUE, such as --set train.steps=1000");
    expect_error(NULL, "train.steps=", "--set train.steps=: train.steps must be an integer, not nothing");
    expect_error(NULL, "train.T=1.5", "--set train.T=1.5: train.T must lie in [1e-06, 1], not 1.5");
    expect_error(NULL, "train=3", "--set train=3: train must be a mapping of keys to values, not 3");
    expect_error(NULL, "model.ch_mult=[1,",
                 "--set model.ch_mult=[1,: not valid YAML: did not find expected node content "
                 "while parsing a flow node");
}

static void test_what_keys_demand_of_each_other(void **state)
{
    (void)state;
    expect_error("train:\n  eps: 0.01\n  T: 0.005\n", NULL,
                 FILE_NAME ":3: train.T must lie in (0.01, 1], above train.eps = 0.01, not 0.005");
    expect_error("train: {eps: 0.01}\n", "train.T=0.005",
                 "--set train.T=0.005: train.T must lie in (0.01, 1], above train.eps = 0.01, not 0.005");
    expect_error("sweep:\n  T: [1, 0.0005]\n", NULL,
                 FILE_NAME ":2: sweep.T must lie in (0.001, 1], above sample.eps = 0.001, not 0.0005");
    expect_error("bound: {eps: 0.1}\n", NULL, "sweep.T must lie in (0.1, 1], above bound.eps = 0.1, not 0.1");
    expect_error("sweep: {likelihood: true}\nlikelihood: {eps: 0.1}\n", NULL,
                 "sweep.T must lie in (0.1, 1], above likelihood.eps = 0.1, not 0.1");
    expect_error("sweep: {T: []}\n", NULL, FILE_NAME ":1: sweep.T must have at least one diffusion time");
    expect_error("sweep: {T: [1, 0.5, 1.0]}\n", NULL, FILE_NAME ":1: sweep.T holds 1 twice");
    expect_error("sde: {beta_max: 0.01}\n", NULL,
                 FILE_NAME ":1: sde.beta_max = 0.01 must not be below sde.beta_min = 0.1");
    expect_error("model: {fir_kernel: [1]}\n", NULL,
                 FILE_NAME ":1: model.fir_kernel must have 2 to 8 taps, not 1");
    expect_error("model: {fir_kernel: [1, -1]}\n", NULL,
                 FILE_NAME ":1: model.fir_kernel: its taps must have a positive sum, not 0");
    expect_error("model: {progressive: residual}\n", NULL,
                 FILE_NAME ":1: model.progressive must be one of none|output_skip, not residual");
    expect_error("model: {nf: 33}\n", NULL, FILE_NAME ":1: model.nf must be even, not 33");
    expect_error("model: {ch_mult: []}\n", NULL,
                 FILE_NAME ":1: model.ch_mult must have 1 to 8 levels, not 0");
    expect_beginning(
        "model: {kind: mlp}\n", NULL,
        FILE_NAME
        ":1: model.kind mlp is for vectors, and data.kind digits has images, which need model.kind ddpmpp or ncsnpp");
    expect_error("model: {kind: exact}\n", NULL,
                 FILE_NAME ":1: model.kind exact needs data.kind mixture: real data have no exact score");
    expect_error("data: {kind: idx}\n", NULL, "data.kind idx needs data.path, the folder with the files");
}

#define MIXTURE(rest) "model: {kind: mlp}\ndata:\n  kind: mixture\n  mixture:\n" rest

static void test_mixtures(void **state)
{
    (void)state;
    expect_error(MIXTURE(""), NULL, "data.kind mixture needs data.mixture.weights");
    expect_error(MIXTURE("    weights: [1, 0]\n"), NULL,
                 FILE_NAME ":5: data.mixture.weights must be positive, not 0");
    expect_error(MIXTURE("    weights: [1, 2]\n    means: [1]\n"), NULL,
                 FILE_NAME ":6: data.mixture.means must have 2 rows, as many as weights, not 1");
    expect_error(MIXTURE("    weights: [1]\n    means: [1]\n"), NULL,
                 "data.kind mixture needs either data.mixture.stds or data.mixture.covariances");
    expect_error(MIXTURE("    weights: [1]\n    means: [1]\n    stds: [[1, 2]]\n"), NULL,
                 FILE_NAME ":7: data.mixture.stds must be 1 rows (as many as weights) of 1, not 1 rows of 2");
    expect_error(MIXTURE("    weights: [1]\n    means: [1]\n    stds: [-1]\n"), NULL,
                 FILE_NAME ":7: data.mixture.stds must be positive, not -1");
    expect_error(MIXTURE("    weights: [1]\n    means: [[1, 2]]\n    covariances: [[1, 0, .5, 1]]\n"), NULL,
                 FILE_NAME ":7: data.mixture.covariances: row 1 is not a symmetric matrix");
    expect_beginning(
        "data: {kind: mixture, mixture: {weights: [1], means: [1], stds: [1]}}\n", NULL,
        "model.kind ddpmpp is for images, and data.kind mixture has vectors, which need model.kind mlp");
}

static void test_missing_file(void **state)
{
    (void)state;
    ts_config *config;
    ts_status status = ts_config_load("no/such/file.yaml", NULL, 0, &config);
    assert_int_equal(ts_status_code(status), TS_NOT_FOUND);
    assert_non_null(strstr(ts_status_message(status), "no/such/file.yaml"));
    ts_status_free(status);
}

/* Every configuration that comes with the program is valid. */
static void test_own_files(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob(SOURCE_DIR "/configs/*.yaml", 0, NULL, &found), 0);
    assert_int_equal(glob(SOURCE_DIR "/configs/*/*.yaml", GLOB_APPEND, NULL, &found), 0);
    assert_true(found.gl_pathc >= 7);
    for (size_t i = 0; i < found.gl_pathc; i++)
        ts_config_free(must_load(found.gl_pathv[i], NULL, 0));
    globfree(&found);
}

static void count_key(void *context, const char *section, const char *key, const char *kind,
                      const char *fallback, const char *range, const char *change, const char *help)
{
    assert_true(*key && *kind && *change && *help);
    assert_non_null(section);
    assert_non_null(fallback);
    assert_non_null(range);
    ++*(int *)context;
}

/* The reference shows every key of the struct: as many as a printed configuration has lines with a value. */
static void test_visit(void **state)
{
    (void)state;
    int visited = 0, printed = 0;
    char *text;
    ts_config_visit(count_key, &visited);
    ts_config *config = must_load(NULL, NULL, 0);
    assert_null(ts_config_print(config, NULL, &text));
    ts_config_free(config);
    for (const char *c = text; (c = strchr(c, ':')); c++)
        printed += c[1] == ' ';
    free(text);
    assert_int_equal(visited, printed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_file_and_overrides),
        cmocka_unit_test(test_flat_matrix),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_mistakes_in_files),
        cmocka_unit_test(test_mistakes_in_overrides),
        cmocka_unit_test(test_what_keys_demand_of_each_other),
        cmocka_unit_test(test_mixtures),
        cmocka_unit_test(test_missing_file),
        cmocka_unit_test(test_own_files),
        cmocka_unit_test(test_visit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
