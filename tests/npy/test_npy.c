/*
 * NumPy arrays: what NumPy wrote is read, what is written is what NumPy writes, what is malformed is refused.
 *
 * To add a malformed file, add its header to `malformed` with the message that it must give.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/npy.h"
#include "must.h"

#define NPY "test_npy.npy"
#define NPZ "test_npy.npz"

/* A file of format version `version` with this header, cut or filled up with spaces to `length`, and values. */
static void write_array(int version, const char *header, size_t length, const void *values, size_t bytes)
{
    char content[4096] = "\x93NUMPY";
    size_t begin = version > 1 ? 12 : 10;
    content[6] = (char)version;
    content[8] = (char)(length & 255);
    content[9] = (char)(length >> 8);
    memset(content + begin, ' ', length);
    memcpy(content + begin, header, strlen(header) < length ? strlen(header) : length);
    memcpy(content + begin + length, values, bytes);
    must(ts_file_write(NPY, content, begin + length + bytes));
}

static void test_reading(void **state)
{
    (void)state;
    const float values[6] = {1, 2, 3, 4, 5, 6};
    ts_npy array;
    for (int version = 1; version <= 3; version++) {
        write_array(version, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", 118, values,
                    sizeof values);
        must(ts_npy_load(NPY, &array));
        assert_true(array.type == TS_NPY_F32 && array.rank == 2 && array.shape[0] == 2 &&
                    array.shape[1] == 3);
        assert_memory_equal(array.values, values, sizeof values);
        ts_npy_release(&array);
    }
    write_array(1, "{\"shape\":(2L,3L),\"fortran_order\":True,\"descr\":\"<f4\"}", 60, values, sizeof values);
    must(ts_npy_load(NPY, &array)); /* columns are behind each other */
    const float rows[6] = {1, 3, 5, 2, 4, 6};
    assert_memory_equal(array.values, rows, sizeof rows);
    ts_npy_release(&array);
    write_array(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (), }", 60, "\7", 1);
    must(ts_npy_load(NPY, &array));
    assert_true(array.rank == 0 && ts_npy_count(&array) == 1 && *(uint8_t *)array.values == 7);
    ts_npy_release(&array);
    write_array(1, "{'descr': '<i8', 'fortran_order': False, 'shape': (0, 5), }", 60, "", 0);
    must(ts_npy_load(NPY, &array));
    assert_true(ts_npy_count(&array) == 0 && array.values);
    ts_npy_release(&array);
}

static const struct {
    const char *header;
    ts_code code;
    const char *message;
} malformed[] = {
    {"{'descr': '>f4', 'fortran_order': False, 'shape': (6,), }", TS_UNSUPPORTED,
     "values of NumPy's type '>f4'"},
    {"{'descr': '|O', 'fortran_order': False, 'shape': (6,), }", TS_UNSUPPORTED,
     "values of NumPy's type '|O'"},
    {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,), }", TS_UNSUPPORTED,
     "an array of records"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (7,), }", TS_FORMAT,
     "24 bytes of values where f4 [7] asks for 28"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", TS_FORMAT,
     "24 bytes of values where f4 [4611686018427387904,4] asks for more than"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", TS_FORMAT,
     "beyond 64 bits"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (-6,), }", TS_FORMAT, "a size that is no number"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,6), }", TS_FORMAT,
     "more than 8 dimensions"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (6 }", TS_FORMAT, "a shape without end"},
    {"{'descr': '<f4', 'fortran_order': 0, 'shape': (6,), }", TS_FORMAT, "neither True nor False"},
    {"{'descr': '<f4', 'fortran_order': False}", TS_FORMAT, "lacks descr, fortran_order or shape"},
    {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (6,), }", TS_FORMAT, "or one twice"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (6,), 'more': 'x'}", TS_FORMAT, "has another key"},
    {"{'descr': '<f4", TS_FORMAT, "has too long a word"},
    {"['descr']", TS_FORMAT, "is no dictionary"},
    {"", TS_FORMAT, "is no dictionary"},
};

static void test_malformed(void **state)
{
    (void)state;
    const float values[6] = {1, 2, 3, 4, 5, 6};
    ts_npy array;
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        write_array(1, malformed[i].header, 118, values, sizeof values);
        must_fail(ts_npy_load(NPY, &array), malformed[i].code, malformed[i].message);
        assert_null(array.values);
    }
    write_array(4, "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }", 118, values, sizeof values);
    must_fail(ts_npy_load(NPY, &array), TS_UNSUPPORTED, "of format version 4.0");
    write_array(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }", 118, values, sizeof values);
    for (int end = 0; end < 10 + 118 + 24; end++) {
        assert_int_equal(truncate(NPY, end), 0);
        must_fail(ts_npy_load(NPY, &array), TS_FORMAT, NPY ": ");
        write_array(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }", 118, values,
                    sizeof values);
    }
    must_fail(ts_npy_load("none.npy", &array), TS_NOT_FOUND, "none.npy");
}

/* The golden file is NumPy's: savez_compressed. */
static void test_archive_of_numpy(void **state)
{
    (void)state;
    ts_npz_member *members;
    ts_npy array;
    int count;
    must(ts_npz_list(SOURCE_DIR "/tests/pictures/golden/expected.npz", &count, &members));
    assert_true(count > 20);
    for (int i = 0; i < count; i++) {
        must(ts_npz_load(SOURCE_DIR "/tests/pictures/golden/expected.npz", members[i].name, &array));
        assert_true(array.type == members[i].array.type && array.rank == members[i].array.rank);
        assert_memory_equal(array.shape, members[i].array.shape, (size_t)array.rank * sizeof *array.shape);
        ts_npy_release(&array);
    }
    free(members);
    must_fail(ts_npz_load(SOURCE_DIR "/tests/pictures/golden/expected.npz", "none", &array), TS_NOT_FOUND,
              "expected.npz: has no member none");
}

static void test_archive(void **state)
{
    (void)state;
    double mu[2] = {0.5, -1}, sigma[4] = {1, 2, 3, 4};
    int64_t number = -7;
    const char *const names[] = {"mu", "sigma", "n"};
    const ts_npy arrays[] = {
        {TS_NPY_F64, 1, {2}, mu}, {TS_NPY_F64, 2, {2, 2}, sigma}, {TS_NPY_I64, 0, {0}, &number}};
    ts_npy array;
    must(ts_npz_save(NPZ, 3, names, arrays));
    must(ts_npz_load(NPZ, "sigma", &array));
    assert_true(array.type == TS_NPY_F64 && array.rank == 2 && array.shape[0] == 2 && array.shape[1] == 2);
    assert_memory_equal(array.values, sigma, sizeof sigma);
    ts_npy_release(&array);
    must(ts_npz_load(NPZ, "n.npy", &array));
    assert_true(array.rank == 0 && *(int64_t *)array.values == -7);
    ts_npy_release(&array);

    /* as NumPy writes it, byte by byte: numpy.save of numpy.array([0.5, -1]) */
    char *content, written[128 + sizeof mu];
    size_t bytes;
    memset(written, ' ', 128);
    memcpy(written, "\x93NUMPY\1\0v\0", 10);
    memcpy(written + 10, "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }", 57);
    written[127] = '\n';
    memcpy(written + 128, mu, sizeof mu);
    must(ts_file_read(NPZ, 1 << 20, &content, &bytes));
    assert_non_null(memmem(content, bytes, "mu.npy", 6));
    char *at = memmem(content, bytes, written, sizeof written);
    assert_non_null(at);
    at[130] ^= 1; /* of a value: the archive has a check sum */
    must(ts_file_write(NPZ, content, bytes));
    must_fail(ts_npz_load(NPZ, "mu", &array), TS_FORMAT, NPZ ": mu.npy: cut short or damaged");
    assert_null(array.values);
    at[130] ^= 1;
    for (size_t end = 0; end < bytes; end += 11) {
        must(ts_file_write(NPZ, content, end));
        must_fail(ts_npz_load(NPZ, "mu", &array), TS_FORMAT, NPZ ": not an .npz");
    }
    free(content);

    must(ts_npz_save(NPZ, 2, (const char *const[]){"one", "two"}, arrays));
    must(ts_file_read(NPZ, 1 << 20, &content, &bytes));
    for (char *name; (name = memmem(content, bytes, "two", 3));)
        memcpy(name, "one", 3);
    must(ts_file_write(NPZ, content, bytes));
    must_fail(ts_npz_load(NPZ, "one", &array), TS_FORMAT, NPZ ": has 2 members one");
    free(content);
    must(ts_npz_save(NPZ, 2, (const char *const[]){"a", "a.npy"}, arrays)); /* a.npy and a.npy.npy */
    must(ts_npz_load(NPZ, "a", &array));
    assert_int_equal(array.rank, 1);
    ts_npy_release(&array);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_archive_of_numpy),
        cmocka_unit_test(test_archive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
