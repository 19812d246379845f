/*
 * What a run's network gives for inputs in a file: what a user needs to compare with another program.
 */
#ifndef TS_RUN_EXCHANGE_OUTPUTS_H
#define TS_RUN_EXCHANGE_OUTPUTS_H

#include "base/progress.h"
#include "run/folder.h"

typedef struct ts_outputs {
    int count;       /* rows */
    const char *net; /* what they are: "score", "noise", "v", "x0" */
} ts_outputs;

/* Reads the tensors x [n,c,h,w], of vectors [n,d], and t [n] of the safetensors file `in`, and writes net, as x
 * (float32), to `out`: the output of the network at those as score_sde's module returns it, dropout off, with
 * the weights that are loaded now.  For VE that is the score, unless the network predicts v or x0.  x is what
 * the network is given: of VE images data in [0, 1] plus noise.  Errors: TS_INVALID naming file and tensor
 * where one is missing or has another shape, where a t is outside of train.eps .. train.T, and where `out` is
 * `in`. */
ts_status ts_outputs_write(const ts_run *run, const char *in, const char *out, ts_progress *progress,
                           ts_outputs *outputs);

#endif
