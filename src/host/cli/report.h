/* What `tstar sweep` and `tstar report` say at their end. */
#ifndef TS_CLI_REPORT_H
#define TS_CLI_REPORT_H

#include "report/report.h"

/* T* by start and where the report is, on stdout; with `json`, DIR/sweep.json as it is.  A hint on stderr
 * where gnuplot was missing. */
ts_status cli_report_show(const char *dir, const ts_report_result *report, bool json);

#endif
