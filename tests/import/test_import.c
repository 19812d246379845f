/*
 * Weights of elsewhere become a run: what is imported is what stood in the file, and what does not fit is
 * named.
 *
 * To add a case, write a file of weights with write_weights and list the test in main.
 */
#define FOLDER "test_import_files"

#include "run/checkpoint.h"
#include "run/exchange/import.h"
#include "run_test.h"
#include "base/file.h"
#include "base/safetensors.h"

#define WEIGHTS FOLDER "/weights.safetensors"

enum { FIRST = 3 }; /* a tensor that is left out, renamed or of another shape */

/* A file of the run's weights, tensor by tensor; `extra` (or NULL) is one more, `missing` leaves one out, and
 * `reshaped` gives one a first dimension more. */
static void write_weights(const ts_run *run, const char *extra, bool missing, bool reshaped)
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
        if (!missing || p != FIRST)
            ts_safetensors_declare(writer, info->name, TS_ST_F32, info->rank + longer, shape + !longer);
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

/* Weights and averages are the file's; training goes on from them. */
static void test_round_trip(void **state)
{
    (void)state;
    train(FOLDER "/a", on_digits, NULL, false);
    ts_run *a = reopen(FOLDER "/a", NULL);
    ts_checkpoint checkpoint;
    must(ts_checkpoint_load_weights(a, false, &checkpoint));
    ts_checkpoint_release(&checkpoint);
    write_weights(a, "sigmas", false, false); /* as score_sde's networks have it */
    import_into(FOLDER "/b", "seed=7", NULL);
    for (int averaged = 0; averaged < 2; averaged++) {
        ts_run *b = reopen(FOLDER "/b", NULL);
        must(ts_checkpoint_load_weights(b, averaged, &checkpoint));
        assert_int_equal(checkpoint.step, 0);
        ts_checkpoint_release(&checkpoint);
        expect_equal(a, b);
        ts_run_close(b);
    }
    ts_run_close(a);
    train(FOLDER "/b", on_digits, "seed=7", true);
}

static void test_what_does_not_fit(void **state)
{
    (void)state;
    ts_run *run = create(NULL, on_digits, NULL, false);
    const char *name = ts_params_info(run->model->params, FIRST)->name;
    must(ts_file_make_folder(FOLDER));
    write_weights(run, NULL, true, false);
    import_into(FOLDER "/missing", NULL, name);
    write_weights(run, NULL, false, true);
    import_into(FOLDER "/reshaped", NULL, name);
    write_weights(run, "all_modules.99.weight", false, false);
    import_into(FOLDER "/extra", NULL, "tensor all_modules.99.weight is none of this network's");
    write_weights(run, NULL, false, false);
    import_into(FOLDER "/wider", "model.nf=16", "should be");
    ts_run_close(run);
    run = create(FOLDER "/exact", on_mixture, "model.kind=exact", false);
    must_fail(ts_import(run, WEIGHTS), TS_INVALID, "model.kind exact has no weights to import");
    ts_run_close(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup(test_round_trip, start_clean),
                                       cmocka_unit_test_setup(test_what_does_not_fit, start_clean)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
