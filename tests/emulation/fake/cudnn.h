/* As much of cuDNN as libraries.cu and its header name. */
#ifndef TS_TESTS_FAKE_CUDNN_H
#define TS_TESTS_FAKE_CUDNN_H

#include <stddef.h>

typedef struct fake_cudnn *cudnnHandle_t;
typedef void *cudnnBackendDescriptor_t;
typedef int cudnnStatus_t;

static inline size_t cudnnGetVersion()
{
    return 90000;
}

static inline cudnnStatus_t cudnnDestroy(cudnnHandle_t)
{
    return 0;
}

#endif
