/* How many threads a loop of quality/ gets. */
#ifndef TS_QUALITY_THREADS_H
#define TS_QUALITY_THREADS_H

#include <cblas.h>
#include <omp.h>

/* 0: OpenMP's default.  BLAS gets one thread, as the CPU device has it: its calls stand within parallel
 * loops, and what it computes is not to depend on how many threads it had. */
static inline int ts_quality_threads(int threads)
{
    if (openblas_get_num_threads() != 1) /* for the whole process: not while others compute */
        openblas_set_num_threads(1);
    return threads > 0 ? threads : omp_get_max_threads();
}

#endif
