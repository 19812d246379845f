/*
 * Pictures against what Pillow makes of them (golden/, by make_golden.py), and folders of them, good and bad.
 *
 * To add a mode, add a file to make_golden.py and its name to `modes`; a bad folder is a case of
 * test_bad_folders with its message.
 */
#include "pictures_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/npy.h"
#include "data/images/picture.h"

/* Every golden file, in bytewise order, and whether it is grey. */
static const struct {
    const char *file;
    bool grey;
} modes[] = {
    {"colour_16.png", false},      {"colour_8.png", false},       {"colour_alpha_16.png", false},
    {"colour_alpha_8.png", false}, {"colour_gamma.png", false},   {"colour_interlaced.png", false},
    {"grey_1.png", true},          {"grey_16.png", true},         {"grey_2.png", true},
    {"grey_4.png", true},          {"grey_8.png", true},          {"grey_alpha_16.png", true},
    {"grey_alpha_8.png", true},    {"grey_interlaced.png", true}, {"grey_key.png", true},
    {"jpeg_420.jpeg", false},      {"jpeg_422.jpg", false},       {"jpeg_444.jpg", false},
    {"jpeg_cmyk.jpg", false},      {"jpeg_grey.jpg", true},       {"jpeg_progressive.JPG", false},
    {"palette_1.png", false},      {"palette_2.png", false},      {"palette_4.png", false},
    {"palette_8.png", false},      {"palette_alpha.png", false},  {"palette_beyond.png", false},
};

enum { MODES = sizeof modes / sizeof *modes, H = 10, W = 12 };

/* Pillow's pixels of a name. */
static ts_npy expected(const char *name)
{
    ts_npy array;
    must(ts_npz_load(GOLDEN "/expected.npz", name, &array));
    assert_int_equal(array.type, TS_NPY_U8);
    return array;
}

static ts_picture decode(const char *file)
{
    size_t bytes;
    ts_picture picture;
    char *content = read_golden(file, &bytes);
    must(ts_picture_decode(file, (const uint8_t *)content, bytes, &picture));
    free(content);
    return picture;
}

static void test_modes(void **state)
{
    (void)state;
    for (int i = 0; i < MODES; i++) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(modes[i].file, "."), modes[i].file);
        ts_picture picture = decode(modes[i].file);
        ts_npy pixels = expected(name);
        assert_int_equal(picture.c, modes[i].grey ? 1 : 3);
        must(ts_picture_channels(name, 3, &picture));
        assert_true(picture.h == H && picture.w == W && ts_npy_bytes(&pixels) == 3 * H * W);
        if (memcmp(picture.pixels, pixels.values, 3 * H * W) != 0)
            fail_msg("%s is not what Pillow makes of it", modes[i].file);
        ts_npy_release(&pixels);
        ts_picture_release(&picture);
    }
    ts_picture picture = decode("colour_8.png");
    ts_npy grey = expected("grey_of_colour");
    must(ts_picture_channels("colour", 1, &picture));
    assert_memory_equal(picture.pixels, grey.values, H * W);
    ts_npy_release(&grey);
    ts_picture_release(&picture);
}

/* To the bit, but where Pillow may take columns before rows: there to a level. */
static void expect_shape(const char *filter, ts_filter_kind kind, int crop, int resize)
{
    char name[64];
    const ts_images_options options = {.crop = crop, .resize = resize, .filter = kind};
    ts_picture picture = decode("shapes.png");
    must(ts_picture_fit("shapes", &options, &picture));
    snprintf(name, sizeof name, "%s_%d_%d", filter, crop == TS_CROP_LARGEST ? 31 : crop, resize);
    ts_npy pixels = expected(name);
    assert_true(picture.h == resize && picture.w == resize);
    for (int i = 0; i < 3 * resize * resize; i++)
        if (abs(picture.pixels[i] - ((const uint8_t *)pixels.values)[i]) > (crop ? 0 : 1))
            fail_msg("%s: value %d is %d where Pillow has %d", name, i, picture.pixels[i],
                     ((const uint8_t *)pixels.values)[i]);
    ts_npy_release(&pixels);
    ts_picture_release(&picture);
}

static void test_shapes(void **state)
{
    (void)state;
    static const int crops[] = {0, 7, 24, TS_CROP_LARGEST}, sizes[] = {5, 16, 40};
    for (int c = 0; c < 4; c++)
        for (int s = 0; s < 3; s++)
            if (crops[c] || sizes[s] == 16) {
                expect_shape("area", TS_FILTER_AREA, crops[c], sizes[s]);
                expect_shape("bicubic", TS_FILTER_BICUBIC, crops[c], sizes[s]);
            }
}

/* A picture that ends early is none, wherever it ends; and its message is one line. */
static void test_cut_short(void **state)
{
    (void)state;
    static const char *const files[] = {"colour_interlaced.png", "palette_4.png",        "grey_16.png",
                                        "jpeg_420.jpeg",         "jpeg_progressive.JPG", "jpeg_cmyk.jpg"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        size_t bytes;
        char *content = read_golden(files[i], &bytes);
        for (size_t end = 0; end < bytes; end++) {
            ts_picture picture;
            uint8_t *exact = malloc(end ? end : 1); /* so that sanitizers see its end */
            memcpy(exact, content, end);
            must_fail(ts_picture_decode("cut.png", exact, end, &picture), TS_FORMAT, "cut.png: n");
            assert_null(picture.pixels);
            free(exact);
        }
        free(content);
    }
}

static void test_too_large(void **state)
{
    (void)state;
    size_t bytes;
    ts_picture picture;
    uint8_t *content = (uint8_t *)read_golden("jpeg_444.jpg", &bytes);
    size_t at = 0; /* the frame's header: marker, length, precision, height, width */
    while (content[at] != 0xff || content[at + 1] != 0xc0)
        at++;
    memset(content + at + 5, 0xf0, 4);
    must_fail(ts_picture_decode("huge.jpg", content, bytes, &picture), TS_FORMAT,
              "huge.jpg: 61680x61680 pixels; up to");
    free(content);
}

/* ---- folders ---- */

static void test_folder(void **state)
{
    (void)state;
    empty_folder();
    make_folder("b");
    make_folder(".hidden");
    for (int i = 0; i < MODES; i++) { /* those in b between those before and behind */
        char name[128];
        snprintf(name, sizeof name, "%s%s", i % 3 ? "" : "b/", modes[i].file);
        copy(modes[i].file, name);
    }
    put("b/notes.txt", "no picture", 10);
    put(".hidden/x.png", "no picture", 10);
    put(".x.png", "no picture", 10);
    put("d.png", "no picture", 10);
    size_t bytes;
    char *content = read_golden("jpeg_444.jpg", &bytes);
    put("e.jpg", content, bytes - 9);
    free(content);
    for (int threads = 1; threads <= 3; threads += 2) {
        ts_images_options options = heard;
        options.threads = threads;
        ts_image_set set = must_read(FOLDER, &options);
        assert_true(set.count == MODES && set.h == H && set.w == W && set.c == 3 && !set.classes &&
                    !set.labels);
        int place = 0;
        for (int part = 0; part < 2; part++) /* "b/..." is before "c..." */
            for (int i = 0; i < MODES; i++) {
                if ((i % 3 == 0) != (part == 0))
                    continue;
                char name[64];
                snprintf(name, sizeof name, "%.*s", (int)strcspn(modes[i].file, "."), modes[i].file);
                ts_npy pixels = expected(name);
                assert_memory_equal(set.bytes + (size_t)place++ * 3 * H * W, pixels.values, 3 * H * W);
                ts_npy_release(&pixels);
            }
        assert_string_equal(said, FOLDER
                            "/d.png: neither a PNG nor a JPEG: 10 bytes\n" FOLDER
                            "/e.jpg: not a readable JPEG: Premature end of JPEG file\n" FOLDER
                            ": 2 of 29 files cannot be read and are left out\n" FOLDER
                            ": 6 of 27 pictures are of a palette: its colours\n" FOLDER
                            ": 4 of 27 pictures are with alpha: it is dropped\n" FOLDER
                            ": 1 of 27 pictures is grey of 16 bits: values above 255 become 255\n" FOLDER
                            ": 3 of 27 pictures are of 16 bits a colour: the upper 8\n" FOLDER
                            ": 1 of 27 pictures is CMYK: to RGB\n" FOLDER
                            ": 10 of 27 pictures are grey beside pictures in colour: to RGB\n");
        ts_image_set_release(&set);
    }
}

static void test_grey_folder(void **state)
{
    (void)state;
    empty_folder();
    copy("grey_8.png", "1.png");
    copy("jpeg_grey.jpg", "2.jpg");
    ts_image_set set = must_read(FOLDER, &heard);
    assert_true(set.count == 2 && set.c == 1 && !*said);
    ts_npy pixels = expected("jpeg_grey");
    for (int i = 0; i < H * W; i++)
        assert_int_equal(set.bytes[H * W + i], ((uint8_t *)pixels.values)[3 * i]);
    ts_npy_release(&pixels);
    ts_image_set_release(&set);

    ts_images_options options = heard;
    options.channels = 3;
    set = must_read(FOLDER, &options);
    assert_int_equal(set.c, 3);
    ts_image_set_release(&set);

    copy("colour_8.png", "3.png");
    options.channels = 1;
    set = must_read(FOLDER, &options);
    assert_true(set.count == 3 && set.c == 1);
    assert_string_equal(said, FOLDER ": 1 of 3 pictures is in colour: to grey\n");
    pixels = expected("grey_of_colour");
    assert_memory_equal(set.bytes + 2 * H * W, pixels.values, H * W);
    ts_npy_release(&pixels);
    ts_image_set_release(&set);
}

static void test_bad_folders(void **state)
{
    (void)state;
    const ts_images_options square = {.crop = 11};
    empty_folder();
    must_refuse(FOLDER "/none", &heard, TS_NOT_FOUND, FOLDER "/none: No such file or directory");
    must_refuse(FOLDER, &heard, TS_NOT_FOUND,
                FOLDER ": holds no pictures: no file named *.png, *.jpg or *.jpeg");
    put("1.png", "x", 1);
    put("2.PNG", "x", 1);
    must_refuse(FOLDER, &heard, TS_FORMAT,
                FOLDER ": none of its 2 files can be read; the last: " FOLDER
                       "/2.PNG: neither a PNG nor a JPEG: 1 bytes");
    copy("colour_8.png", "3.png");
    copy("shapes.png", "4.png");
    copy("shapes.png", "5.png");
    must_refuse(FOLDER, &heard, TS_INVALID,
                FOLDER "/4.png: 31x45 pixels where " FOLDER
                       "/3.png has 12x10: data.crop and data.resize make one size of them");
    must_refuse(FOLDER, &square, TS_INVALID,
                FOLDER "/3.png: 12x10 pixels, of which data.crop = 11 is no part");
    ts_images_options one_size = heard;
    one_size.resize = 8;
    ts_image_set set = must_read(FOLDER, &one_size);
    assert_true(set.count == 3 && set.h == 8 && set.w == 8);
    assert_non_null(strstr(said, ": 3 of 3 pictures are not square: stretched to a square"));
    ts_image_set_release(&set);
    copy("jpeg_444.jpg", "3.jpg");
    must_refuse(FOLDER, &heard, TS_INVALID,
                FOLDER ": 3.jpg and 3.png: one picture twice by its name; remove one");
    unlink(FOLDER "/3.jpg");
    assert_int_equal(symlink("nowhere", FOLDER "/6.png"), 0);
    set = must_read(FOLDER, &one_size);
    assert_int_equal(set.count, 3);
    assert_non_null(strstr(said, FOLDER "/6.png: cannot open: No such file or directory\n"));
    ts_image_set_release(&set);
    assert_int_equal(symlink(".", FOLDER "/round"), 0);
    must_refuse(FOLDER, &heard, TS_INVALID, FOLDER "/round: a link to a folder that it lies in");
    must_refuse(SOURCE_DIR "/README.md", &heard, TS_INVALID,
                "README.md: neither a folder of pictures nor a file .npy or .npz");
}

static volatile sig_atomic_t asked_to_stop = 1;

static void test_interrupted(void **state)
{
    (void)state;
    ts_progress progress = {.stop = &asked_to_stop};
    const ts_images_options options = {.progress = &progress};
    empty_folder();
    copy("colour_8.png", "1.png");
    must_refuse(FOLDER, &options, TS_INTERRUPTED, FOLDER ": interrupted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modes),       cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_cut_short),   cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_folder),      cmocka_unit_test(test_grey_folder),
        cmocka_unit_test(test_bad_folders), cmocka_unit_test(test_interrupted),
        cmocka_unit_test(test_labels),      cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_cache),       cmocka_unit_test(test_imagenet),
        cmocka_unit_test(test_split),       cmocka_unit_test(test_kinds_of_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
