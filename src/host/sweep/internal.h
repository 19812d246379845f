/*
 * What the files of the sweep share.
 *
 *   sweep.c     the whole, from the folder to the results; trainings from further seeds
 *   plan.c      the list of parts: what needs what, and about how much work it is
 *   workers.c   threads that take the parts
 *   worker.c    what each of them has of its own: device, data, networks
 *   progress.c  how far all of it is, and what is left
 *   network.c, bound.c, curve.c, likelihood.c   the parts themselves; summary.c, findings.c, exact.c what follows from
 *               them
 *   samples/    the parts that draw samples and compare them: samples.c; by the features of a network, features.c; with
 *               the training data nearest to them, neighbours.c
 *   parts.c     finished parts on disk; results*.c the results
 *   advice/     what the work costs, and what to do for a budget, from the results alone
 */
#ifndef TS_SWEEP_INTERNAL_H
#define TS_SWEEP_INTERNAL_H

#include "base/safetensors.h"
#include "diffusion/bound.h"
#include "diffusion/samplers/sampler.h"
#include "quality/bands.h"
#include "quality/measures.h"
#include "quality/reference.h"
#include "run/starts.h"
#include "sweep/results.h"
#include "sweep/sweep.h"
#include "sweep/workers.h"

/* TIMED: images of a row whose time is taken. */
enum { TS_SWEEP_BINS = 24, TS_SWEEP_TIMED = 16 };

/* Where the time goes, beside each sampler; each is one line of the results. */
#define TS_SWEEP_PHASES(X)                                                                                   \
    X(TRAIN, "training of the score network")                                                                \
    X(FIT, "fits of start densities")                                                                        \
    X(BOUND, "bound: reconstruction and diffusion terms")                                                    \
    X(PRIOR, "bound: prior terms")                                                                           \
    X(LIKELIHOOD, "likelihood by the ODE")                                                                   \
    X(DISTANCE, "distances")                                                                                 \
    X(TIMING, "seconds an image, measured alone")

typedef enum ts_sweep_phase {
#define X(name, text) TS_SWEEP_##name,
    TS_SWEEP_PHASES(X)
#undef X
        TS_SWEEP_SAMPLE, /* + ts_sampler_kind */
    TS_SWEEP_PHASE_COUNT = TS_SWEEP_SAMPLE + TS_SAMPLER_COUNT
} ts_sweep_phase;

/* The name of a phase: "training of the score network", "samples by ...". */
void ts_sweep_phase_text(int phase, char text[64]);

/* The sets that samples are compared with. */
typedef struct ts_comparison {
    int64_t test_count, train_count;
    float *test, *train; /* [count][d] */
    ts_features *features;
    ts_reference *reference; /* of test */
    ts_measured_set network; /* test by the features of sweep.weights; empty: no measure asks for them */
    ts_feature_network_kind network_kind;
    char weights[17]; /* checksum of their file */
} ts_comparison;

/* What is estimated of the whole before and while it runs; progress.c's. */
typedef struct ts_sweep_estimates {
    double began, told; /* seconds; 0: not yet */
    bool said;          /* `estimated` was called */
    double bytes;       /* of the largest plan that only later parts need, for each worker */
} ts_sweep_estimates;

typedef struct ts_sweep ts_sweep;
struct ts_sweep {
    const char *dir;
    const ts_sweep_options *options;
    ts_run *run;       /* opens and holds the folder, the data and the first worker's device and network */
    ts_config *config; /* of run */
    ts_config exact_config; /* the same with the exact score; owns nothing */

    int64_t count; /* held-out data of the bound */
    int d;
    double eps;                      /* of the bound */
    double edges[TS_SWEEP_BINS];     /* upper ends of the loss profile's bins; the first begins at eps */
    ts_bound bounds[TS_SCORE_COUNT]; /* [score_count]; columns: T[], then the curve's T */
    /* [T][start][count]; kl: mixtures, else NULL; start_error: NaN where it is not known */
    double *prior, *kl, *start_error;
    struct {
        int count;                     /* 0: every network is of one T, or there is one T */
        double *T;                     /* [count], ascending, the sweep's among them */
        double *prior[TS_START_COUNT]; /* [start_count]: [s->count][count]; NULL: a density at some T alone */
    } curve;
    ts_comparison comparison;

    ts_results *results; /* its lists of T, scores, starts and samplers are the sweep's */

    int timings;       /* where the parts begin that are done alone, when all others are done */
    ts_part_list list; /* its parts are the sweep's */
    int worker_count;
    ts_worker **workers; /* [worker_count] */
    ts_sweep_estimates estimates;
    char phase[32]; /* what is told of */

    /* Trainings from further seeds are sweeps of their own in DIR/seed2, ... that end with the bound. */
    int seeds;
    ts_sweep *
        others[TS_MOST_SEEDS - 1]; /* [seeds - 1] once they are done: their bounds and prior terms are left */
    const ts_sweep *first;         /* of such a one: the sweep that it is of; NULL */
};

/* The sweep of the k-th seed, k < seeds; the first is `sweep`. */
const ts_sweep *ts_sweep_of_seed(const ts_sweep *sweep, int k);
/* Of the draws that measure the bound: all seeds are measured on the same data by the same draws. */
uint64_t ts_sweep_draws_seed(const ts_sweep *sweep);

/* ---- workers ---- */

/* What one thread works with. */
struct ts_worker {
    ts_sweep *sweep;
    ts_run run;       /* the sweep's, with this worker's device, data and network; it owns nothing */
    bool borrows;     /* device, data and network are the sweep's */
    bool has_weights; /* run.model holds the trained ones */
    ts_model *exact;  /* mixtures: the exact score, beside a trained one */
    ts_run *own;      /* trained for each T: the run of own_T, with its trained weights */
    double own_T;

    ts_part *part; /* what it does */
    double bytes;  /* at most in use on its device so far; under the list's lock */
    ts_progress progress;
};

/* Shares the threads of the run's device among as many workers as options say, or as help, and opens them:
 * the first with what the run has, the others with devices of their own. */
ts_status ts_sweep_open_workers(ts_sweep *sweep);
void ts_sweep_close_workers(ts_sweep *sweep);
/* The first thing in the worker's thread. */
void ts_worker_begin(ts_worker *worker);

/* The run that evaluates with this score (an index into the results' list) at this T: `view` borrows
 * everything.  The network at T is trained. */
ts_status ts_worker_view(ts_worker *worker, int score, double T, ts_run *view);

/* ---- the list of parts ---- */

ts_status ts_sweep_plan(ts_sweep *sweep); /* fills parts and list, once the results' rows are there */

/* Whether there is a network of its own for this T behind this score.  With both trainings side by side the one
 * for all T serves as that of T = train.T, which would be the same. */
bool ts_sweep_has_own(const ts_sweep *sweep, int score, double T);
/* Whether the list of scores holds the one of a network for all T. */
bool ts_sweep_has_shared(const ts_sweep *sweep);
/* What the sampler of this place in the list does at T. */
ts_status ts_sweep_sampler(const ts_config *config, const ts_sampler_entry *entry, double T,
                           ts_sampler_config *sampler);

/* The parts of the list: what each is of stands in it. */
ts_status ts_part_train(ts_worker *worker, ts_part *part); /* T: an index, or -1 for the shared network */
/* The shared network, before there are rows: with train.T auto its training says up to which T they reach. */
ts_status ts_sweep_train_first(ts_sweep *sweep);
ts_status ts_part_fit(ts_worker *worker, ts_part *part);        /* T, start */
ts_status ts_part_bound(ts_worker *worker, ts_part *part);      /* score; T: an index, or -1 for all */
ts_status ts_part_prior(ts_worker *worker, ts_part *part);      /* T, start */
ts_status ts_part_curve(ts_worker *worker, ts_part *part);      /* start */
ts_status ts_part_likelihood(ts_worker *worker, ts_part *part); /* score, T; of all starts */
ts_status ts_part_reference(ts_worker *worker, ts_part *part);  /* makes the comparison */
ts_status ts_part_sample(ts_worker *worker, ts_part *part);     /* score, T, start, sampler; as these: */
ts_status ts_part_distance(ts_worker *worker, ts_part *part);
ts_status ts_part_timing(ts_worker *worker, ts_part *part);

/* ---- features of a network ---- */

/* What sweep.quality asks for, and of it what is of the features of sweep.weights. */
ts_measure_set ts_sweep_measures(const ts_config *config);
ts_measure_set ts_sweep_network_measures(const ts_config *config);
/* That there are weights for what is asked, before anything is trained. */
ts_status ts_sweep_check_weights(const ts_config *config);
/* The held-out data's features and the floor of these measures. */
ts_status ts_sweep_network_reference(ts_worker *worker, ts_comparison *comparison, ts_floor *floor);
/* Samples x [sweep.samples] by these measures into their row; their features are kept under `name`, and depend on what
 * the samples do. */
ts_status ts_sweep_network_distances(ts_worker *worker, const char *name, const char *sections,
                                     const char *inputs, const float *x, ts_sample_row *row);

/* Of the first samples of a row the nearest training data, for the page; or none, and none of before. */
ts_status ts_sweep_neighbours(ts_worker *worker, const char *name, const char *sections, const char *inputs,
                              const float *x);
void ts_sweep_forget_neighbours(const ts_sweep *sweep, const char *name);

/* ---- progress ---- */

/* What makes the list tell of its progress and a worker of its part's. */
void ts_sweep_watch(ts_sweep *sweep);
void ts_worker_watch(ts_worker *worker, ts_part *part);

/* ---- parts on disk ---- */

/* One tensor of a part: memory of the caller's for exactly this shape. */
typedef struct ts_part_tensor {
    const char *name;
    ts_safetensors_type type;
    int rank;
    int64_t shape[4];
    void *values;
} ts_part_tensor;

/* The file of a part, and all that its numbers depend on: the data (by their checksum), the seed and SDE,
 * sections of the configuration, and what else.  Where its file or the data's files lie does not matter. */
typedef struct ts_part_file {
    const char *folder, *name; /* DIR/FOLDER/NAME.safetensors */
    const char *sections;      /* of the configuration, beside "run data sde" */
    const char *inputs;        /* what else, as text */
} ts_part_file;

/* Fills the tensors from the part's file.  *found is false where there is no such file, or one that was made
 * of something else or has other shapes: the part is to be made (again). */
ts_status ts_part_load(const ts_sweep *sweep, const ts_part_file *part, const ts_part_tensor *tensors,
                       int count, bool *found);
ts_status ts_part_save(const ts_sweep *sweep, const ts_part_file *part, const ts_part_tensor *tensors,
                       int count);

/* ---- beside the parts ---- */

/* Memory for what the parts fill, the loss profiles too; the edges of their bins. */
ts_status ts_sweep_allocate_bounds(ts_sweep *sweep);
ts_status ts_sweep_allocate_fits(ts_sweep *sweep);
/* The times of the curve and memory for its prior terms; before the bounds'. */
ts_status ts_sweep_allocate_curve(ts_sweep *sweep);
void ts_sweep_release_curve(ts_sweep *sweep);
/* Whether this start's bound with this score is known at every T of the curve. */
bool ts_sweep_has_curve(const ts_sweep *sweep, int score, int start);
/* How many times the part of a start's curve asks for a datum's density: once where that is in closed form, else for each T
 * and draw of x_T. */
int ts_sweep_curve_passes(const ts_sweep *sweep, int start);
void ts_comparison_release(ts_comparison *comparison);
/* The place of a fit in the results' list. */
int ts_sweep_fit_at(const ts_sweep *sweep, int T, int start);

ts_status ts_sweep_summarize(ts_sweep *sweep); /* fills the bound rows, T*, what is exact */

double ts_sweep_largest_T(const ts_sweep *sweep);
/* Where what is of a T and start begins in prior, kl and start_error. */
int64_t ts_sweep_prior_at(const ts_sweep *sweep, int T, int start);

/* By quadrature; mixtures on the line only. */
ts_status ts_sweep_exact(const ts_config *config, double eps, double T_max, ts_results *results);

/* The gain (results.h) at one column of bounds [seeds] of the same data. */
ts_interval ts_sweep_gain(int seeds, const ts_bound *const *shared, const ts_bound *const *own, int T);

ts_status ts_sweep_find_all(const ts_sweep *sweep); /* fills the findings */
/* That of one start and score from elbo [how->seeds][n][points], nats, at T ascending: fills everything but the kinds and the
 * terms. */
ts_status ts_sweep_find(const double *elbo, int64_t n, int points, const double *T, int d,
                        const ts_bands_config *how, ts_finding *finding);

#endif
