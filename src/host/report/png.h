/*
 * Images as PNG: one grid of many, as a file or in memory.
 */
#ifndef TS_REPORT_PNG_H
#define TS_REPORT_PNG_H

#include <stddef.h>
#include "base/status.h"

/* A grid of n images, [n,h,w,c] in [-1, 1] (clamped; not finite: black), c 1 (grey) or 3 (RGB; 2 or more than
 * 3 channels are refused), row by row in `columns` columns (0: about square), each pixel `zoom` pixels wide
 * (0: small images are enlarged to at least 40 pixels), separated by light lines.  *png [*size] is the
 * encoded file; the caller frees it. */
ts_status ts_png_encode(const float *images, int n, int h, int w, int c, int columns, int zoom,
                        unsigned char **png, size_t *size);

/* The same, written to `path` atomically. */
ts_status ts_png_grid(const char *path, const float *images, int n, int h, int w, int c, int columns,
                      int zoom);

#endif
