/*
 * Files between one process and the next: logs that go on (run/log.h), what dead writers leave behind
 * (base/file.h), JSON that is none (base/json.h).
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/file.h"
#include "base/json.h"
#include "base/yaml_bounds.h"
#include "run/training/log.h"

#define FOLDER "files_test"
#define LOG    FOLDER "/log.jsonl"

static void must(ts_status status)
{
    if (status)
        fail_msg("%s", ts_status_message(status));
}

static int start_clean(void **state)
{
    (void)state;
    return system("rm -rf " FOLDER " && mkdir " FOLDER);
}

/* ---- logs ---- */

static void write_line(int64_t keep_step, int64_t step, double loss, double seconds)
{
    ts_log *log;
    must(ts_log_open(LOG, keep_step, &log));
    must(ts_log_write(log, &(ts_training_report){.step = step, .loss = loss, .gradient_norm = 2}, 100,
                      seconds, NULL, 0));
    ts_log_close(log);
}

static void assert_log(const char *expected)
{
    char *text;
    size_t length;
    must(ts_file_read(LOG, 1 << 20, &text, &length));
    assert_string_equal(text, expected);
    free(text);
}

#define LINE(step, loss, seconds)                                                                            \
    "{\"step\": " step ", \"loss\": " loss                                                                   \
    ", \"gradient_norm\": 2, \"images_per_second\": 100, \"seconds\": " seconds "}\n"

static void seconds_go_on(void **state)
{
    (void)state;
    write_line(0, 10, 0.5, 4);
    write_line(10, 20, 0.25, 3);
    assert_log(LINE("10", "0.5", "4") LINE("20", "0.25", "7"));
    /* a line behind the checkpoint comes again, and its seconds do not count */
    write_line(10, 20, 0.125, 1);
    assert_log(LINE("10", "0.5", "4") LINE("20", "0.125", "5"));
    write_line(0, 10, 1, 1);
    assert_log(LINE("10", "1", "1"));
}

static void what_is_not_finite_is_null(void **state)
{
    (void)state;
    write_line(0, 1, NAN, 1);
    assert_log(LINE("1", "null", "1"));
    write_line(1, 2, -INFINITY, NAN);
    assert_log(LINE("1", "null", "1") LINE("2", "null", "null"));
    write_line(2, 3, -NAN, 2); /* the last seconds that are known */
    assert_log(LINE("1", "null", "1") LINE("2", "null", "null") LINE("3", "null", "3"));
}

/* What a killed process wrote last: half a line, bytes of anything. */
static void damaged_ends_are_cut(void **state)
{
    (void)state;
    static const char whole[] = LINE("10", "0.5", "4");
    static const struct {
        const char *bytes;
        size_t length;
    } ends[] = {
        {"{\"step\": 20, \"lo", 16}, {"\0\0\0\n", 4}, {"\n", 1}, {"{\"step\": 1", 10}, {"words\n", 6}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        FILE *file = fopen(LOG, "w");
        assert_non_null(file);
        fputs(whole, file);
        fwrite(ends[i].bytes, 1, ends[i].length, file);
        assert_int_equal(fclose(file), 0);
        write_line(1000, 1001, 0.25, 1);
        assert_log(LINE("10", "0.5", "4") LINE("1001", "0.25", "5"));
    }
}

static void a_long_log_is_no_obstacle(void **state)
{
    (void)state;
    enum { WIDE = 1000, LINES = 280000 }; /* more than 256 MiB */
    char line[WIDE + 1];
    FILE *file = fopen(LOG, "w");
    assert_non_null(file);
    for (int i = 1; i <= LINES; i++) {
        const int begin = snprintf(line, sizeof line, "{\"step\": %d, ", i);
        const int end = snprintf(NULL, 0, "\"seconds\": %d}\n", i);
        memset(line + begin, ' ', (size_t)(WIDE - begin));
        snprintf(line + WIDE - end, (size_t)end + 1, "\"seconds\": %d}\n", i);
        fwrite(line, 1, WIDE, file);
    }
    assert_int_equal(fclose(file), 0);
    write_line(LINES - 7, LINES, 0.5, 1);
    struct stat about;
    assert_int_equal(stat(LOG, &about), 0);
    char expected[160];
    const int added =
        snprintf(expected, sizeof expected,
                 "{\"step\": %d, \"loss\": 0.5, \"gradient_norm\": 2, \"images_per_second\": 100, "
                 "\"seconds\": %d}\n",
                 LINES, LINES - 7 + 1);
    assert_int_equal(about.st_size, (int64_t)WIDE * (LINES - 7) + added);
    file = fopen(LOG, "r");
    assert_non_null(file);
    assert_int_equal(fseek(file, -added, SEEK_END), 0);
    assert_non_null(fgets(line, sizeof line, file));
    assert_string_equal(line, expected);
    fclose(file);
}

/* ---- leftovers ---- */

static void touch(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, FOLDER "/%s", name);
    must(ts_file_write(path, "x", 1));
}

static bool exists(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, FOLDER "/%s", name);
    return !access(path, F_OK);
}

static void leftovers_of_the_dead_go(void **state)
{
    (void)state;
    static const char *const others[] = {"x.tmp",
                                         "x.12a.tmp",
                                         ".99999.tmp",
                                         "x.0.tmp",
                                         "x.-5.tmp",
                                         "x.99999999999999999999.tmp",
                                         "x.999999.tmp.png",
                                         "x999999.tmp"};
    char dead[64], own[64], alive[64];
    const pid_t child = fork();
    if (!child)
        _exit(0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    snprintf(dead, sizeof dead, "part.safetensors.%d.tmp", (int)child);
    snprintf(own, sizeof own, "part.safetensors.%d.tmp", (int)getpid());
    snprintf(alive, sizeof alive, "part.safetensors.%d.tmp", (int)getppid());
    touch(dead);
    touch(own);
    touch(alive);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        touch(others[i]);
    assert_int_equal(mkdir(FOLDER "/folder.999999.tmp", 0777), 0);
    ts_file_remove_leftovers(FOLDER);
    assert_false(exists(dead));
    assert_false(exists(own));
    assert_true(exists(alive));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!exists(others[i]))
            fail_msg("%s is no temporary file, and is gone", others[i]);
    assert_true(exists("folder.999999.tmp"));
    ts_file_remove_leftovers(FOLDER "/nowhere");
    /* and those of a file when it is written again */
    touch(dead);
    touch("other.safetensors.999999.tmp");
    touch("part.safetensors");
    assert_false(exists(dead));
    assert_true(exists(alive));
    assert_true(exists("other.safetensors.999999.tmp"));
}

/* ---- JSON ---- */

static void json_is_read_or_refused(void **state)
{
    (void)state;
    json_t *root;
    static const char good[] = "{\"a\": [1, 2.5, null]}";
    must(ts_json_parse("good.json", good, strlen(good), &root));
    assert_true(json_is_object(root));
    json_decref(root);
    static const char *const bad[] = {"", "{", "{\"a\": NaN}", "{\"a\": 1, \"a\": 2}", "[1] 2", "\"\xff\""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ts_status status = ts_json_parse("bad.json", bad[i], strlen(bad[i]), &root);
        assert_int_equal(ts_status_code(status), TS_FORMAT);
        assert_non_null(strstr(ts_status_message(status), "bad.json:"));
        assert_null(root);
        ts_status_free(status);
    }
    /* deeper than the parser's own limit */
    enum { DEEP = 100000 };
    char *deep = malloc(DEEP);
    assert_non_null(deep);
    memset(deep, '[', DEEP);
    ts_status status = ts_json_parse("deep.json", deep, DEEP, &root);
    assert_int_equal(ts_status_code(status), TS_FORMAT);
    ts_status_free(status);
    free(deep);
}

/* ---- YAML ---- */

static void expect_bounds(const char *text, size_t length, const char *excess, int line)
{
    int at;
    const char *found = ts_yaml_bounds(text, length, &at);
    if (!excess) {
        if (found)
            fail_msg("refused: %s", found);
        return;
    }
    assert_non_null(found);
    assert_string_equal(found, excess);
    assert_int_equal(at, line);
}

/* `count` times `unit`. */
static char *repeated(const char *unit, int count)
{
    const size_t length = strlen(unit);
    char *text = malloc(length * (size_t)count + 1);
    assert_non_null(text);
    for (int i = 0; i < count; i++)
        memcpy(text + length * (size_t)i, unit, length);
    text[length * (size_t)count] = 0;
    return text;
}

static void yaml_is_bounded_before_it_is_parsed(void **state)
{
    (void)state;
    enum { MANY = 200000 };
    static const char *const deep[] = {"[", "{", "- ", "? ", "[a: ", "{? [", "[[]"};
    for (size_t i = 0; i < sizeof deep / sizeof *deep; i++) {
        char *text = repeated(deep[i], MANY / (int)strlen(deep[i]));
        expect_bounds(text, strlen(text), "nested more than 32 deep", 1);
        free(text);
    }
    char *text = repeated("- &name x\n", 65);
    expect_bounds(text, strlen(text), "more than 64 anchors", 65);
    expect_bounds(text, strlen("- &name x\n") * 64, NULL, 0);
    free(text);
    text = repeated("%TAG !x! y\n", 9);
    expect_bounds(text, strlen(text), "more than 8 directives", 9);
    free(text);
    text = repeated("#", (1 << 20) + 1);
    expect_bounds(text, (1 << 20) + 1, "longer than 1 MiB", 0);
    expect_bounds(text, 1 << 20, NULL, 0);
    free(text);
    /* 32 is allowed, and so is what only looks deep */
    expect_bounds("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 32, NULL, 0);
    expect_bounds("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 33, "nested more than 32 deep", 1);
    text = repeated("- [a, '[[[[', \"{{{{\"] # [[[[\n", 1000);
    expect_bounds(text, strlen(text), NULL, 0);
    free(text);
    expect_bounds("", 0, NULL, 0);
    expect_bounds("a: [", 4, NULL, 0); /* wrong, which is for the parser to say */
}

static void the_configurations_are_within(void **state)
{
    (void)state;
    char *names, path[256];
    size_t length;
    assert_int_equal(system("ls " SOURCE_DIR "/configs/*.yaml > " FOLDER "/names"), 0);
    must(ts_file_read(FOLDER "/names", 1 << 16, &names, &length));
    int count = 0;
    for (char *name = strtok(names, "\n"); name; name = strtok(NULL, "\n"), count++) {
        char *text;
        snprintf(path, sizeof path, "%s", name);
        must(ts_file_read(path, 1 << 20, &text, &length));
        expect_bounds(text, length, NULL, 0);
        free(text);
    }
    assert_true(count > 3);
    free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(seconds_go_on, start_clean),
        cmocka_unit_test_setup(what_is_not_finite_is_null, start_clean),
        cmocka_unit_test_setup(damaged_ends_are_cut, start_clean),
        cmocka_unit_test_setup_teardown(a_long_log_is_no_obstacle, start_clean, start_clean),
        cmocka_unit_test_setup(leftovers_of_the_dead_go, start_clean),
        cmocka_unit_test(json_is_read_or_refused),
        cmocka_unit_test(yaml_is_bounded_before_it_is_parsed),
        cmocka_unit_test_setup(the_configurations_are_within, start_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
