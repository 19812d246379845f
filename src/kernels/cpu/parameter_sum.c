/* The sum of a parameter, once for every image: log-determinants that do not depend on the data. */
#include "kernels/cpu/cpu.h"

ts_status ts_cpu_parameter_sum_forward(ts_device *device, const ts_parameter_sum_forward *a)
{
    (void)device;
    double sum = 0;
    for (int j = 0; j < a->count; j++)
        sum += a->p[j];
    const float y = (float)(a->factor * sum);
    for (int i = 0; i < a->n; i++)
        a->y[i] = y;
    return NULL;
}

ts_status ts_cpu_parameter_sum_backward(ts_device *device, const ts_parameter_sum_backward *a)
{
    (void)device;
    double sum = 0;
    for (int i = 0; i < a->n; i++)
        sum += a->dy[i];
    const float dp = (float)(a->factor * sum);
    for (int j = 0; j < a->count; j++)
        a->dp[j] += dp;
    return NULL;
}
