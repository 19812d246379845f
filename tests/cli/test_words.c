/* Words near others, and amounts as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/amount.h"
#include "base/words.h"

static void test_distances(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        int distance;
    } pairs[] = {
        {"", "", 0},           {"train", "train", 0},    {"", "abc", 3},  {"abc", "", 3},
        {"trian", "train", 1},                                              /* neighbours change places */
        {"trn", "train", 2},   {"kitten", "sitting", 3}, {"ca", "abc", 3}}; /* what changed places is not edited again */
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        assert_int_equal(ts_word_distance(pairs[i].a, pairs[i].b), pairs[i].distance);
        assert_int_equal(ts_word_distance(pairs[i].b, pairs[i].a), pairs[i].distance);
    }
    char longest[200];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_true(ts_word_distance(longest, "a") > 1000);
    assert_true(ts_word_distance("a", longest) > 1000);
}

static void test_closest(void **state)
{
    (void)state;
    static const char *const list[] = {"em", "heun", "rk45", "dpmpp2m"};
    const ts_words words = {4, list};
    assert_string_equal(ts_closest_word(&words, "hein"), "heun");
    assert_string_equal(ts_closest_word(&words, "dpm2m"), "dpmpp2m");
    assert_string_equal(ts_closest_word(&words, "rk54"), "rk45");
    assert_null(ts_closest_word(&words, "gibberish"));
    assert_null(ts_closest_word(&words, ""));
    assert_null(ts_closest_word(&words, "xy"));
}

static void expect_bytes(double bytes, const char *expected)
{
    char text[32];
    ts_bytes_text(bytes, text);
    assert_string_equal(text, expected);
}

static void test_amounts(void **state)
{
    (void)state;
    char text[32], line[256];
    expect_bytes(0, "0 MiB");
    expect_bytes(65536, "0.062 MiB");
    expect_bytes(1048576, "1.0 MiB");
    expect_bytes(1000.0 * 1048576, "1000.0 MiB");
    expect_bytes(1073741824.0 - 1, "1.00 GiB"); /* not 1024.0 MiB */
    expect_bytes(1.5 * 1073741824.0, "1.50 GiB");
    ts_duration_text(59.6, text);
    assert_string_equal(text, "1:00");
    ts_duration_text(3725, text);
    assert_string_equal(text, "1:02:05");
    const ts_cost parts[] = {
        {"train", 3600, 2147483648.0}, {"fit T=0.4", 600, 1048576.0}, {"samples", -1, 0}};
    ts_estimate_text(parts, 1, line, sizeof line);
    assert_string_equal(line, "train: about 1:00:00, at most 2.00 GiB of memory");
    ts_estimate_text(parts, 2, line, sizeof line);
    assert_string_equal(line, "about 1:10:00, at most 2.00 GiB of memory: train 1:00:00, fit T=0.4 10:00");
    ts_estimate_text(parts, 3, line, sizeof line);
    assert_string_equal(
        line, "at least 1:10:00, at most 2.00 GiB of memory: train 1:00:00, fit T=0.4 10:00, samples");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distances),
        cmocka_unit_test(test_closest),
        cmocka_unit_test(test_amounts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
