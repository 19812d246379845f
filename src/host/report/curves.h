/* Training curves, from the logs of a run: DIR/log.jsonl, and DIR/T0.4/log.jsonl of networks a T. */
#ifndef TS_REPORT_CURVES_H
#define TS_REPORT_CURVES_H

#include "report/source.h"

/* Fills the report's curves.  A log that is not there gives none; a line that is no object with a step behind
 * the one before is passed over. */
ts_status ts_curves_read(ts_report *report);
void ts_curves_release(ts_report *report);

#endif
