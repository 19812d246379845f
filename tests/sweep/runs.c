/* Sweeps in processes of their own, which can be killed, and what they leave. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sweep_test.h"
#include "base/file.h"
#include "elsewhere.h"

char folder[] = "/tmp/tstar-test-sweep-XXXXXX";

int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

/* A mixture in the plane with both scores, or digits with a Glow: small, yet every kind of part. */
const char *const vectors[VECTORS] = {"data.kind=mixture",
                                      "data.mixture.weights=[1,2]",
                                      "data.mixture.means=[[-1,0],[0.5,0.5]]",
                                      "data.mixture.stds=[[0.3,0.2],[0.2,0.4]]",
                                      "data.mixture.count=200",
                                      "model.kind=mlp",
                                      "model.hidden=16",
                                      "model.blocks=1",
                                      "train.steps=60",
                                      "train.batch=32",
                                      "train.checkpoint_every=20",
                                      "train.warmup=5",
                                      "train.eps=1e-3",
                                      "bound.draws=8",
                                      "bound.batch=64",
                                      "sample.steps_per_unit=20",
                                      "sample.batch=32",
                                      "sample.rtol=1e-2",
                                      "sample.atol=1e-2",
                                      "sweep.T=[1.0,0.3]",
                                      "sweep.samples=64",
                                      "sweep.projections=16",
                                      "sweep.starts=[normal, mixture]",
                                      "sweep.network=shared"};
const char *const digits[DIGITS] = {"model.nf=8",
                                    "model.ch_mult=[1]",
                                    "model.num_res_blocks=1",
                                    "train.steps=12",
                                    "train.batch=16",
                                    "train.checkpoint_every=5",
                                    "train.warmup=2",
                                    "train.eps=1e-3",
                                    "glow.levels=1",
                                    "glow.steps_per_level=1",
                                    "glow.hidden=8",
                                    "glow.steps=10",
                                    "glow.batch=16",
                                    "bound.draws=2",
                                    "bound.count=32",
                                    "bound.batch=32",
                                    "sample.steps_per_unit=10",
                                    "sample.batch=16",
                                    "sample.rtol=1e-1",
                                    "sample.atol=1e-1",
                                    "sweep.T=[1.0,0.3]",
                                    "sweep.samples=32",
                                    "sweep.projections=16"};

static const crew alone = {1, 0};

/* In a process of its own, which can be killed; the parent never starts a thread. */
pid_t start_with(crew c, const char *dir, const char *const *overrides, int count, const char *more)
{
    const int workers = elsewhere() ? 1 : c.workers;
    const pid_t child = fork();
    if (child != 0)
        return child;
    const char *all[40];
    memcpy(all, overrides, sizeof *all * (size_t)count);
    if (more)
        all[count++] = more;
    ts_config *config;
    const ts_run_options run = {.device = "cpu", .device_options = {.threads = workers}, .command = "test"};
    const ts_sweep_options options = {.run = &run, .workers = workers, .order = c.order};
    ts_status status = ts_config_load(NULL, all, count, &config);
    if (!status)
        status = ts_sweep_run(dir, config, &options);
    if (status)
        fprintf(stderr, "%s\n", ts_status_message(status));
    _exit(ts_status_exit(status));
}

pid_t start(const char *dir, const char *const *overrides, int count, const char *more)
{
    return start_with(alone, dir, overrides, count, more);
}

int finish(pid_t child)
{
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    return WIFEXITED(result) ? WEXITSTATUS(result) : -WTERMSIG(result);
}

/* sweep.json without lines about time. */
char *numbers_of(const char *dir)
{
    char path[300], *text, *kept, *to;
    size_t size;
    snprintf(path, sizeof path, "%s/sweep.json", dir);
    must(ts_file_read(path, (size_t)1 << 26, &text, &size));
    kept = to = calloc(1, size + 1);
    assert_non_null(kept);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        if (!strstr(line, "seconds") && !strstr(line, "\"date\"") && !strstr(line, "\"device\""))
            to += sprintf(to, "%s\n", line);
    free(text);
    return kept;
}

/* Fails with the first line that differs. */
void expect_same(const char *a, const char *b)
{
    size_t begin = 0, at = 0;
    for (; a[at] == b[at]; at++) {
        if (!a[at])
            return;
        if (a[at] == '\n')
            begin = at + 1;
    }
    fail_msg("%.*s instead of %.*s", (int)strcspn(b + begin, "\n"), b + begin, (int)strcspn(a + begin, "\n"),
             a + begin);
}

/* Until the next call. */
const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

char *numbers_of_folder(const char *name)
{
    return numbers_of(in_folder(name));
}

static int count_files(const char *dir, const char *sub)
{
    char path[300];
    int count = 0;
    snprintf(path, sizeof path, "%s/%s", dir, sub);
    DIR *d = opendir(path);
    if (!d)
        return 0;
    for (struct dirent *entry; (entry = readdir(d));)
        count += strstr(entry->d_name, ".safetensors") && entry->d_name[0] != '.';
    closedir(d);
    return count;
}

static int count_parts(const char *dir)
{
    return count_files(dir, "parts") + count_files(dir, "samples") + count_files(dir, "seed2/parts");
}

static void wait_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

/* Kills whenever `apart` more parts have come, at a moment that differs from time to time, until it ends; one to
 * three workers in turn. */
static int run_with_kills(const char *dir, const char *const *overrides, int count, int apart)
{
    int kills = 0;
    for (int wanted = 1, round = 0; round < 200; round++) {
        const pid_t child = start_with((crew){1 + round % 3, (uint64_t)round}, dir, overrides, count, NULL);
        int result;
        while (count_parts(dir) < wanted) {
            if (waitpid(child, &result, WNOHANG) == child) {
                assert_true(WIFEXITED(result) && WEXITSTATUS(result) == 0);
                return kills;
            }
            wait_a_little();
        }
        for (int i = 0; i < round % 4; i++)
            wait_a_little();
        kill(child, SIGKILL);
        kills += finish(child) == -SIGKILL;
        wanted = count_parts(dir) + apart;
    }
    fail_msg("the sweep never ended");
    return kills;
}

void killed_sweep_ends_the_same(const char *name, const char *const *overrides, int count, int apart)
{
    char whole[128], killed[128];
    snprintf(whole, sizeof whole, "%s/%s-whole", folder, name);
    snprintf(killed, sizeof killed, "%s/%s-killed", folder, name);
    assert_int_equal(finish(start(whole, overrides, count, NULL)), 0);
    const int kills = run_with_kills(killed, overrides, count, apart);
    print_message("%s: killed %d times\n", name, kills);
    assert_true(kills >= 3);
    char *a = numbers_of(whole), *b = numbers_of(killed);
    expect_same(a, b);
    free(b);
    /* once more: everything is there */
    assert_int_equal(finish(start(killed, overrides, count, NULL)), 0);
    b = numbers_of(killed);
    expect_same(a, b);
    free(a);
    free(b);
}

ts_results read_results(const char *name)
{
    char path[300];
    ts_results results;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    must(ts_results_read(path, &results));
    return results;
}

const ts_bound_row *bound_of(const ts_results *r, double T, ts_start_kind start, int score)
{
    return ts_results_bound(r, score, ts_results_T_index(r, T), ts_results_start_index(r, start));
}

/* Of the first sampler. */
const ts_sample_row *sample_of(const ts_results *r, double T, ts_start_kind start, int score)
{
    return ts_results_sample(r, score, ts_results_T_index(r, T), ts_results_start_index(r, start), 0);
}
