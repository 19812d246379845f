/*
 * How many CPU threads a run is worth.
 *
 * A pass through a network is hundreds of parallel loops, and at the end of each the threads wait for the
 * last. The work between must be worth that: one thread for every TS_FLOP_A_THREAD of matrix work in a
 * forward pass of the batch, at least one. (A training step has three times the work and about three times
 * the loops, so the same holds for it.)
 *
 * Measured on two AVX2 cores that other work shared, so roughly (bench train, passive waiting, milliseconds a
 * step; the least step of all runs, and medians of runs beside fifteen to twenty other processes):
 *
 *                                  GFLOP    one thread            two threads
 *     configs/digits.yaml            0.6     15 (medians 57, 73)    26 (35, 48)
 *     configs/bench/digits8.yaml     6.4    242 (390, 970)         132 (158, 162)
 *     configs/bench/mnist28.yaml    22      434 (1260, 1560)       460 (480, 580)
 *
 * An idle machine, and more cores, may draw the line elsewhere.
 */
#ifndef TS_RUN_THREADS_H
#define TS_RUN_THREADS_H

#include "run/run.h"

#define TS_FLOP_A_THREAD 1.5e9

/* For passes of that many FLOP, where there are `most` CPUs. */
int ts_threads_for(double flops, int most);

/* The FLOP of a pass of glow.batch images through the run's Glow; 0 where there can be none, which the fit
 * itself will say. */
ts_status ts_threads_flow_flops(const ts_run *run, double *flops);

/* Gives the run's CPU device as many threads as options->work is worth, if options->device_options.threads is
 * 0, and keeps in the run by what.  Other devices and exact scores stay as they are.  To be called
 * before the device computes. */
ts_status ts_threads_choose(ts_run *run, const ts_run_options *options);

#endif
