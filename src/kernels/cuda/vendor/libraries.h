/*
 * The handles of cuBLASLt and cuDNN, what was chosen for them by timing, and the timing itself.
 */
#ifndef TS_KERNELS_CUDA_VENDOR_LIBRARIES_H
#define TS_KERNELS_CUDA_VENDOR_LIBRARIES_H

#include <cublasLt.h>
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/vendor/cudnn_graph.h"

typedef struct ts_cuda_graph_entry ts_cuda_graph_entry;     /* cudnn_run.cu */
typedef struct ts_cuda_product_entry ts_cuda_product_entry; /* cublas_product.cu */

enum { TS_CUDA_BUCKETS = 256 };

struct ts_cuda_libraries {
    cublasLtHandle_t cublas;
    cudnnHandle_t cudnn; /* made when the first graph is */
    cudaEvent_t start, stop;
    size_t workspace_limit; /* of a convolution */
    ts_cuda_graph_entry *graphs[TS_CUDA_BUCKETS];
    ts_cuda_product_entry *products[TS_CUDA_BUCKETS];
    char *algorithms; /* of an earlier run on such a device, as text, or NULL */
    char *others;     /* those of other devices, to be kept */
};

ts_status ts_cuda_libraries_of(ts_device *device, ts_cuda_libraries **libraries);

/* The bucket of a key that was made in zeroed memory. */
size_t ts_cuda_bucket(const void *key, size_t bytes);

/* The least time of a call, in microseconds, of several rounds of recorded calls.  One that takes much longer
 * than `bound` alone is not timed further. */
typedef ts_status ts_cuda_timed(ts_device *device, void *context);
ts_status ts_cuda_time(ts_device *device, ts_cuda_timed *call, void *context, float bound,
                       float *microseconds);

/* What an earlier run chose for `name`, one line without its end; NULL: nothing. */
const char *ts_cuda_earlier_algorithm(const ts_cuda_libraries *libraries, const char *name, size_t *length);

/* A text that grows; append fails by leaving `text` NULL. */
typedef struct ts_cuda_text {
    char *text;
    size_t length, room;
} ts_cuda_text;

void ts_cuda_append(ts_cuda_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void ts_cuda_graphs_export(const ts_cuda_libraries *libraries, ts_cuda_text *text);
void ts_cuda_products_export(const ts_cuda_libraries *libraries, ts_cuda_text *text);
void ts_cuda_graphs_free(ts_cuda_libraries *libraries);
void ts_cuda_products_free(ts_cuda_libraries *libraries);

#endif
