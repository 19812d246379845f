/*
 * What the parts of this program share: small files made byte by byte, data sets opened or refused.
 */
#ifndef TESTS_DATASET_H
#define TESTS_DATASET_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <jansson.h>
#include <zlib.h>
#include <cmocka.h>
#include "base/utf8.h"
#include "data/dataset.h"
#include "data/digits.h"
#include "must.h"

#define FOLDER      "test_dataset_files"
#define TRAIN       FOLDER "/train-images-idx3-ubyte"
#define TRAIN_LABEL FOLDER "/train-labels-idx1-ubyte"
#define TEST        FOLDER "/t10k-images-idx3-ubyte"
#define IDX         "data={kind: idx, path: " FOLDER "}"
enum { HEADER = 16, RECORD = 3073 };

extern ts_device *device;

ts_config *config_of(const char *first, const char *second);
ts_dataset *must_open(const char *first, const char *second);
const char *relative(const char *message);
void expect_error(const char *first, const char *second, ts_code code, const char *message);
void empty_folder(void);
void write_file(const char *path, const uint8_t *content, size_t bytes);
void write_gzip(const char *path, const uint8_t *content, size_t bytes);
void put_word(uint8_t *to, uint32_t word);
size_t make_idx(uint8_t *content, int count, int start);
void make_good_folder(void);
float scaled(int level, int levels);

/* checksum.c */
void test_checksum(void **state), test_damaged_idx(void **state), test_damaged_gzip(void **state);

#endif
