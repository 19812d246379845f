/*
 * Fits of the start density: found, refused or replaced, and interrupted ones that go on to the same bits.
 */
#define FOLDER "test_fits_files"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/file.h"
#include "elsewhere.h"
#include "base/safetensors.h"
#include "run/starts/glow.h"
#include "near.h"
#include "run_files.h"

#define FIT     "/glow_T0.4.safetensors"
#define PARTIAL "/glow_T0.4.partial.safetensors"
#define LOG     "/glow_T0.4.jsonl"

/* Long enough for several windows of the guard, and at a rate that makes it take steps back. */
static const char rough[] = "glow={steps: 70, lr: 3, warmup: 0}";

static bool is_there(const char *dir, const char *name)
{
    char path[96];
    snprintf(path, sizeof path, "%s%s", dir, name);
    return !access(path, F_OK);
}

/* ---- finished fits ---- */

static void shape_is(const char *path, const char *name, int rank, const int64_t *shape)
{
    ts_safetensors *file;
    must(ts_safetensors_open(path, &file));
    const int index = ts_safetensors_find(file, name);
    if (index < 0)
        fail_msg("%s holds no %s", path, name);
    const ts_safetensors_info *info = ts_safetensors_at(file, index);
    assert_int_equal(info->rank, rank);
    for (int k = 0; k < rank; k++)
        assert_int_equal(info->shape[k], shape[k]);
    ts_safetensors_close(file);
}

/* The noise of the flow's own score, -s grad log nu, along a direction: what the log-density rises by there. */
static void own_score_is_slope(ts_density *density)
{
    enum { N = 4, D = 64 };
    const double s = 0.8, h = 0.01;
    ts_device *device = density->device;
    float x[N * D], v[N * D], moved[N * D], noise[N * D];
    double log_prob[2][N];
    const float *at;
    void *rows, *values;
    assert_true(density->n == N && density->d == D);
    must(device->k->allocate(device, sizeof x, &rows));
    must(device->k->allocate(device, sizeof log_prob[0], &values));
    for (int i = 0; i < N * D; i++) {
        x[i] = (float)sin(1.7 * i + 1);
        v[i] = (float)cos(2.3 * i * i);
    }
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < N * D; i++)
            moved[i] = (float)((double)x[i] + (side ? h : -h) * (double)v[i]);
        must(device->k->upload(device, rows, moved, sizeof moved));
        must(density->log_prob(density, rows, values));
        must(device->k->download(device, log_prob[side], values, sizeof log_prob[side]));
        must(device->k->synchronize(device));
    }
    for (int again = 0; again < 3; again++) { /* queued, recorded, replayed */
        must(device->k->upload(device, rows, x, sizeof x));
        must(density->noise(density, s, rows, &at));
        must(device->k->download(device, noise, at, sizeof noise));
        must(device->k->synchronize(device));
        for (int r = 0; r < N; r++) {
            double along = 0, size = 0;
            for (int i = r * D; i < (r + 1) * D; i++) {
                along += (double)noise[i] * (double)v[i];
                size += (double)noise[i] * (double)noise[i];
            }
            const double wanted = -s * (log_prob[1][r] - log_prob[0][r]) / (2 * h);
            NEAR(along, wanted, 0.02 * sqrt(size) + 0.01);
        }
    }
    device->k->release(device, rows);
    device->k->release(device, values);
}

static void test_fit(void **state)
{
    (void)state;
    ts_run *run = create(FOLDER, on_digits, NULL, false);
    ts_fit fit;
    ts_fit_result result;
    must_fail(ts_fit_load(run, 0.4, 4, &fit), TS_NOT_FOUND, "tstar fit " FOLDER " --T 0.4");
    must(ts_fit_glow(run, 0.4, NULL, &result));
    assert_false(result.reused);
    assert_int_equal(result.steps, 6);
    assert_true(isfinite(result.loss));
    must(ts_fit_glow(run, 0.4, NULL, &result));
    assert_true(result.reused);
    assert_int_equal(result.steps, 6);
    must(ts_fit_load(run, 0.4, 4, &fit));
    assert_string_equal(fit.density->name, "glow");
    assert_int_equal(fit.density->d, 64);
    own_score_is_slope(fit.density);
    ts_fit_release(&fit);
    shape_is(FOLDER FIT, "flow.layers.1.block.2.conv.weight", 4,
             (const int64_t[]){8, 8, 1, 1}); /* glow.hidden */
    shape_is(FOLDER FIT, "whitening.eigenvectors", 2, (const int64_t[]){64, 64});
    must_fail(ts_fit_glow(run, 1.5, NULL, NULL), TS_INVALID, "T must lie in (1e-05, 1]");
    must_fail(ts_fit_glow(run, 1e-7, NULL, NULL), TS_INVALID, "T must lie in (1e-05, 1]");
    ts_run_close(run);
    run = create(FOLDER "/other", on_digits, "sde.kind=subvp", false);
    assert_int_equal(system("cp " FOLDER FIT " " FOLDER "/other"), 0);
    must_fail(ts_fit_load(run, 0.4, 4, &fit), TS_INVALID,
              "is of another configuration: sde.kind is vp there, subvp in this run");
    ts_run_close(run);
    run = reopen(FOLDER, "glow.hidden=16");
    must_fail(ts_fit_load(run, 0.4, 4, &fit), TS_INVALID, "a Glow of another shape");
    ts_run_close(run);
    run = reopen(FOLDER, "glow.levels=4");
    must_fail(ts_fit_check(run), TS_INVALID, "glow.levels = 4");
    must_fail(ts_fit_glow(run, 0.4, &(ts_fit_options){.replace = true}, NULL), TS_INVALID,
              "glow.levels = 4 needs images that divide by 16, but these are 8x8");
    ts_run_close(run);
    must_fail(ts_run_create(NULL, config_of(on_digits, "model.ch_mult=[1, 1, 1, 1, 1]"), false, &cpu, &run),
              TS_INVALID, "model.ch_mult has 5 levels, so images must divide by 16, but these are 8x8");
}

/* What a finished fit is whitened by lies in its file, whatever the run's configuration says now; one that is not
 * whitened, as all were once, is another fit. */
static void test_whitened(void **state)
{
    (void)state;
    ts_fit fit;
    ts_fit_result result;
    ts_run *run = create(FOLDER, on_digits, "glow.whiten=none", false);
    must(ts_fit_glow(run, 0.4, NULL, NULL));
    shape_is(FOLDER FIT, "learn_top_fn.conv.weight", 4, (const int64_t[]){8, 8, 3, 3}); /* 2 x 4 channels */
    must(ts_fit_load(run, 0.4, 4, &fit));
    assert_null(fit.whitening);
    ts_fit_release(&fit);
    ts_run_close(run);

    run = reopen(FOLDER, "glow.whiten=zca");
    copy_edited(FOLDER FIT, FOLDER FIT, "whiten: none", "whiten: zca "); /* of the configuration alone */
    must_fail(ts_fit_glow(run, 0.4, NULL, NULL), TS_INVALID,
              "is a finished fit with glow.whiten = none, not zca");
    must(ts_fit_load(run, 0.4, 4, &fit));
    assert_null(fit.whitening);
    ts_fit_release(&fit);
    must(ts_fit_glow(run, 0.4, &(ts_fit_options){.replace = true}, &result));
    assert_false(result.reused);
    ts_run_close(run);

    run = reopen(FOLDER, "glow.whiten=none");
    must(ts_fit_load(run, 0.4, 4, &fit));
    assert_non_null(fit.whitening);
    ts_fit_release(&fit);
    copy_edited(FOLDER FIT, FOLDER FIT, "whitening.mean", "whitening.meen");
    must_fail(ts_fit_load(run, 0.4, 4, &fit), TS_INVALID, "tensor whitening.mean is missing");
    ts_run_close(run);
}

/* A finished fit stays until it is asked for that another one take its place. */
static void test_replaced(void **state)
{
    (void)state;
    ts_fit_result result;
    ts_run *run = create(FOLDER, on_digits, NULL, false);
    must(ts_fit_glow(run, 0.4, NULL, NULL));
    must(ts_fit_glow(run, 0.3, NULL, NULL));
    ts_run_close(run);
    assert_int_equal(system("cp " FOLDER FIT " " FOLDER "/kept"), 0);

    run = reopen(FOLDER, "train.log_every=1"); /* changes nothing */
    must(ts_fit_glow(run, 0.4, NULL, &result));
    assert_true(result.reused);
    ts_run_close(run);
    run = reopen(FOLDER, "glow.steps=5");
    must_fail(ts_fit_glow(run, 0.4, NULL, NULL), TS_INVALID,
              FOLDER FIT ": is a finished fit with glow.steps = 6, not 5, and would be replaced");
    assert_int_equal(system("cmp " FOLDER FIT " " FOLDER "/kept"), 0);
    must(ts_fit_glow(run, 0.4, &(ts_fit_options){.replace = true}, &result));
    assert_false(result.reused);
    assert_int_equal(result.steps, 5);
    must(ts_fit_glow(run, 0.4, NULL, &result));
    assert_true(result.reused);
    ts_run_close(run);

    run = reopen(FOLDER, NULL);
    assert_int_equal(system("cp " FOLDER "/glow_T0.3.safetensors " FOLDER FIT), 0);
    must_fail(ts_fit_glow(run, 0.4, NULL, NULL), TS_INVALID, "a finished fit with T = 0.3, not 0.4");
    assert_int_equal(system("echo no fit at all > " FOLDER FIT), 0);
    must(ts_fit_glow(run, 0.4, NULL, &result));
    assert_false(result.reused);
    ts_run_close(run);
}

static void test_other_data(void **state)
{
    (void)state;
    static const char images[] = "data={kind: idx, path: " FOLDER "/data}";
    ts_fit_result result;
    write_images(FOLDER "/data", 0);
    ts_run *run = create(FOLDER "/run", on_digits, images, false);
    must(ts_fit_glow(run, 0.4, NULL, NULL));
    ts_run_close(run);
    write_images(FOLDER "/data", 1);
    run = reopen(FOLDER "/run", NULL);
    must_fail(ts_fit_glow(run, 0.4, NULL, NULL), TS_INVALID, "is a finished fit with the data's checksum = ");
    /* one from before checksums were stored is of whatever the data are */
    copy_edited(FOLDER "/run" FIT, FOLDER "/run" FIT, "\"data\":\"", "\"dada\":\"");
    must(ts_fit_glow(run, 0.4, NULL, &result));
    assert_true(result.reused);
    copy_edited(FOLDER "/run" FIT, FOLDER "/run" FIT, "\"dada\":\"", "\"data\":\"");
    must(ts_fit_glow(run, 0.4, &(ts_fit_options){.replace = true}, &result));
    assert_false(result.reused);
    ts_run_close(run);
}

/* ---- interrupted ones ---- */

typedef struct watcher {
    ts_progress base;
    volatile sig_atomic_t stop;
    int64_t at; /* what to do once so many steps are done */
    bool kills; /* the process, or asks to stop */
} watcher;

static void watch(ts_progress *progress, const char *phase, double done, double total, const char *unit,
                  const char *note)
{
    (void)total, (void)note, (void)unit;
    watcher *w = (watcher *)progress;
    if (strncmp(phase, "fit T=", 6) || (int64_t)done != w->at)
        return;
    if (w->kills)
        raise(SIGKILL);
    w->stop = 1;
}

static void fit(const char *dir, const char *extra, ts_fit_result *result)
{
    ts_run *run = create(dir, on_digits, extra, true);
    must(ts_fit_glow(run, 0.4, NULL, result));
    assert_false(is_there(dir, PARTIAL));
    ts_run_close(run);
}

static void fit_interrupted(const char *dir, const char *extra, int at)
{
    char text[64];
    /* asked in one step, the next still runs */
    watcher w = {.base = {.update = watch}, .at = at - 1, .stop = at == 1};
    w.base.stop = &w.stop;
    ts_run *run = create(dir, on_digits, extra, true);
    snprintf(text, sizeof text, "interrupted at step %d of 70", at);
    must_fail(ts_fit_glow(run, 0.4, &(ts_fit_options){.progress = &w.base}, NULL), TS_INTERRUPTED, text);
    assert_true(is_there(dir, PARTIAL));
    assert_false(is_there(dir, FIT));
    ts_run_close(run);
}

static void fit_killed(const char *dir, const char *extra, int at)
{
    int result;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        watcher w = {.base = {.update = watch}, .at = at, .kills = true};
        ts_run *run = create(dir, on_digits, extra, true);
        ts_status_free(ts_fit_glow(run, 0.4, &(ts_fit_options){.progress = &w.base}, NULL));
        _exit(0); /* the parent takes this for an error */
    }
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFSIGNALED(result) && WTERMSIG(result) == SIGKILL);
    assert_false(is_there(dir, FIT));
}

static void same_fits(const char *a, const char *b)
{
    static const char *const keys[] = {"T", "steps", "skipped", "rollbacks", "loss", "config", "data"};
    ts_safetensors *first, *second;
    must(ts_safetensors_open(a, &first));
    must(ts_safetensors_open(b, &second));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_string_equal(ts_safetensors_metadata(first, keys[i]),
                            ts_safetensors_metadata(second, keys[i]));
    assert_int_equal(ts_safetensors_count(first), ts_safetensors_count(second));
    for (int i = 0; i < ts_safetensors_count(first); i++) {
        const ts_safetensors_info *info = ts_safetensors_at(first, i);
        void *x = malloc(info->bytes), *y = malloc(info->bytes);
        must(ts_safetensors_read(first, info->name, info->type, info->rank, info->shape, x));
        must(ts_safetensors_read(second, info->name, info->type, info->rank, info->shape, y));
        assert_memory_equal(x, y, info->bytes);
        free(x);
        free(y);
    }
    ts_safetensors_close(first);
    ts_safetensors_close(second);
}

/* The same lines but for how fast the steps were made; the seconds never go back. */
static void same_logs(const char *a, const char *b)
{
    FILE *first = fopen(a, "r"), *second = fopen(b, "r");
    char x[512], y[512];
    double seconds, before = 0;
    assert_true(first && second);
    while (fgets(x, sizeof x, first)) {
        assert_non_null(fgets(y, sizeof y, second));
        assert_int_equal(sscanf(strstr(y, "\"seconds\""), "\"seconds\": %lf", &seconds), 1);
        assert_true(seconds >= before);
        before = seconds;
        *strstr(x, "\"images_per_second\"") = *strstr(y, "\"images_per_second\"") = '\0';
        assert_string_equal(x, y);
    }
    assert_null(fgets(y, sizeof y, second));
    fclose(first);
    fclose(second);
}

static void same_as_whole(const char *dir, const char *extra)
{
    char path[96];
    fit(dir, extra, NULL);
    snprintf(path, sizeof path, "%s" FIT, dir);
    same_fits(FOLDER "/whole" FIT, path);
    snprintf(path, sizeof path, "%s" LOG, dir);
    same_logs(FOLDER "/whole" LOG, path);
}

/* In windows of the guard, between them, where states are kept (each 5th step) and where not; once with steps
 * taken back before and after. */
static void test_interrupted(void **state)
{
    (void)state;
    static const int at[] = {1, 4, 31, 32, 33, 45, 64, 69};
    static const char *const extra[] = {rough, "glow.steps=70"};
    ts_fit_result result;
    for (int k = 0; k < 2; k++) {
        start_clean(NULL);
        fit(FOLDER "/whole", extra[k], &result);
        assert_true(k == 0 ? result.rollbacks > 1 : result.rollbacks == 0);
        for (size_t i = 0; i < sizeof at / sizeof *at; i += elsewhere() ? 3 : 1) {
            assert_int_equal(system("rm -rf " FOLDER "/stopped"), 0);
            fit_interrupted(FOLDER "/stopped", extra[k], at[i]);
            same_as_whole(FOLDER "/stopped", extra[k]);
        }
        for (size_t i = 1; i < sizeof at / sizeof *at; i += 2) /* several times on the way */
            fit_interrupted(FOLDER "/often", extra[k], at[i]);
        same_as_whole(FOLDER "/often", extra[k]);
    }
}

static void test_killed(void **state)
{
    (void)state;
    static const int at[] = {3, 5, 37, 69}; /* before the first state is kept, at one, behind others */
    fit(FOLDER "/whole", rough, NULL);
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        assert_int_equal(system("rm -rf " FOLDER "/killed"), 0);
        fit_killed(FOLDER "/killed", rough, at[i]);
        assert_int_equal(is_there(FOLDER "/killed", PARTIAL), at[i] >= 5);
        same_as_whole(FOLDER "/killed", rough);
    }
}

/* A state of other settings, or one that is damaged, neither serves nor stays. */
static void test_other_states(void **state)
{
    (void)state;
    char *content;
    size_t bytes;
    fit(FOLDER "/whole", rough, NULL);
    fit_interrupted(FOLDER "/run", "glow={steps: 70, batch: 9}", 37);
    assert_int_equal(system("cp -r " FOLDER "/run " FOLDER "/other"), 0);
    same_as_whole(FOLDER "/run", rough);

    assert_int_equal(system("rm " FOLDER "/run" FIT), 0);
    fit_interrupted(FOLDER "/run", rough, 37);
    must(ts_file_read(FOLDER "/run" PARTIAL, 1 << 24, &content, &bytes));
    must(ts_file_write(FOLDER "/run" PARTIAL, content, bytes / 2));
    free(content);
    same_as_whole(FOLDER "/run", rough);

    assert_int_equal(system("rm " FOLDER "/run" FIT), 0);
    fit_interrupted(FOLDER "/run", rough, 37);
    copy_edited(FOLDER "/run" PARTIAL, FOLDER "/run" PARTIAL, "guard.numbers", "guard.nombres");
    same_as_whole(FOLDER "/run", rough);

    /* behind a finished fit no state is left, whoever's */
    assert_int_equal(system("mv " FOLDER "/other" PARTIAL " " FOLDER "/run"), 0);
    fit(FOLDER "/run", rough, NULL);
}

/* ---- one for all T ---- */

#define FIT_ALL "/glow_all.safetensors"

static const char range[] = "sweep.T=[0.8, 0.2, 0.5]";

static void test_all(void **state)
{
    (void)state;
    static const double T[] = {0.2, 0.35, 0.8};
    ts_run *run = create(FOLDER, on_digits, range, false);
    ts_fit fit_;
    ts_fit_result result;
    must_fail(ts_fit_load_all(run, 0.5, 4, &fit_), TS_NOT_FOUND, "tstar fit " FOLDER " --start glow_all");
    must(ts_fit_glow_all(run, NAN, NULL, &result));
    assert_int_equal(result.steps, 12); /* twice those of one T */
    assert_true(!result.reused && isfinite(result.loss));
    must(ts_fit_glow_all(run, 0.5, NULL, &result));
    assert_true(result.reused && isnan(result.loss));
    for (int i = 0; i < 3; i++) {
        must(ts_fit_load_all(run, T[i], 4, &fit_));
        own_score_is_slope(fit_.density);
        ts_fit_release(&fit_);
    }
    must_fail(ts_fit_load_all(run, 0.1, 4, &fit_), TS_INVALID,
              FIT_ALL ": is for T from 0.2 to 0.8, and 0.1 is not among them; tstar fit " FOLDER
                      " --start glow_all --set sweep.T=[0.1,0.8] --force makes one that is");
    must_fail(ts_fit_glow_all(run, 0.9, NULL, NULL), TS_INVALID,
              "sweep.T: is for T from 0.2 to 0.8, and 0.9");
    ts_run_close(run);
    run = reopen(FOLDER, "sweep.T=[0.2, 0.6]");
    must(ts_fit_load_all(run, 0.7, 4, &fit_)); /* what was fitted counts */
    ts_fit_release(&fit_);
    must_fail(
        ts_fit_glow_all(run, 0.3, NULL, NULL), TS_INVALID,
        "is a finished fit with T = 0.2 to 0.8, not 0.2 to 0.6, and would be replaced; tstar fit " FOLDER
        " --start glow_all --force does that");
    must(ts_fit_glow_all(run, 0.3, &(ts_fit_options){.replace = true}, &result));
    assert_false(result.reused);
    copy_edited(FOLDER FIT_ALL, FOLDER FIT_ALL, "\"T_low\":\"0.2\"", "\"T_low\":\"-.2\"");
    must_fail(ts_fit_load_all(run, 0.3, 4, &fit_), TS_FORMAT, "not a Glow fitted at T = every one");
    ts_run_close(run);
}

/* Stopped in its midst it goes on to the bits of one that was not: the times that it draws too. */
static void test_all_interrupted(void **state)
{
    (void)state;
    static const char *const dirs[] = {FOLDER "/whole", FOLDER "/parts"};
    for (int i = 0; i < 2; i++) {
        watcher w = {.base = {.update = watch}, .at = i ? 36 : -1};
        w.base.stop = &w.stop;
        ts_run *run = create(dirs[i], on_digits, "glow={steps: 35, lr: 3, warmup: 0}", true);
        ts_status status = ts_fit_glow_all(run, NAN, &(ts_fit_options){.progress = &w.base}, NULL);
        if (i) {
            must_fail(status, TS_INTERRUPTED, "interrupted at step 37 of 70");
            must(ts_fit_glow_all(run, NAN, NULL, NULL));
        } else {
            must(status);
        }
        ts_run_close(run);
    }
    same_fits(FOLDER "/whole" FIT_ALL, FOLDER "/parts" FIT_ALL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_fit, start_clean),
        cmocka_unit_test_setup(test_whitened, start_clean),
        cmocka_unit_test_setup(test_replaced, start_clean),
        cmocka_unit_test_setup(test_other_data, start_clean),
        cmocka_unit_test_setup(test_interrupted, start_clean),
        cmocka_unit_test_setup(test_killed, start_clean),
        cmocka_unit_test_setup(test_other_states, start_clean),
        cmocka_unit_test_setup(test_all, start_clean),
        cmocka_unit_test_setup(test_all_interrupted, start_clean),
    };
    return cmocka_run_group_tests(tests, NULL, start_clean);
}
