/* What the files that make the report share. */
#ifndef TS_REPORT_INTERNAL_H
#define TS_REPORT_INTERNAL_H

#include <stdio.h>
#include "report/report.h"

/* Writes text with what HTML reserves escaped. */
void ts_report_escape(FILE *page, const char *text);
/* "N(0, I)", "Glow", "the exact density", as HTML. */
const char *ts_report_prior(const char *prior);

/* T* of the start that is better than N(0, I): the fitted density, or a mixture's exact one; NULL: none. */
const ts_best *ts_report_aided(const ts_results *results);

/* The finding in words, as HTML. */
void ts_report_finding(const ts_results *results, FILE *page);

/* A small grid of stored samples as <img> with a data URI; returns false where there are none. */
bool ts_report_grid(const char *dir, const char *name, const char *alternative, FILE *page);

#endif
