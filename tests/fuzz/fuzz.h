/*
 * A fuzz target is one file fuzz_NAME.c that gives a reader arbitrary bytes as what it reads, and the
 * seeds that these grow from.  It runs under driver.c in CTest, and under clang's libFuzzer by
 * tools/fuzz.sh.
 */
#ifndef TS_TESTS_FUZZ_H
#define TS_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include "base/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- what a target defines besides ---- */

/* Prepares what all inputs share, and calls fuzz_seed for each seed. */
void fuzz_begin(void);

/* ---- what fuzz.c gives it ---- */

/* Copies the bytes. */
void fuzz_seed(const void *data, size_t size);
void fuzz_seed_text(const char *text);
void fuzz_seed_file(const char *path);

/* Demands of an error that it has a message of one line; frees it.  NULL is fine. */
void fuzz_status(ts_status status);
/* Ends the process where a status of the preparations is an error. */
void fuzz_must(ts_status status);

/* The target's own folder, made empty at the beginning. */
const char *fuzz_folder(void);
/* Puts the bytes into its file `name`, whose path it gives; valid until the next call. */
const char *fuzz_file(const char *name, const void *data, size_t size);

/* ---- for the drivers ---- */

typedef struct fuzz_input {
    uint8_t *data;
    size_t size;
} fuzz_input;

extern fuzz_input *fuzz_seeds;
extern int fuzz_seed_count;

#endif
