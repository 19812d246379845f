/*
 * Data sets: the built-in digits, small files made here, damaged files one by one, and real files where they
 * are.
 *
 * To add a case, write the file byte by byte in a test, load it, and list the test in main; a damaged one
 * needs the message that it must give.
 */
#include "dataset.h"

/* ---- the built-in digits ---- */

/* The held-out images in order, numbered over both files, as a program apart from this one made them: Philox
 * 4x32-10 and Fisher-Yates from their papers, in Python. */
static const short held_out[297] = {
    1276, 773,  1164, 759,  1595, 482,  708,  1479, 681,  1099, 916,  787,  1673, 1486, 850,  1430, 1429,
    742,  851,  691,  1530, 961,  1648, 764,  234,  357,  402,  592,  1250, 1713, 920,  446,  816,  125,
    1715, 722,  527,  273,  216,  586,  55,   1729, 1561, 1116, 309,  1034, 1468, 1217, 36,   1318, 930,
    169,  367,  696,  122,  78,   1202, 1366, 911,  1244, 1478, 1761, 889,  1067, 1359, 1144, 1775, 1157,
    815,  910,  720,  640,  1541, 1299, 1606, 1459, 1526, 1510, 380,  306,  1661, 328,  1418, 46,   157,
    580,  614,  1609, 184,  1219, 603,  1431, 1145, 1324, 154,  1744, 1225, 1180, 1055, 1786, 112,  400,
    1643, 1093, 926,  1169, 1409, 1159, 243,  1399, 1383, 432,  490,  335,  1589, 780,  852,  513,  348,
    818,  1373, 1024, 1206, 1388, 1752, 1763, 737,  93,   1311, 1294, 717,  1221, 539,  172,  1350, 652,
    272,  1063, 1463, 1163, 1583, 420,  1415, 827,  1452, 264,  782,  267,  684,  362,  1675, 1304, 1374,
    1711, 755,  269,  156,  1778, 904,  1410, 748,  1109, 948,  1493, 88,   1126, 23,   1714, 1392, 686,
    1354, 562,  840,  1378, 194,  1477, 699,  317,  1652, 56,   1000, 845,  457,  1335, 919,  1518, 701,
    605,  607,  1653, 275,  907,  542,  1041, 120,  881,  1582, 573,  256,  453,  628,  977,  519,  282,
    1210, 1743, 624,  475,  805,  1625, 1220, 1247, 315,  1321, 854,  625,  849,  873,  596,  50,   397,
    806,  503,  364,  731,  534,  591,  1792, 63,   299,  738,  1795, 1296, 1759, 443,  1465, 1088, 1257,
    94,   786,  870,  1787, 1782, 1050, 137,  1626, 1240, 1460, 1241, 181,  1150, 1635, 613,  572,  955,
    951,  1181, 1251, 58,   1540, 1264, 460,  700,  1549, 1172, 736,  892,  1436, 115,  903,  1128, 1117,
    814,  698,  263,  502,  1615, 1488, 952,  1660, 1215, 1214, 671,  1242, 824,  1185, 9,    706,  170,
    618,  588,  915,  962,  87,   1757, 347,  302,
};

static void test_digits(void **state)
{
    (void)state;
    ts_dataset *dataset = must_open("data.kind=digits", NULL);
    assert_int_equal(dataset->train.count, 1500);
    assert_int_equal(dataset->test.count, 297);
    assert_int_equal(ts_data_dim(&dataset->train), 64);
    assert_int_equal(dataset->train.levels, 17);
    size_t bytes;
    const uint8_t *files[] = {ts_digits_bytes(TS_DIGITS_TRAIN_IMAGES, &bytes),
                              ts_digits_bytes(TS_DIGITS_TEST_IMAGES, &bytes)};
    float *x = malloc(297 * 64 * sizeof *x);
    must(ts_dataset_read(&dataset->test, 1, 0, 297, x));
    bool seen[17] = {false};
    for (int i = 0; i < 297; i++) {
        const int number = held_out[i];
        const uint8_t *image = files[number >= 1500] + HEADER + 64 * (number % 1500);
        for (int j = 0; j < 64; j++) {
            int level = (image[j] * 16 + 127) / 255; /* the nearest of 16 steps */
            assert_true(x[64 * i + j] == scaled(level, 17));
            seen[level] = true;
        }
    }
    for (int k = 0; k < 17; k++)
        assert_true(seen[k]);
    free(x);
    /* both sets and their orders, by the same program; another run has the same */
    assert_true(ts_dataset_checksum(dataset) == UINT64_C(0x2b72480e0ec9071e));
    ts_dataset_close(dataset);
    dataset = must_open("data.kind=digits", "seed=5");
    assert_true(ts_dataset_checksum(dataset) == UINT64_C(0x2b72480e0ec9071e));
    ts_dataset_close(dataset);

    dataset = must_open("data.kind=digits", "data={limit: 10, flip: true}");
    assert_int_equal(dataset->train.count, 10);
    assert_true(dataset->train.flip);
    assert_false(dataset->test.flip);
    ts_dataset_close(dataset);
    expect_error("data.kind=digits", "data.levels=16", TS_FORMAT,
                 "built-in digits: image 0 holds grey value 159, which is none of 16 levels (data.levels)");
}

/* ---- IDX ---- */

static void check_good_folder(void)
{
    ts_dataset *dataset = must_open("data={kind: idx, path: " FOLDER "}", NULL);
    assert_int_equal(dataset->train.count, 5);
    assert_int_equal(dataset->test.count, 2);
    assert_int_equal(dataset->train.h, 2);
    assert_int_equal(dataset->train.w, 3);
    assert_int_equal(dataset->train.c, 1);
    assert_int_equal(dataset->train.levels, 256);
    float x[5 * 6];
    must(ts_dataset_read(&dataset->train, 1, 3, 5, x)); /* wraps around */
    for (int i = 0; i < 30; i++)
        assert_true(x[i] == scaled((i + 18) % 30, 256));
    must(ts_dataset_read(&dataset->test, 1, 0, 2, x));
    for (int i = 0; i < 12; i++)
        assert_true(x[i] == scaled(100 + i, 256));
    ts_dataset_close(dataset);
}

static void test_idx(void **state)
{
    (void)state;
    uint8_t content[256];
    make_good_folder();
    check_good_folder();

    empty_folder(); /* packed, the other usual name, labels that fit */
    write_gzip(TRAIN ".gz", content, make_idx(content, 5, 0));
    write_gzip(FOLDER "/test-images-idx3-ubyte.gz", content, make_idx(content, 2, 100));
    const uint8_t labels[] = {0, 0, 8, 1, 0, 0, 0, 5, 1, 2, 3, 4, 5};
    write_file(TRAIN_LABEL, labels, sizeof labels);
    check_good_folder();
}

/* ---- IDX with channels ---- */

#define COLOUR_TRAIN FOLDER "/train-images-idx4-ubyte"
#define COLOUR_TEST  FOLDER "/t10k-images-idx4-ubyte"

/* `count` images of 2x3 with c channels, as make_idx. */
static size_t make_colour(uint8_t *content, int count, int c, int start)
{
    put_word(content, 0x804);
    put_word(content + 4, (uint32_t)count);
    put_word(content + 8, 2);
    put_word(content + 12, 3);
    put_word(content + 16, (uint32_t)c);
    for (int i = 0; i < 6 * c * count; i++)
        content[HEADER + 4 + i] = (uint8_t)(start + i);
    return HEADER + 4 + 6 * (size_t)(c * count);
}

static void test_colour_idx(void **state)
{
    (void)state;
    uint8_t content[256];
    for (int c = 1; c <= 4; c++) {
        empty_folder();
        write_file(COLOUR_TRAIN, content, make_colour(content, 3, c, 7));
        write_gzip(COLOUR_TEST ".gz", content, make_colour(content, 2, c, 50));
        ts_dataset *dataset = must_open(IDX, NULL);
        assert_int_equal(dataset->train.count, 3);
        assert_int_equal(dataset->test.count, 2);
        assert_int_equal(dataset->train.h, 2);
        assert_int_equal(dataset->train.w, 3);
        assert_int_equal(dataset->train.c, c);
        float x[3 * 6 * 4];
        must(ts_dataset_read(&dataset->train, 1, 0, 3, x));
        for (int i = 0; i < 18 * c; i++)
            assert_true(x[i] == scaled(7 + i, 256));
        must(ts_dataset_read(&dataset->test, 1, 0, 2, x));
        for (int i = 0; i < 12 * c; i++)
            assert_true(x[i] == scaled(50 + i, 256));
        ts_dataset_close(dataset);
    }
    for (int c = 0; c <= 5; c += 5) {
        write_file(COLOUR_TRAIN, content, make_colour(content, 3, c, 7));
        expect_error(IDX, NULL, TS_FORMAT,
                     c ? COLOUR_TRAIN ": its header asks for 3 images of 2x3x5: 1 to 4 channels are read"
                       : COLOUR_TRAIN ": its header asks for 3 images of 2x3x0");
    }
    write_file(COLOUR_TRAIN, content, make_colour(content, 3, 3, 7));
    expect_error(IDX, NULL, TS_FORMAT, COLOUR_TEST ".gz: images of 2x3x4 where " COLOUR_TRAIN " has 2x3x3");
    write_file(COLOUR_TRAIN, content, 19);
    expect_error(IDX, NULL, TS_FORMAT,
                 COLOUR_TRAIN ": cut short: 19 bytes, fewer than the 20 of an IDX header");
    write_file(COLOUR_TRAIN, content, make_idx(content, 3, 0));
    expect_error(IDX, NULL, TS_FORMAT,
                 COLOUR_TRAIN
                 ": not an IDX file of images: its first four bytes are 00000803 instead of 00000804");
}

/* ---- what cannot work ---- */

static void test_too_few(void **state)
{
    (void)state;
    uint8_t content[256];
    make_good_folder();
    write_file(TRAIN, content, make_idx(content, 1, 0));
    expect_error(IDX, NULL, TS_FORMAT, TRAIN ": 1 training image; quality needs at least 2");
    make_good_folder();
    write_file(TEST, content, make_idx(content, 1, 0));
    expect_error(IDX, NULL, TS_FORMAT, TEST ": 1 held-out image; quality needs at least 2");
    expect_error("data.kind=digits", "data.limit=1", TS_INVALID,
                 "data.limit: 1 training image; quality needs at least 2");
}

static void test_names_are_utf8(void **state)
{
    (void)state;
    ts_config *config = config_of("data={kind: idx, path: there}", NULL);
    ts_dataset *dataset;
    /* as a path in another encoding comes from the command line */
    ((char *)config->data.path)[strlen(config->data.path) - 1] = '\xe9';
    ts_status status = ts_dataset_open(config, device, NULL, &dataset);
    assert_int_equal(ts_status_code(status), TS_INVALID);
    assert_non_null(strstr(ts_status_message(status), "data.path: the folder's name is not UTF-8"));
    ts_status_free(status);
    ts_config_free(config);
}

/* Against jansson, which judges what lands in checkpoints: all texts of up to three bytes of the kinds that
 * the rules tell apart, and four bytes of those that begin one. */
static void test_utf8(void **state)
{
    (void)state;
    static const uint8_t kinds[] = {0x01, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                    0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee,
                                    0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xfe, 0xff};
    enum { KINDS = sizeof kinds };
    int good = 0;
    assert_true(ts_is_utf8(""));
    for (int i = 0; i < KINDS * KINDS * KINDS * KINDS; i++) {
        const char text[] = {(char)kinds[i % KINDS], (char)kinds[i / KINDS % KINDS],
                             (char)kinds[i / KINDS / KINDS % KINDS], (char)kinds[i / KINDS / KINDS / KINDS],
                             0};
        for (int from = i ? 0 : 1; from < 4; from += i < KINDS * KINDS ? 1 : 4) {
            json_t *judged = json_string(text + from);
            assert_int_equal(ts_is_utf8(text + from), judged != NULL);
            good += judged != NULL;
            json_decref(judged);
        }
    }
    assert_true(good > 1000);
}

/* ---- CIFAR-10 ---- */

#define CIFAR "data={kind: cifar10, path: " FOLDER "}"

/* A file of `count` black images of class 0, without taking their space on the disk. */
static void make_cifar(const char *name, int64_t count)
{
    char path[128];
    snprintf(path, sizeof path, FOLDER "/%s", name);
    write_file(path, (const uint8_t *)"", 0);
    assert_int_equal(truncate(path, count * RECORD), 0);
}

static void put_byte(const char *path, long at, uint8_t byte)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_equal(fputc(byte, file), byte);
    assert_int_equal(fclose(file), 0);
}

static void test_cifar10(void **state)
{
    (void)state;
    empty_folder();
    char name[32];
    for (int i = 1; i <= 5; i++) {
        snprintf(name, sizeof name, "data_batch_%d.bin", i);
        make_cifar(name, 10000);
    }
    make_cifar("test_batch_first1000.bin", 1000);
    /* image 7 of the second file: the pixel at row 2, column 5 is (10, 20, 30) */
    for (int c = 0; c < 3; c++)
        put_byte(FOLDER "/data_batch_2.bin", 7L * RECORD + 1 + c * 1024 + 2 * 32 + 5,
                 (uint8_t)(10 * (c + 1)));
    ts_dataset *dataset = must_open(CIFAR, NULL);
    assert_int_equal(dataset->train.count, 50000);
    assert_int_equal(dataset->test.count, 1000);
    float *x = malloc(3072 * sizeof *x);
    must(ts_dataset_read(&dataset->train, 1, 10007, 1, x));
    for (int i = 0; i < 3072; i++) {
        int pixel = i / 3, expected = pixel == 2 * 32 + 5 ? 10 * (i % 3 + 1) : 0;
        assert_true(x[i] == scaled(expected, 256));
    }
    free(x);
    ts_dataset_close(dataset);

    put_byte(FOLDER "/data_batch_3.bin", 4L * RECORD, 10);
    expect_error(CIFAR, NULL, TS_FORMAT,
                 FOLDER "/data_batch_3.bin: not a CIFAR-10 file: image 4 has label 10, not 0 to 9");
    make_cifar("data_batch_3.bin", 9999);
    expect_error(CIFAR, NULL, TS_FORMAT,
                 FOLDER
                 "/data_batch_3.bin: cut short: 30726927 bytes where 10000 images of CIFAR-10 take 30730000");
    unlink(FOLDER "/data_batch_3.bin");
    expect_error(CIFAR, NULL, TS_NOT_FOUND,
                 "data.path: " FOLDER " holds no data_batch_3.bin; tools/fetch_data.sh cifar10 brings it");
    write_file(FOLDER "/data_batch_3.bin.xz", (const uint8_t *)"", 0);
    expect_error(CIFAR, NULL, TS_NOT_FOUND,
                 "data.path: " FOLDER "/data_batch_3.bin.xz is packed: unpack it with xz -dk");
    make_cifar("data_batch_3.bin", 10000);
    make_cifar("test_batch.bin", 10001);
    expect_error(CIFAR, NULL, TS_FORMAT,
                 FOLDER "/test_batch.bin: 30733073 bytes; at most 30730000 are expected");
    unlink(FOLDER "/test_batch.bin");
    unlink(FOLDER "/test_batch_first1000.bin");
    expect_error(CIFAR, NULL, TS_NOT_FOUND,
                 "data.path: " FOLDER " holds no test_batch.bin; tools/fetch_data.sh cifar10 brings it");
    assert_int_equal(system("rm -rf " FOLDER), 0);
}

/* ---- mixtures ---- */

static void test_mixture(void **state)
{
    (void)state;
    ts_dataset *dataset = must_open("data={kind: mixture, mixture: {weights: [3, 1], means: [[-5, 0], [5, "
                                    "2]], stds: [[.1, .1], [.1, .1]], count: 7}}",
                                    "model.kind=exact");
    assert_int_equal(dataset->test.count, 7);
    assert_int_equal(dataset->train.c, 2);
    assert_int_equal(dataset->train.levels, 0);
    assert_non_null(dataset->mixture);
    enum { N = 3000 };
    static float x[2 * N], again[2 * 10];
    must(ts_dataset_read(&dataset->test, 5, 0, N, x));
    must(ts_dataset_read(&dataset->test, 5, 100, 10, again)); /* draws have numbers */
    assert_memory_equal(again, x + 200, sizeof again);
    int left = 0;
    for (int i = 0; i < N; i++)
        left += x[2 * i] < 0;
    assert_in_range(left, 3 * N / 4 - 100, 3 * N / 4 + 100); /* four standard deviations */
    must(ts_dataset_read(&dataset->test, 6, 100, 10, again));
    assert_memory_not_equal(again, x + 200, sizeof again);
    ts_dataset_close(dataset);
}

/* ---- real files ---- */

static void test_mnist(void **state)
{
    (void)state;
    if (access(TSTAR_DATA "/mnist/train-images-idx3-ubyte.gz", R_OK)) {
        print_message("no MNIST in " TSTAR_DATA "/mnist: not tested\n");
        skip();
    }
    ts_dataset *dataset = must_open("data={kind: idx, path: " TSTAR_DATA "/mnist}", NULL);
    assert_int_equal(dataset->train.count, 60000);
    assert_int_equal(dataset->test.count, 10000);
    /* The published mean of the 60000 training images is 0.1307 of full scale. */
    float *x = malloc(60000 * 784 * sizeof *x);
    must(ts_dataset_read(&dataset->train, 1, 0, 60000, x));
    double sum = 0;
    for (size_t i = 0; i < 60000 * 784; i++)
        sum += (double)(x[i] + 1) / 2;
    assert_true(fabs(sum / (60000 * 784.0) - 0.1307) < 5e-5);
    free(x);
    ts_dataset_close(dataset);
}

static int open_device(void **state)
{
    (void)state;
    ts_status status = ts_device_open("cpu", &(ts_device_options){.threads = 1}, &device);
    if (status)
        print_error("%s\n", ts_status_message(status));
    return status != NULL;
}

static int close_device(void **state)
{
    (void)state;
    ts_device_close(device);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digits),      cmocka_unit_test(test_idx),
        cmocka_unit_test(test_damaged_idx), cmocka_unit_test(test_damaged_gzip),
        cmocka_unit_test(test_cifar10),     cmocka_unit_test(test_mixture),
        cmocka_unit_test(test_mnist),       cmocka_unit_test(test_colour_idx),
        cmocka_unit_test(test_too_few),     cmocka_unit_test(test_names_are_utf8),
        cmocka_unit_test(test_utf8),        cmocka_unit_test(test_checksum),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
