/* The tables of the page: the results' two, and those of how it was made. */
#ifndef TS_REPORT_TABLES_H
#define TS_REPORT_TABLES_H

#include "report/source.h"

#include <stdio.h>

void ts_tables_numbers(const ts_results *results, FILE *page); /* bound.csv and samples.csv */
void ts_tables_times(const ts_results *results, FILE *page);   /* seconds by phase */
void ts_tables_fits(const ts_results *results, FILE *page);    /* auxiliary densities */

#endif
