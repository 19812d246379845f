/*
 * What can be chosen by a word, in a configuration or on the command line: every kind as an enum and its
 * word. Words become enums where they are read and words again where they are written; nothing in between
 * compares text.  What the engine knows about a kind stands in one table, a row a kind:
 *
 *     ts_data_kind       data/dataset.c               ts_start_kind      run/starts.c
 *     ts_model_kind      run/model.c                  ts_sampler_kind    diffusion/samplers/table.c
 *     ts_score_kind      run/scores.c                 ts_features_kind   quality/features.c
 *     ts_feature_network_kind   nn/feature_network.c
 *     ts_measure_kind    quality/measures.c
 *
 * The forward processes (ts_sde_kind) are in kernels/sde.h, which devices share.
 */
#ifndef TS_BASE_KINDS_H
#define TS_BASE_KINDS_H

#include <stddef.h>

/* X(enumerator, word) */
#define TS_DATA_KINDS(X)                                                                                     \
    X(TS_DATA_DIGITS, "digits")                                                                              \
    X(TS_DATA_IDX, "idx")                                                                                    \
    X(TS_DATA_CIFAR10, "cifar10")                                                                            \
    X(TS_DATA_IMAGENET, "imagenet")                                                                          \
    X(TS_DATA_FOLDER, "folder")                                                                              \
    X(TS_DATA_ARRAY, "array")                                                                                \
    X(TS_DATA_MIXTURE, "mixture")

#define TS_MODEL_KINDS(X)                                                                                    \
    X(TS_MODEL_DDPMPP, "ddpmpp")                                                                             \
    X(TS_MODEL_NCSNPP, "ncsnpp")                                                                             \
    X(TS_MODEL_MLP, "mlp")                                                                                   \
    X(TS_MODEL_EXACT, "exact")

#define TS_SCORE_KINDS(X)                                                                                    \
    X(TS_SCORE_NETWORK, "network")                                                                           \
    X(TS_SCORE_NETWORK_PER_T, "network_per_T")                                                               \
    X(TS_SCORE_EXACT, "exact")                                                                               \
    X(TS_SCORE_HYBRID, "hybrid")

#define TS_START_KINDS(X)                                                                                    \
    X(TS_START_NORMAL, "normal")                                                                             \
    X(TS_START_GAUSSIAN, "gaussian")                                                                         \
    X(TS_START_DPMIXTURE, "dpmixture")                                                                       \
    X(TS_START_GLOW, "glow")                                                                                 \
    X(TS_START_GLOW_ALL, "glow_all")                                                                         \
    X(TS_START_MIXTURE, "mixture")

/* What a mixture is fitted to. */
#define TS_FITTED_TO_KINDS(X)                                                                                \
    X(TS_FITTED_TO_DATA, "data")                                                                             \
    X(TS_FITTED_TO_T, "T")

#define TS_COVARIANCE_KINDS(X)                                                                               \
    X(TS_COVARIANCE_AUTO, "auto")                                                                            \
    X(TS_COVARIANCE_FULL, "full")                                                                            \
    X(TS_COVARIANCE_DIAGONAL, "diagonal")                                                                    \
    X(TS_COVARIANCE_FACTOR, "factor")

/* What a flow sees of x_T; auto goes by the dimension. */
#define TS_WHITEN_KINDS(X)                                                                                   \
    X(TS_WHITEN_NONE, "none")                                                                                \
    X(TS_WHITEN_ZCA, "zca")                                                                                  \
    X(TS_WHITEN_AUTO, "auto")

#define TS_SAMPLER_KINDS(X)                                                                                  \
    X(TS_SAMPLER_EM, "em")                                                                                   \
    X(TS_SAMPLER_HEUN, "heun")                                                                               \
    X(TS_SAMPLER_RK45, "rk45")                                                                               \
    X(TS_SAMPLER_DPMPP2M, "dpmpp2m")                                                                         \
    X(TS_SAMPLER_ANCESTRAL, "ancestral")                                                                     \
    X(TS_SAMPLER_EDM, "edm")                                                                                 \
    X(TS_SAMPLER_PC, "pc")

#define TS_FEATURES_KINDS(X)                                                                                 \
    X(TS_FEATURES_COORDINATES, "coordinates")                                                                \
    X(TS_FEATURES_PIXELS, "pixels")                                                                          \
    X(TS_FEATURES_PCA64, "pca64")

/* Trained networks whose features images are compared by. */
#define TS_FEATURE_NETWORK_KINDS(X)                                                                          \
    X(TS_FEATURE_NETWORK_INCEPTION, "inception")                                                             \
    X(TS_FEATURE_NETWORK_MNIST_CNN, "mnist_cnn")                                                             \
    X(TS_FEATURE_NETWORK_RESNET56_CIFAR10, "resnet56_cifar10")

/* How far samples are from data. */
#define TS_MEASURE_KINDS(X)                                                                                  \
    X(TS_MEASURE_SLICED_WASSERSTEIN, "sliced_wasserstein")                                                   \
    X(TS_MEASURE_FRECHET, "frechet")                                                                         \
    X(TS_MEASURE_FID, "fid")                                                                                 \
    X(TS_MEASURE_KID, "kid")                                                                                 \
    X(TS_MEASURE_PRECISION, "precision")                                                                     \
    X(TS_MEASURE_RECALL, "recall")

#define TS_LOSS_KINDS(X)                                                                                     \
    X(TS_LOSS_SIMPLE, "simple")                                                                              \
    X(TS_LOSS_LIKELIHOOD, "likelihood")

#define TS_T_SAMPLING_KINDS(X)                                                                               \
    X(TS_T_SAMPLING_AUTO, "auto")                                                                            \
    X(TS_T_SAMPLING_UNIFORM, "uniform")                                                                      \
    X(TS_T_SAMPLING_IMPORTANCE, "importance")

#define TS_NETWORK_KINDS(X)                                                                                  \
    X(TS_NETWORK_SHARED, "shared")                                                                           \
    X(TS_NETWORK_PER_T, "per_T")                                                                             \
    X(TS_NETWORK_BOTH, "both")

#define TS_EMBEDDING_KINDS(X)                                                                                \
    X(TS_EMBEDDING_AUTO, "auto")                                                                             \
    X(TS_EMBEDDING_POSITIONAL, "positional")                                                                 \
    X(TS_EMBEDDING_FOURIER, "fourier")

/* What the output of a network is: the noise z of x_t = a x0 + s z, v = a z - s x0, or x0. */
#define TS_PREDICTS_KINDS(X)                                                                                 \
    X(TS_PREDICTS_NOISE, "noise")                                                                            \
    X(TS_PREDICTS_V, "v")                                                                                    \
    X(TS_PREDICTS_X0, "x0")

/* What a network is told of t: t as score_sde's are, or the log-SNR ln(a^2/s^2). */
#define TS_TIME_INPUT_KINDS(X)                                                                               \
    X(TS_TIME_INPUT_T, "t")                                                                                  \
    X(TS_TIME_INPUT_LOG_SNR, "log_snr")

#define TS_PROGRESSIVE_KINDS(X)                                                                              \
    X(TS_PROGRESSIVE_NONE, "none")                                                                           \
    X(TS_PROGRESSIVE_OUTPUT_SKIP, "output_skip")

#define TS_PROGRESSIVE_INPUT_KINDS(X)                                                                        \
    X(TS_PROGRESSIVE_INPUT_NONE, "none")                                                                     \
    X(TS_PROGRESSIVE_INPUT_SKIP, "input_skip")                                                               \
    X(TS_PROGRESSIVE_INPUT_RESIDUAL, "residual")

#define TS_COMBINE_KINDS(X)                                                                                  \
    X(TS_COMBINE_SUM, "sum")                                                                                 \
    X(TS_COMBINE_CAT, "cat")

#define TS_RESBLOCK_KINDS(X)                                                                                 \
    X(TS_RESBLOCK_BIGGAN, "biggan")                                                                          \
    X(TS_RESBLOCK_DDPM, "ddpm")

#define TS_PROBE_KINDS(X)                                                                                    \
    X(TS_PROBE_RADEMACHER, "rademacher")                                                                     \
    X(TS_PROBE_NORMAL, "normal")

/* How pictures are made smaller or larger; as Pillow's BOX and BICUBIC. */
#define TS_FILTER_KINDS(X)                                                                                   \
    X(TS_FILTER_AREA, "area")                                                                                \
    X(TS_FILTER_BICUBIC, "bicubic")

#define TS_KIND_ENUMERATOR(name, word) name,
typedef enum ts_data_kind { TS_DATA_KINDS(TS_KIND_ENUMERATOR) TS_DATA_COUNT } ts_data_kind;
typedef enum ts_model_kind { TS_MODEL_KINDS(TS_KIND_ENUMERATOR) TS_MODEL_COUNT } ts_model_kind;
typedef enum ts_score_kind { TS_SCORE_KINDS(TS_KIND_ENUMERATOR) TS_SCORE_COUNT } ts_score_kind;
typedef enum ts_start_kind { TS_START_KINDS(TS_KIND_ENUMERATOR) TS_START_COUNT } ts_start_kind;
typedef enum ts_fitted_to_kind {
    TS_FITTED_TO_KINDS(TS_KIND_ENUMERATOR) TS_FITTED_TO_COUNT
} ts_fitted_to_kind;
typedef enum ts_covariance_kind {
    TS_COVARIANCE_KINDS(TS_KIND_ENUMERATOR) TS_COVARIANCE_COUNT
} ts_covariance_kind;
typedef enum ts_whiten_kind { TS_WHITEN_KINDS(TS_KIND_ENUMERATOR) TS_WHITEN_COUNT } ts_whiten_kind;
typedef enum ts_sampler_kind { TS_SAMPLER_KINDS(TS_KIND_ENUMERATOR) TS_SAMPLER_COUNT } ts_sampler_kind;
typedef enum ts_features_kind { TS_FEATURES_KINDS(TS_KIND_ENUMERATOR) TS_FEATURES_COUNT } ts_features_kind;
typedef enum ts_feature_network_kind {
    TS_FEATURE_NETWORK_KINDS(TS_KIND_ENUMERATOR) TS_FEATURE_NETWORK_COUNT
} ts_feature_network_kind;
typedef enum ts_measure_kind { TS_MEASURE_KINDS(TS_KIND_ENUMERATOR) TS_MEASURE_COUNT } ts_measure_kind;
typedef enum ts_loss_kind { TS_LOSS_KINDS(TS_KIND_ENUMERATOR) TS_LOSS_COUNT } ts_loss_kind;
typedef enum ts_t_sampling_kind {
    TS_T_SAMPLING_KINDS(TS_KIND_ENUMERATOR) TS_T_SAMPLING_COUNT
} ts_t_sampling_kind;
typedef enum ts_network_kind { TS_NETWORK_KINDS(TS_KIND_ENUMERATOR) TS_NETWORK_COUNT } ts_network_kind;
typedef enum ts_embedding_kind {
    TS_EMBEDDING_KINDS(TS_KIND_ENUMERATOR) TS_EMBEDDING_COUNT
} ts_embedding_kind;
typedef enum ts_predicts_kind { TS_PREDICTS_KINDS(TS_KIND_ENUMERATOR) TS_PREDICTS_COUNT } ts_predicts_kind;
typedef enum ts_time_input_kind {
    TS_TIME_INPUT_KINDS(TS_KIND_ENUMERATOR) TS_TIME_INPUT_COUNT
} ts_time_input_kind;
typedef enum ts_progressive_kind {
    TS_PROGRESSIVE_KINDS(TS_KIND_ENUMERATOR) TS_PROGRESSIVE_COUNT
} ts_progressive_kind;
typedef enum ts_progressive_input_kind {
    TS_PROGRESSIVE_INPUT_KINDS(TS_KIND_ENUMERATOR) TS_PROGRESSIVE_INPUT_COUNT
} ts_progressive_input_kind;
typedef enum ts_combine_kind { TS_COMBINE_KINDS(TS_KIND_ENUMERATOR) TS_COMBINE_COUNT } ts_combine_kind;
typedef enum ts_resblock_kind { TS_RESBLOCK_KINDS(TS_KIND_ENUMERATOR) TS_RESBLOCK_COUNT } ts_resblock_kind;
typedef enum ts_filter_kind { TS_FILTER_KINDS(TS_KIND_ENUMERATOR) TS_FILTER_COUNT } ts_filter_kind;
typedef enum ts_probe_kind { TS_PROBE_KINDS(TS_KIND_ENUMERATOR) TS_PROBE_COUNT } ts_probe_kind;

/* The words of one kind, in the order of its enum. */
typedef struct ts_words {
    int count;
    const char *const *word;
} ts_words;

extern const ts_words ts_data_kind_words, ts_model_kind_words, ts_score_kind_words, ts_start_kind_words,
    ts_fitted_to_kind_words, ts_covariance_kind_words, ts_whiten_kind_words, ts_sampler_kind_words,
    ts_features_kind_words, ts_loss_kind_words, ts_t_sampling_kind_words, ts_network_kind_words,
    ts_embedding_kind_words, ts_progressive_kind_words, ts_progressive_input_kind_words,
    ts_combine_kind_words, ts_resblock_kind_words, ts_predicts_kind_words, ts_time_input_kind_words,
    ts_probe_kind_words, ts_filter_kind_words, ts_feature_network_kind_words, ts_measure_kind_words;

/* What features data are compared by: a ts_features_kind, or TS_FEATURES_COUNT and a ts_feature_network_kind on top. */
typedef unsigned ts_compared_features;
extern const ts_words ts_compared_features_words;

/* The enumerator of the word that is the first `length` characters of `text`; -1: none. */
int ts_words_find(const ts_words *words, const char *text, size_t length);

/* "a, b or c" with the given separators (", " and " or "), cut where `size` ends. */
void ts_words_list(const ts_words *words, const char *separator, const char *last, char *text, size_t size);

#endif
