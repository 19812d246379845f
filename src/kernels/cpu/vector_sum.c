/* The sum of per-image vectors: log-determinants and log-densities of a flow's layers. */
#include "kernels/cpu/cpu.h"

ts_status ts_cpu_vector_sum(ts_device *device, const ts_vector_sum *a)
{
    (void)device;
    for (int i = 0; i < a->n; i++) {
        double sum = 0; /* the terms are large and of both signs */
        for (int k = 0; k < a->count; k++)
            sum += a->x[k][i];
        a->y[i] = (float)sum;
    }
    return NULL;
}
