#include <omp.h>
#include <string.h>
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/reduce.h"

/* Rows are added in float32 a block at a time, blocks in double: the error does not grow with the rows. */
enum { BLOCK = 64 };

static void add_rows(const float *x, int64_t rows, int c, float *restrict block, double *restrict total)
{
    for (int64_t first = 0; first < rows; first += BLOCK) {
        const int64_t last = first + BLOCK < rows ? first + BLOCK : rows;
        memset(block, 0, (size_t)c * sizeof *block);
        for (int64_t row = first; row < last; row++) {
            const float *const restrict in = x + row * c;
            for (int k = 0; k < c; k++)
                block[k] += in[k];
        }
        for (int k = 0; k < c; k++)
            total[k] += (double)block[k];
    }
}

ts_status ts_cpu_add_column_sums(ts_device *device, int slot, int64_t rows, int c, const float *x,
                                 float *sums)
{
    const int threads = device->threads;
    /* One stretch a thread, padded to whole cache lines. */
    const size_t stride = ((size_t)c + 15) / 16 * 16;
    void *memory;
    TS_TRY(
        ts_cpu_scratch(device, slot, (size_t)threads * stride * (sizeof(double) + sizeof(float)), &memory));
    double *const totals = memory;
    float *const blocks = (float *)(totals + (size_t)threads * stride);
    const int64_t share = (rows + threads - 1) / threads;
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (rows * c > TS_CPU_PARALLEL)
    for (int t = 0; t < threads; t++) {
        const int64_t first = t * share < rows ? t * share : rows;
        const int64_t last = first + share < rows ? first + share : rows;
        double *total = totals + (size_t)t * stride;
        memset(total, 0, stride * sizeof *total);
        add_rows(x + first * c, last - first, c, blocks + (size_t)t * stride, total);
    }
    for (int k = 0; k < c; k++) {
        double sum = 0;
        for (int t = 0; t < threads; t++)
            sum += totals[(size_t)t * stride + (size_t)k];
        sums[k] += (float)sum;
    }
    return NULL;
}

void ts_cpu_add(const ts_device *device, int64_t count, const float *restrict x, float *restrict y)
{
#pragma omp parallel for simd num_threads(device->threads) schedule(static) if (count > TS_CPU_PARALLEL)
    for (int64_t i = 0; i < count; i++)
        y[i] += x[i];
}
