/* Checksums of what data sets hold. */
#include "dataset.h"

static uint64_t checksum(const char *first, const char *second)
{
    ts_dataset *dataset = must_open(first, second);
    const uint64_t sum = ts_dataset_checksum(dataset);
    ts_dataset_close(dataset);
    return sum;
}

static uint32_t crc_bit_by_bit(const uint8_t *bytes, size_t count)
{
    uint32_t sum = 0xffffffff;
    for (size_t i = 0; i < count; i++) {
        sum ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            sum = sum >> 1 ^ (sum & 1 ? 0xedb88320 : 0);
    }
    return ~sum;
}

#define LINE(weights, means, stds, count)                                                                    \
    "data={kind: mixture, mixture: {weights: " weights ", means: " means ", stds: " stds ", count: " count   \
    "}}"

void test_checksum(void **state)
{
    (void)state;
    uint8_t content[256];
    make_good_folder();
    const uint64_t sum = checksum(IDX, NULL);
    uint8_t bytes[40 + 30] = {0};
    const uint8_t shape[] = {5, 2, 3, 1}; /* count, h, w, c; then 256 levels */
    for (int i = 0; i < 4; i++)
        bytes[8 * i] = shape[i];
    bytes[33] = 1;
    for (int i = 0; i < 30; i++)
        bytes[40 + i] = (uint8_t)i;
    assert_int_equal(sum >> 32, crc_bit_by_bit(bytes, sizeof bytes));

    /* not where the files lie, not how they are packed, not their labels */
    unlink(TRAIN);
    write_gzip(TRAIN ".gz", content, make_idx(content, 5, 0));
    const uint8_t labels[] = {0, 0, 8, 1, 0, 0, 0, 5, 1, 2, 3, 4, 5};
    write_file(TRAIN_LABEL, labels, sizeof labels);
    assert_true(checksum("data={kind: idx, path: ./" FOLDER "/.}", "data.flip=true") == sum);

    assert_true(checksum(IDX, "data.limit=4") >> 32 != sum >> 32); /* what is trained on */
    assert_true((uint32_t)checksum(IDX, "data.limit=4") == (uint32_t)sum);
    write_file(TEST, content, make_idx(content, 2, 101));
    assert_true((uint32_t)checksum(IDX, NULL) != (uint32_t)sum);
    assert_true(checksum(IDX, NULL) >> 32 == sum >> 32);

    const char *const mixtures[] = {LINE("[1, 2]", "[[0], [1]]", "[[1], [1]]", "9"),
                                    LINE("[1, 3]", "[[0], [1]]", "[[1], [1]]", "9"),
                                    LINE("[1, 2]", "[[0], [2]]", "[[1], [1]]", "9"),
                                    LINE("[1, 2]", "[[0], [1]]", "[[1], [2]]", "9"),
                                    LINE("[1, 2]", "[[0], [1]]", "[[1], [1]]", "8"),
                                    "data={kind: mixture, mixture: {weights: [1, 2], means: [[0], [1]], "
                                    "covariances: [[1], [1]], count: 9}}"};
    uint64_t sums[6];
    for (int i = 0; i < 6; i++) {
        sums[i] = checksum(mixtures[i], "model.kind=exact");
        for (int j = 0; j < i; j++)
            assert_true(sums[i] != sums[j]);
    }
    assert_true(sums[0] == checksum(mixtures[0], "model.kind=exact"));
}

void test_damaged_idx(void **state)
{
    (void)state;
    uint8_t content[256];
    expect_error("data={kind: idx, path: no/such}", NULL, TS_NOT_FOUND,
                 "data.path: no/such holds no train-images-idx3-ubyte or train-images-idx4-ubyte (or .gz); "
                 "tools/fetch_data.sh mnist brings MNIST");
    make_good_folder();
    unlink(TEST);
    expect_error(IDX, NULL, TS_NOT_FOUND,
                 "data.path: " FOLDER " holds no t10k-images-idx3-ubyte or t10k-images-idx4-ubyte (or .gz); "
                 "tools/fetch_data.sh mnist brings MNIST");

    make_good_folder();
    size_t bytes = make_idx(content, 5, 0);
    write_file(TRAIN, content, bytes - 1);
    expect_error(IDX, NULL, TS_FORMAT,
                 TRAIN ": cut short: 45 bytes where its header of 5 images asks for 46");
    write_file(TRAIN, content, 10);
    expect_error(IDX, NULL, TS_FORMAT, TRAIN ": cut short: 10 bytes, fewer than the 16 of an IDX header");
    write_file(TRAIN, content, 0);
    expect_error(IDX, NULL, TS_FORMAT, TRAIN ": cut short: 0 bytes, fewer than the 16 of an IDX header");
    write_file(TRAIN, content, bytes + 1);
    expect_error(IDX, NULL, TS_FORMAT,
                 TRAIN ": too long: more than the 46 bytes that its header of 5 images asks for");
    content[3] = 4;
    write_file(TRAIN, content, bytes);
    expect_error(IDX, NULL, TS_FORMAT,
                 TRAIN ": not an IDX file of images: its first four bytes are 00000804 instead of 00000803");
    content[3] = 3;
    put_word(content + 8, 0);
    write_file(TRAIN, content, bytes);
    expect_error(IDX, NULL, TS_FORMAT, TRAIN ": its header asks for 5 images of 0x3");
    put_word(content + 4, 0xffffffff); /* more than any memory holds: found out before any is taken */
    put_word(content + 8, 0x8000);
    put_word(content + 12, 0xffff);
    write_file(TRAIN, content, bytes);
    expect_error(IDX, NULL, TS_FORMAT,
                 TRAIN
                 ": cut short: 46 bytes where its header of 4294967295 images asks for 9223231297218969616");
    put_word(content + 8, 0x8001); /* one image has more values than an int counts */
    write_file(TRAIN, content, bytes);
    expect_error(IDX, NULL, TS_FORMAT,
                 TRAIN
                 ": its header asks for 4294967295 images of 32769x65535: more than 2147483647 values each");
    unlink(TRAIN);
    mkdir(TRAIN, 0777);
    expect_error(IDX, NULL, TS_FORMAT, TRAIN ": not a regular file");
    rmdir(TRAIN);

    make_good_folder();
    bytes = make_idx(content, 2, 0);
    put_word(content + 8, 3);
    put_word(content + 12, 2);
    write_file(TEST, content, bytes);
    expect_error(IDX, NULL, TS_FORMAT, TEST ": images of 3x2x1 where " TRAIN " has 2x3x1");

    make_good_folder();
    const uint8_t labels[] = {0, 0, 8, 1, 0, 0, 0, 4, 1, 2, 3, 4};
    write_file(TRAIN_LABEL, labels, sizeof labels);
    expect_error(IDX, NULL, TS_FORMAT, TRAIN_LABEL ": 4 labels for 5 images");
    write_file(TRAIN_LABEL, labels, sizeof labels - 1);
    expect_error(IDX, NULL, TS_FORMAT,
                 TRAIN_LABEL ": cut short: 11 bytes where its header of 4 labels asks for 12");

    make_good_folder();
    expect_error(IDX, "data.levels=2", TS_FORMAT,
                 TRAIN ": image 0 holds grey value 1, which is none of 2 levels (data.levels)");
}

void test_damaged_gzip(void **state)
{
    (void)state;
    uint8_t content[256], packed[256];
    make_good_folder();
    write_gzip(TRAIN ".gz", content, make_idx(content, 5, 0));
    unlink(TRAIN);
    FILE *file = fopen(TRAIN ".gz", "rb");
    size_t bytes = fread(packed, 1, sizeof packed, file);
    fclose(file);
    write_file(TRAIN ".gz", packed, bytes - 12); /* data end in the middle */
    expect_error(IDX, NULL, TS_FORMAT, TRAIN ".gz: cut short: the gzip data have no end");
    write_file(TRAIN ".gz", packed, bytes - 4); /* only the trailer lacks */
    expect_error(IDX, NULL, TS_FORMAT, TRAIN ".gz: cut short: the gzip data have no end");
    packed[bytes - 7] ^= 0x55; /* the check sum */
    write_file(TRAIN ".gz", packed, bytes);
    expect_error(IDX, NULL, TS_FORMAT, TRAIN ".gz: damaged or cut short gzip data: incorrect data check");
}
