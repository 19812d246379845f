/*
 * Texts in memory (base/text.h), with every allocation on the way failing once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/text.h"

/* ---- allocation that fails: the C library's own, unless the countdown ends at this call ---- */

static int countdown; /* 0: nothing fails */
static bool failing;  /* something may have */

#ifndef __SANITIZE_ADDRESS__
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);

static bool fails(void)
{
    return countdown > 0 && --countdown == 0;
}

void *malloc(size_t bytes)
{
    return fails() ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return fails() ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes)
{
    return fails() ? NULL : __libc_realloc(memory, bytes);
}
#endif

/* ---- a text of many lines ---- */

enum { LINES = 3000, LINE = 24 };

static ts_status write_lines(char **string, size_t *length)
{
    ts_text text;
    *string = NULL;
    TS_TRY(ts_text_open(&text));
    for (int i = 0; i < LINES; i++) {
        if (!failing)
            assert_int_equal(ftell(text.out), i * LINE);
        fprintf(text.out, "line %08d of a text\n", i);
    }
    return ts_text_finish(&text, string, length);
}

static void holds_what_was_written(void **state)
{
    (void)state;
    char *string, line[LINE + 8];
    size_t length;
    assert_null(write_lines(&string, &length));
    assert_int_equal(length, LINES * LINE);
    assert_int_equal(strlen(string), length);
    for (int i = 0; i < LINES; i++) {
        snprintf(line, sizeof line, "line %08d of a text\n", i);
        assert_memory_equal(string + i * LINE, line, LINE);
    }
    free(string);
}

static void empty_is_a_string(void **state)
{
    (void)state;
    ts_text text;
    char *string;
    assert_null(ts_text_open(&text));
    assert_null(ts_text_finish(&text, &string, NULL));
    assert_string_equal(string, "");
    free(string);
    assert_null(ts_text_open(&text));
    fputs("given up", text.out);
    ts_text_abandon(&text);
}

static void tells_of_every_failed_allocation(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* the sanitizer brings its own allocator */
#endif
    int failures = 0;
    for (int n = 1; n < 1000; n++) {
        char *string;
        size_t length;
        countdown = n;
        failing = true;
        ts_status status = write_lines(&string, &length);
        const bool failed = countdown == 0;
        countdown = 0;
        if (!failed) { /* fewer allocations than n: all have had their turn */
            assert_null(status);
            free(string);
            assert_true(failures >= 5); /* the stream, and its text as it grows */
            return;
        }
        failures++;
        assert_non_null(status);
        assert_int_equal(ts_status_code(status), TS_NO_MEMORY);
        assert_null(string);
        ts_status_free(status);
    }
    fail_msg("a text of %d lines takes 1000 allocations", LINES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_what_was_written),
        cmocka_unit_test(empty_is_a_string),
        cmocka_unit_test(tells_of_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
