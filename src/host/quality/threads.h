/* How many threads a loop of quality/ gets. */
#ifndef TS_QUALITY_THREADS_H
#define TS_QUALITY_THREADS_H

#include <cblas.h>
#include <omp.h>

/* 0: OpenMP's default.  BLAS gets one thread, as the CPU device has it: its calls stand within parallel
 * loops, and what it computes is not to depend on how many threads it had. */
static inline int ts_quality_threads(int threads)
{
    openblas_set_num_threads(1);
    return threads > 0 ? threads : omp_get_max_threads();
}

#endif
