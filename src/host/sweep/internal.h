/*
 * What the files of the sweep share.
 */
#ifndef TS_SWEEP_INTERNAL_H
#define TS_SWEEP_INTERNAL_H

#include "base/safetensors.h"
#include "diffusion/bound.h"
#include "run/log.h"
#include "sweep/results.h"
#include "sweep/sweep.h"

enum { TS_SWEEP_PRIORS = 2, TS_SWEEP_SCORES = 2, TS_SWEEP_BINS = 24 };

/* Where the time goes; each is one line of the results. */
#define TS_SWEEP_PHASES(X)                                                                                   \
    X(TRAIN, "training of the score network")                                                                \
    X(FIT, "fits of the auxiliary density")                                                                  \
    X(BOUND, "bound: reconstruction and diffusion terms")                                                    \
    X(PRIOR, "bound: prior terms")                                                                           \
    X(EM, "samples by Euler-Maruyama")                                                                       \
    X(RK45, "samples by RK45")                                                                               \
    X(DISTANCE, "distances")

typedef enum ts_sweep_phase {
#define X(name, text) TS_SWEEP_##name,
    TS_SWEEP_PHASES(X)
#undef X
        TS_SWEEP_PHASE_COUNT
} ts_sweep_phase;

typedef struct ts_sweep {
    const char *dir;
    ts_run *run;       /* data and device; the shared network */
    ts_config *config; /* of run */
    char *config_text;
    ts_config exact_config; /* the same with the exact score; owns nothing */
    ts_model *exact;        /* mixtures: the exact score, beside a trained one */
    ts_run *own;            /* per_T: the run of own_T */
    double own_T;

    int T_count;
    const double *T; /* as configured */
    int prior_count, score_count;
    const char *priors[TS_SWEEP_PRIORS], *scores[TS_SWEEP_SCORES];

    int64_t count; /* held-out data of the bound */
    int d;
    double eps;                       /* of the bound */
    double edges[TS_SWEEP_BINS];      /* upper ends of the loss profile's bins; the first begins at eps */
    ts_bound bounds[TS_SWEEP_SCORES]; /* columns: T[], then edges[] */
    double *prior, *kl;               /* [T][prior][count]; kl: mixtures, else NULL */

    ts_results *results;
    double seconds[TS_SWEEP_PHASE_COUNT];

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

/* Over the named sections of the resolved configuration ("data sde"), the seed, and `more`. */
void ts_sweep_fingerprint(const ts_sweep *sweep, const char *sections, const char *more,
                          char fingerprint[17]);

/* Fills the tensors from DIR/FOLDER/NAME.safetensors.  *found is false where there is no such file, or one of
 * another fingerprint or shape: the part is to be made (again). */
ts_status ts_sweep_part_load(const ts_sweep *sweep, const char *folder, const char *name,
                             const char *fingerprint, const ts_part_tensor *tensors, int count, bool *found);
ts_status ts_sweep_part_save(const ts_sweep *sweep, const char *folder, const char *name,
                             const char *fingerprint, const ts_part_tensor *tensors, int count);

/* Begins a part: names it for the progress. */
void ts_sweep_part_begin(ts_sweep *sweep, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- the work ---- */

/* The run that evaluates with this score at this T: `view` borrows everything.  Trains first where the
 * network at T is not trained. */
ts_status ts_sweep_view(ts_sweep *sweep, int score, double T, ts_run *view);

ts_status ts_sweep_fits(ts_sweep *sweep);   /* the auxiliary densities */
ts_status ts_sweep_bounds(ts_sweep *sweep); /* fills bounds */
ts_status ts_sweep_priors(ts_sweep *sweep); /* fills prior and kl */
/* Fills the samplers' columns of the results' rows, which are made here. */
ts_status ts_sweep_samples(ts_sweep *sweep);
/* Fills the bound's columns, and T*, the loss profile and what is exact. */
ts_status ts_sweep_summarize(ts_sweep *sweep);
/* By quadrature; mixtures on the line only. */
ts_status ts_sweep_exact(const ts_config *config, double eps, double T_max, ts_results *results);

/* T* of one start and score from elbo [T][count] (sweep.h's order of T): fills everything but the names. */
ts_status ts_sweep_best(const double *elbo, int T_count, const double *T, int64_t count, ts_best *best);

#endif
