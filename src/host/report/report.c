#include "report/report.h"

#include "report/chart.h"
#include "report/grids.h"
#include "report/page.h"
#include "report/source.h"

static ts_status make(ts_report *report, ts_report_result *result)
{
    TS_TRY(ts_charts_draw(report, &result->charts));
    TS_TRY(ts_grids_write(report));
    return ts_page_write(report);
}

ts_status ts_report_make(const char *dir, ts_report_result *result)
{
    ts_results results;
    ts_report report;
    ts_status status = ts_results_read(dir, &results);
    TS_TRY(status);
    status = ts_report_open(dir, &results, &report);
    if (!status)
        status = make(&report, result);
    ts_report_close(&report);
    ts_results_release(&results);
    return status;
}
