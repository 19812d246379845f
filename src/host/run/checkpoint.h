/*
 * The checkpoint of a score network, one safetensors file: the state of its parameters (state.h) and
 * "loss_profile" [bins,2] (float64: by t, sums of mean (net - z)^2 and counts); metadata format, version,
 * kind, step, seed, T, t_min, skipped, config (YAML), data (checksum), imported, and with train.T auto T_high and T_below.
 */
#ifndef TS_RUN_CHECKPOINT_H
#define TS_RUN_CHECKPOINT_H

#include "base/safetensors.h"
#include "run/folder.h"

/* What train.T auto remembers of the measurements of T* (training/shorten.h). */
typedef struct ts_shortening {
    double high;   /* the highest end of their confidence sets; 0: T is wanted as long as it is */
    int64_t below; /* measurements since that found nothing higher, that one among them */
} ts_shortening;

typedef struct ts_checkpoint {
    int64_t step, skipped;
    double T, t_min;          /* what the network was trained on: t in [t_min, T] */
    ts_shortening shortening; /* with train.T auto */
    bool imported;            /* the weights are of elsewhere (exchange/import.h), and as they came */
    int bins;
    double *profile; /* [bins][2]; NULL where none was stored */
} ts_checkpoint;

/* Writes DIR/checkpoint.safetensors atomically. */
ts_status ts_checkpoint_save(const ts_run *run, const ts_checkpoint *checkpoint);

bool ts_checkpoint_exists(const ts_run *run);

/* Whether the checkpoint there fits run->model and is of the run's data, without reading its tensors.  Errors
 * as for ts_checkpoint_load. */
ts_status ts_checkpoint_check(const ts_run *run);

/* That a checkpoint, if there is one, was trained on the data that the run has now; a checkpoint from before
 * checksums were stored passes.  Else TS_INVALID. */
ts_status ts_checkpoint_check_data(const ts_run *run);

/* That the configuration in the metadata of a stored network or density is the run's, but for keys that may
 * change (config.h); `sections` as for ts_config_compare. */
ts_status ts_checkpoint_same_config(const ts_run *run, const ts_safetensors *file, const char *sections);

/* Everything back into run->model->params (training enabled), and T into run->reach.  Errors: TS_FORMAT for a file cut short,
 * TS_INVALID for one of another configuration, of other data or with other tensors; both name the file and
 * the first key or tensor that differs. */
ts_status ts_checkpoint_load(ts_run *run, ts_checkpoint *checkpoint);

/* Only weights, as the parameters' values, and T: the averaged ones with `ema`.  Whatever the data are now. */
ts_status ts_checkpoint_load_weights(ts_run *run, bool ema, ts_checkpoint *checkpoint);

void ts_checkpoint_release(ts_checkpoint *checkpoint);

#endif
