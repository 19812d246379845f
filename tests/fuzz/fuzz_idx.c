/* Image files of MNIST's format: the input is the training images, and the others are good. */
#include "fuzz.h"

#include <stdio.h>
#include <string.h>
#include "config/config.h"
#include "data/dataset.h"

static ts_device *device;

void fuzz_begin(void)
{
    static const char *const names[] = {"t10k-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                        "t10k-labels-idx1-ubyte"};
    static const uint8_t images[16 + 8] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2,
                                           0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8};
    static const uint8_t labels[8 + 2] = {0, 0, 8, 1, 0, 0, 0, 2, 3, 4};
    static const uint8_t colour[20 + 12] = {0, 0, 8, 4, 0, 0, 0, 1, 0, 0, 0, 2,
                                            0, 0, 0, 2, 0, 0, 0, 3, 9, 9, 9};
    fuzz_must(ts_device_open("cpu", &(ts_device_options){.threads = 1}, &device));
    fuzz_file(names[0], images, sizeof images);
    fuzz_file(names[1], labels, sizeof labels);
    fuzz_file(names[2], labels, sizeof labels);
    fuzz_seed(images, sizeof images);
    fuzz_seed(colour, sizeof colour);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[128];
    const char *overrides[] = {"data.kind=idx", path};
    ts_config *config;
    ts_dataset *dataset = NULL;
    fuzz_file("train-images-idx3-ubyte", data, size);
    snprintf(path, sizeof path, "data.path=%s", fuzz_folder());
    fuzz_must(ts_config_load(NULL, overrides, 2, &config));
    ts_status status = ts_dataset_open(config, device, NULL, &dataset);
    if (!status)
        ts_dataset_close(dataset);
    fuzz_status(status);
    ts_config_free(config);
    return 0;
}
