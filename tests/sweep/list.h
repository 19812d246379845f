/* Tests of the list of parts and its workers alone. */
#ifndef TS_TESTS_SWEEP_LIST_H
#define TS_TESTS_SWEEP_LIST_H

void any_number_and_order(void **state);
void failure_leaves_what_needs_it(void **state);
void full_disk_ends_all(void **state);
void stop_ends_all(void **state);

#endif
