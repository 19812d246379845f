/* What stands in files of its own. */
#ifndef TESTS_ORACLE_PARTS_H
#define TESTS_ORACLE_PARTS_H

#define EPS 1e-3

/* prior.c */
void prior_in_closed_form(void **state);

#endif
