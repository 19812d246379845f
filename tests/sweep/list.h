/* What the files of the sweep's test hold beside whole sweeps. */
#ifndef TS_TESTS_SWEEP_LIST_H
#define TS_TESTS_SWEEP_LIST_H

/* list.c: the list of parts and its workers alone */
void any_number_and_order(void **state);
void failure_leaves_what_needs_it(void **state);
void full_disk_ends_all(void **state);
void stop_ends_all(void **state);

/* coverage.c: intervals that a sweep prints */
void likelihood_coverage(void **state);
void gain_coverage(void **state);

#endif
