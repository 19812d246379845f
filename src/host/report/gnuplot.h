/*
 * gnuplot, as the charts use it.  A chart is two texts: named blocks of numbers, and a script that plots them
 * for a screen (svg), for a page (pdf) and for a paper (tex).
 */
#ifndef TS_REPORT_GNUPLOT_H
#define TS_REPORT_GNUPLOT_H

#include <stdio.h>
#include "base/status.h"

/* Begins the script of NAME.svg, NAME.pdf, NAME-latex.tex (with its picture NAME-latex.pdf); width and height
 * are the SVG's in pixels.  `small` is a macro for the font of side remarks. */
void ts_gnuplot_preamble(FILE *script, const char *name, int width, int height);

/* A string expression: the text, of printf, in gnuplot's enhanced markup, and for LaTeX the same without
 * it ({/:Italic T} is $T$).  Nothing in it ends the string or is run. */
void ts_gnuplot_text(FILE *script, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The label of the horizontal axis. */
void ts_gnuplot_x_label(FILE *script, const char *text);

/* The label of a vertical axis, `at` of the screen's width: gnuplot's own place depends on the tics' widths. */
void ts_gnuplot_y_label(FILE *script, const char *text, double at);

/* Tic labels as powers of ten. */
void ts_gnuplot_powers(FILE *script, char axis);
/* Tics at 1, 2 and 5 times the powers of ten within a logarithmic axis' range, of positive normal
 * numbers. */
void ts_gnuplot_log_tics(FILE *script, char axis, double low, double high);

/* Begins a named block of data, `columns` for those who read it; in a script it is `index 'NAME'`. */
void ts_gnuplot_block(FILE *data, const char *name, const char *columns);
/* One value of a line of data; gnuplot leaves out points that are not known. */
void ts_gnuplot_value(FILE *data, double value);
void ts_gnuplot_line_end(FILE *data);

/* Draws FOLDER/NAME.gp in every format.  *found is false where gnuplot is not installed. */
ts_status ts_gnuplot_run(const char *folder, const char *name, bool *found);

/* What a chart's files end with, NULL behind the last one. */
extern const char *const ts_gnuplot_drawn[];

#endif
