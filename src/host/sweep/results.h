/*
 * The results of a sweep: in memory, as CSV tables and as sweep.json.  The report is made from these and the
 * stored samples alone.
 *
 * Two tidy tables lie on one grid.  A bound row is a (score, T, start); a sample row is a bound row and a
 * sampler.  All rows exist from the beginning, in this order, and are filled by index:
 *
 *     bounds  [score_count][T_count][start_count]
 *     samples [score_count][T_count][start_count][sampler_count]
 *
 * A sampler stands in the list once with its own steps, or once for each budget of evaluations.
 */
#ifndef TS_SWEEP_RESULTS_H
#define TS_SWEEP_RESULTS_H

#include "base/kinds.h"
#include "kernels/sde.h"
#include "diffusion/bound.h"

/* What is unknown is NaN: empty in CSV, null in JSON. */
typedef struct ts_bound_row {
    double T;
    ts_start_kind start;
    ts_score_kind score;
    ts_bound_terms terms;
    ts_interval start_error;           /* of the start alone */
    ts_interval kl_prior, K;           /* mixtures */
    double data;                       /* held-out data behind the bound */
    ts_interval ode_log_prob, ode_bpd; /* with sweep.likelihood */
    double ode_nfe;
} ts_bound_row;

/* A sampler as a sweep draws with it. */
typedef struct ts_sampler_entry {
    ts_sampler_kind kind;
    double budget; /* network evaluations that it may spend on a sample; NaN: its own steps */
} ts_sampler_entry;

typedef struct ts_sample_row {
    ts_sampler_entry sampler;
    double images, steps, nfe; /* steps: fixed ones; NaN of adaptive samplers */
    ts_interval seconds_per_image;
    double start_seconds; /* of these, the draw from the start density */
    ts_interval sliced_wasserstein, frechet, fid, kid, precision, recall; /* of sweep.quality */
    double fid_infinity;
    ts_compared_features frechet_features;
} ts_sample_row;

/*
 * The columns of bound.csv, and those that samples.csv has behind T, start, score; sweep.csv is the join of the
 * two, a row a sample row.  Also the keys of the rows of sweep.json.
 *     X(kind, name, member, what it is, with its unit)
 * kinds: NUMBER (double), COUNT (double that holds a whole number), and the families of words of base/kinds.h.
 */
/* clang-format off */
#define TS_BOUND_COLUMNS(X)                                                                                                      \
    X(NUMBER, T, T, "diffusion time: the forward process ends, and the reverse process starts, at T <= 1")                       \
    X(START, start, start, "start density: normal (N(0, I); VE: N(0, sigma(T)^2 I)), glow (the fitted auxiliary density), mixture (the exact density at T)") \
    X(SCORE, score, score, "network (trained, one for all T), network_per_T (trained for each T, on [eps, T]), exact (of a mixture)") \
    X(NUMBER, elbo_nats, terms.elbo.mean, "evidence lower bound on the log-likelihood of a datum: mean over held-out data, and over trainings with sweep.seeds, nats") \
    X(NUMBER, elbo_ci95_nats, terms.elbo.half, "half width of its 95 % interval over data (with sweep.seeds: and trainings), nats")                                \
    X(NUMBER, bpd, terms.bpd.mean, "the bound in bits per dimension, -elbo_nats / (d ln 2); smaller is better")                  \
    X(NUMBER, bpd_ci95, terms.bpd.half, "half width of its 95 % interval, bits per dimension")                                   \
    X(NUMBER, reconstruction_nats, terms.reconstruction.mean, "reconstruction term, E log p(x0 | x_eps), nats; elbo = reconstruction - prior - diffusion") \
    X(NUMBER, reconstruction_ci95_nats, terms.reconstruction.half, "half width of its 95 % interval, nats")                      \
    X(NUMBER, prior_nats, terms.prior.mean, "prior term, KL(q(x_T | x0), start density), nats")                                  \
    X(NUMBER, prior_ci95_nats, terms.prior.half, "half width of its 95 % interval, nats")                                        \
    X(NUMBER, diffusion_nats, terms.diffusion.mean, "diffusion term, I(T), nats")                                                \
    X(NUMBER, diffusion_ci95_nats, terms.diffusion.half, "half width of its 95 % interval, nats")                                \
    X(NUMBER, start_error, start_error.mean, "mean squared error of the noise that the start density's own score, -s grad log nu(x_T), predicts at T, a dimension: a diagnosis; unknown of normal and gaussian, whose prior term's slope it is")   \
    X(NUMBER, start_error_ci95, start_error.half, "half width of its 95 % interval")                                             \
    X(NUMBER, kl_prior_nats, kl_prior.mean, "mixtures: an estimate of KL(p(x, T), start density), nats; below zero it is noise around zero") \
    X(NUMBER, kl_prior_ci95_nats, kl_prior.half, "half width of its 95 % interval, nats")                                        \
    X(NUMBER, K_nats, K.mean, "mixtures: K(T), what the exact score would leave of the diffusion term, nats")                    \
    X(NUMBER, K_ci95_nats, K.half, "half width of its 95 % interval, nats")                                                      \
    X(COUNT, data, data, "held-out data behind the bound")                                                                       \
    X(NUMBER, ode_log_prob_nats, ode_log_prob.mean, "with sweep.likelihood: log-likelihood of a datum by the probability-flow ODE (images: dequantised), mean over held-out data, nats") \
    X(NUMBER, ode_log_prob_ci95_nats, ode_log_prob.half, "half width of its 95 % interval over data, nats")                      \
    X(NUMBER, ode_bpd, ode_bpd.mean, "the same in bits per dimension; another model and treatment of levels than the bound's, so neither has to be the smaller") \
    X(NUMBER, ode_bpd_ci95, ode_bpd.half, "half width of its 95 % interval, bits per dimension")                                 \
    X(NUMBER, ode_nfe, ode_nfe, "network evaluations of one solution of that ODE, mean over batches")

#define TS_SAMPLE_COLUMNS(X)                                                                                                     \
    X(SAMPLER, sampler, sampler.kind, "the sampler, by the word of sweep.samplers: em (Euler-Maruyama on the reverse SDE), rk45 (adaptive Runge-Kutta on the probability-flow ODE), ...") \
    X(COUNT, budget, sampler.budget, "network evaluations that the sampler may spend on a sample, of sweep.nfe; unknown: its own steps") \
    X(COUNT, steps, steps, "its fixed steps; unknown of rk45, which adapts")                                                     \
    X(NUMBER, nfe, nfe, "network evaluations for one sample, the last denoising step included; rk45: the mean over batches")     \
    X(NUMBER, seconds_per_image, seconds_per_image.mean, "wall time of sampling 16 images in batches of at most sample.batch, the draw from the start density included, divided by 16, s: measured behind all else, alone, by one worker") \
    X(NUMBER, seconds_per_image_ci95, seconds_per_image.half, "half width of its 95 % interval, s; none of one measurement") \
    X(NUMBER, start_seconds_per_image, start_seconds, "of these seconds, the draw from the start density, s")                    \
    X(COUNT, images, images, "samples drawn, and compared with held-out data")                                                   \
    X(NUMBER, sliced_wasserstein, sliced_wasserstein.mean, "sliced 2-Wasserstein distance between samples and held-out data, units of the data in [-1, 1]") \
    X(NUMBER, sliced_wasserstein_ci95, sliced_wasserstein.half, "half width of its 95 % interval over images")                   \
    X(NUMBER, frechet, frechet.mean, "squared Frechet distance between Gaussians fitted to features of samples and of held-out data; not FID") \
    X(NUMBER, frechet_ci95, frechet.half, "half width of its 95 % interval over images")                                         \
    X(FEATURES, frechet_features, frechet_features, "what these features are: pixels, coordinates (of vectors), pca64 (leading principal components of the training data), or the network of sweep.weights, of which kid, precision and recall are too") \
    X(NUMBER, fid, fid.mean, "with fid in sweep.quality: Frechet Inception distance between samples and held-out data; smaller is better") \
    X(NUMBER, fid_ci95, fid.half, "half width of its 95 % interval over images")                                                 \
    X(NUMBER, fid_infinity, fid_infinity, "the same extrapolated to sets without end, linearly in one over their sizes")         \
    X(NUMBER, kid, kid.mean, "with kid in sweep.quality: kernel distance, the squared maximum mean discrepancy of features, unbiased; smaller is better") \
    X(NUMBER, kid_ci95, kid.half, "half width of its 95 % interval over images")                                                 \
    X(NUMBER, precision, precision.mean, "with precision in sweep.quality: share of samples within the manifold of held-out data (3 neighbours); larger is better") \
    X(NUMBER, precision_ci95, precision.half, "half width of its 95 % interval over images")                                     \
    X(NUMBER, recall, recall.mean, "with recall in sweep.quality: share of held-out data within the manifold of samples; larger is better") \
    X(NUMBER, recall_ci95, recall.half, "half width of its 95 % interval over images")
/* clang-format on */

/* The bound at one T, bits/dim, and what it loses against the best T. */
typedef struct ts_finding_point {
    double T;
    ts_interval bpd;
    /* Its terms, nats; network: diffusion - reconstruction, what the bound loses beside the prior term. */
    ts_interval prior, diffusion, network;
    double bpd_band, prior_band,
        network_band; /* half widths of 95 % bands, each of which holds at every T at once */
    /* Mean squared error of the noise at t = T, a dimension: of the score, and of the start density's own,
     * -s grad log nu_T, if the forward process carries it; else what its prior term falls by, in that unit.  The bound wants
     * a longer T while the first is the smaller.  Slopes over neighbouring points; where there is no curve the first is NaN
     * and the second the row's, measured at the draws (NaN where the row has none). */
    ts_interval network_error, start_error;
    double loss, loss_low, loss_high; /* bits/dim: estimate and 95 % band, which holds at every T at once */
    double chance; /* how often this T is the best when the data are drawn again (bootstrap) */
} ts_finding_point;

/*
 * Which T is the best for one start density and score, and from which on T is long enough (quality/bands.h).  Bounds at
 * different T share their data and most draws, so they are compared datum by datum.  The points are those of a
 * continuous curve, at most 0.01 apart, where the start has a density at every T, else the sweep's.  With sweep.seeds all
 * of it is of the mean over trainings.
 */
typedef struct ts_finding {
    ts_start_kind start;
    ts_score_kind score;
    double T_best, T_best_low, T_best_high; /* argmax of the bound, and the ends of its 95 % confidence set */
    double tolerance;                       /* bits/dim */
    double T_star, T_star_low,
        T_star_high; /* the smallest T whose bound is within the tolerance of the best one; from
        the smallest that the data do not exclude to the smallest that is shown to be, or where none is, the largest T */
    bool tie;        /* no two T are told apart */
    double seeds;    /* trainings behind it */
    double between;  /* the standard deviation between them of the bound at T_best, bits/dim; NaN of one */
    int count;
    ts_finding_point *points; /* [count], T ascending */
} ts_finding;

/* The held-out loss between two times. */
typedef struct ts_profile_bin {
    double t_low, t_high;
    ts_interval mse;       /* (net - z)^2, mean over dimensions */
    ts_interval integrand; /* of the diffusion term, g^2/(2 s^2) E|net - z|^2, nats a unit of time */
} ts_profile_bin;

typedef struct ts_profile {
    ts_score_kind score;
    double T; /* up to which it reaches: with a network for each T there is one for each */
    int count;
    ts_profile_bin *bins;
} ts_profile;

/* What the network trained for one T alone gains over the one for all T: the mean over data of how much higher its
 * bound is, nats a datum.  Both share their data, start and draws of x_T, so all of it lies in the diffusion term. */
typedef struct ts_gain {
    double T;
    ts_interval nats;
} ts_gain;

/* By quadrature, for mixtures on the line, nats. */
typedef struct ts_exact_point {
    double T, kl_normal, K;
} ts_exact_point;

/* The auxiliary density at one T. */
typedef struct ts_fit_summary {
    ts_start_kind start;
    double T, steps, skipped; /* optimiser steps, and those left out because they were not finite */
    double loss;              /* of the last steps, nats a dimension */
    double seconds;
} ts_fit_summary;

typedef struct ts_phase {
    char name[64];
    double seconds;
} ts_phase;

/*
 * What work costs, measured in the sweep, seconds (advice/costs.h).  An image takes the evaluations of its row and one draw
 * from the start.  spread: the standard deviation of one measurement, from the median of its deviations; NaN of one alone.
 */
typedef struct ts_evaluation_cost {
    ts_sampler_kind sampler;
    double seconds, spread; /* a network evaluation of this sampler, an image */
    double count;           /* rows whose time was taken */
} ts_evaluation_cost;

typedef struct ts_start_cost {
    ts_start_kind start;
    double seconds, spread; /* a draw, an image */
    double fit;             /* of the longest fit; 0: there is nothing to fit */
} ts_start_cost;

typedef struct ts_costs {
    double batch;         /* images at once while the time was taken */
    double training_step; /* of the score network; NaN: none was trained */
    int evaluation_count, start_count;
    ts_evaluation_cost *evaluations; /* a sampler with a known time each */
    ts_start_cost *starts;           /* [ts_results.start_count] */
} ts_costs;

/* Held-out data against training data of the same number as samples: not a lower limit, but what real data
 * of this number score. */
typedef struct ts_floor {
    double count; /* training subsets compared */
    double images;
    ts_interval sliced_wasserstein, frechet;
    double sliced_wasserstein_low, sliced_wasserstein_high, frechet_low, frechet_high; /* over subsets */
    ts_interval fid, kid, precision, recall; /* of the first subset */
} ts_floor;

typedef struct ts_results {
    char *name, *command, *version, *device, *date, *config; /* config: resolved, YAML */
    ts_sde_kind sde;
    double seed, threads;
    double h, w, c, levels, train_count, test_count, parameters; /* parameters: of the score network */
    double block;                                    /* data.block: neighbours that intervals take together */
    double steps_per_unit, train_steps, projections; /* train_steps: up to where the network was trained */
    ts_floor floor;
    ts_costs costs;

    int T_count, score_count, start_count, sampler_count; /* the grid */
    double *T;                                            /* as configured */
    ts_score_kind *scores;
    ts_start_kind *starts;
    ts_sampler_entry *samplers;
    ts_bound_row *bounds;
    ts_sample_row *samples;

    int finding_count, profile_count, gain_count, exact_count, fit_count, phase_count;
    ts_finding *findings; /* [score_count][start_count] */
    ts_profile *profiles;
    ts_gain *gains; /* with both trainings side by side */
    ts_exact_point *exact;
    ts_fit_summary *fits;
    ts_phase *phases;
} ts_results;

/* Makes every row of the grid, with unknown numbers; copies the lists. */
ts_status ts_results_make(ts_results *results, int score_count, const ts_score_kind *scores, int T_count,
                          const double *T, int start_count, const ts_start_kind *starts, int sampler_count,
                          const ts_sampler_entry *samplers);

static inline int ts_results_bound_index(const ts_results *r, int score, int T, int start)
{
    return (score * r->T_count + T) * r->start_count + start;
}

static inline ts_bound_row *ts_results_bound(const ts_results *r, int score, int T, int start)
{
    return &r->bounds[ts_results_bound_index(r, score, T, start)];
}

static inline ts_sample_row *ts_results_sample(const ts_results *r, int score, int T, int start, int sampler)
{
    return &r->samples[ts_results_bound_index(r, score, T, start) * r->sampler_count + sampler];
}

static inline int ts_results_bound_count(const ts_results *r)
{
    return r->score_count * r->T_count * r->start_count;
}

/* Where a kind or a T stands in the grid's lists; -1: nowhere. */
int ts_results_start_index(const ts_results *results, ts_start_kind start);
int ts_results_T_index(const ts_results *results, double T);

/* Frees everything within; `results` itself is the caller's.  All pointers come from malloc or are NULL. */
void ts_results_release(ts_results *results);

/* DIR/bound.csv, samples.csv and sweep.csv (RFC 4180, one header line), each atomically. */
ts_status ts_results_write_csv(const ts_results *results, const char *dir);
/* DIR/sweep.json, atomically: all of it, the configuration as an object. */
ts_status ts_results_write_json(const ts_results *results, const char *dir);
/* DIR/sweep.json.  Errors: TS_NOT_FOUND where DIR holds no finished sweep, TS_FORMAT naming the key. */
ts_status ts_results_read(const char *dir, ts_results *results);

/* name and meaning of each column of sweep.csv, in order */
typedef void ts_result_column_visitor(void *context, const char *name, const char *meaning);
void ts_results_columns(ts_result_column_visitor *visitor, void *context);

/* Samples as sweeps store them: DIR/samples/NAME.safetensors with one tensor "x" [n,h,w,c], float32, in [-1,
 * 1]; NAME is "data" for held-out data, else this. */
#define TS_SAMPLES_FOLDER "samples"
/* With sweep.neighbours, under the same names: of the first samples the nearest training data, and "distance" [n], the root
 * mean square over values of the difference. */
#define TS_NEIGHBOURS_FOLDER "neighbours"
void ts_samples_name(double T, ts_start_kind start, ts_score_kind score, const ts_sampler_entry *sampler,
                     char name[128]);

#endif
