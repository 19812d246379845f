/*
 * Images as the features of a trained network: InceptionV3 as pytorch-fid has it (on its features the Frechet
 * distance is FID), or small classifiers of MNIST and CIFAR-10, on whose features it is not.
 */
#ifndef TS_QUALITY_EMBEDDING_H
#define TS_QUALITY_EMBEDDING_H

#include <stdint.h>
#include "base/kinds.h"
#include "base/progress.h"
#include "kernels/kernels.h"

typedef struct ts_embedding ts_embedding;

/* Of images [h,w,c], with the weights of a safetensors file, whose metadata entry "network" is a word of
 * ts_feature_network_kind: what tools/import_features.py writes.  Grey images are repeated for networks of colour.  Errors
 * name the file and the tensor that is missing or has the wrong shape. */
ts_status ts_embedding_open(ts_device *device, const char *weights, int h, int w, int c,
                            ts_embedding **embedding);
/* Whose weights a file holds, by its metadata alone. */
ts_status ts_embedding_whose(const char *weights, ts_feature_network_kind *kind);
void ts_embedding_close(ts_embedding *embedding); /* NULL is fine */

ts_feature_network_kind ts_embedding_network(const ts_embedding *embedding);
const char *ts_embedding_name(const ts_embedding *embedding); /* its word */
int ts_embedding_count(const ts_embedding *embedding);        /* features of an image */

/* images [n,h,w,c] and features [n][count] on the host.  Passes are of a fixed number of images, the last one filled
 * up, so the features of an image do not depend on those beside it.  Errors: TS_INTERRUPTED where progress
 * says so. */
ts_status ts_embedding_of(ts_embedding *embedding, const uint8_t *images, int64_t n, ts_progress *progress,
                          float *features);

#endif
