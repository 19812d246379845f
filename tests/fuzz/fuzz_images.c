/* What images are read from: the input is an .npz, a batch of ImageNet, and the cache of a folder. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/npy.h"
#include "data/files.h"
#include "data/images/sets.h"

static ts_listing listing;

void fuzz_begin(void)
{
    static uint8_t values[2 * 12] = {9, 8, 7};
    static int64_t labels[2] = {1, 5};
    const ts_npy flat[] = {{TS_NPY_U8, 2, {2, 12}, values}, {TS_NPY_I64, 1, {2}, labels}};
    const ts_npy pictures[] = {{TS_NPY_U8, 4, {2, 2, 2, 3}, values}, {TS_NPY_I64, 1, {2}, labels}};
    const ts_image_set set = {
        .h = 2, .w = 2, .c = 3, .count = 2, .bytes = values, .classes = 9, .labels = (int32_t[]){8, 1}};
    const char *path = fuzz_file("seed.npz", "", 0);
    fuzz_must(ts_npz_save(path, 2, (const char *const[]){"data", "labels"}, flat));
    fuzz_seed_file(path);
    fuzz_must(ts_npz_save(path, 2, (const char *const[]){"arr_0", "arr_1"}, pictures));
    fuzz_seed_file(path);
    fuzz_must(ts_cache_store(path, 0, &set, "a line\n"));
    fuzz_seed_file(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const ts_images_options options = {.resize = 3, .threads = 1};
    ts_image_set set = {.count = 0}, test = {.count = 0};
    fuzz_file("val_data.npz", data, size);
    const char *path = fuzz_file("train_data_batch_1.npz", data, size);
    fuzz_status(ts_images_read(path, &options, &set));
    ts_image_set_release(&set);
    fuzz_status(ts_imagenet_read(fuzz_folder(), &set, &test));
    ts_image_set_release(&set);
    ts_image_set_release(&test);
    ts_text notes;
    char *said;
    fuzz_must(ts_text_open(&notes));
    fuzz_status(ts_cache_load(path, "folder", ts_listing_checksum(&listing), &set, notes.out));
    fuzz_must(ts_text_finish(&notes, &said, NULL));
    free(said);
    ts_image_set_release(&set);
    return 0;
}
