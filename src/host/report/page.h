/* The page itself. */
#ifndef TS_REPORT_PAGE_H
#define TS_REPORT_PAGE_H

#include "report/source.h"

/* DIR/report.html.  Of the charts those that the report says were drawn. */
ts_status ts_page_write(const ts_report *report);

#endif
