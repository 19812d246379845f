/* The coefficients of a Langevin step, from the norms of its batch. */
#include <math.h>
#include "kernels/cpu/cpu.h"

static double sum_of_roots(int n, const double *squared)
{
    double sum = 0.0;
    for (int i = 0; i < n; i++)
        sum += sqrt(squared[i]);
    return sum;
}

ts_status ts_cpu_langevin_scale(ts_device *device, const ts_langevin_scale *a)
{
    (void)device;
    const float *row = ts_coefficient_row(&a->c), *c = row ? row : a->c.value;
    const double r = sum_of_roots(a->n, a->z_squared) / sum_of_roots(a->n, a->net_squared);
    a->out[0] = 1.0f;
    a->out[1] = (float)((double)c[0] * r * r);
    a->out[2] = (float)((double)c[1] * r);
    return NULL;
}
