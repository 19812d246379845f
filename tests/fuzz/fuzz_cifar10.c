/* Files of CIFAR-10: their sizes are given, so an input stands at the beginning of one of the right size
 * or alone. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "data/files.h"

void fuzz_begin(void)
{
    uint8_t record[3074] = {3};
    fuzz_seed(record, sizeof record);
    fuzz_seed(record, 10);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ts_image_set train = {0}, test = {0};
    const char *path = fuzz_file("data_batch_1.bin", data, size);
    if (size % 2 && truncate(path, 10000L * 3073))
        abort();
    ts_status status = ts_cifar10_read(fuzz_folder(), &train, &test);
    if (!status)
        abort(); /* there is but one of six files */
    fuzz_status(status);
    ts_image_set_release(&train);
    ts_image_set_release(&test);
    return 0;
}
