/* Pieces of an HTML page. */
#ifndef TS_REPORT_HTML_H
#define TS_REPORT_HTML_H

#include <stddef.h>
#include <stdio.h>
#include "base/kinds.h"
#include "diffusion/bound.h"

/* Writes text from anywhere as text: what HTML reserves is escaped, also for double-quoted attributes.  NULL
 * is empty. */
void ts_html_escape(FILE *page, const char *text);

/* The page's style sheet, for screen, phone, dark mode and print. */
void ts_html_style(FILE *page);

/* "1.234 &plusmn; 0.012", the interval only where there is one; a dash where the value is not known.  Never
 * "-0.000". */
void ts_html_interval(FILE *page, int digits, ts_interval value);
/* The same with significant digits, for what spans orders of magnitude. */
void ts_html_scale(FILE *page, int digits, ts_interval value);

/* "s" where there is not one of them. */
const char *ts_html_plural(double count);

/* bytes as the base64 of a data URI */
void ts_html_base64(FILE *page, const unsigned char *bytes, size_t size);

#endif
