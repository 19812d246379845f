/* What the files of the report's test share. */
#ifndef TS_TESTS_REPORT_TEST_H
#define TS_TESTS_REPORT_TEST_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "made_up.h"
#include "report/report.h"
#include "must.h"

int make_folder(void **state);
int remove_folder(void **state);
/* Of that folder. */
const char *path_of(const char *name);
char *content_of(const char *name); /* to be freed */
bool exists(const char *name);
void write_text(const char *name, const char *text);
int count_of(const char *text, const char *part);
void expect_error(ts_status status, ts_code code, const char *part);

/* The folder NAME there, with the results stored in it. */
void run_folder(const char *name, const ts_results *results);

/* hostile.c, sentences.c */
void hostile_texts(void **state);
void hostile_words(void **state);
void hostile_numbers(void **state);
void hostile_files(void **state);
void opens_that_fail(void **state);
void sentences_of_a_good_run(void **state);
void sentences_warn(void **state);
void sentences_of_comparisons(void **state);
void sentences_at_equal_cost(void **state);
void sentences_of_seeds(void **state);

#endif
