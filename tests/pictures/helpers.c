#include "pictures_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "base/file.h"

char said[4096];

static void hear(void *context, const char *line)
{
    (void)context;
    const size_t used = strlen(said);
    snprintf(said + used, sizeof said - used, "%s\n", line);
}

ts_images_options heard = {.warn = hear};

void empty_folder(void)
{
    assert_int_equal(system("rm -rf " FOLDER), 0);
    assert_int_equal(mkdir(FOLDER, 0777), 0);
}

void make_folder(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, FOLDER "/%s", name);
    must(ts_file_make_folder(path));
}

void put(const char *name, const void *content, size_t bytes)
{
    char path[256];
    snprintf(path, sizeof path, FOLDER "/%s", name);
    must(ts_file_write(path, content, bytes));
}

char *read_golden(const char *name, size_t *bytes)
{
    char path[1024], *content;
    snprintf(path, sizeof path, GOLDEN "/%s", name);
    must(ts_file_read(path, 1 << 20, &content, bytes));
    return content;
}

void copy(const char *golden, const char *name)
{
    size_t bytes;
    char *content = read_golden(golden, &bytes);
    put(name, content, bytes);
    free(content);
}

ts_image_set must_read(const char *path, const ts_images_options *options)
{
    ts_image_set set;
    *said = 0;
    must(ts_images_read(path, options, &set));
    return set;
}

void must_refuse(const char *path, const ts_images_options *options, ts_code code, const char *part)
{
    ts_image_set set;
    *said = 0;
    must_fail(ts_images_read(path, options, &set), code, part);
    ts_image_set_release(&set);
}
