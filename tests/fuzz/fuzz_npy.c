/* NumPy arrays: the input is a .npy, and an .npz of which all members are read. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>
#include "base/npy.h"

void fuzz_begin(void)
{
    static double values[6] = {1, 2, 3};
    const ts_npy arrays[] = {{TS_NPY_U8, 3, {2, 2, 1}, values}, {TS_NPY_F64, 2, {2, 3}, values}};
    const char *path = fuzz_file("seed.npz", "", 0);
    fuzz_must(ts_npz_save(path, 2, (const char *const[]){"x", "y"}, arrays));
    fuzz_seed_file(path);
    fuzz_seed("\x93NUMPY\1\0\x3a\0{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2), }\0\0\0\0\0\0\0\0",
              76);
}

static void must_hold(const ts_npy *array, size_t size)
{
    volatile uint8_t last = 0;
    if (ts_npy_bytes(array) > 1100 * size) /* more than deflate can have packed */
        abort();
    if (ts_npy_bytes(array))
        last = ((const uint8_t *)array->values)[ts_npy_bytes(array) - 1];
    (void)last;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ts_npy array;
    ts_npz_member *members;
    int count;
    ts_status status = ts_npy_load(fuzz_file("input.npy", data, size), &array);
    if (!status)
        must_hold(&array, size);
    fuzz_status(status);
    ts_npy_release(&array);
    const char *path = fuzz_file("input.npz", data, size);
    status = ts_npz_list(path, &count, &members);
    for (int i = 0; !status && i < count; i++) {
        ts_status read = ts_npz_load(path, members[i].name, &array);
        if (!read)
            must_hold(&array, size);
        fuzz_status(read);
        ts_npy_release(&array);
    }
    fuzz_status(status);
    free(members);
    return 0;
}
