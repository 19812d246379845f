/* Made-up results of a sweep, for the tests of what is made from results. */
#ifndef TS_TESTS_REPORT_MADE_UP_H
#define TS_TESTS_REPORT_MADE_UP_H

#include "report/chart.h"

/* Image data, or a mixture on the line with two scores; two starts each. */
void made_up_results(bool mixture, ts_results *results);

#endif
