/*
 * What the training loops share.  A kind of training embeds a ts_training as its first member and fills in
 * the function pointers; training.c dispatches the public calls to them and owns the mechanics common to
 * both: the step state and the optimiser's report in device memory.
 */
#ifndef TS_DIFFUSION_TRAINING_INTERNAL_H
#define TS_DIFFUSION_TRAINING_INTERNAL_H

#include "diffusion/recorded.h"
#include "diffusion/training.h"

struct ts_training {
    ts_device *device;
    const ts_data *data;
    ts_params *params;
    ts_graph *graph;             /* owned */
    ts_step_state *state;        /* device memory, owned */
    ts_optimizer_report *report; /* device memory, owned */
    ts_optimizer_step optimizer; /* the frozen arguments of every optimiser step */
    ts_recorded recorded;        /* what a step queues */
    uint64_t seed;
    int64_t step; /* steps queued: the host's copy of state->step */

    /* Each gets the training itself; NULL where the kind does not offer it. */
    ts_status (*run_step)(ts_training *training);
    ts_status (*read)(ts_training *training, ts_training_report *report);
    ts_status (*read_profile)(ts_training *training, double *profile);
    ts_status (*write_profile)(ts_training *training, const double *profile);
    ts_status (*step_was_set)(ts_training *training); /* after ts_training_set_step wrote the state */
    void (*release)(ts_training *training); /* what the kind owns beyond the members above; not the struct */
};

/* Fills the members above but graph and function pointers of a zeroed struct: device memory, the state at
 * step 0 of `seed`, gradients, moments and EMA (enabled if they are not yet), the optimiser's arguments.  On
 * an error ts_training_destroy still releases what was made. */
ts_status ts_training_begin(ts_training *training, ts_device *device, const ts_data *data, ts_params *params,
                            uint64_t seed, const ts_optimizer_config *optimizer);

/* A whole step, directly or replayed: `queue` gets the training and ends with the optimiser and the advance
 * of the state. */
ts_status ts_training_replay(ts_training *training, ts_queue_fn *queue);

#endif
