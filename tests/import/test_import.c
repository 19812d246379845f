/*
 * Weights of elsewhere become a run, and those of a run a file: what is imported is what stood in the file, what
 * does not fit is named, and what a network gives for inputs in a file is what it gives.
 *
 * To add a case, write a file of weights with write_weights, or of inputs with write_inputs, and list the test
 * in main.
 */
#define FOLDER "test_import_files"

#include <math.h>
#include "run/checkpoint.h"
#include "run/exchange/export.h"
#include "run/exchange/import.h"
#include "run/exchange/outputs.h"
#include "run/trained.h"
#include "base/safetensors.h"
#include "run_files.h"

#define WEIGHTS FOLDER "/weights.safetensors"
#define INPUTS  FOLDER "/x.safetensors"
#define OUTPUTS FOLDER "/net.safetensors"

enum { FIRST = 3 }; /* a tensor that is left out, renamed or of another shape */

/* A file of the run's weights, tensor by tensor, `prefix` in front of their names; `extra` (or NULL) is one
 * more, `missing` leaves one out, and `reshaped` gives one a first dimension more. */
static void write_weights(const ts_run *run, const char *prefix, const char *extra, bool missing,
                          bool reshaped)
{
    const ts_params *params = run->model->params;
    ts_safetensors_writer *writer;
    float *scratch;
    must(ts_params_scratch(params, &scratch));
    must(ts_safetensors_create(WEIGHTS, &writer));
    for (int p = 0; p < ts_params_table_size(params); p++) {
        const ts_param_info *info = ts_params_info(params, p);
        int64_t shape[5] = {1};
        memcpy(shape + 1, info->shape, sizeof info->shape);
        const bool longer = reshaped && p == FIRST;
        char name[128];
        snprintf(name, sizeof name, "%s%s", prefix, info->name);
        if (!missing || p != FIRST)
            ts_safetensors_declare(writer, name, TS_ST_F32, info->rank + longer, shape + !longer);
    }
    if (extra)
        ts_safetensors_declare(writer, extra, TS_ST_F32, 1, (int64_t[]){1});
    for (int p = 0; p < ts_params_table_size(params); p++) {
        must(ts_params_get(params, p, TS_BUFFER_VALUE, scratch));
        if (!missing || p != FIRST)
            must(ts_safetensors_append(
                writer, scratch, (size_t)ts_param_elements(ts_params_info(params, p)) * sizeof *scratch));
    }
    if (extra)
        must(ts_safetensors_append(writer, &(float){0}, sizeof(float)));
    must(ts_safetensors_commit(writer));
    free(scratch);
}

static void import_into(const char *dir, const char *extra, const char *refusal)
{
    ts_run *run = create(dir, on_digits, extra, false);
    ts_status status = ts_import(run, WEIGHTS);
    if (refusal)
        must_fail(status, TS_INVALID, refusal);
    else
        must(status);
    assert_int_equal(ts_checkpoint_exists(run), !refusal);
    ts_run_close(run);
}

static void expect_equal(const ts_run *a, const ts_run *b)
{
    const size_t count = (size_t)ts_params_count(a->model->params);
    float *x = malloc(count * sizeof *x), *y = malloc(count * sizeof *y);
    assert_int_equal(ts_params_count(b->model->params), count);
    must(a->device->k->download(a->device, x, ts_params_buffer(a->model->params, TS_BUFFER_VALUE),
                                count * sizeof *x));
    must(b->device->k->download(b->device, y, ts_params_buffer(b->model->params, TS_BUFFER_VALUE),
                                count * sizeof *y));
    assert_memory_equal(x, y, count * sizeof *x);
    free(x);
    free(y);
}

/* Weights and averages are the file's; training goes on from them, where it is not told that they suffice. */
static void test_round_trip(void **state)
{
    /* as score_sde's networks have it, and within DataParallel */
    static const char *const prefixes[] = {"", "module."}, *const extras[] = {"sigmas", "module.sigmas"};
    (void)state;
    train(FOLDER "/a", on_digits, NULL, false);
    ts_run *a = reopen(FOLDER "/a", NULL);
    ts_checkpoint checkpoint;
    must(ts_checkpoint_load_weights(a, false, &checkpoint));
    ts_checkpoint_release(&checkpoint);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(system("rm -rf " FOLDER "/b"), 0);
        write_weights(a, prefixes[i], extras[i], false, false);
        import_into(FOLDER "/b", "seed=7", NULL);
        for (int averaged = 0; averaged < 2; averaged++) {
            ts_run *b = reopen(FOLDER "/b", NULL);
            must(ts_checkpoint_load_weights(b, averaged, &checkpoint));
            assert_true(checkpoint.step == 0 && checkpoint.imported);
            ts_checkpoint_release(&checkpoint);
            expect_equal(a, b);
            ts_run_close(b);
        }
    }
    ts_run_close(a);
    for (int suffices = 1; suffices >= 0; suffices--) {
        ts_run *b = create(FOLDER "/b", on_digits, "seed=7", true);
        ts_trainer_result result;
        const ts_trainer_options options = {.resume = true, .imported_suffices = suffices};
        must(ts_trainer_run(b, &options, &result));
        assert_int_equal(result.step, suffices ? 0 : b->config->train.steps);
        must(ts_checkpoint_load_weights(b, false, &checkpoint));
        assert_true(checkpoint.imported == (suffices == 1));
        ts_checkpoint_release(&checkpoint);
        ts_run_close(b);
    }
}

static void test_what_does_not_fit(void **state)
{
    (void)state;
    ts_run *run = create(NULL, on_digits, NULL, false);
    const char *name = ts_params_info(run->model->params, FIRST)->name;
    must(ts_file_make_folder(FOLDER));
    write_weights(run, "", NULL, true, false);
    import_into(FOLDER "/missing", NULL, name);
    write_weights(run, "", NULL, false, true);
    import_into(FOLDER "/reshaped", NULL, name);
    write_weights(run, "", "all_modules.99.weight", false, false);
    import_into(FOLDER "/extra", NULL, "tensor all_modules.99.weight is none of this network's");
    write_weights(run, "", NULL, false, false);
    import_into(FOLDER "/wider", "model.nf=16", "should be");
    ts_run_close(run);
    run = create(FOLDER "/exact", on_mixture, "model.kind=exact", false);
    must_fail(ts_import(run, WEIGHTS), TS_INVALID, "model.kind exact has no weights to import");
    ts_run_close(run);
}

/* ---- what score_sde's configurations say ---- */

static void test_published_defaults(void **state)
{
    static const char *const ncsnpp[] = {"model={kind: ncsnpp, num_res_blocks: 8}"},
                             *const ddpmpp[] = {"data.kind=digits", "model={nf: 8, ch_mult: [1, 1]}",
                                                "sde.kind=subvp"};
    (void)state;
    ts_config *c;
    ts_run *run;
    ts_run_options options = cpu;
    must(ts_config_load_published(NULL, ncsnpp, 1, &c));
    assert_true(c->sde.kind == TS_SDE_VE && c->sde.sigma_min == 0.01 && c->sde.sigma_max == 50);
    assert_true(c->model.nf == 128 && c->model.num_res_blocks == 8 && c->model.ch_mult.count == 4);
    assert_true(c->model.ch_mult.v[0] == 1 && c->model.ch_mult.v[1] == 2 && c->model.ch_mult.v[3] == 2);
    assert_true(c->model.attn_resolutions.count == 1 && c->model.attn_resolutions.v[0] == 16);
    assert_true(c->model.fir && c->model.progressive_input == TS_PROGRESSIVE_INPUT_RESIDUAL);
    ts_config_free(c);
    must(ts_config_load_published(NULL, ddpmpp, 3, &c));
    assert_true(c->sde.kind == TS_SDE_SUBVP && c->model.nf == 8 && c->model.ch_mult.count == 2);
    assert_true(c->model.num_res_blocks == 4 && c->model.attn_resolutions.count == 1);
    options.published = true; /* 8x8 images have no level of height 16 */
    must(ts_run_create(NULL, c, false, &options, &run));
    assert_int_equal(run->config->model.attn_resolutions.count, 0);
    ts_run_close(run);
    must(ts_config_load(NULL, ncsnpp, 1, &c)); /* elsewhere they are not meant */
    assert_true(c->sde.kind == TS_SDE_VP && c->model.nf == 32);
    ts_config_free(c);
}

/* ---- outputs for inputs in a file ---- */

/* x [n,...] of the shape, or of none (rank 0: left out), and t [t_count], or none. */
static void write_inputs(int rank, const int64_t *shape, const float *x, int64_t t_count, const float *t)
{
    ts_safetensors_writer *writer;
    size_t count = rank > 0;
    for (int i = 0; i < rank; i++)
        count *= (size_t)shape[i];
    must(ts_file_make_folder(FOLDER));
    must(ts_safetensors_create(INPUTS, &writer));
    if (count)
        ts_safetensors_declare(writer, "x", TS_ST_F32, rank, shape);
    if (t_count)
        ts_safetensors_declare(writer, "t", TS_ST_F32, 1, &t_count);
    if (count)
        must(ts_safetensors_append(writer, x, count * sizeof *x));
    if (t_count)
        must(ts_safetensors_append(writer, t, (size_t)t_count * sizeof *t));
    must(ts_safetensors_commit(writer));
}

enum { ROWS = 11, IMAGE = 64 };

static void write_some_images(void)
{
    float x[ROWS * IMAGE], t[ROWS];
    for (int i = 0; i < ROWS * IMAGE; i++)
        x[i] = (float)sin(i * 1.7);
    for (int i = 0; i < ROWS; i++)
        t[i] = 0.05f + 0.08f * (float)i;
    write_inputs(4, (int64_t[]){ROWS, 1, 8, 8}, x, ROWS, t);
}

static ts_run *open_trained(const char *dir, const char *override, bool averaged)
{
    ts_run *run;
    must(ts_trained_open(dir, &override, override != NULL, averaged, &cpu, &run));
    return run;
}

/* A run's weights, exported and imported, give the same outputs bit for bit. */
static void check_export(const char *const *keys, const char *extra, bool averaged)
{
    ts_outputs outputs;
    ts_run *run = open_trained(FOLDER "/a", NULL, averaged);
    must(ts_export(run, averaged, WEIGHTS));
    must_fail(ts_export(run, averaged, FOLDER "/a/checkpoint.safetensors"), TS_INVALID, "the run's own");
    must_fail(ts_outputs_write(run, INPUTS, FOLDER "/a/checkpoint.safetensors", NULL, &outputs), TS_INVALID,
              "the run's own");
    must(ts_outputs_write(run, INPUTS, FOLDER "/before", NULL, &outputs));
    assert_int_equal(outputs.count, ROWS);
    ts_run_close(run);
    assert_int_equal(system("rm -rf " FOLDER "/b"), 0);
    run = create(FOLDER "/b", keys, extra, false);
    must(ts_import(run, WEIGHTS));
    ts_run_close(run);
    run = open_trained(FOLDER "/b", NULL, true);
    must(ts_outputs_write(run, INPUTS, OUTPUTS, NULL, &outputs));
    ts_run_close(run);
    same_files(FOLDER "/before", OUTPUTS);
}

static void test_export(void **state)
{
    (void)state;
    train(FOLDER "/a", on_digits, NULL, false);
    write_some_images();
    check_export(on_digits, NULL, false);
    check_export(on_digits, NULL, true);
    ts_safetensors *file;
    double *sigmas;
    const ts_safetensors_info *info;
    must(ts_safetensors_open(WEIGHTS, &file));
    must(ts_safetensors_read_doubles(file, "sigmas", &sigmas, &info));
    assert_true(info->type == TS_ST_F64 && info->count == 1000);
    for (int i = 0; i < 1000; i++) /* sigma(1 - i/999) */
        assert_true(fabs(sigmas[i] / (50 * pow(0.01 / 50, i / 999.0)) - 1) < 1e-12);
    assert_string_equal(ts_safetensors_metadata(file, "weights"), "ema");
    free(sigmas);
    ts_safetensors_close(file);
}

/* The same of vectors, by a network that predicts v. */
static void test_export_of_vectors(void **state)
{
    float x[ROWS], t[ROWS];
    (void)state;
    for (int i = 0; i < ROWS; i++) {
        x[i] = (float)i - 5;
        t[i] = 0.9f - 0.08f * (float)i;
    }
    train(FOLDER "/a", on_mixture, "model.predicts=v", false);
    write_inputs(2, (int64_t[]){ROWS, 1}, x, ROWS, t);
    check_export(on_mixture, "model.predicts=v", true);
}

/* Of the mixture on_mixture, exact: -s times its score, under VE the score; in batches, the last not full. */
static void test_exact_outputs(void **state)
{
    static const double mu[] = {-1, 1}, std[] = {0.3, 0.2};
    static const char *const sdes[] = {"sde.kind=vp", "sde.kind=ve"};
    (void)state;
    float x[ROWS], t[ROWS];
    double *net;
    for (int i = 0; i < ROWS; i++) {
        x[i] = 0.4f * (float)i - 2;
        t[i] = 0.1f + 0.07f * (float)i;
    }
    write_inputs(2, (int64_t[]){ROWS, 1}, x, ROWS, t);
    for (int ve = 0; ve < 2; ve++) {
        const char *keys[KEYS] = {on_mixture[0], "model.kind=exact", sdes[ve], "bound.batch=4", "seed=1"};
        ts_run *run = create(NULL, keys, NULL, false);
        ts_outputs outputs;
        must(ts_outputs_write(run, INPUTS, OUTPUTS, NULL, &outputs));
        assert_string_equal(outputs.net, ve ? "score" : "noise");
        ts_safetensors *file;
        must(ts_safetensors_open(OUTPUTS, &file));
        must(ts_safetensors_read_doubles(file, "net", &net, NULL));
        for (int i = 0; i < ROWS; i++) {
            const double time = t[i], B = 0.1 * time + 19.9 * time * time / 2, a = ve ? 1 : exp(-B / 2),
                         s = ve ? 0.01 * pow(5000, time) : sqrt(1 - exp(-B));
            double density = 0, slope = 0;
            for (int k = 0; k < 2; k++) {
                const double v = a * a * std[k] * std[k] + s * s, e = x[i] - a * mu[k],
                             p = exp(-e * e / (2 * v)) / sqrt(v);
                density += p;
                slope -= p * e / v;
            }
            const double score = slope / density;
            assert_true(fabs(net[i] - (ve ? score : -s * score)) < 1e-4 * (1 + fabs(score)));
        }
        free(net);
        ts_safetensors_close(file);
        ts_run_close(run);
    }
}

static void test_refused_inputs(void **state)
{
    (void)state;
    float x[2 * IMAGE] = {0}, t[] = {0.5f, 0.4f};
    const int64_t right[] = {2, 1, 8, 8}, turned[] = {2, 8, 8, 1}, flat[] = {2, 64};
    ts_outputs outputs;
    ts_run *run = create(NULL, on_digits, "train.T=0.6", false);
#define REFUSED(word) must_fail(ts_outputs_write(run, INPUTS, OUTPUTS, NULL, &outputs), TS_INVALID, word)
    write_inputs(0, NULL, NULL, 2, t);
    REFUSED(INPUTS ": tensor x is missing");
    write_inputs(4, right, x, 0, NULL);
    REFUSED(INPUTS ": tensor t is missing");
    write_inputs(4, turned, x, 2, t);
    REFUSED("tensor x is [2,8,8,1], should be [n,1,8,8]");
    write_inputs(2, flat, x, 2, t);
    REFUSED("tensor x is [2,64], should be [n,1,8,8]");
    write_inputs(4, right, x, 1, t);
    REFUSED("tensor t has 1 values, should have shape [2]");
    t[1] = 0.7f;
    write_inputs(4, right, x, 2, t);
    REFUSED("t[1] = 0.7");
    t[1] = NAN;
    write_inputs(4, right, x, 2, t);
    REFUSED("should lie in [1e-05, 0.6]");
    t[1] = 1e-5f; /* a little below train.eps, which float32 does not hold */
    write_inputs(4, right, x, 2, t);
    must(ts_outputs_write(run, INPUTS, OUTPUTS, NULL, &outputs));
    must_fail(ts_outputs_write(run, INPUTS, INPUTS, NULL, &outputs), TS_INVALID, "file of the inputs");
#undef REFUSED
    ts_run_close(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup(test_round_trip, start_clean),
                                       cmocka_unit_test_setup(test_what_does_not_fit, start_clean),
                                       cmocka_unit_test(test_published_defaults),
                                       cmocka_unit_test_setup(test_export, start_clean),
                                       cmocka_unit_test_setup(test_export_of_vectors, start_clean),
                                       cmocka_unit_test_setup(test_exact_outputs, start_clean),
                                       cmocka_unit_test_setup(test_refused_inputs, start_clean)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
