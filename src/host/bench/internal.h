/* What the benchmarks share among themselves. */
#ifndef TS_BENCH_INTERNAL_H
#define TS_BENCH_INTERNAL_H

#include "bench/bench.h"

int ts_bench_compare(const void *a, const void *b); /* of doubles, for qsort */

/* Measures the ceiling; a second call averages the two. */
ts_status ts_bench_ceiling(const ts_bench *bench, ts_bench_figures *figures);
/* Measures a large copy; takes memory for it, so after what ts_bench_memory tells of. */
ts_status ts_bench_copy_ceiling(const ts_bench *bench, ts_bench_figures *figures);
void ts_bench_memory(const ts_bench *bench, ts_bench_figures *figures);

typedef struct ts_bench_ends {
    ts_tensor x, t, net;
} ts_bench_ends;

/* The model's graph for n images, planned; with `training` dropout, drawn from state, and the backward half. */
ts_status ts_bench_graph(const ts_bench *bench, int n, bool training, const ts_step_state *state,
                         ts_graph **graph, ts_bench_ends *ends);

#endif
