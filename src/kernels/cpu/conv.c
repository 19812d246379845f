#include "kernels/cpu/convolution.h"

void ts_cpu_convolutions_free(ts_device *device)
{
    *ts_cpu_convolution_cache(device) = NULL;
}
