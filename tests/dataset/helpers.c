#include "dataset.h"

ts_device *device;

ts_config *config_of(const char *first, const char *second)
{
    const char *overrides[] = {first, second ? second : "seed=1"};
    ts_config *config;
    must(ts_config_load(NULL, overrides, 2, &config));
    return config;
}

ts_dataset *must_open(const char *first, const char *second)
{
    ts_config *config = config_of(first, second);
    ts_dataset *dataset;
    must(ts_dataset_open(config, device, NULL, &dataset));
    ts_config_free(config);
    return dataset;
}

/* Without the working directory, which a relative data.path has got in front. */
const char *relative(const char *message)
{
    static char text[1024];
    char here[512], *at;
    assert_non_null(getcwd(here, sizeof here - 1));
    strcat(here, "/");
    snprintf(text, sizeof text, "%s", message);
    while ((at = strstr(text, here)))
        memmove(at, at + strlen(here), strlen(at + strlen(here)) + 1);
    return text;
}

void expect_error(const char *first, const char *second, ts_code code, const char *message)
{
    ts_config *config = config_of(first, second);
    ts_dataset *dataset;
    ts_status status = ts_dataset_open(config, device, NULL, &dataset);
    ts_config_free(config);
    assert_non_null(status);
    assert_null(dataset);
    assert_string_equal(relative(ts_status_message(status)), message);
    assert_int_equal(ts_status_code(status), code);
    ts_status_free(status);
}

void empty_folder(void)
{
    assert_int_equal(system("rm -rf " FOLDER), 0);
    assert_int_equal(mkdir(FOLDER, 0777), 0);
}

void write_file(const char *path, const uint8_t *content, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

void write_gzip(const char *path, const uint8_t *content, size_t bytes)
{
    gzFile file = gzopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(gzwrite(file, content, (unsigned)bytes), bytes);
    assert_int_equal(gzclose(file), Z_OK);
}

void put_word(uint8_t *to, uint32_t word)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(word >> (24 - 8 * i));
}

/* An IDX file of `count` images of 2x3 with the values start, start + 1, ...; returns its bytes. */
size_t make_idx(uint8_t *content, int count, int start)
{
    put_word(content, 0x803);
    put_word(content + 4, (uint32_t)count);
    put_word(content + 8, 2);
    put_word(content + 12, 3);
    for (int i = 0; i < 6 * count; i++)
        content[HEADER + i] = (uint8_t)(start + i);
    return HEADER + 6 * (size_t)count;
}

void make_good_folder(void)
{
    uint8_t content[256];
    empty_folder();
    write_file(TRAIN, content, make_idx(content, 5, 0));
    write_file(TEST, content, make_idx(content, 2, 100));
}

float scaled(int level, int levels)
{
    return (float)level * (float)(2.0 / (levels - 1)) - 1.0f;
}
