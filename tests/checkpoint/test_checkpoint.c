/*
 * What checkpoints refuse, and what of its configuration a run keeps.
 *
 * To add a case, damage or edit a checkpoint of a small run, demand the message, and list the test in main.
 */
#define FOLDER "test_checkpoint_files"

#include "run/checkpoint.h"
#include "run/starts/glow.h"
#include "run_files.h"

/* ---- tensors ---- */

static void test_refused_checkpoints(void **state)
{
    (void)state;
    train(FOLDER, on_mixture, NULL, false);
    ts_run *run;
    must_fail(ts_run_create(FOLDER, config_of(on_mixture, NULL), false, &cpu, &run), TS_INVALID,
              FOLDER ": holds a run already; resume it");
    /* metadata of this configuration, tensors of another */
    static const struct {
        const char *asked, *stored, *own, *load, *weights;
    } other[] = {
        {"model.hidden=12", "  hidden: 12", "  hidden: 8 ", "a checkpoint of another architecture",
         "a checkpoint of another architecture"},
        {"model.blocks=2", "  blocks: 2", "  blocks: 1", "is not one of this model", NULL},
    };
    ts_checkpoint checkpoint;
    for (int i = 0; i < 2; i++) {
        train(FOLDER "/other", on_mixture, other[i].asked, false);
        copy_edited(FOLDER "/other/" TS_CHECKPOINT_FILE, FOLDER "/" TS_CHECKPOINT_FILE, other[i].stored,
                    other[i].own);
        must_fail(ts_run_create(FOLDER, config_of(on_mixture, NULL), true, &cpu, &run), TS_INVALID,
                  "a checkpoint of another architecture");
        run = reopen(FOLDER, NULL);
        must_fail(ts_checkpoint_load(run, &checkpoint), TS_INVALID, other[i].load);
        if (other[i].weights)
            must_fail(ts_checkpoint_load_weights(run, true, &checkpoint), TS_INVALID, other[i].weights);
        ts_run_close(run);
        assert_int_equal(system("rm -r " FOLDER "/other"), 0);
    }
    assert_int_equal(system("rm -r " FOLDER), 0);
    train(FOLDER, on_mixture, NULL, false);
    run = reopen(FOLDER, "model.kind=exact");
    must_fail(ts_checkpoint_load(run, &checkpoint), TS_INVALID, "exact");
    must_fail(ts_trainer_run(run, &(ts_trainer_options){0}, NULL), TS_INVALID, "nothing to train");
    ts_run_close(run);
    run = create(FOLDER "/new", on_mixture, NULL, false);
    must_fail(ts_checkpoint_load_weights(run, true, &checkpoint), TS_NOT_FOUND,
              FOLDER "/new/" TS_CHECKPOINT_FILE);
    ts_run_close(run);

    char *content;
    size_t bytes;
    must(ts_file_read(FOLDER "/" TS_CHECKPOINT_FILE, 1 << 24, &content, &bytes));
    const size_t lengths[] = {0, 7, 100, bytes / 2, bytes - 1};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        must(ts_file_write(FOLDER "/" TS_CHECKPOINT_FILE, content, lengths[i]));
        run = reopen(FOLDER, NULL);
        must_fail(ts_checkpoint_load(run, &checkpoint), TS_FORMAT, FOLDER "/" TS_CHECKPOINT_FILE);
        must_fail(ts_checkpoint_load_weights(run, true, &checkpoint), TS_FORMAT,
                  FOLDER "/" TS_CHECKPOINT_FILE);
        ts_run_close(run);
    }
    free(content);
}

/* ---- one run, one configuration ---- */

static const struct {
    const char *override, *message;
    bool read; /* allowed for what only reads the run */
} changed[] = {
    {"seed=2", "this run has seed = 1, not 2", true},
    {"sde.kind=subvp", "this run has sde.kind = vp, not subvp", false},
    {"sde.beta_max=10", "this run has sde.beta_max = 20, not 10", false},
    {"model.hidden=12", "this run has model.hidden = 8, not 12", false},
    {"data.mixture.means=[-1, 2]", "this run has data.mixture.means = [[-1], [1]], not [[-1], [2]]", false},
    {"train.T=0.5", "this run has train.T = 1, not 0.5", false},
    {"train.loss=likelihood", "this run has train.loss = simple, not likelihood", true},
};
enum { CHANGED = sizeof changed / sizeof *changed };

static void test_changed_configuration(void **state)
{
    (void)state;
    train(FOLDER "/run", on_mixture, NULL, false);
    assert_int_equal(system("cp -r " FOLDER "/run " FOLDER "/before"), 0);
    ts_run *run;
    for (int i = 0; i < CHANGED; i++) {
        must_fail(ts_run_create(FOLDER "/run", config_of(on_mixture, changed[i].override), true, &cpu, &run),
                  TS_INVALID, changed[i].message);
        must_fail(ts_run_open(FOLDER "/run", &changed[i].override, 1, true, &cpu, &run), TS_INVALID,
                  changed[i].message);
        if (!changed[i].read) {
            must_fail(ts_run_open(FOLDER "/run", &changed[i].override, 1, false, &cpu, &run), TS_INVALID,
                      changed[i].message);
            continue;
        }
        run = reopen(FOLDER "/run", changed[i].override);
        ts_checkpoint checkpoint;
        must(ts_checkpoint_load_weights(run, true, &checkpoint));
        ts_checkpoint_release(&checkpoint);
        ts_run_close(run);
    }
    assert_int_equal(system("diff -r " FOLDER "/run " FOLDER "/before"), 0);
    /* what is asked of the exact score has nothing to do with the network's shape */
    run = reopen(FOLDER "/run", "model={kind: exact, hidden: 12}");
    ts_run_close(run);
    const char *const may[] = {"train={steps: 24, lr: 1e-3, batch: 8, warmup: 0, checkpoint_every: 2}",
                               "name=other", "data.mixture.count=65", "sample={steps: 7, batch: 3}",
                               "bound.draws=2"};
    for (size_t i = 0; i < sizeof may / sizeof *may; i++)
        train(FOLDER "/run", on_mixture, may[i], true);
}

/* A checkpoint that came from elsewhere, into a run that it would fit but for what it was trained with. */
static void test_foreign_checkpoints(void **state)
{
    (void)state;
    ts_checkpoint checkpoint;
    train(FOLDER, on_mixture, NULL, false);
    for (int i = 0; i < CHANGED; i++) {
        char wanted[64];
        const char *key = changed[i].message + strlen("this run has ");
        snprintf(wanted, sizeof wanted, "is of another configuration: %.*s is ", (int)strcspn(key, " "), key);
        train(FOLDER "/other", on_mixture, changed[i].override, false);
        assert_int_equal(
            system("mv " FOLDER "/other/" TS_CHECKPOINT_FILE " " FOLDER " && rm -r " FOLDER "/other"), 0);
        ts_run *run = reopen(FOLDER, changed[i].read ? changed[i].override : NULL);
        must_fail(ts_checkpoint_load(run, &checkpoint), TS_INVALID, wanted);
        must_fail(ts_checkpoint_load_weights(run, true, &checkpoint), TS_INVALID, wanted);
        ts_run_close(run);
        must_fail(ts_run_create(FOLDER, config_of(on_mixture, NULL), true, &cpu, &run), TS_INVALID, wanted);
    }
}

static void test_metadata(void **state)
{
    (void)state;
    static const char *const edits[][3] = {
        {"\"version\":", "\"versiom\":", "lack \"version\""},
        {"\"config\":", "\"c0nfig\":", "lack \"config\""},
        {"\"seed\":\"1\"", "\"seed\":\"7\"", "say seed 7 and, in the configuration, 1"},
        {"log_every: 4", "log_evert: 4", "the configuration in the metadata, of tstar " TSTAR_VERSION},
        {"tstar-score", "tstar-glow ", "not a checkpoint of a score network"},
    };
    train(FOLDER, on_mixture, NULL, false);
    assert_int_equal(system("mv " FOLDER "/" TS_CHECKPOINT_FILE " " FOLDER "/whole"), 0);
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        ts_checkpoint checkpoint;
        ts_run *run = reopen(FOLDER, NULL);
        copy_edited(FOLDER "/whole", FOLDER "/" TS_CHECKPOINT_FILE, edits[i][0], edits[i][1]);
        ts_status status = ts_checkpoint_load_weights(run, true, &checkpoint);
        assert_non_null(strstr(ts_status_message(status), FOLDER "/" TS_CHECKPOINT_FILE));
        must_fail(status, i == 3 ? TS_INVALID : TS_FORMAT, edits[i][2]);
        ts_run_close(run);
    }
}

/* What writes to a run wants the data that it was trained on; what reads it does not. */
static void test_other_data(void **state)
{
    (void)state;
    static const char images[] = "data={kind: idx, path: " FOLDER "/data}";
    ts_checkpoint checkpoint;
    ts_run *run;
    write_images(FOLDER "/data", 0);
    train(FOLDER "/run", on_digits, images, false);
    train(FOLDER "/run", on_digits, images, true);
    write_images(FOLDER "/data", 1);
    must_fail(ts_run_create(FOLDER "/run", config_of(on_digits, images), true, &cpu, &run), TS_INVALID,
              FOLDER "/run/" TS_CHECKPOINT_FILE ": was trained on other data (checksum ");
    run = reopen(FOLDER "/run", NULL);
    must_fail(ts_checkpoint_load(run, &checkpoint), TS_INVALID, "was trained on other data");
    must_fail(ts_fit_glow(run, 0.4, NULL, NULL), TS_INVALID, "was trained on other data");
    must(ts_checkpoint_load_weights(run, true, &checkpoint));
    ts_checkpoint_release(&checkpoint);
    ts_run_close(run);
    /* one from before checksums were stored is of whatever the data are */
    copy_edited(FOLDER "/run/" TS_CHECKPOINT_FILE, FOLDER "/run/" TS_CHECKPOINT_FILE, "\"data\":\"",
                "\"dada\":\"");
    train(FOLDER "/run", on_digits, images, true);
    run = reopen(FOLDER "/run", NULL);
    must(ts_fit_glow(run, 0.4, NULL, NULL));
    ts_run_close(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_refused_checkpoints, start_clean),
        cmocka_unit_test_setup(test_changed_configuration, start_clean),
        cmocka_unit_test_setup(test_foreign_checkpoints, start_clean),
        cmocka_unit_test_setup(test_metadata, start_clean),
        cmocka_unit_test_setup(test_other_data, start_clean),
    };
    return cmocka_run_group_tests(tests, NULL, start_clean);
}
