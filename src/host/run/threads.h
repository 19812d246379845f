/*
 * How many CPU threads a run is worth.
 *
 * A pass through a network is hundreds of parallel loops, and at the end of each the threads wait for the
 * last. The work between must be worth that: one thread for every TS_FLOP_A_THREAD of matrix work in a
 * forward pass of the batch, at least one. (A training step has three times the work and about three times
 * the loops, so the same holds for it.)
 *
 * Measured on two AVX2 cores that other work shared (bench train, passive waiting; the least of several
 * runs, milliseconds a step with one thread, with two): configs/digits.yaml, 0.6 GFLOP forwards, 15 and 26;
 * configs/bench/digits8.yaml, 6.4 GFLOP, 242 and 132; configs/bench/mnist28.yaml, 22 GFLOP, 434 and 460 by
 * these least ones, but 1260 and 480 in runs that took turns.
 */
#ifndef TS_RUN_THREADS_H
#define TS_RUN_THREADS_H

#include "run/run.h"

#define TS_FLOP_A_THREAD 1.5e9

/* For passes of that many FLOP, where there are `most` CPUs. */
int ts_threads_for(double flops, int most);

/* Gives the run's CPU device as many threads as options->work is worth, if options->device_options.threads is
 * 0, and keeps in the run by what.  Other devices and exact scores stay as they are.  To be called
 * before the device computes. */
ts_status ts_threads_choose(ts_run *run, const ts_run_options *options);

#endif
