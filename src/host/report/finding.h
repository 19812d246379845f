/* What a sweep found, in words. */
#ifndef TS_REPORT_FINDING_H
#define TS_REPORT_FINDING_H

#include "report/source.h"

#include <stdio.h>

/* T* and what it costs and saves, no stronger than the numbers are; nothing of a start that has taught
 * nothing. */
ts_status ts_finding_write(const ts_report *report, FILE *page);

/* What speaks against reading much into it, a sentence each, where it applies; and what intervals cover. */
void ts_warnings_write(const ts_report *report, FILE *page);

#endif
