/* Arrays, labels, the cache, and pictures as data sets. */
#include "pictures_test.h"

#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/npy.h"
#include "config/config.h"
#include "data/dataset.h"
#include "data/files.h"

void test_labels(void **state)
{
    (void)state;
    empty_folder();
    make_folder("dogs");
    make_folder("cats");
    make_folder("none");
    copy("grey_8.png", "dogs/1.png");
    copy("grey_4.png", "dogs/2.png");
    copy("grey_2.png", "cats/1.png");
    put("cats/2.png", "x", 1); /* leaves no gap in the labels */
    copy("grey_1.png", "cats/3.png");
    ts_image_set set = must_read(FOLDER, &heard);
    assert_true(set.count == 4 && set.classes == 2);
    assert_true(!set.labels[0] && !set.labels[1] && set.labels[2] == 1 && set.labels[3] == 1);
    ts_image_set_release(&set);
    copy("grey_8.png", "3.png"); /* one beside the folders: they are no classes */
    set = must_read(FOLDER, &heard);
    assert_true(set.count == 5 && !set.classes && !set.labels);
    ts_image_set_release(&set);
}

/* ---- arrays ---- */

static void save(const char *name, int count, const char *const *names, const ts_npy *arrays)
{
    char path[256];
    snprintf(path, sizeof path, FOLDER "/%s", name);
    must(ts_npz_save(path, count, names, arrays));
}

void test_arrays(void **state)
{
    (void)state;
    uint8_t values[2 * 4 * 4 * 3];
    for (size_t i = 0; i < sizeof values; i++)
        values[i] = (uint8_t)(5 * i);
    int64_t numbers[] = {3, 0};
    const ts_npy colour = {TS_NPY_U8, 4, {2, 4, 4, 3}, values}, grey = {TS_NPY_U8, 3, {6, 4, 4}, values},
                 labels = {TS_NPY_I64, 1, {2}, numbers}, wide = {TS_NPY_U8, 4, {1, 4, 4, 6}, values},
                 whole = {TS_NPY_I64, 4, {1, 1, 1, 1}, numbers};
    empty_folder();
    save("a.npz", 2, (const char *const[]){"arr_0", "arr_1"}, (const ts_npy[]){colour, labels});
    ts_image_set set = must_read(FOLDER "/a.npz", &heard);
    assert_true(set.count == 2 && set.h == 4 && set.w == 4 && set.c == 3 && set.classes == 4);
    assert_true(set.labels[0] == 3 && set.labels[1] == 0);
    assert_memory_equal(set.bytes, values, sizeof values);
    ts_image_set_release(&set);

    ts_images_options options = heard;
    options.crop = 2;
    options.resize = 1;
    options.filter = TS_FILTER_AREA;
    set = must_read(FOLDER "/a.npz", &options);
    assert_true(set.count == 2 && set.h == 1 && set.w == 1 && set.c == 3 && set.labels[0] == 3);
    const int mean =
        (values[15] + values[18] + values[27] + values[30] + 2) / 4; /* red of the inner square */
    assert_in_range(set.bytes[0], mean - 1, mean + 1);
    ts_image_set_release(&set);

    save("b.npz", 1, (const char *const[]){"grey"}, &grey);
    set = must_read(FOLDER "/b.npz", &heard);
    assert_true(set.count == 6 && set.c == 1 && !set.labels);
    ts_image_set_release(&set);

    save("c.npz", 2, (const char *const[]){"one", "two"}, (const ts_npy[]){colour, grey});
    must_refuse(FOLDER "/c.npz", &heard, TS_INVALID, "several arrays of pictures, one and two; one is read");
    save("c.npz", 1, (const char *const[]){"x"}, &wide);
    must_refuse(
        FOLDER "/c.npz", &heard, TS_FORMAT,
        "/c.npz: has no array of pictures, u1 [n,h,w] or [n,h,w,c] with c = 1 or 3, but u1 [1,4,4,6]");
    save("c.npz", 1, (const char *const[]){"x"}, &whole);
    must_refuse(FOLDER "/c.npz", &heard, TS_FORMAT, "but i8 [1,1,1,1]");
    numbers[1] = -1;
    save("c.npz", 2, (const char *const[]){"arr_0", "arr_1"}, (const ts_npy[]){colour, labels});
    must_refuse(FOLDER "/c.npz", &heard, TS_FORMAT, "image 1 has label -1");
    save("c.npz", 2, (const char *const[]){"arr_0", "arr_1"}, (const ts_npy[]){grey, labels});
    must_refuse(FOLDER "/c.npz", &heard, TS_FORMAT, "labels are i8 [2] for 6 images");
    put("d.npz", "PK no archive", 13);
    must_refuse(FOLDER "/d.npz", &heard, TS_FORMAT, "/d.npz: not an .npz");
    put("e.npy", "no array", 8);
    must_refuse(FOLDER "/e.npy", &heard, TS_FORMAT, "/e.npy: not a NumPy array");
}

/* ---- the cache ---- */

static char *only_cache(void)
{
    glob_t found;
    assert_int_equal(glob(FOLDER "/*.pictures.safetensors", 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 1);
    char *path = strdup(found.gl_pathv[0]);
    globfree(&found);
    return path;
}

/* Nothing that is a picture in a file whose size and time of change stay. */
static void change_unseen(const char *name)
{
    char path[256];
    struct stat about;
    snprintf(path, sizeof path, FOLDER "/%s", name);
    assert_int_equal(stat(path, &about), 0);
    char *zeros = calloc(1, (size_t)about.st_size);
    put(name, zeros, (size_t)about.st_size);
    const struct timespec times[] = {about.st_atim, about.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    free(zeros);
}

static void expect_same(const ts_image_set *a, const ts_image_set *b)
{
    assert_true(a->count == b->count && a->h == b->h && a->w == b->w && a->c == b->c &&
                a->classes == b->classes);
    assert_memory_equal(a->bytes, b->bytes, (size_t)a->count * (size_t)(a->h * a->w * a->c));
    assert_memory_equal(a->labels, b->labels, (size_t)a->count * sizeof *a->labels);
}

void test_cache(void **state)
{
    (void)state;
    ts_images_options options = heard;
    options.cache = "";
    empty_folder();
    make_folder("in/a");
    make_folder("in/b");
    copy("colour_8.png", "in/a/1.png");
    copy("palette_4.png", "in/a/2.png");
    copy("grey_8.png", "in/b/1.png");
    put("in/b/2.png", "x", 1);
    ts_image_set first = must_read(FOLDER "/in", &options);
    char told[sizeof said], *cache = only_cache();
    strcpy(told, said);
    assert_non_null(strstr(told, "/2.png: neither a PNG nor a JPEG"));
    assert_null(strstr(told, "cache"));

    /* what is decoded is not looked at again: the same pictures, and the same words */
    change_unseen("in/a/1.png");
    ts_image_set set = must_read(FOLDER "/in", &options);
    expect_same(&set, &first);
    assert_string_equal(said, told);
    ts_image_set_release(&set);
    copy("colour_8.png", "in/a/1.png");
    set = must_read(FOLDER "/in", &options); /* written anew, and so read anew */
    expect_same(&set, &first);
    assert_non_null(strstr(said, "of other files than " FOLDER "/in has now; it is made anew"));
    ts_image_set_release(&set);

    /* damaged: told, and made anew */
    char *content;
    size_t bytes;
    must(ts_file_read(cache, 1 << 20, &content, &bytes));
    content[bytes - 50] ^= 1;
    put(strchr(cache, '/') + 1, content, bytes);
    set = must_read(FOLDER "/in", &options);
    expect_same(&set, &first);
    assert_non_null(strstr(said, "damaged: its check sum is wrong; it is made anew"));
    ts_image_set_release(&set);
    for (size_t end = 0; end < bytes; end += bytes / 7) {
        put(strchr(cache, '/') + 1, content, end);
        set = must_read(FOLDER "/in", &options);
        expect_same(&set, &first);
        assert_non_null(strstr(said, "it is made anew"));
        ts_image_set_release(&set);
    }
    set = must_read(FOLDER "/in", &options); /* it has been */
    assert_null(strstr(said, "anew"));
    ts_image_set_release(&set);

    /* a file more: other pictures */
    copy("palette_8.png", "in/b/3.png");
    set = must_read(FOLDER "/in", &options);
    assert_int_equal(set.count, 4);
    ts_image_set_release(&set);

    /* where it cannot be kept: told, and no matter */
    options.cache = FOLDER "/none";
    set = must_read(FOLDER "/in", &options);
    assert_int_equal(set.count, 4);
    assert_non_null(strstr(said, "the pictures are decoded again next time"));
    ts_image_set_release(&set);
    ts_image_set_release(&first);
    free(content);
    free(cache);
}

/* ---- data sets ---- */

static ts_device *device;

static ts_status open_set(const char *data, ts_dataset **dataset)
{
    const char *overrides[] = {data};
    ts_config *config;
    *dataset = NULL;
    TS_TRY(ts_config_load(NULL, overrides, 1, &config));
    ts_status status = ts_dataset_open(config, device, NULL, dataset);
    ts_config_free(config);
    return status;
}

void test_imagenet(void **state)
{
    (void)state;
    enum { N = 3, SIDE = 2, VALUES = 3 * SIDE * SIDE };
    uint8_t values[N * VALUES];
    int64_t numbers[N] = {1, 1000, 7};
    for (int i = 0; i < N * VALUES; i++)
        values[i] = (uint8_t)(3 * i);
    const char *const names[] = {"data", "labels"};
    const ts_npy arrays[] = {{TS_NPY_U8, 2, {N, VALUES}, values}, {TS_NPY_I64, 1, {N}, numbers}};
    ts_image_set train = {.count = 0}, test = {.count = 0};
    empty_folder();
    must_fail(ts_imagenet_read(FOLDER, &train, &test), TS_NOT_FOUND,
              FOLDER " holds no train_data_batch_1.npz");
    save("train_data_batch_1.npz", 2, names, arrays);
    save("train_data_batch_2.npz", 2, names, arrays);
    save("val_data.npz", 2, names, arrays);
    must(ts_imagenet_read(FOLDER, &train, &test));
    assert_true(train.count == 2 * N && train.h == SIDE && train.w == SIDE && train.c == 3 &&
                test.count == N);
    assert_true(train.classes == 1000 && train.labels[0] == 0 && train.labels[1] == 999 &&
                train.labels[N + 2] == 6);
    for (int i = 0; i < 2 * N; i++)
        for (int p = 0; p < SIDE * SIDE; p++)
            for (int c = 0; c < 3; c++)
                assert_int_equal(train.bytes[i * VALUES + p * 3 + c],
                                 values[i % N * VALUES + c * SIDE * SIDE + p]);
    ts_image_set_release(&train);
    ts_image_set_release(&test);
    rename(FOLDER "/train_data_batch_2.npz", FOLDER "/train_data_batch_3.npz");
    must_fail(ts_imagenet_read(FOLDER, &train, &test), TS_NOT_FOUND,
              "there is no " FOLDER "/train_data_batch_2.npz");
    unlink(FOLDER "/train_data_batch_3.npz");
    numbers[2] = 0;
    save("val_data.npz", 2, names, arrays);
    must_fail(ts_imagenet_read(FOLDER, &train, &test), TS_FORMAT, "val_data.npz: image 2 has label 0");
    ts_image_set_release(&train);
    ts_image_set_release(&test);
    const ts_npy wrong = {TS_NPY_U8, 2, {N - 1, VALUES + 1}, values};
    save("val_data.npz", 1, names, &wrong);
    must_fail(ts_imagenet_read(FOLDER, &train, &test), TS_FORMAT, "val_data.npz: data: u1 [2,13]");
    ts_image_set_release(&train);
    ts_image_set_release(&test);
}

/* Every image lands in one of the sets, its label with it, in an order that depends on nothing but their number. */
void test_split(void **state)
{
    (void)state;
    enum { N = 50, HELD_OUT = 7 };
    int64_t order[2][N] = {{0}};
    for (int again = 0; again < 2; again++) {
        ts_image_set all = {.h = 1, .w = 2, .c = 1, .count = N, .classes = N}, train, test;
        all.bytes = malloc(2 * N);
        all.labels = malloc(N * sizeof *all.labels);
        for (int i = 0; i < N; i++) {
            all.bytes[2 * i] = all.bytes[2 * i + 1] = (uint8_t)i;
            all.labels[i] = i;
        }
        must(ts_split(&all, TS_PICTURES_KEY, HELD_OUT, &train, &test));
        assert_true(train.count == N - HELD_OUT && test.count == HELD_OUT && !all.bytes);
        bool seen[N] = {false};
        for (int i = 0; i < N; i++) {
            const ts_image_set *set = i < train.count ? &train : &test;
            const int at = i < train.count ? i : i - (int)train.count;
            const int label = set->labels[at];
            assert_true(!seen[label] && set->bytes[2 * at] == label && set->bytes[2 * at + 1] == label);
            seen[label] = true;
            order[again][i] = label;
        }
        ts_image_set_release(&train);
        ts_image_set_release(&test);
    }
    assert_memory_equal(order[0], order[1], sizeof order[0]);
    int fixed = 0;
    for (int i = 0; i < N; i++)
        fixed += order[0][i] == i;
    assert_in_range(fixed, 0, 5); /* one is expected */
}

void test_kinds_of_data(void **state)
{
    (void)state;
    ts_dataset *dataset;
    must(ts_device_open("cpu", &(ts_device_options){.threads = 1}, &device));
    empty_folder();
    make_folder("in/a");
    must_fail(open_set("data={kind: folder, path: " FOLDER "/in}", &dataset), TS_NOT_FOUND,
              "holds no pictures");
    copy("colour_8.png", "in/a/1.png");
    must_fail(open_set("data={kind: folder, path: " FOLDER "/in}", &dataset), TS_FORMAT,
              "1 picture, too few to hold 2 out and train on two");
    copy("palette_8.png", "in/a/2.png");
    copy("palette_4.png", "in/a/3.png");
    copy("grey_8.png", "in/a/4.png");
    make_folder("in/b");
    copy("grey_4.png", "in/b/5.png");
    must_fail(open_set("data={kind: folder, path: " FOLDER "/in, held_out: 4}", &dataset), TS_FORMAT,
              "5 pictures, too few to hold 4 out and train on two");
    must(open_set("data={kind: folder, path: " FOLDER "/in, crop: -1, resize: 4}", &dataset));
    assert_true(dataset->train.count == 3 && dataset->test.count == 2 && dataset->train.h == 4 &&
                dataset->train.c == 3);
    assert_true(dataset->classes == 2 && dataset->train_labels && dataset->test_labels);
    const uint64_t checksum = ts_dataset_checksum(dataset);
    ts_dataset_close(dataset);
    /* the same from the cache, and in a folder of another place and name */
    assert_int_equal(rename(FOLDER "/in", FOLDER "/out"), 0);
    must(open_set("data={kind: folder, path: " FOLDER "/out, crop: -1, resize: 4, cache: " FOLDER "}",
                  &dataset));
    assert_true(ts_dataset_checksum(dataset) == checksum);
    ts_dataset_close(dataset);

    /* a split of its own */
    make_folder("split/train/x");
    make_folder("split/val/x");
    copy("grey_8.png", "split/train/x/1.png");
    copy("grey_4.png", "split/train/x/2.png");
    copy("grey_2.png", "split/val/x/1.png");
    must_fail(open_set("data={kind: folder, path: " FOLDER "/split}", &dataset), TS_FORMAT,
              "split/val: 1 held-out image; quality needs at least 2");
    copy("palette_4.png", "split/val/x/2.png"); /* grey, as the training set is */
    must(open_set("data={kind: folder, path: " FOLDER "/split}", &dataset));
    assert_true(dataset->train.count == 2 && dataset->test.count == 2 && dataset->test.c == 1);
    ts_dataset_close(dataset);

    uint8_t values[6 * 4] = {1, 2, 3};
    const char *const names[] = {"x_train", "x_test"};
    const ts_npy arrays[] = {{TS_NPY_U8, 3, {3, 2, 2}, values}, {TS_NPY_U8, 3, {2, 2, 2}, values}};
    save("both.npz", 2, names, arrays);
    must(open_set("data={kind: array, path: " FOLDER "/both.npz}", &dataset));
    assert_true(dataset->train.count == 3 && dataset->test.count == 2 && dataset->test.h == 2);
    ts_dataset_close(dataset);

    must_fail(open_set("data={kind: folder}", &dataset), TS_INVALID,
              "data.kind folder needs data.path, the folder with the pictures");
    must_fail(open_set("data={kind: digits, resize: 4}", &dataset), TS_INVALID,
              "data.crop, data.resize and data.held_out are for data.kind folder or array, not digits");
    ts_device_close(device);
}
