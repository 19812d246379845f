/*
 * A device whose convolutions and attention are the CUDA device's own host code, over memory that nobody can
 * touch: kernels are not run, so it shows at no cost which graphs a network asks the library for.
 */
#ifndef TESTS_PLANS_H
#define TESTS_PLANS_H

#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

ts_device *plans_device_open(ts_dtype activation);
void plans_device_close(ts_device *device);

#ifdef __cplusplus
}
#endif

#endif
