/*
 * Training loops that live on the device: the score network by denoising score matching, and the Glow by
 * maximum likelihood on forward samples at T.  One `step` call queues a whole step; nothing crosses to the
 * host but what is read for a log.
 *
 * What lives in this folder: training*.c; score*.c (a score is the noise that a network or an exact mixture
 * predicts) and samplers/ that integrate the reverse process with it; densities/, from which that starts;
 * bound.* (the evidence lower bound and its terms); data.* and mixture.* (batches of x0 on the device);
 * recorded.* (queue once, record once, replay).
 *
 * Invariants: x, x0 and z are [n,h,w,c], or [n,d] with d = h w c, NHWC; t is [n] on (0, 1]; network inputs
 * have the device's activation type, all else is float32, sums of a bound are double.  Whoever creates a
 * buffer releases it; data, parameters and models are borrowed and outlive what uses them.  All randomness
 * is a function of (seed, stream, instance, step, element).  What is recorded freezes its arguments: those
 * live as long as the training, sampler or density that made them.
 */
#ifndef TS_DIFFUSION_TRAINING_H
#define TS_DIFFUSION_TRAINING_H

#include "diffusion/data.h"
#include "diffusion/score.h"
#include "nn/nn.h"

typedef struct ts_optimizer_config {
    double rate, beta1, beta2, epsilon, clip, ema;
    int warmup;
} ts_optimizer_config;

/* What a log line says of the steps since the last one was read. */
typedef struct ts_training_report {
    int64_t step;         /* steps done */
    double loss;          /* mean over the images since the last read */
    double gradient_norm; /* of the last step */
    int64_t skipped;      /* steps since the start whose gradient was not finite; their update was left out */
    int64_t first_skipped; /* the first of them, counted from 0; -1: none.  Score training only */
    bool finite;           /* false: a loss or gradient since the last read was not finite */
    int64_t stood; /* Glow: steps since the start that the guard has let stand; 0: it has learned nothing */
    int64_t rollbacks; /* Glow: times since the start that the guard took the fit back (see below) */
    double rate_scale; /* Glow: factor that the guard has put on the rate; 1 for score training */
} ts_training_report;

typedef struct ts_training ts_training;

typedef struct ts_score_training_config {
    ts_sde sde;
    double t_min, t_max;
    ts_time_sampling sampling;
    bool low_discrepancy;
    ts_predicts_kind predicts; /* what the network's output is */
    ts_loss_weight weight;
    int batch, profile_bins;
    uint64_t seed;
    ts_optimizer_config optimizer;
} ts_score_training_config;

/* Objective (Ho et al. 2020; Song et al. 2021): mean over d and the batch of w(t) (net(x_t, t) - z)^2, or with
 * v or x0 for z, t uniform or importance-sampled; the profile is that of the noise in any case.  data, params and model are borrowed. */
ts_status ts_training_score(ts_device *device, const ts_score_training_config *config, const ts_data *data,
                            ts_params *params, ts_network_apply *apply, const void *model,
                            ts_training **training);

typedef struct ts_glow_training_config {
    ts_sde sde;
    double T;
    double T_low; /* of a conditional flow, which learns all T from here on; 0: T alone */
    int batch;
    uint64_t seed;
    ts_optimizer_config optimizer;
} ts_glow_training_config;

/*
 * Objective: -log nu(x_T)/d on x_T = a(T) x0 + s(T) z, fresh each step; of a conditional flow -log nu(x_T | T)/d,
 * an eighth of each batch at T spread evenly over [T_low, T], the rest by TS_TIME_STRUCTURE.  The first step
 * initialises the actnorms from its batch, of a whitened flow those within couplings.
 *
 * Guard against divergence, in three layers.  Gradients are clipped.  A step whose gradient is not finite
 * changes nothing (it counts as skipped).  And after every 32nd step, and when a report is read, the mean
 * loss since the last multiple of 32 is judged: if it is not finite, or worse by more than half a nat a
 * dimension than the best mean of 32 steps so far, or if a step was skipped, then parameters, moments and EMA
 * return to where they were when all was last well, the rate is halved for good, and the fit goes on (it
 * counts as a rollback).  So too large a rate costs time, not the fit.  `finite` stays true through this: the
 * reported loss leaves out the steps taken back (where none has stood yet, it is that of the initialisation).
 * Only when a million-fold smaller rate diverges too does a step fail, with TS_NOT_FINITE.
 */
ts_status ts_training_glow(ts_device *device, const ts_glow_training_config *config, const ts_data *data,
                           ts_params *params, const ts_glow *glow, ts_training **training);

/* Queues one step, or replays its recording; what it computes is queue_step of training_score.c and
 * training_glow.c.  Errors name the step, counted from 1. */
ts_status ts_training_step(ts_training *training);
/* Waits, then resets the means. */
ts_status ts_training_read(ts_training *training, ts_training_report *report);
/* Sums of mean (net - z)^2 and counts by t since the start, [bins][2]. Score training only. */
ts_status ts_training_profile(ts_training *training, double *profile);
ts_status ts_training_set_profile(ts_training *training, const double *profile);
/* From the next step on t is drawn from [t_min, t_max]; the profile begins anew. Score training only. */
ts_status ts_training_set_t_max(ts_training *training, double t_max);
ts_status ts_training_set_step(ts_training *training, int64_t step); /* resume */

/* What the fit of a Glow remembers beside the parameters' buffers and the step: a fit whose parameters, step
 * (set first) and memory are put back goes on bitwise as if it had never stopped.  The buffers are the
 * training's own device memory, to be copied from or to. */
enum { TS_TRAINING_NUMBERS = 14, TS_TRAINING_BUFFERS = 5 };
typedef struct ts_training_memory {
    double numbers[TS_TRAINING_NUMBERS];
    struct {
        const char *name;
        int64_t count;
        float *values;
    } buffers[TS_TRAINING_BUFFERS];
} ts_training_memory;
ts_status ts_training_remember(ts_training *training, ts_training_memory *memory); /* waits */
ts_status ts_training_recall(ts_training *training, const double numbers[TS_TRAINING_NUMBERS]);

const ts_graph *ts_training_graph(const ts_training *training);
void ts_training_destroy(ts_training *training);

#endif
