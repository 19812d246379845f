/*
 * What the files of the sweep share.
 */
#ifndef TS_SWEEP_INTERNAL_H
#define TS_SWEEP_INTERNAL_H

#include "base/safetensors.h"
#include "diffusion/bound.h"
#include "run/starts.h"
#include "sweep/results.h"
#include "sweep/sweep.h"

enum { TS_SWEEP_BINS = 24 };

/* Where the time goes, beside each sampler; each is one line of the results. */
#define TS_SWEEP_PHASES(X)                                                                                   \
    X(TRAIN, "training of the score network")                                                                \
    X(FIT, "fits of start densities")                                                                        \
    X(BOUND, "bound: reconstruction and diffusion terms")                                                    \
    X(PRIOR, "bound: prior terms")                                                                           \
    X(DISTANCE, "distances")

typedef enum ts_sweep_phase {
#define X(name, text) TS_SWEEP_##name,
    TS_SWEEP_PHASES(X)
#undef X
        TS_SWEEP_PHASE_COUNT
} ts_sweep_phase;

typedef struct ts_sweep {
    const char *dir;
    ts_run *run;            /* data and device; the shared network */
    ts_config *config;      /* of run */
    ts_config exact_config; /* the same with the exact score; owns nothing */
    ts_model *exact;        /* mixtures: the exact score, beside a trained one */
    ts_run *own;            /* per_T: the run of own_T */
    double own_T;

    int64_t count; /* held-out data of the bound */
    int d;
    double eps;                      /* of the bound */
    double edges[TS_SWEEP_BINS];     /* upper ends of the loss profile's bins; the first begins at eps */
    ts_bound bounds[TS_SCORE_COUNT]; /* [score_count]; columns: T[], then edges[] */
    double *prior, *kl;              /* [T][start][count]; kl: mixtures, else NULL */

    ts_results *results; /* its lists of T, scores, starts and samplers are the sweep's */
    double seconds[TS_SWEEP_PHASE_COUNT], sampler_seconds[TS_SAMPLER_COUNT];

    ts_progress progress; /* hand this to the work; it tells `outer` */
    ts_progress *outer;
    char phase[96]; /* what the work is called, in place of its own name */
    int part, part_count;
} ts_sweep;

/* ---- parts ---- */

/* One tensor of a part: memory of the caller's for exactly this shape. */
typedef struct ts_part_tensor {
    const char *name;
    ts_safetensors_type type;
    int rank;
    int64_t shape[4];
    void *values;
} ts_part_tensor;

/* A part, and all that its numbers depend on: the data (by their checksum), the seed and SDE, sections of the
 * configuration, and what else.  Where its file or the data's files lie does not matter. */
typedef struct ts_part {
    const char *folder, *name; /* DIR/FOLDER/NAME.safetensors */
    const char *sections;      /* of the configuration, beside "run data sde" */
    const char *inputs;        /* what else, as text */
} ts_part;

/* Fills the tensors from the part's file.  *found is false where there is no such file, or one that was made
 * of something else or has other shapes: the part is to be made (again). */
ts_status ts_part_load(const ts_sweep *sweep, const ts_part *part, const ts_part_tensor *tensors, int count,
                       bool *found);
ts_status ts_part_save(const ts_sweep *sweep, const ts_part *part, const ts_part_tensor *tensors, int count);

/* Begins a part: names it for the progress. */
void ts_part_begin(ts_sweep *sweep, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- the work ---- */

/* Trains the network of `run` as the part `name`, or takes it over, and loads its averaged weights. */
ts_status ts_sweep_train(ts_sweep *sweep, ts_run *run, const char *name);

/* The run that evaluates with this score (an index into the results' list) at this T: `view` borrows
 * everything.  Trains first where the network at T is not trained. */
ts_status ts_sweep_view(ts_sweep *sweep, int score, double T, ts_run *view);

/* Whether there is a network of its own for each T behind this score. */
bool ts_sweep_is_per_T(const ts_sweep *sweep, int score);

ts_status ts_sweep_fits(ts_sweep *sweep);      /* the start densities that are fitted */
ts_status ts_sweep_bounds(ts_sweep *sweep);    /* fills bounds */
ts_status ts_sweep_priors(ts_sweep *sweep);    /* fills prior and kl */
ts_status ts_sweep_samples(ts_sweep *sweep);   /* fills the sample rows of the results */
ts_status ts_sweep_summarize(ts_sweep *sweep); /* fills the bound rows, T*, the loss profile, what is exact */

double ts_sweep_largest_T(const ts_sweep *sweep);
/* Where the prior terms of a T and start begin in prior and kl. */
int64_t ts_sweep_prior_at(const ts_sweep *sweep, int T, int start);

/* By quadrature; mixtures on the line only. */
ts_status ts_sweep_exact(const ts_config *config, double eps, double T_max, ts_results *results);

/* T* of one start and score from elbo [T][count]: fills everything but the kinds. */
ts_status ts_sweep_best(const double *elbo, int T_count, const double *T, int64_t count, ts_best *best);

#endif
