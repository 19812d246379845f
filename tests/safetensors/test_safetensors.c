/*
 * Files written atomically, and safetensors: what is written comes back, what is malformed is refused.
 *
 * To add a case, write a file byte by byte and demand its message by must_fail, and list the test in main.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <dirent.h>
#include <signal.h>
#include <unistd.h>
#include "base/file.h"
#include "base/safetensors.h"

static char folder[] = "/tmp/tstar-safetensors-XXXXXX";
static char path[64];

static void must(ts_status status)
{
    if (status)
        fail_msg("%s", ts_status_message(status));
}

/* The call must fail with this code, and its message must name the file and contain `part`. */
static void must_fail(ts_status status, ts_code code, const char *part)
{
    assert_non_null(status);
    if (ts_status_code(status) != code || !strstr(ts_status_message(status), part) ||
        !strstr(ts_status_message(status), folder) || strchr(ts_status_message(status), '\n'))
        fail_msg("code %d, message: %s; it should contain: %s", ts_status_code(status),
                 ts_status_message(status), part);
    ts_status_free(status);
}

static int files_in_folder(void)
{
    int count = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        count += e->d_name[0] != '.';
    closedir(d);
    return count;
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/a.safetensors", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static int remove_file(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

/* ---- files ---- */

static void file_round_trip(void **state)
{
    (void)state;
    char *content;
    size_t bytes;
    must(ts_file_write(path, "one", 3));
    must(ts_file_write(path, "second", 6));
    must(ts_file_read(path, 6, &content, &bytes));
    assert_int_equal(bytes, 6);
    assert_string_equal(content, "second");
    free(content);
    must_fail(ts_file_read(path, 5, &content, &bytes), TS_FORMAT, "at most 5");
    must_fail(ts_file_read(folder, 5, &content, &bytes), TS_FORMAT, "not a regular file");
    unlink(path);
    must_fail(ts_file_read(path, 5, &content, &bytes), TS_NOT_FOUND, "No such file");
}

static void abandoned_write_leaves_the_old_file(void **state)
{
    (void)state;
    ts_file_writer *writer;
    char *content;
    size_t bytes;
    must(ts_file_write(path, "old", 3));
    must(ts_file_create(path, &writer));
    must(ts_file_append(writer, "new", 3));
    ts_file_abandon(writer);
    ts_file_abandon(NULL);
    must(ts_file_read(path, 100, &content, &bytes));
    assert_string_equal(content, "old");
    free(content);
    assert_int_equal(files_in_folder(), 1);
}

/* The kernel's limit on a file's size stands in for a disk that stops taking data in the middle. */
static void failed_write_leaves_the_old_file(void **state)
{
    (void)state;
    struct rlimit before;
    const size_t bytes = 1 << 20;
    char *large = calloc(bytes, 1), *content;
    size_t got;
    assert_non_null(large);
    must(ts_file_write(path, "old", 3));
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){.rlim_cur = 4096, .rlim_max = before.rlim_max});
    ts_status status = ts_file_write(path, large, bytes);
    setrlimit(RLIMIT_FSIZE, &before);
    free(large);
    must_fail(status, TS_IO, "cannot write");
    must(ts_file_read(path, 100, &content, &got));
    assert_string_equal(content, "old");
    free(content);
    assert_int_equal(files_in_folder(), 1);
}

static void full_disk_is_named(void **state)
{
    (void)state;
    ts_file_writer *writer;
    char link[64], temporary[96];
    snprintf(link, sizeof link, "%s/full", folder);
    snprintf(temporary, sizeof temporary, "%s.%ld.tmp", link, (long)getpid());
    if (access("/dev/full", W_OK) || symlink("/dev/full", temporary))
        skip();
    must(ts_file_create(link, &writer)); /* opens the device that is always full */
    ts_status status = ts_file_append(writer, "data", 4);
    if (!status)
        status = ts_file_commit(writer);
    else
        ts_file_abandon(writer);
    must_fail(status, TS_NO_SPACE, "No space left");
    assert_int_equal(files_in_folder(), 0);
}

static void folders(void **state)
{
    (void)state;
    char deep[96], inner[96];
    snprintf(inner, sizeof inner, "%s/x", folder);
    snprintf(deep, sizeof deep, "%s/x/y", folder);
    must(ts_file_make_folder(deep));
    must(ts_file_make_folder(deep));
    must(ts_file_write(path, "", 0));
    snprintf(deep, sizeof deep, "%s/z", path);
    assert_int_equal(ts_status_exit(NULL), 0);
    ts_status status = ts_file_make_folder(deep);
    must_fail(status, TS_INVALID, "no folder");
    snprintf(deep, sizeof deep, "%s/x/y", folder);
    assert_int_equal(rmdir(deep) | rmdir(inner), 0);
}

/* ---- safetensors ---- */

static void round_trip(void **state)
{
    (void)state;
    ts_safetensors_writer *w;
    ts_safetensors *f;
    const float a[6] = {1, -2, 3.5f, 0, 1e-30f, 7};
    const double b = 0.1;
    const int64_t c[2] = {INT64_MIN, INT64_MAX};
    const unsigned char d[3] = {0, 128, 255};
    must(ts_safetensors_create(path, &w));
    ts_safetensors_declare_metadata(w, "key", "a \"quoted\" line\n");
    ts_safetensors_declare(w, "a", TS_ST_F32, 2, (int64_t[]){2, 3});
    ts_safetensors_declare(w, "b", TS_ST_F64, 0, NULL);
    ts_safetensors_declare(w, "c", TS_ST_I64, 1, (int64_t[]){2});
    ts_safetensors_declare(w, "d", TS_ST_U8, 1, (int64_t[]){3});
    must(ts_safetensors_append(w, a, sizeof a));
    must(ts_safetensors_append(w, &b, sizeof b));
    must(ts_safetensors_append(w, c, sizeof c));
    must(ts_safetensors_append(w, d, sizeof d));
    must(ts_safetensors_commit(w));

    float a2[6];
    double b2, *values;
    int64_t c2[2];
    unsigned char d2[3];
    const ts_safetensors_info *info;
    must(ts_safetensors_open(path, &f));
    assert_string_equal(ts_safetensors_metadata(f, "key"), "a \"quoted\" line\n");
    assert_null(ts_safetensors_metadata(f, "none"));
    assert_int_equal(ts_safetensors_count(f), 4);
    assert_int_equal(ts_safetensors_find(f, "none"), -1);
    must(ts_safetensors_read(f, "a", TS_ST_F32, 2, (int64_t[]){2, 3}, a2));
    must(ts_safetensors_read(f, "a", TS_ST_F32, -1, (int64_t[]){6}, a2));
    must(ts_safetensors_read(f, "b", TS_ST_F64, 0, NULL, &b2));
    must(ts_safetensors_read(f, "c", TS_ST_I64, 1, (int64_t[]){2}, c2));
    assert_memory_equal(a, a2, sizeof a);
    assert_memory_equal(&b, &b2, sizeof b);
    assert_memory_equal(c, c2, sizeof c);
    assert_false(ts_safetensors_at(f, ts_safetensors_find(f, "d"))->read);
    must(ts_safetensors_read(f, "d", TS_ST_U8, 1, (int64_t[]){3}, d2));
    assert_true(ts_safetensors_at(f, ts_safetensors_find(f, "d"))->read);
    assert_memory_equal(d, d2, sizeof d);
    must(ts_safetensors_read_doubles(f, "a", &values, &info));
    for (int i = 0; i < 6; i++)
        assert_true(values[i] == (double)a[i]);
    assert_int_equal(info->rank, 2);
    free(values);
    must_fail(ts_safetensors_read_doubles(f, "c", &values, NULL), TS_INVALID, "should be F32 or F64");
    must_fail(ts_safetensors_read(f, "a", TS_ST_F32, 2, (int64_t[]){3, 2}, a2), TS_INVALID,
              "should be F32 [3,2]");
    must_fail(ts_safetensors_read(f, "a", TS_ST_F64, 2, (int64_t[]){2, 3}, a2), TS_INVALID, "is F32 [2,3]");
    must_fail(ts_safetensors_read(f, "e", TS_ST_F32, 0, NULL, a2), TS_INVALID, "tensor e is missing");
    ts_safetensors_close(f);
}

static void wrong_writes(void **state)
{
    (void)state;
    ts_safetensors_writer *w;
    must(ts_safetensors_create(path, &w));
    ts_safetensors_declare(w, "a", TS_ST_F32, 1, (int64_t[]){2});
    must_fail(ts_safetensors_append(w, "12", 2), TS_INVALID, "declared otherwise");
    must_fail(ts_safetensors_commit(w), TS_INVALID, "0 of 1 tensors");
    must(ts_safetensors_create(path, &w));
    ts_safetensors_declare(w, "a", TS_ST_F32, 1, (int64_t[]){2});
    ts_safetensors_declare(w, "a", TS_ST_F32, 1, (int64_t[]){2});
    must_fail(ts_safetensors_commit(w), TS_INVALID, "twice");
    must(ts_safetensors_create(path, &w));
    ts_safetensors_abandon(w);
    ts_safetensors_abandon(NULL);
    assert_int_equal(files_in_folder(), 0);
}

/* A file of this header and `data` bytes of tensors must be refused. */
static void refuse(const char *header, size_t data, const char *part)
{
    const size_t length = strlen(header);
    unsigned char *file = calloc(8 + length + data, 1);
    ts_safetensors *f = NULL;
    assert_non_null(file);
    for (int i = 0; i < 8; i++)
        file[i] = (unsigned char)((uint64_t)length >> 8 * i);
    memcpy(file + 8, header, length);
    must(ts_file_write(path, file, 8 + length + data));
    free(file);
    must_fail(ts_safetensors_open(path, &f), TS_FORMAT, part);
    assert_null(f);
}

#define TENSOR(type, shape, offsets)                                                                         \
    "{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void malformed_files(void **state)
{
    (void)state;
    ts_safetensors *f;
    must(ts_file_write(path, "short", 5));
    must_fail(ts_safetensors_open(path, &f), TS_FORMAT, "at least 8");
    must(ts_file_write(path, "\377\377\377\377\377\377\377\377{}", 10));
    must_fail(ts_safetensors_open(path, &f), TS_FORMAT, "does not fit");
    must(ts_file_write(path, "\3\0\0\0\0\0\0\0{}", 10));
    must_fail(ts_safetensors_open(path, &f), TS_FORMAT, "does not fit");
    refuse("[]", 0, "no JSON object");
    refuse("{", 0, "not valid JSON");
    refuse("{\"a\":1,\"a\":1}", 0, "not valid JSON: duplicate");
    refuse("{\"__metadata__\":{\"a\":1}}", 0, "a is no string");
    refuse("{\"__metadata__\":[]}", 0, "__metadata__ is no object");
    refuse("{\"a\":3}", 0, "tensor a: type (none)");
    refuse("{\"a\":" TENSOR("F16", "[1]", "[0,2]") "}", 2, "type F16 is none of");
    refuse("{\"a\":" TENSOR("F32", "[1]", "[0,4]") "}", 3, "cut short: tensor a");
    refuse("{\"a\":" TENSOR("F32", "[1]", "[0,4]") "}", 5, "1 bytes behind the last tensor");
    refuse("{\"a\":" TENSOR("F32", "[2]", "[0,4]") "}", 4, "its shape and type need 8");
    refuse("{\"a\":" TENSOR("F32", "[-1]", "[0,4]") "}", 4, "impossible shape");
    refuse("{\"a\":" TENSOR("F32", "[1.0]", "[0,4]") "}", 4, "impossible shape");
    refuse("{\"a\":" TENSOR("F32", "[4611686018427387904,4]", "[0,4]") "}", 4, "impossible shape");
    refuse("{\"a\":" TENSOR("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, "at most 8 sizes");
    refuse("{\"a\":" TENSOR("F32", "7", "[0,4]") "}", 4, "must be a list");
    refuse("{\"a\":" TENSOR("F32", "[1]", "[4,0]") "}", 4, "tensor a");
    refuse("{\"a\":" TENSOR("F32", "[1]", "[-4,0]") "}", 4, "tensor a");
    refuse("{\"a\":" TENSOR("F32", "[1]", "[0]") "}", 4, "two integers");
    refuse("{\"a\":" TENSOR("F32", "[1]", "[0,9223372036854775807]") "}", 4, "tensor a");
    refuse("{\"a\":" TENSOR("F32", "[1]", "[0,4]") ",\"b\":" TENSOR("F32", "[1]", "[2,6]") "}", 6,
           "begins at byte 2");
    refuse("{\"a\":" TENSOR("F32", "[1]", "[0,4]") ",\"b\":" TENSOR("F32", "[1]", "[8,12]") "}", 12,
           "begins at byte 8");
    unlink(path);
    must_fail(ts_safetensors_open(path, &f), TS_NOT_FOUND, "cannot open");
}

/* ---- statuses ---- */

static void statuses(void **state)
{
    (void)state;
    ts_status status = ts_context(ts_error(TS_FORMAT, "line %d", 3), "file %s", "x");
    assert_string_equal(ts_status_message(status), "file x: line 3");
    assert_int_equal(ts_status_code(status), TS_FORMAT);
    assert_int_equal(ts_status_exit(status), 2);
    ts_status_free(status);
    assert_null(ts_context(NULL, "nothing"));
    assert_int_equal(ts_status_exit(NULL), 0);
    assert_int_equal(ts_status_code(NULL), TS_OK);
    status = ts_error(TS_IO, "x");
    assert_int_equal(ts_status_exit(status), 1);
    ts_status_free(status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses),
        cmocka_unit_test_teardown(file_round_trip, remove_file),
        cmocka_unit_test_teardown(abandoned_write_leaves_the_old_file, remove_file),
        cmocka_unit_test_teardown(failed_write_leaves_the_old_file, remove_file),
        cmocka_unit_test_teardown(full_disk_is_named, remove_file),
        cmocka_unit_test_teardown(folders, remove_file),
        cmocka_unit_test_teardown(round_trip, remove_file),
        cmocka_unit_test_teardown(wrong_writes, remove_file),
        cmocka_unit_test_teardown(malformed_files, remove_file),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
