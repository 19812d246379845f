/*
 * Benchmarks: training, sampling and single operations on the shapes of a configuration.  Times are
 * wall-clock with the device idle before and after; medians, because a machine's speed drifts.
 *
 * What lives in this room: a benchmark a file (train.c, sample.c, ops.c) and the figures that all of them
 * give (figures.c).
 *
 * Invariants: what is timed is what training and sampling run, not a copy of it.  Rates stand beside the
 * device's own product of large matrices, measured in the same minute.
 */
#ifndef TS_BENCH_BENCH_H
#define TS_BENCH_BENCH_H

#include "base/progress.h"
#include "run/run.h"

typedef struct ts_bench {
    const ts_config *config;
    ts_device *device;
    ts_dataset *dataset;
    ts_model *model;
    bool synthetic; /* the data files are not there: random bytes of their shape stand in */
} ts_bench;

/* Images only; `config` and `device` must outlive the benchmark. */
ts_status ts_bench_open(const ts_config *config, ts_device *device, ts_bench *bench);
void ts_bench_close(ts_bench *bench);

/* What every benchmark says of speed and memory. */
typedef struct ts_bench_figures {
    double images_per_second;
    double flops;              /* matrix work a second, a multiply-add counted as two */
    double ceiling;            /* the same of a large matrix product, measured before and after; 0: unknown */
    double copy_ceiling;       /* bytes a second, read and written, of a large copy on the device */
    double host_seconds;       /* until all of a training step (median) or evaluation (mean) is queued */
    size_t process_peak_bytes; /* largest resident size of the process so far */
    size_t device_peak_bytes;  /* most that the device had allocated, the data set included */
    uint64_t late_allocations; /* on the device, after the first step or evaluation */
} ts_bench_figures;

typedef struct ts_bench_train {
    ts_bench_figures figures;
    int64_t parameters;
    int batch, steps;      /* steps measured */
    double first_seconds;  /* of the first step, which packs and allocates */
    double step_seconds;   /* of one step: median, */
    double least, most;    /* smallest, largest */
    double stream_seconds; /* of one of as many steps that are not waited for one by one: mean */
    double step_flops;     /* of one step, forward and backward */
    int64_t launches;      /* of one step; 0: the device does not count them */
    size_t plan_bytes;     /* the graph's arena */
    size_t no_reuse_bytes; /* what it would be if no two tensors shared memory */
} ts_bench_train;

/* Whole training steps: batch, t, noise, forward, loss, backward, clipping, Adam and average.  steps 0: as
 * many as eight seconds hold, at least 3. */
ts_status ts_bench_train_run(const ts_bench *bench, int steps, ts_progress *progress, ts_bench_train *result);

typedef struct ts_bench_sample {
    ts_bench_figures figures; /* images_per_second: whole samples by the configured sampler from train.T */
    int batch, evaluations;   /* batch evaluations measured */
    double nfe;               /* evaluations that one sample takes */
    double evaluations_per_second; /* of single images: batch * evaluations / seconds */
    double evaluation_flops;       /* of one image */
    int64_t launches; /* of one step; 0: the device does not count them, or RK45, whose steps are tries */
} ts_bench_sample;

/* The configured sampler on the untrained network.  Samplers with a fixed number of steps are timed over
 * `steps` of them (0: 10), RK45 over a whole run. */
ts_status ts_bench_sample_run(const ts_bench *bench, int steps, ts_progress *progress,
                              ts_bench_sample *result);

/* One operation of the training step on one shape. */
typedef struct ts_bench_operation {
    char name[40];
    int shape[4];                 /* of its output, [n,h,w,c] */
    int calls;                    /* in one step */
    double seconds, flops, bytes; /* of all calls together */
} ts_bench_operation;

typedef struct ts_bench_ops {
    ts_bench_figures figures;
    int count;
    ts_bench_operation *operations; /* by falling time; free() it */
    double seconds;                 /* sum of all */
} ts_bench_ops;

/* Every operation of the forward and backward pass by itself, and the optimiser: per call the median of
 * `repeats` (0: 5) passes. */
ts_status ts_bench_ops_run(const ts_bench *bench, int repeats, ts_progress *progress, ts_bench_ops *result);

#endif
