/*
 * Results that somebody else made: sweep.json, logs and files of a run that want to run a command, to be
 * markup, to leave the folder, or to bring the report down.
 */
#include "report_test.h"

#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define MARK "pw9"

static const char *const bad[] = {
    "'; system 'touch " MARK "' #",
    "\"; system(\"touch " MARK "\") #",
    "`touch " MARK "`",
    "$(touch " MARK ")",
    "'.system('touch " MARK "').'",
    "x\n!touch " MARK "\n",
    "../../" MARK,
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "</pre><script>alert(1)</script>",
    "%s%n%1000000d",
};
enum { BAD = sizeof bad / sizeof *bad };

static json_t *load(const char *name)
{
    json_t *root = json_load_file(path_of(name), 0, NULL);
    assert_non_null(root);
    return root;
}

static void store(const json_t *root, const char *name)
{
    assert_int_equal(json_dump_file(root, path_of(name), 0), 0);
}

/* Nothing ran, nothing was written outside, nothing is markup. */
static void expect_harmless(const char *run)
{
    char name[128], working[512];
    static const char *const places[] = {"", "/charts", "/grids", "/samples"};
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s%s/" MARK, run, places[i]);
        assert_false(exists(name));
    }
    assert_false(exists(MARK));
    assert_non_null(getcwd(working, sizeof working));
    assert_int_not_equal(access(MARK, F_OK), 0);
    snprintf(name, sizeof name, "%s/report.html", run);
    if (!exists(name))
        return;
    char *page = content_of(name);
    assert_null(strstr(page, "<script"));
    assert_null(strstr(page, "<img src=x"));
    free(page);
}

/* Free texts come through as text. */
void hostile_texts(void **state)
{
    (void)state;
    static const char *const keys[] = {"name", "command", "version", "device", "date"};
    ts_results r;
    ts_report_result result;
    made_up_results(false, &r);
    run_folder("texts", &r);
    ts_results_release(&r);
    for (int i = 0; i < BAD; i++) {
        json_t *root = load("texts/sweep.json");
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            json_object_set_new(root, keys[k], json_string(bad[i]));
        json_object_set_new(json_array_get(json_object_get(root, "phases"), 0), "name", json_string(bad[i]));
        json_t *config = json_object_get(root, "config");
        json_object_set_new(config, "name", json_string(bad[i]));
        json_object_set_new(config, bad[i], json_string(bad[i]));
        store(root, "texts/sweep.json");
        json_decref(root);
        must(ts_report_make(path_of("texts"), &result));
        expect_harmless("texts");
    }
}

/* A word that is not of its table is refused, wherever it stands; the message names the key. */
static int replace_words(json_t *at, const char *key, const char *word, int *left)
{
    int found = 0;
    const char *name;
    json_t *value;
    size_t i;
    if (json_is_object(at))
        json_object_foreach(at, name, value)
        {
            if (!strcmp(name, key) && json_is_string(value) && (*left)-- == 0) {
                json_string_set(value, word);
                return 1;
            }
            found += replace_words(value, key, word, left);
        }
    else if (json_is_array(at))
        json_array_foreach(at, i, value) found += replace_words(value, key, word, left);
    return found;
}

void hostile_words(void **state)
{
    (void)state;
    static const char *const keys[] = {"start", "score", "sampler", "frechet_features"};
    static const char *const lists[] = {"starts", "scores", "samplers"};
    ts_results r;
    ts_report_result result;
    made_up_results(true, &r);
    run_folder("words", &r);
    ts_results_release(&r);
    json_t *good = load("words/sweep.json");
    for (int i = 0; i < BAD; i++) {
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            for (int place = 0; place < 40; place += 13) { /* a bound, samples, T*, profiles */
                json_t *root = json_deep_copy(good);
                json_object_del(root, "config"); /* has words of its own under such keys */
                int left = place;
                const int replaced = replace_words(root, keys[k], bad[i], &left);
                json_object_set(root, "config", json_object_get(good, "config"));
                store(root, "words/sweep.json");
                json_decref(root);
                if (replaced)
                    expect_error(ts_report_make(path_of("words"), &result), TS_FORMAT, keys[k]);
                expect_harmless("words");
            }
        for (size_t k = 0; k < sizeof lists / sizeof *lists; k++) {
            json_t *root = json_deep_copy(good);
            json_array_set_new(json_object_get(root, lists[k]), 0, json_string(bad[i]));
            store(root, "words/sweep.json");
            json_decref(root);
            expect_error(ts_report_make(path_of("words"), &result), TS_FORMAT, lists[k]);
            expect_harmless("words");
        }
    }
    json_decref(good);
}

/* Every number of the file, one after the other, is something odd: an error or a report, never a crash. */
static bool set_number(json_t *at, double value, int *left)
{
    const char *name;
    json_t *member;
    size_t i;
    if (json_is_object(at))
        json_object_foreach(at, name, member)
        {
            if (json_is_number(member) && (*left)-- == 0)
                return json_object_set_new(at, name, value == 0 ? json_null() : json_real(value)) == 0;
            if (set_number(member, value, left))
                return true;
        }
    else if (json_is_array(at))
        json_array_foreach(at, i, member)
        {
            if (json_is_number(member) && (*left)-- == 0)
                return json_array_set_new(at, i, value == 0 ? json_null() : json_real(value)) == 0;
            if (set_number(member, value, left))
                return true;
        }
    return false;
}

void hostile_numbers(void **state)
{
    (void)state;
    static const double odd[] = {0, -1, 1e300, -1e300, 1e-300, 0.5};
    ts_results r;
    ts_report_result result;
    made_up_results(true, &r);
    run_folder("numbers", &r);
    ts_results_release(&r);
    json_t *good = load("numbers/sweep.json");
    char *path = strdup(getenv("PATH"));
    setenv("PATH", path_of("numbers"),
           1); /* charts are written, not drawn: this is about this program, and many runs */
    for (int k = 0, done = 0; !done; k = k < 60 ? k + 1 : k + 17) {
        json_t *root = json_deep_copy(good);
        int left = k;
        done = !set_number(root, odd[k % 6], &left);
        store(root, "numbers/sweep.json");
        json_decref(root);
        ts_status status = ts_report_make(path_of("numbers"), &result);
        assert_true(!status || ts_status_exit(status) == 2);
        ts_status_free(status);
    }
    setenv("PATH", path, 1);
    free(path);
    json_decref(good);
}

/* Files that lie in the folder are not obeyed. */
void hostile_files(void **state)
{
    (void)state;
    ts_results r;
    ts_report_result result;
    made_up_results(false, &r);
    run_folder("files", &r);
    ts_results_release(&r);
    must(ts_file_make_folder(path_of("files/charts")));
    write_text("files/charts/.gnuplot", "system 'touch " MARK "'\n");
    write_text("files/victim", "precious");
    assert_int_equal(symlink(path_of("files/victim"), path_of("files/charts/bound.svg")), 0);
    assert_int_equal(symlink(path_of("files/victim"), path_of("files/charts/bound.log")), 0);
    write_text("files/charts/samples_2d.svg", "<svg><script>alert(1)</script></svg>");
    write_text("files/log.jsonl",
               "{\"step\": 1e999}\n{\"step\": 5, \"loss\": \"'; system 'touch " MARK "'\"}\n");
    must(ts_report_make(path_of("files"), &result));
    expect_harmless("files");
    char *victim = content_of("files/victim");
    assert_string_equal(victim, "precious");
    free(victim);
}

/* What cannot be written or read is an error, not a report with a hole. */
void opens_that_fail(void **state)
{
    (void)state;
    ts_results r;
    ts_report_result result;
    made_up_results(false, &r);
    run_folder("fails", &r);
    ts_results_release(&r);
    static const char *const places[] = {"fails/report.html", "fails/charts/bound.svg",
                                         "fails/charts/bound.gp", "fails/grids/data.png"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s/x", places[i]); /* a folder that is not empty stands in the way */
        unlink(path_of(places[i]));
        must(ts_file_make_folder(path_of(name)));
        ts_status status = ts_report_make(path_of("fails"), &result);
        assert_non_null(status);
        assert_non_null(strstr(ts_status_message(status), strrchr(places[i], '/') + 1));
        ts_status_free(status);
        rmdir(path_of(name));
        rmdir(path_of(places[i]));
    }
    write_text("fails/samples/data.safetensors", "not at all");
    expect_error(ts_report_make(path_of("fails"), &result), TS_FORMAT, "data.safetensors");
}
