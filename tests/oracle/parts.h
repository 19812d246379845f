/* What stands in files of its own. */
#ifndef TESTS_ORACLE_PARTS_H
#define TESTS_ORACLE_PARTS_H

#define EPS 1e-3

/* test_oracle.c: data on a few of 65 levels, how many of EXAMPLES are on each, and the bound with their exact score. */
enum { LEVELS = 65, USED = 5, EXAMPLES = 400 };
extern const int used_levels[USED], level_counts[USED];
double level_value(int k);
double level_bound(void);

/* coverage.c */
void intervals_cover_on_levels(void **state);

/* prior.c */
void prior_in_closed_form(void **state);
void start_error_is_that_of_its_score(void **state);

#endif
