#include "quality/products.h"

#include <cblas.h>
#include <stddef.h>

enum { TILE = 128 };

void ts_symmetric_product(const double *rows, int n, int m, bool gram, double before, int threads,
                          double *product)
{
    const int tiles = (m + TILE - 1) / TILE;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int t = 0; t < tiles * tiles; t++) {
        const int i = t / tiles * TILE, j = t % tiles * TILE;
        if (i > j)
            continue;
        const int height = m - i < TILE ? m - i : TILE, width = m - j < TILE ? m - j : TILE;
        double *out = product + (size_t)i * m + j;
        if (gram)
            cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, height, width, n, 1, rows + (size_t)i * n, n,
                        rows + (size_t)j * n, n, before, out, m);
        else
            cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, height, width, n, 1, rows + i, m, rows + j,
                        m, before, out, m);
    }
}
