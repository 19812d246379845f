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
    ts_predicts_kind predicts;
    ts_params *params;         /* NULL: exact score */
    void *network;             /* NULL: exact score */
    const ts_mixture *mixture; /* exact score; belongs to the data set */
} ts_model;

/* Parameters are initialised from run.seed.  Errors: sizes that the levels do not divide, a model that does
 * not suit the data. */
ts_status ts_model_create(const ts_config *config, const ts_dataset *dataset, ts_device *device,
                          ts_model **model);
void ts_model_destroy(ts_model *model); /* NULL is fine */

/* The score for batches of n, whatever the network predicts; with `gradient` it has a vjp. */
ts_status ts_model_score(const ts_model *model, int n, bool gradient, ts_score **score);

/* What the network itself gives, whatever that is; of an exact score the noise. */
ts_status ts_model_output(const ts_model *model, int n, ts_score **score);

/* Attention at heights that no level has is left out of the configuration, as score_sde leaves it out. */
void ts_model_forget_attention(ts_config *config, const ts_dataset *dataset);

/* What the flow that section glow asks for sees of the data; never auto. */
ts_whiten_kind ts_model_whitening(const ts_config *config, const ts_data *data);
/* The flow that section glow asks for over data of that shape, without a whitening. */
ts_glow_config ts_model_flow(const ts_config *config, const ts_data *data);

#endif
