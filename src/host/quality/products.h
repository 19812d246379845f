/* Products of matrices with their own transpose, shared out over threads. */
#ifndef TS_QUALITY_PRODUCTS_H
#define TS_QUALITY_PRODUCTS_H

#include <stdbool.h>

/* product [m,m] <- before product + rows^T rows of `rows` [n,m] (gram: rows rows^T of [m,n]), before 0 or 1; its upper
 * triangle of tiles: one thread a tile, so that the sums do not depend on how many threads there are. */
void ts_symmetric_product(const double *rows, int n, int m, bool gram, double before, int threads,
                          double *product);

#endif
