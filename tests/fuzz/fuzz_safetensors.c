/* Safetensors files: opened, and every tensor read in both ways. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>
#include "base/safetensors.h"

static void seed(int tensors, const char *config)
{
    static const double values[64];
    ts_safetensors_writer *writer;
    const char *path = fuzz_file("seed.safetensors", "", 0);
    fuzz_must(ts_safetensors_create(path, &writer));
    ts_safetensors_declare_metadata(writer, "config", config);
    for (int i = 0; i < tensors; i++)
        ts_safetensors_declare(writer, (const char[]){(char)('a' + i), 0}, i % TS_ST_U8, 2,
                               (int64_t[]){i, 3});
    for (int i = 0; i < tensors; i++)
        fuzz_must(ts_safetensors_append(writer, values, (size_t)i * 3 * (i % TS_ST_U8 == TS_ST_F32 ? 4 : 8)));
    fuzz_must(ts_safetensors_commit(writer));
    fuzz_seed_file(path);
}

void fuzz_begin(void)
{
    seed(0, "");
    seed(1, "seed: 1\n");
    seed(5, "data: {kind: digits}\n\"quoted\" \\ \xc3\xa9\n");
    fuzz_seed_text("\x02\0\0\0\0\0\0\0{}");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ts_safetensors *file;
    ts_status status = ts_safetensors_open(fuzz_file("input.safetensors", data, size), &file);
    if (status) {
        fuzz_status(status);
        return 0;
    }
    const char *config = ts_safetensors_metadata(file, "config");
    if (config && strlen(config) > size)
        abort();
    for (int i = 0; i < ts_safetensors_count(file); i++) {
        const ts_safetensors_info *info = ts_safetensors_at(file, i);
        if (info->bytes > size || ts_safetensors_find(file, info->name) != i)
            abort();
        void *values = malloc(info->bytes ? info->bytes : 1);
        double *doubles = NULL;
        fuzz_must(ts_safetensors_read(file, info->name, info->type, info->rank, info->shape, values));
        fuzz_status(ts_safetensors_read_doubles(file, info->name, &doubles, NULL));
        free(doubles);
        free(values);
    }
    ts_safetensors_close(file);
    return 0;
}
