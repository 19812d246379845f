/* From the configuration to what the training loop takes. */
#include "run/trainer.h"

static ts_time_sampling time_sampling(const ts_config *config)
{
    if (config->train.t_sampling == TS_T_SAMPLING_AUTO)
        return config->train.loss == TS_LOSS_LIKELIHOOD ? TS_TIME_IMPORTANCE : TS_TIME_UNIFORM;
    return config->train.t_sampling == TS_T_SAMPLING_IMPORTANCE ? TS_TIME_IMPORTANCE : TS_TIME_UNIFORM;
}

ts_score_training_config ts_trainer_config(const ts_config *config)
{
    const ts_time_sampling sampling = time_sampling(config);
    /* Importance sampling carries the likelihood weight g^2/s^2 in the density of t already. */
    const bool weighted = config->train.loss == TS_LOSS_LIKELIHOOD && sampling == TS_TIME_UNIFORM;
    return (ts_score_training_config){
        .sde = ts_config_sde(config),
        .t_min = config->train.eps,
        .t_max = config->train.T,
        .sampling = sampling,
        .low_discrepancy = config->train.low_discrepancy,
        .weight = weighted ? TS_WEIGHT_LIKELIHOOD : TS_WEIGHT_ONE,
        .batch = config->train.batch,
        .profile_bins = TS_TRAINER_PROFILE_BINS,
        .seed = (uint64_t)config->run.seed,
        .optimizer =
            {
                .rate = config->train.lr,
                .beta1 = config->train.beta1,
                .beta2 = config->train.beta2,
                .epsilon = config->train.adam_eps,
                .clip = config->train.clip,
                .ema = config->train.ema,
                .warmup = config->train.warmup,
            },
    };
}
