/*
 * The configuration of a run.  One table a section makes the struct, the YAML schema, the defaults, the
 * ranges, the completions of --set and the reference of all keys (`tstar info --keys`).
 *
 * What lives in this folder: the tables (here) as data (table.c), reading (yaml.c, load.c), what keys demand
 * of each other (check.c), writing (print.c, json.c), and the one way to compare two (compare.c).
 *
 * Invariants: a ts_config from ts_config_load holds a value of the right type and range for every key, and
 * what the keys demand of each other is true.  It is not changed afterwards.  Words are enums in it.  What is
 * printed loads again as the same.
 *
 *     X(kind, change, key, default, minimum, maximum, help)
 *
 * kinds: INT, REAL, REAL_OR_AUTO (a real, or the word auto, which is 0 in the struct), BOOL, STRING, CHOICE (the minimum column holds the family of base/kinds.h that the word
 * is of), INTS and REALS (lists; default a string such as "1,2,2"), WORDS (a list of words of such a family,
 * each at most once), MATRIX (list of lists, rows of equal length; a flat list is a matrix of one column;
 * default "").
 *
 * change: what a run that has been trained allows.  IDLE: any value at any time, for it changes no number.
 * FREE: any value at any time.  TRAIN: the run's own for train --resume and fit, which write to it; any for
 * what only reads it (sample, elbo).  FIXED: the run's own.
 */
#ifndef TS_CONFIG_CONFIG_H
#define TS_CONFIG_CONFIG_H

#include "base/kinds.h"
#include "diffusion/interval.h"
#include "kernels/kernels.h"

/* clang-format off */
#define TS_CONFIG_RUN(X)                                                                                                         \
    X(STRING, IDLE, name, "run", 0, 0, "name of the run, shown in its report")                                                   \
    X(INT, TRAIN, seed, 1, 0, 2147483647, "seed of every random number")

#define TS_CONFIG_DATA(X)                                                                                                        \
    X(CHOICE, FIXED, kind, "digits", ts_data_kind, 0, "built-in 8x8 digits, IDX files, CIFAR-10's, ImageNet's downsampled, a folder of PNG and JPEG, a NumPy array, or a Gaussian mixture") \
    X(STRING, IDLE, path, "", 0, 0, "folder with the files (idx, cifar10, imagenet, folder), or the file (array)")               \
    X(STRING, IDLE, cache, "", 0, 0, "folder for what is decoded of a folder's pictures (empty: beside it)")                     \
    X(INT, FIXED, crop, 0, -1, 65535, "folder, array: first the centred square of so many pixels a side (0: all, -1: the largest)") \
    X(INT, FIXED, resize, 0, 0, 4096, "folder, array: then to so many pixels a side (0: as they are)")                           \
    X(CHOICE, FIXED, filter, "bicubic", ts_filter_kind, 0, "how: area or bicubic, antialiased, as Pillow's BOX and BICUBIC")     \
    X(INT, FIXED, held_out, 0, 0, 100000000, "folder, array without a held-out set of their own: so many are held out, the same in every run (0: a tenth, at most 10000)") \
    X(INT, TRAIN, limit, 0, 0, 100000000, "use only the first N training examples (0: all)")                                     \
    X(INT, FIXED, levels, 0, 0, 256, "grey levels that the bytes take, equally spaced (0: 17 for digits, else 256)")             \
    X(BOOL, TRAIN, flip, false, 0, 0, "mirror training images at random")                                                        \
    X(INT, IDLE, block, 1, 1, 100000000, "held-out data depend on their neighbours: intervals are by blocks of so many in a row (1: they are independent)")

#define TS_CONFIG_MIXTURE(X)                                                                                                     \
    X(REALS, FIXED, weights, "", 0, 0, "component weights (normalised)")                                                         \
    X(MATRIX, FIXED, means, "", 0, 0, "component means, one row a component")                                                    \
    X(MATRIX, FIXED, stds, "", 0, 0, "component standard deviations, one row a component (diagonal covariances)")                \
    X(MATRIX, FIXED, covariances, "", 0, 0, "full covariances instead of stds: one row of d*d values a component")               \
    X(INT, FREE, count, 4096, 1, 100000000, "how many draws an evaluation uses")

#define TS_CONFIG_SDE(X)                                                                                                         \
    X(CHOICE, FIXED, kind, "vp", ts_sde_kind, 0, "forward process")                                                              \
    X(REAL, FIXED, beta_min, 0.1, 0, 1000, "beta(0) of VP and sub-VP")                                                           \
    X(REAL, FIXED, beta_max, 20, 1e-6, 1000, "beta(1) of VP and sub-VP")                                                         \
    X(REAL, FIXED, sigma_min, 0.01, 1e-9, 1000, "sigma(0) of VE")                                                                \
    X(REAL, FIXED, sigma_max, 50, 1e-6, 100000, "sigma(1) of VE")

#define TS_CONFIG_MODEL(X)                                                                                                       \
    X(CHOICE, FIXED, kind, "ddpmpp", ts_model_kind, 0, "score: DDPM++ or NCSN++ U-Net (images), residual MLP (vectors), or a mixture's exact score") \
    X(CHOICE, FIXED, predicts, "noise", ts_predicts_kind, 0, "what the network's output is: the noise z of x_t = a x0 + s z (VE U-Net: the score, as score_sde's), v = a z - s x0, or x0") \
    X(CHOICE, FIXED, time_input, "t", ts_time_input_kind, 0, "what the network is told of t: 999 t (VE U-Net: sigma), or 25 times the log-SNR ln(a^2/s^2)") \
    X(INT, FIXED, nf, 32, 4, 4096, "base width of the U-Net; even")                                                              \
    X(INTS, FIXED, ch_mult, "1,2", 1, 64, "width multiplier of each level")                                                      \
    X(INT, FIXED, num_res_blocks, 2, 1, 64, "residual blocks a level")                                                           \
    X(INTS, FIXED, attn_resolutions, "", 0, 0, "heights at which attention follows each block")                                  \
    X(REAL, TRAIN, dropout, 0.1, 0, 0.95, "dropout in residual blocks")                                                          \
    X(CHOICE, FIXED, embedding, "auto", ts_embedding_kind, 0, "ncsnpp: sinusoids of the noise level or random Fourier features of its logarithm (auto: fourier for VE, else positional)") \
    X(REAL, FIXED, fourier_scale, 16, 1e-3, 1000, "ncsnpp: standard deviation of the Fourier frequencies")                       \
    X(BOOL, FIXED, fir, true, 0, 0, "ncsnpp: resample by a FIR filter (else mean of 2x2 and nearest neighbour)")                 \
    X(REALS, FIXED, fir_kernel, "1,3,3,1", -1000, 1000, "ncsnpp: taps of that filter along each axis")                           \
    X(CHOICE, FIXED, progressive, "none", ts_progressive_kind, 0, "ncsnpp: whether every level adds to the output")              \
    X(CHOICE, FIXED, progressive_input, "residual", ts_progressive_input_kind, 0, "ncsnpp: how the input comes in again at every level") \
    X(CHOICE, FIXED, progressive_combine, "sum", ts_combine_kind, 0, "ncsnpp: how an input_skip joins what is there")            \
    X(CHOICE, FIXED, resblock, "biggan", ts_resblock_kind, 0, "ncsnpp: residual blocks; those of BigGAN resample, those of DDPM have convolutions between them that do") \
    X(BOOL, FIXED, skip_rescale, true, 0, 0, "ncsnpp: sums of residual blocks are divided by sqrt 2")                            \
    X(BOOL, FIXED, scale_by_sigma, true, 0, 0, "VE: the output of a U-Net that predicts the noise is divided by sigma(t)")                                  \
    X(INT, FIXED, hidden, 128, 4, 65536, "width of the MLP")                                                                     \
    X(INT, FIXED, blocks, 4, 1, 256, "residual blocks of the MLP")

#define TS_CONFIG_TRAIN(X)                                                                                                       \
    X(INT, FREE, steps, 100000, 1, 2147483647, "optimiser steps")                                                                \
    X(INT, FREE, batch, 128, 1, 65536, "images a step")                                                                          \
    X(REAL_OR_AUTO, FIXED, T, 1.0, 1e-6, 1, "diffusion time: t is drawn from [eps, T]; auto: from the largest T of sweep.T, shortened once T* of every start of sweep.starts that is measured lies below") \
    X(INT, FREE, auto_patience, 3, 1, 1000000, "train.T auto: measurements of T* in a row whose confidence sets stay below what T is shortened to") \
    X(REAL, FIXED, eps, 1e-5, 1e-9, 0.1, "smallest t in training")                                                               \
    X(CHOICE, TRAIN, loss, "simple", ts_loss_kind, 0, "weight of the squared error: 1 (of what the network predicts), or g^2/s^2 of the noise that it stands for (the bound), one number whatever it predicts")                           \
    X(CHOICE, TRAIN, t_sampling, "auto", ts_t_sampling_kind, 0, "density of t; auto: importance for likelihood (the weight is then 1), else uniform") \
    X(BOOL, TRAIN, low_discrepancy, true, 0, 0, "spread the t of a batch evenly")                                                \
    X(REAL, FREE, lr, 2e-4, 0, 1e30, "Adam's rate")                                                                              \
    X(REAL, FREE, beta1, 0.9, 0, 0.999999, "Adam's first decay")                                                                 \
    X(REAL, FREE, beta2, 0.999, 0, 0.999999, "Adam's second decay")                                                              \
    X(REAL, FREE, adam_eps, 1e-8, 0, 1, "Adam's epsilon")                                                                        \
    X(INT, FREE, warmup, 5000, 0, 2147483647, "steps of linear warm-up")                                                         \
    X(REAL, FREE, clip, 1, 0, 1e9, "largest global norm of the gradient (0: no clipping)")                                       \
    X(REAL, FREE, ema, 0.9999, 0, 0.99999999, "decay of the averaged weights")                                                   \
    X(INT, IDLE, log_every, 50, 1, 2147483647, "steps between log lines")                                                        \
    X(INT, IDLE, checkpoint_every, 1000, 1, 2147483647, "steps between checkpoints")                                             \
    X(INT, FREE, eval_every, 500, 0, 2147483647, "steps between measurements of T* on held-out data, and one at the end (0: none; nor where memory is too short)") \
    X(INT, FREE, eval_data, 256, 2, 1000000, "held-out data that such a measurement takes, or all")

#define TS_CONFIG_GLOW(X)                                                                                                        \
    X(INT, FREE, levels, 2, 1, 8, "levels of squeeze and split (L); vectors have none")                                                             \
    X(INT, FREE, steps_per_level, 4, 1, 128, "flow steps a level (K), of vectors all")                                                           \
    X(INT, FREE, hidden, 64, 1, 4096, "channels of the coupling networks")                                                       \
    X(CHOICE, FREE, whiten, "auto", ts_whiten_kind, 0, "none, or zca: the flow sees x_T whitened by the data's Gaussian at T, as which it begins (auto: zca up to whiten_limit dimensions)") \
    X(INT, FREE, whiten_limit, 1024, 1, 65536, "most dimensions that whiten auto whitens")                                       \
    X(INT, FREE, steps, 2000, 1, 2147483647, "optimiser steps of one fit")                                                       \
    X(INT, FREE, batch, 128, 2, 65536, "images a step")                                                                          \
    X(REAL, FREE, lr, 1e-3, 0, 1e30, "Adam's rate")                                                                              \
    X(INT, FREE, warmup, 100, 0, 2147483647, "steps of linear warm-up")                                                          \
    X(REAL, FREE, clip, 10, 0, 1e9, "largest global norm of the gradient")                                                       \
    X(REAL, FREE, ema, 0.99, 0, 0.99999999, "decay of the averaged weights")

#define TS_CONFIG_GLOW_ALL(X)                                                                                                    \
    X(INT, FREE, steps, 0, 0, 2147483647, "optimiser steps of the one fit for all T of sweep.T (0: twice glow.steps)")

#define TS_CONFIG_START(X)                                                                                                       \
    X(INT, FREE, rank, 512, 1, 65536, "eigenvectors of the data's covariance that a gaussian start keeps (of fewer dimensions all)") \
    X(CHOICE, FREE, at, "data", ts_fitted_to_kind, 0, "what a dpmixture is fitted to: the data, carried to every T in closed form, or x_T at each T") \
    X(CHOICE, FREE, covariance, "auto", ts_covariance_kind, 0, "of a dpmixture's components: full (at most 256 dimensions), diagonal, or factor: diagonal plus low rank (auto: full up to 256 dimensions, factor above)") \
    X(INT, FREE, factors, 16, 1, 64, "rank of that (in fewer dimensions as many as there are)")                                  \
    X(INT, FREE, components, 16, 1, 4096, "truncation of a dpmixture")                                                           \
    X(REAL, FREE, concentration, 0, 0, 1e6, "concentration of its Dirichlet process (0: 1/components)")                          \
    X(REAL, FREE, floor, 1e-6, 1e-12, 1, "variance that none of its components falls below")                                     \
    X(REAL, FREE, tolerance, 1e-5, 0, 1, "its fit ends when a step raises the evidence bound by no more, in nats an example")       \
    X(INT, FREE, iterations, 1000, 1, 1000000, "or after so many steps")

#define TS_CONFIG_BOUND(X)                                                                                                       \
    X(REAL, FREE, eps, 0, 0, 0.1, "start of the diffusion term (0: images, where s(eps) is an eighth of the level spacing; else train.eps)") \
    X(INT, FREE, draws, 32, 1, 1000000, "draws of (t, z) a datum")                                                               \
    X(INT, FREE, prior_draws, 4, 1, 1000000, "draws of x_T a datum")                                                             \
    X(INT, FREE, count, 0, 0, 100000000, "held-out data to use (0: all)")                                                        \
    X(INT, FREE, batch, 128, 1, 65536, "rows an evaluation of the network")

#define TS_CONFIG_LIKELIHOOD(X)                                                                                                  \
    X(REAL, FREE, eps, 0, 0, 0.1, "where the ODE begins (0: at train.eps)")                                                      \
    X(INT, FREE, probes, 0, 0, 1000000, "Hutchinson probes a datum (0: the exact divergence up to 64 dimensions, else 1)")       \
    X(CHOICE, FREE, probe, "rademacher", ts_probe_kind, 0, "what probes are drawn from")                                         \
    X(INT, FREE, dequantisations, 1, 1, 1000000, "draws a datum of the uniform noise that dequantises images")                   \
    X(REAL, FREE, rtol, 1e-5, 1e-7, 1, "relative tolerance of RK45")                                                             \
    X(REAL, FREE, atol, 1e-5, 1e-8, 1, "absolute tolerance of RK45")                                                             \
    X(INT, FREE, count, 0, 0, 100000000, "held-out data to use (0: all)")                                                        \
    X(INT, FREE, batch, 128, 1, 65536, "rows at a time")

#define TS_CONFIG_SAMPLE(X)                                                                                                      \
    X(CHOICE, FREE, sampler, "em", ts_sampler_kind, 0, "how the reverse process is integrated")                                   \
    X(REAL, FREE, eps, 1e-3, 1e-9, 0.1, "end of the reverse process")                                                            \
    X(INT, FREE, steps_per_unit, 1000, 1, 1000000, "steps a unit of time: N = steps_per_unit * T")                               \
    X(INT, FREE, steps, 0, 0, 1000000, "fixed number of steps instead (0: by steps_per_unit; dpmpp2m then takes 20, edm 18)")    \
    X(REAL, FREE, rtol, 1e-5, 1e-12, 1, "relative tolerance of RK45")                                                            \
    X(REAL, FREE, atol, 1e-5, 1e-12, 1, "absolute tolerance of RK45")                                                            \
    X(BOOL, FREE, denoise, true, 0, 0, "end with the mean of x0 given x_eps")                                                    \
    X(REAL, FREE, rho, 7, 1e-3, 1000, "steps of edm are uniform in sigma^(1/rho)")                                               \
    X(REAL, FREE, churn, 0, 0, 1e6, "edm raises sigma by min(churn/N, sqrt(2) - 1) of itself before a step (0: the ODE)")         \
    X(REAL, FREE, churn_min, 0, 0, 1e30, "smallest sigma that edm raises")                                                       \
    X(REAL, FREE, churn_max, 0, 0, 1e30, "largest sigma that edm raises (0: no limit)")                                          \
    X(REAL, FREE, churn_noise, 1, 0, 100, "standard deviation of the noise that raises it")                                      \
    X(REAL, FREE, snr, 0.16, 0, 1000, "signal-to-noise ratio of the Langevin steps of pc")                                       \
    X(INT, FREE, corrector_steps, 1, 0, 100, "Langevin steps of pc before each predictor step")                                  \
    X(INT, FREE, batch, 64, 1, 65536, "images at a time")

#define TS_CONFIG_SWEEP(X)                                                                                                       \
    X(REALS, FREE, T, "1.0,0.8,0.6,0.4,0.2,0.1", 1e-6, 1, "diffusion times to compare")                                          \
    X(CHOICE, FREE, network, "shared", ts_network_kind, 0, "one network on [eps, 1], one trained for each T, or both side by side") \
    X(WORDS, FREE, starts, "", ts_start_kind, 0, "start densities to compare (empty: all that suit the data)")                   \
    X(WORDS, FREE, samplers, "em,rk45", ts_sampler_kind, 0, "samplers to compare")                                               \
    X(INTS, FREE, nfe, "", 0, 100000000, "evaluations a sample that every sampler of fixed steps may spend, denoising included: the most steps that fit (0, and empty: its own steps)") \
    X(BOOL, FREE, likelihood, false, 0, 0, "also the log-likelihood by the ODE at each T, by section likelihood")                \
    X(INT, FREE, samples, 256, 2, 10000000, "images drawn for each T, start and sampler")                                        \
    X(INT, FREE, projections, 256, 1, 100000, "directions of the sliced Wasserstein distance")                                   \
    X(WORDS, FREE, quality, "sliced_wasserstein,frechet", ts_measure_kind, 0, "how samples are compared with held-out data; fid, kid, precision and recall are of the features of sweep.weights") \
    X(STRING, IDLE, weights, "", 0, 0, "file with the weights of the network of these features, which tools/import_features.py makes; frechet too is then of them") \
    X(BOOL, IDLE, neighbours, false, 0, 0, "the page shows the training datum nearest to each sample: whether the network knows its data by heart") \
    X(REAL, FREE, tolerance, 0.01, 0, 1000, "T* is the smallest T whose bound is within this of the best one's, bits/dim")       \
    X(INT, FREE, seeds, 1, 1, TS_MOST_SEEDS, "trainings, with their fits, from seed, seed + 1, ...: the bound and T* then cover what training varies; samples are of the first")

/* section name, its table, what it is about */
#define TS_CONFIG_SECTIONS(S)                                                                                                    \
    S(run, TS_CONFIG_RUN, "the run")                                                                                             \
    S(data, TS_CONFIG_DATA, "the data")                                                                                          \
    S(sde, TS_CONFIG_SDE, "the forward process")                                                                                 \
    S(model, TS_CONFIG_MODEL, "the score")                                                                                       \
    S(train, TS_CONFIG_TRAIN, "training of the score network")                                                                   \
    S(glow, TS_CONFIG_GLOW, "the auxiliary density at T")                                                                        \
    S(glow_all, TS_CONFIG_GLOW_ALL, "one auxiliary density for all T, else as section glow says")                               \
    S(start, TS_CONFIG_START, "the start densities gaussian and dpmixture")                                                      \
    S(bound, TS_CONFIG_BOUND, "the evidence lower bound")                                                                        \
    S(likelihood, TS_CONFIG_LIKELIHOOD, "the likelihood by the ODE")                                                             \
    S(sample, TS_CONFIG_SAMPLE, "sampling")                                                                                      \
    S(sweep, TS_CONFIG_SWEEP, "the sweep over T")

/* clang-format on */

typedef struct ts_ints {
    int count;
    int *v;
} ts_ints;

typedef struct ts_reals {
    int count;
    double *v;
} ts_reals;

typedef struct ts_kinds {
    int count;
    unsigned *v; /* enumerators of one family of base/kinds.h, each at most once */
} ts_kinds;

typedef struct ts_matrix {
    int rows, columns;
    double *v; /* row-major */
} ts_matrix;

/* One member a key; section `mixture` lies within data as data.mixture. */
#define TS_MEMBER_INT(key, ...)                      int key;
#define TS_MEMBER_REAL(key, ...)                     double key;
#define TS_MEMBER_REAL_OR_AUTO(key, ...)             double key;
#define TS_MEMBER_BOOL(key, ...)                     bool key;
#define TS_MEMBER_STRING(key, ...)                   char *key;
#define TS_MEMBER_CHOICE(key, fallback, family, ...) family key;
#define TS_MEMBER_INTS(key, ...)                     ts_ints key;
#define TS_MEMBER_REALS(key, ...)                    ts_reals key;
#define TS_MEMBER_WORDS(key, ...)                    ts_kinds key;
#define TS_MEMBER_MATRIX(key, ...)                   ts_matrix key;
#define TS_MEMBER(kind, change, key, ...)            TS_MEMBER_##kind(key, __VA_ARGS__)

typedef struct ts_config {
    struct {
        TS_CONFIG_RUN(TS_MEMBER)
    } run;
    struct {
        TS_CONFIG_DATA(TS_MEMBER)
        struct {
            TS_CONFIG_MIXTURE(TS_MEMBER)
        } mixture;
    } data;
    struct {
        TS_CONFIG_SDE(TS_MEMBER)
    } sde;
    struct {
        TS_CONFIG_MODEL(TS_MEMBER)
    } model;
    struct {
        TS_CONFIG_TRAIN(TS_MEMBER)
    } train;
    struct {
        TS_CONFIG_GLOW(TS_MEMBER)
    } glow;
    struct {
        TS_CONFIG_GLOW_ALL(TS_MEMBER)
    } glow_all;
    struct {
        TS_CONFIG_START(TS_MEMBER)
    } start;
    struct {
        TS_CONFIG_BOUND(TS_MEMBER)
    } bound;
    struct {
        TS_CONFIG_LIKELIHOOD(TS_MEMBER)
    } likelihood;
    struct {
        TS_CONFIG_SAMPLE(TS_MEMBER)
    } sample;
    struct {
        TS_CONFIG_SWEEP(TS_MEMBER)
    } sweep;
} ts_config;

/* Reads a YAML file (NULL: defaults alone) and applies `overrides` ("key=value", key such as train.steps or
 * data.mixture.weights) in order. Errors name the file and line, or the override, and the key. Checks ranges,
 * choices and what keys demand of each other (T in (eps, 1], list lengths, ...). */
ts_status ts_config_load(const char *path, const char *const *overrides, int count, ts_config **config);
/* The same for the network of a public checkpoint: keys of model and sde that neither names have the values of
 * score_sde's own configurations for this model.kind (published.c). */
ts_status ts_config_load_published(const char *path, const char *const *overrides, int count,
                                   ts_config **config);
/* The resolved configuration as YAML, loadable again, or of it the sections named as for ts_config_compare;
 * caller frees *text. */
ts_status ts_config_print(const ts_config *config, const char *sections, char **text);
void ts_config_free(ts_config *config);

/* The configuration in YAML text that ts_config_print made; `name` is the file it comes from, for messages.
 * What keys demand of each other is not checked: the text may be part of a configuration. */
ts_status ts_config_parse(const char *text, const char *name, ts_config **config);

/* What two configurations must agree in to be the same, see `change` above: for a command that reads a run,
 * for one that writes to it, and for work whose result is to be taken over. */
typedef enum ts_config_use { TS_USE_READ, TS_USE_WRITE, TS_USE_RESULT } ts_config_use;

/* A key whose values differ, as text, cut short where they are long. */
typedef struct ts_config_difference {
    const char *key; /* NULL: none */
    char a[64], b[64];
} ts_config_difference;

/* The one way to ask whether two configurations are the same: the first key that `use` demands to agree, and
 * does not.  `sections` names those to look at ("data sde"; "run" holds seed); NULL: all.  A key that one of
 * them did not know yet has its default there, so that new keys invalidate nothing. */
ts_status ts_config_compare(const ts_config *a, const ts_config *b, ts_config_use use, const char *sections,
                            ts_config_difference *difference);

/* One line a key: name, kind, default, range, what a trained run allows, help; as text or as a Markdown
 * table. */
typedef void ts_config_visitor(void *context, const char *section, const char *key, const char *kind,
                               const char *fallback, const char *range, const char *change, const char *help);
void ts_config_visit(ts_config_visitor *visitor, void *context);

extern const ts_words ts_sde_kind_words;
ts_sde ts_config_sde(const ts_config *config);
/* train.T, or with train.T auto the largest T of sweep.T, where a training begins. */
double ts_config_largest_T(const ts_config *config);

#endif
