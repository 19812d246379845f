/*
 * Lists of made-up parts: each computes a number from those of the parts that it needs, so that one that ran too
 * early, twice or not at all shows in what comes out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "list.h"
#include "sweep/internal.h"

enum { PARTS = 60, WORKERS = 5, NOWHERE = -1 };

static ts_part_list list;
static ts_part parts[PARTS];
static uint64_t value[PARTS];
static atomic_int runs[PARTS], busy[WORKERS], wrong;
static int failing;
static ts_code failing_code;
static volatile sig_atomic_t stop;

/* What part i makes of what it needs. */
static uint64_t made_of(int i)
{
    uint64_t v = (uint64_t)i + 1;
    for (int k = 0; k < parts[i].need_count; k++)
        v = v * 6364136223846793005u + value[parts[i].needs[k]];
    return v;
}

static ts_status run(ts_worker *worker, ts_part *part)
{
    const int i = (int)(part - parts), who = (int)worker->own_T;
    wrong += runs[i]++ != 0;
    wrong += busy[who]++ != 0; /* one part at a time */
    value[i] = made_of(i);
    nanosleep(&(struct timespec){.tv_nsec = i * 7919 % 5 * 40000}, NULL);
    busy[who]--;
    return i == failing ? ts_error(failing_code, "as asked") : NULL;
}

/* Part i needs two at most of those before it. */
static void make_list(int fails, ts_code code)
{
    assert_null(ts_part_list_make(&list));
    memset(value, 0, sizeof value);
    for (int i = 0; i < PARTS; i++) {
        parts[i] = (ts_part){.run = run};
        snprintf(parts[i].name, sizeof parts[i].name, "part %d", i);
        if (i % 4)
            parts[i].needs[parts[i].need_count++] = (int)((uint32_t)i * 2654435761u >> 8) % i;
        if (i % 3 == 1 && i > 8)
            parts[i].needs[parts[i].need_count++] = i - 1 - i * 7 % 8;
        runs[i] = 0;
    }
    list.parts = parts;
    list.count = list.end = PARTS;
    list.stop = &stop;
    stop = 0;
    wrong = 0;
    failing = fails;
    failing_code = code;
}

static ts_status do_list(int workers, uint64_t order)
{
    static ts_worker worker[WORKERS];
    ts_worker *crew[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        worker[i] = (ts_worker){.own_T = i};
        crew[i] = &worker[i];
    }
    list.order = order;
    return ts_workers_run(&list, &(ts_crew){crew, workers, NULL});
}

void any_number_and_order(void **state)
{
    (void)state;
    for (int workers = 1; workers <= WORKERS; workers++)
        for (uint64_t order = 0; order < 4; order++) {
            make_list(NOWHERE, TS_OK);
            assert_null(do_list(workers, order * 0x9E3779B97F4A7C15u));
            assert_int_equal(wrong, 0);
            for (int i = 0; i < PARTS; i++) { /* in the list's order: needs stand before */
                const uint64_t found = value[i];
                assert_int_equal(runs[i], 1);
                assert_true(found == made_of(i));
            }
            ts_part_list_release(&list);
        }
}

/* Whether i is `root` or needs it, through others too. */
static bool needs(int i, int root)
{
    bool is = i == root;
    for (int k = 0; k < parts[i].need_count && !is; k++)
        is = needs(parts[i].needs[k], root);
    return is;
}

void failure_leaves_what_needs_it(void **state)
{
    (void)state;
    char text[80];
    for (int workers = 1; workers <= 3; workers++) {
        int left = 0;
        make_list(5, TS_NOT_FINITE);
        ts_status status = do_list(workers, 0);
        assert_int_equal(ts_status_code(status), TS_NOT_FINITE);
        for (int i = 0; i < PARTS; i++) {
            assert_int_equal(runs[i], i == 5 || !needs(i, 5));
            left += i != 5 && needs(i, 5);
        }
        assert_true(left > 2 && left < PARTS / 2);
        snprintf(text, sizeof text, "part 5, which %d parts need: as asked", left);
        assert_string_equal(ts_status_message(status), text);
        ts_status_free(status);
        ts_part_list_release(&list);
    }
}

static int begun(void)
{
    int count = 0;
    for (int i = 0; i < PARTS; i++)
        count += runs[i];
    return count;
}

void full_disk_ends_all(void **state)
{
    (void)state;
    for (int workers = 1; workers <= 3; workers++) {
        make_list(8, TS_NO_SPACE);
        ts_status status = do_list(workers, 0);
        assert_int_equal(ts_status_code(status), TS_NO_SPACE);
        assert_non_null(strstr(ts_status_message(status), "part 8"));
        /* the sleep of part 8 is no longer than that of a few others */
        assert_true(begun() < PARTS / 2);
        assert_true(workers > 1 || begun() == 9);
        ts_status_free(status);
        ts_part_list_release(&list);
    }
}

void stop_ends_all(void **state)
{
    (void)state;
    make_list(NOWHERE, TS_OK);
    stop = 1;
    ts_status status = do_list(3, 0);
    assert_int_equal(ts_status_code(status), TS_INTERRUPTED);
    assert_int_equal(begun(), 0);
    ts_status_free(status);
    ts_part_list_release(&list);
    /* what was interrupted says so, in whatever order it and a failure come */
    make_list(30, TS_INTERRUPTED);
    status = do_list(2, 0);
    assert_int_equal(ts_status_code(status), TS_INTERRUPTED);
    assert_string_equal(ts_status_message(status), "as asked");
    ts_status_free(status);
    ts_part_list_release(&list);
}
