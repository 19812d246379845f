/*
 * What the training loops share.
 *
 * A kind of training embeds a ts_training as its first member and fills in the function pointers.  What a step
 * computes stands in one function of the kind, `queue_step` (training_score.c, training_glow.c), as a sequence
 * of operations: batch, forward, loss, backward, update.  What surrounds a step stands in ts_training_step
 * (training.c): the profiler's range, the recording and its replay, the count.  Everything that a step needs
 * lies in device memory that the training owns; the arguments of every operation are frozen when the training
 * is made, so that a recording of them stays true, and only *state changes from step to step.
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
    ts_advance advance;          /* and of the count behind it */
    ts_recorded recorded;        /* what a step queues */
    uint64_t seed;
    int64_t step;         /* steps queued: the host's copy of state->step */
    const char *phase;    /* the part of a step that is being queued, for profilers; NULL: none */
    bool first_asks_host; /* step 0 needs the host in between, so it is queued directly and never recorded */

    /* Each gets the training itself; NULL where the kind does not offer it. */
    ts_queue_fn *queue_step; /* a whole step; the one thing that every kind has besides `read` */
    ts_status (*step_done)(ts_training *training); /* after a step was queued and counted */
    ts_status (*read)(ts_training *training, ts_training_report *report);
    ts_status (*read_profile)(ts_training *training, double *profile);
    ts_status (*write_profile)(ts_training *training, const double *profile);
    ts_status (*write_t_max)(ts_training *training, double t_max);
    ts_status (*remember)(ts_training *training, ts_training_memory *memory);
    ts_status (*recall)(ts_training *training, const double numbers[TS_TRAINING_NUMBERS]);
    ts_status (*step_was_set)(ts_training *training); /* after ts_training_set_step wrote the state */
    void (*release)(ts_training *training); /* what the kind owns beyond the members above; not the struct */
};

/* Fills the members above but graph and function pointers of a zeroed struct: device memory, the state at
 * step 0 of `seed`, gradients, moments and EMA (enabled if they are not yet), the optimiser's arguments.  On
 * an error ts_training_destroy still releases what was made. */
ts_status ts_training_begin(ts_training *training, ts_device *device, const ts_data *data, ts_params *params,
                            uint64_t seed, const ts_optimizer_config *optimizer);

/* The part of a step that begins here, as profilers show it; it ends where the next begins, or with the step.
 * NULL: forward and backward passes, which name themselves. */
void ts_training_phase(ts_training *training, const char *name);

#endif
