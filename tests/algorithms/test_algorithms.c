/*
 * What a device chooses is stored with the run and comes back before its first operation.
 *
 * To add a case, write another test that exports, stores and imports choices, and list it in main.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "run/algorithms.h"
#include "must.h"

static char told[64]; /* by the latest import */
static const char *chosen = "";
static bool merges; /* what was told is exported after what was chosen */

static ts_status export(ts_device *device, char **text)
{
    (void)device;
    if (asprintf(text, "%s%s", chosen, merges ? told : "") < 0)
        *text = NULL;
    return *text ? NULL : ts_error(TS_NO_MEMORY, "no memory");
}

static ts_status import(ts_device *device, const char *text)
{
    (void)device;
    snprintf(told, sizeof told, "%s", text);
    return NULL;
}

static void stored_and_told(void **state)
{
    char dir[] = "choices.XXXXXX", path[64];
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/choices.txt", dir);
    ts_kernels kernels = ts_cpu_kernels;
    ts_device device = {.k = &kernels};
    ts_run run = {.dir = dir, .device = &device, .lock = -1};

    /* a device that chooses nothing leaves nothing */
    must(ts_algorithms_save(&run));
    must(ts_algorithms_load(&run));
    assert_int_not_equal(access(path, F_OK), 0);

    kernels.algorithms_export = export;
    kernels.algorithms_import = import;
    strcpy(told, "nothing");
    must(ts_algorithms_load(&run));
    assert_string_equal(told, "nothing");
    chosen = "heading\nproduct 1: a\n";
    must(ts_algorithms_save(&run));
    must(ts_algorithms_load(&run));
    assert_string_equal(told, chosen);
    chosen = "heading\n";
    must(ts_algorithms_save(&run));
    must(ts_algorithms_load(&run));
    assert_string_equal(told, chosen);

    /* what another process stored meanwhile stays */
    merges = true;
    chosen = "one\n";
    FILE *other = fopen(path, "w");
    assert_non_null(other);
    fputs("two\n", other);
    fclose(other);
    must(ts_algorithms_save(&run));
    must(ts_algorithms_load(&run));
    assert_string_equal(told, "one\ntwo\n");
    merges = false;

    /* what is no file of choices at all is as good as none, and gives way */
    other = fopen(path, "w");
    assert_non_null(other);
    assert_int_equal(ftruncate(fileno(other), 17 << 20), 0);
    fclose(other);
    strcpy(told, "nothing");
    must(ts_algorithms_load(&run));
    assert_string_equal(told, "nothing");
    must(ts_algorithms_save(&run));
    must(ts_algorithms_load(&run));
    assert_string_equal(told, chosen);

    /* a run without a directory */
    run.dir = NULL;
    strcpy(told, "nothing");
    must(ts_algorithms_save(&run));
    must(ts_algorithms_load(&run));
    assert_string_equal(told, "nothing");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(stored_and_told)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
