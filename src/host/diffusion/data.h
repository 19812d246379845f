/*
 * The data as the training and evaluation loops see them: resident on the device, handed out in batches of
 * x0 in model scale. Images lie on `levels` equally spaced levels of [-1, 1], or for VE of [0, 1] as in
 * score_sde; what leaves the engine (samples in files, distances) is in [-1, 1] all the same. Mixtures are
 * continuous and drawn fresh.
 */
#ifndef TS_DIFFUSION_DATA_H
#define TS_DIFFUSION_DATA_H

#include "kernels/kernels.h"

typedef struct ts_mixture ts_mixture; /* diffusion/mixture.h */

typedef struct ts_data {
    ts_device *device;
    int h, w, c;    /* vectors: 1, 1, dimension */
    int64_t count;  /* examples; mixtures: how many an evaluation draws */
    int levels;     /* 0: continuous */
    bool unit;      /* the levels are those of [0, 1] */
    bool flip;      /* mirror at random in training batches */
    uint8_t *bytes; /* device [count,h,w,c]: level indices 0 .. levels-1; NULL for mixtures */
    float *floats;  /* device [count,d]: continuous data held as such (test files); usually NULL */
    const ts_mixture *mixture;
} ts_data;

/* Level k is ts_data_lowest + k ts_data_spacing. */
static inline double ts_data_lowest(const ts_data *data)
{
    return data->unit ? 0.0 : -1.0;
}

static inline double ts_data_spacing(const ts_data *data)
{
    return (data->unit ? 1.0 : 2.0) / (data->levels - 1);
}

static inline int ts_data_dim(const ts_data *data)
{
    return data->h * data->w * data->c;
}

/* Which examples make the training batch of state->step, shuffled and flipped; for data that are stored, not
 * mixtures. */
ts_gather ts_data_train_examples(const ts_data *data, int n, const ts_step_state *state);
/* A training batch: x0 (device, float32 [n,d]) of state->step, shuffled and flipped. */
ts_status ts_data_train_batch(const ts_data *data, int n, const ts_step_state *state, float *x0);
/* Examples start .. start + n - 1 in order, unflipped; indices wrap around. Mixtures: draws of those row
 * numbers under state's seed and instance, the same whichever batch they are asked in. */
ts_status ts_data_eval_batch(const ts_data *data, int n, int64_t start, const ts_step_state *state,
                             float *x0);
/* The rows first .. first + n - 1 of an evaluation that takes the first `count` data again and again. */
ts_status ts_data_eval_rows(const ts_data *data, int64_t count, int n, int64_t first,
                            const ts_step_state *state, float *x0);
/* Images x (host, any `count` of values) from model scale to [-1, 1], in place. */
void ts_data_to_symmetric(const ts_data *data, int64_t count, float *x);
void ts_data_release(ts_data *data); /* frees the device buffers */

#endif
