/*
 * The score that a configuration asks for: a network with its parameters, or the exact score of a mixture.
 */
#ifndef TS_RUN_MODEL_H
#define TS_RUN_MODEL_H

#include "diffusion/score.h"
#include "nn/nn.h"
#include "data/dataset.h"

typedef struct ts_model {
    ts_device *device;
    ts_sde sde;
    int h, w, c;
    const ts_network_row *row;
    ts_params *params;         /* NULL: exact score */
    void *network;             /* NULL: exact score */
    const ts_mixture *mixture; /* exact score; belongs to the data set */
} ts_model;

/* Parameters are initialised from run.seed.  Errors: sizes that the levels do not divide, a model that does
 * not suit the data. */
ts_status ts_model_create(const ts_config *config, const ts_dataset *dataset, ts_device *device,
                          ts_model **model);
void ts_model_destroy(ts_model *model); /* NULL is fine */

/* The score for batches of n; with `gradient` it has a vjp. */
ts_status ts_model_score(const ts_model *model, int n, bool gradient, ts_score **score);

/* What the flow that section glow asks for sees of the data; never auto. */
ts_whiten_kind ts_model_whitening(const ts_config *config, const ts_data *data);
/* The flow that section glow asks for over data of that shape, without a whitening. */
ts_glow_config ts_model_flow(const ts_config *config, const ts_data *data);

#endif
