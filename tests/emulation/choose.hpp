/* Ahead of the files that call NVIDIA's libraries, where g++ compiles them with the toolkit's own headers. */
#ifndef TS_TESTS_CHOOSE_HPP
#define TS_TESTS_CHOOSE_HPP

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

extern "C" {
#include "kernels/kernels.h"
}

ts_status ts_cuda_check(ts_device *device, cudaError_t error, const char *what);

#endif
