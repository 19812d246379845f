/* As much of cuBLASLt as libraries.cu and its header name. */
#ifndef TS_TESTS_FAKE_CUBLASLT_H
#define TS_TESTS_FAKE_CUBLASLT_H

#include <stddef.h>

typedef struct fake_cublas *cublasLtHandle_t;
typedef int cublasStatus_t;

static inline size_t cublasLtGetVersion()
{
    return 120000;
}

static inline const char *cublasLtGetStatusString(cublasStatus_t)
{
    return "";
}

static inline cublasStatus_t cublasLtCreate(cublasLtHandle_t *)
{
    return 0;
}

static inline cublasStatus_t cublasLtDestroy(cublasLtHandle_t)
{
    return 0;
}

#endif
