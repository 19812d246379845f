/* Sample grids of images: as files, and inside the page. */
#ifndef TS_REPORT_GRIDS_H
#define TS_REPORT_GRIDS_H

#include "report/source.h"

#include <stdio.h>

/* DIR/grids/NAME.png of every stored sample set and of held-out data, where images can be drawn. */
ts_status ts_grids_write(const ts_report *report);
/* The section "Samples" of the page: a table a sampler, rows starts and columns T; nothing for vectors. */
ts_status ts_grids_page(const ts_report *report, FILE *page);

#endif
